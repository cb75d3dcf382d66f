"""The JSONPath of `pulumi.com/waitFor`: members, indices, wildcards and equality filters.

Example: `{.status.conditions[?(@.type=="Ready")].status}=True`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_][\w-]*)
      | \['(?P<single>[^'\\]*)'\] | \["(?P<double>[^"\\]*)"\]
      | \[(?P<index>-?\d+)\]
      | (?P<any>\.\*|\[\*\])
      | \[\?\(?\s*@(?P<path>(?:\.[A-Za-z_][\w-]*)+)\s*(?P<op>==|!=)\s*
          (?P<literal>"[^"\\]*"|'[^'\\]*'|-?\d+(?:\.\d+)?|true|false|null)\s*\)?\]""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class JsonPath:
    """A parsed expression. text: as written; value: what it must equal, None for "exists"."""

    text: str
    value: str | None
    steps: tuple[re.Match[str], ...]

    def found(self, obj: Any) -> str | None:
        """The first value selected, as text; None if there is none."""
        for value in _select([obj], self.steps):
            return _text(value)
        return None

    def matches(self, obj: Any) -> bool:
        """Whether the object has the path and, if one is asked for, the value."""
        found = self.found(obj)
        return found is not None and (self.value is None or found == self.value)


def parse(text: str) -> JsonPath:
    """`{path}` or `{path}=value`. Raises ValueError with what is wrong."""
    if not text.startswith("{"):
        raise ValueError(f"{text} should be wrapped in brackets {{ … }}")
    path, closed, rest = text[1:].rpartition("}")
    if not closed or (rest and not rest.startswith("=")):
        raise ValueError(f"{text} should be {{.path}} or {{.path}}=value")
    if rest == "=":
        raise ValueError(f"{text} requires a value")
    steps, position = [], 0
    path = path.strip().removeprefix("$")
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            raise ValueError(f"{text}: '{path[position:]}' is not handled by this stand-in")
        steps.append(step)
        position = step.end()
    if not steps:
        raise ValueError(f"{text} names no field")
    return JsonPath(text, rest[1:] if rest else None, tuple(steps))


def _select(nodes: list[Any], steps: tuple[re.Match[str], ...]) -> list[Any]:
    for step in steps:
        nodes = [child for node in nodes for child in _children(node, step)]
    return nodes


def _children(node: Any, step: re.Match[str]) -> Iterator[Any]:
    name = next((step[g] for g in ("name", "single", "double") if step[g] is not None), None)
    if name is not None:
        if isinstance(node, dict) and name in node:
            yield node[name]
    elif step["index"] is not None:
        index = int(step["index"])
        if isinstance(node, list) and -len(node) <= index < len(node):
            yield node[index]
    else:
        items = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        for item in items:
            if step["any"] or _passes(item, step):
                yield item


def _passes(item: Any, step: re.Match[str]) -> bool:
    literal = step["literal"]
    wanted = literal[1:-1] if literal[0] in "'\"" else json.loads(literal)
    for name in step["path"].split(".")[1:]:
        if not isinstance(item, dict) or name not in item:
            return bool(step["op"] == "!=")
        item = item[name]
    return bool((item == wanted) == (step["op"] == "=="))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
