"""A status again and again: redrawn on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import TextIO

from operations.errors import OperationsError
from operations.status import Status

_INTERVAL_S = 2.0
_REDRAW = "\033[H\033[2J"  # cursor to the corner, and clear from there


def watch(
    read: Callable[[], Status],
    out: TextIO,
    as_json: bool,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Shows what `read` finds until Ctrl-C; returns the exit code of what it found last.

    A cluster that does not answer is shown, and asked again. JSON is an object a line.
    """
    redraws = out.isatty() and not as_json
    entries: dict[str, str] = {}
    code, shown = 1, ""
    with suppress(KeyboardInterrupt):
        while True:
            try:
                found = read()
            except OperationsError as error:
                code, new = 1, {**entries, "cluster": str(error)}
                text = json.dumps({"well": False, "problem": str(error)}) if as_json else str(error)
            else:
                code, new = (0 if found.well else 1), dict(_entries(found))
                text = found.as_json(indent=None) if as_json else found.as_table()
            if redraws:
                print(f"{_REDRAW}{_now()}\n\n{text}", file=out, flush=True)
            elif as_json and text != shown:
                print(text, file=out, flush=True)
            elif not as_json:
                for line in _changes(entries, new):
                    print(f"{_now()} {line}", file=out, flush=True)
            entries, shown = new, text
            pause(_INTERVAL_S)
    return code


def _changes(old: dict[str, str], new: dict[str, str]) -> Iterator[str]:
    yield from (f"{name}: {text}" for name, text in new.items() if old.get(name) != text)
    yield from (f"{name}: gone" for name in old if name not in new)


def _entries(status: Status) -> Iterator[tuple[str, str]]:
    """What is told of each, by its name."""
    yield "cluster", "answers"
    for node in status.nodes:
        yield f"node {node.name}", _line("Ready" if node.ready else "not Ready", node.reason)
    for made in status.application_sets:
        count = f"{made.applications} Applications"
        yield f"ApplicationSet {made.name}", _line(count, made.reason)
    for each in status.applications:
        yield each.name, _line(f"{each.sync} {each.health} {each.revision[:8]}", each.reason)
    yield "all", "well" if status.well else "not well"


def _line(verdict: str, reason: str) -> str:
    return f"{verdict.rstrip()}: {reason}" if reason else verdict.rstrip()


def _now() -> str:
    return datetime.now().strftime("%H:%M:%S")
