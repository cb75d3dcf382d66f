"""What the engine is doing, from its event log: progress by layer, changes, errors, timings."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rehearsal.plugins import WAITING

LAYERS = ("infra", "cluster", "gitops")
_COLOR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
# a failed command's message repeats the whole script; the log has it
_SCRIPT = re.compile(r"(running ).*( over ssh)", re.DOTALL)
_QUIET = {"same", "read", "refresh"}


@dataclass
class Progress:
    """Collects events; reports a line when a resource of note is done or fails.

    kept: where each step is written, without inputs, outputs and messages: they may hold
    secrets. changes: (operation, URN) of every finished step but `same`. errors: messages.
    begin: on the clock that does not go back; layer_seconds are counted from it.
    """

    report: Callable[[str], None]
    kept: TextIO
    changes: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unchanged: int = 0
    _started: dict[str, float] = field(default_factory=dict)
    _done: Counter[str] = field(default_factory=Counter)
    begin: float = field(default_factory=time.monotonic)
    layer_seconds: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> None:
        """One engine event, as in the event log."""
        for kind in ("resourcePreEvent", "resOutputsEvent", "resOpFailedEvent"):
            if step := event.get(kind):
                self._keep(kind, step["metadata"])
        if found := event.get("resourcePreEvent"):
            meta = found["metadata"]
            self._started[meta["urn"]] = time.monotonic()
            self._span(meta["urn"])
            if meta["type"].startswith("command:") and meta["op"] not in _QUIET:
                self.report(f"  {layer(meta['urn'])}: {meta['op']} {name(meta['urn'])} …")
        elif found := event.get("resOutputsEvent"):
            self._finished(found["metadata"])
        elif found := event.get("diagnosticEvent"):
            text = _COLOR.sub("", found["message"]).strip()
            if found["severity"] == "error":
                text = _SCRIPT.sub(r"\1it\2", text)
                urn = found.get("urn") or ""
                where = "" if urn.endswith(f"::pulumi:pulumi:Stack::{name(urn)}") else name(urn)
                message = f"{where}: {text}" if where else text
                if message not in self.errors:
                    self.errors.append(message)
            elif text.startswith(WAITING):
                self.report(f"  {text.removeprefix(WAITING)} …")
        elif found := event.get("policyEvent"):
            if found["enforcementLevel"] == "mandatory":
                text = _COLOR.sub("", found["message"]).strip().splitlines()[-1]
                self.errors.append(f"{found['policyName']}: {text}")
        elif found := event.get("resOpFailedEvent"):
            meta = found["metadata"]
            self.report(f"  {layer(meta['urn'])}: {meta['op']} {name(meta['urn'])} FAILED")

    def _keep(self, kind: str, meta: dict[str, Any]) -> None:
        seconds = round(time.monotonic() - self.begin, 1)
        step = {"seconds": seconds, "event": kind, "op": meta["op"], "urn": meta["urn"]}
        print(json.dumps(step), file=self.kept, flush=True)

    def _finished(self, meta: dict[str, Any]) -> None:
        urn, op = meta["urn"], meta["op"]
        self._span(urn)
        if op in _QUIET:
            self.unchanged += 1
            return
        self.changes.append((op, urn))
        self._done[layer(urn)] += 1
        custom = bool((meta.get("new") or meta.get("old") or {}).get("custom"))
        if custom:
            now = time.monotonic()
            took = now - self._started.get(urn, now)
            kind = meta["type"].split(":")[-1]
            self.report(
                f"  {layer(urn)} {self._done[layer(urn)]:>3}: {_PAST.get(op, op)} {kind} "
                f"{name(urn)} ({took:.0f} s)"
            )

    def _span(self, urn: str) -> None:
        now = time.monotonic() - self.begin
        first, _ = self.layer_seconds.get(layer(urn), (now, now))
        self.layer_seconds[layer(urn)] = (first, now)


_PAST = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "replace": "replaced",
    "create-replacement": "created anew",
    "delete-replaced": "deleted the old",
}


def layer(urn: str) -> str:
    """infra, cluster or gitops; "stack" for what is in none."""
    chain = urn.split("::")[2] if urn.count("::") >= 3 else ""
    match = re.search(r"groundwork:(\w+):", chain)
    return match[1] if match and match[1] in LAYERS else "stack"


def name(urn: str) -> str:
    """The resource's own name, the last part of its URN."""
    return urn.rsplit("::", 1)[-1]


def follow(file: Path, take: Callable[[dict[str, Any]], None], done: threading.Event) -> None:
    """Hands every line of a growing JSON-lines file to `take` until `done` and its end."""
    with file.open() as lines:
        rest = ""
        while True:
            finished = done.is_set()
            chunk = lines.read()
            rest += chunk
            *whole, rest = rest.split("\n")
            for line in whole:
                if line.strip():
                    take(json.loads(line))
            if finished and not chunk:
                return
            if not chunk:
                done.wait(0.2)
