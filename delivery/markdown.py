"""Text from elsewhere in GitHub's Markdown: it may not be read as Markdown, nor as HTML."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from delivery.changes import Absent, Change, Secret, Unknown
from delivery.masking import MASK

LIMIT = 65_536  # of a comment: GitHub counts characters; here it is held in bytes, which are more
VALUE = 120  # characters of one value
_DIFF_LINES = 24
_AROUND = 24  # characters that stand before the first difference of two long values


def code(text: str) -> str:
    """`text` on one line as code, whatever is in it."""
    flat = " ".join(text.split()) or " "
    ticks = "`" * (max((len(run) for run in re.findall("`+", flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{ticks}{pad}{flat}{pad}{ticks}"


def prose(text: str) -> str:
    """`text` on one line as words: no markup, link, mention or tag in it works."""
    escaped = re.sub(r"([\\`*_\[\]<>|~#&])", r"\\\1", " ".join(text.split()))
    return escaped.replace("@", "@\u200b")  # nobody is told of it


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; all but the first and the last are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 2), "---"], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def change(found: Change) -> str:
    """One property as an item of a list; a text of several lines as a diff below it."""
    mark = " **(forces the replacement)**" if found.replaces else ""
    head = f"- {code(found.path)}{mark}"
    if isinstance(found.old, str) and isinstance(found.new, str) and "\n" in found.old + found.new:
        return f"{head}\n{_fenced(_diff(found.old, found.new))}"
    old, new = _texts(found.old, found.new)
    return f"{head}: {old} → {new}"


def _texts(old: Any, new: Any) -> tuple[str, str]:
    sides = [None if isinstance(side, Absent | Unknown) else value(side) for side in (old, new)]
    texts = [side for side in sides if side is not None]
    start = 0
    if len(texts) == 2 and max(map(len, texts)) > VALUE:
        same = next(
            (i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b),
            min(map(len, texts)),
        )
        start = max(0, same - _AROUND)
    shown = [
        _word(side) if text is None else code(_cut(text, start))
        for side, text in zip((old, new), sides, strict=True)
    ]
    return shown[0], shown[1]


def _word(side: Any) -> str:
    return "*none*" if isinstance(side, Absent) else "*known after the deployment*"


def _cut(text: str, start: int) -> str:
    end = start + VALUE
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def value(found: Any) -> str:
    """A value as JSON, with words in brackets for what has none."""
    return json.dumps(_json(found), ensure_ascii=False) if not isinstance(found, Secret) else MASK


def _json(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _json(each) for key, each in found.items()}
    if isinstance(found, list):
        return [_json(each) for each in found]
    if isinstance(found, Secret):
        return MASK
    return "[unknown]" if isinstance(found, Unknown) else found


def _diff(old: str, new: str) -> str:
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1))[2:]
    shown = [line if len(line) <= VALUE else f"{line[:VALUE]}…" for line in lines[:_DIFF_LINES]]
    if len(lines) > _DIFF_LINES:
        shown.append(f"… {len(lines) - _DIFF_LINES} more lines")
    return "\n".join(shown)


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    body = "\n".join(f"  {line}" for line in text.splitlines())
    return f"  {fence}diff\n{body}\n  {fence}"
