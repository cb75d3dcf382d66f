"""The engine's events (`--json`, JSON lines) as steps, violations and errors.

The shape is that of `apitype.EngineEvent` in Pulumi's SDK. Secrets are masked by the engine
already: a secret value is a map with `SIGNATURE`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from delivery.masking import masked

Event = Mapping[str, Any]
Properties = Mapping[str, Any]

SIGNATURE = "4dabf18193072939515e22adb298388d"  # the key that makes a map a value of its own kind
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # the engine's word for what is not known yet

STACK_TYPE = "pulumi:pulumi:Stack"
# a replacement has three steps; `replace` is the one that stands for it
_PARTS_OF_A_REPLACEMENT = frozenset({"create-replacement", "delete-replaced", "discard-replaced"})
_QUIET = frozenset({"same", "read", "refresh"})
_COLOR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
# a failed command's message repeats the whole script, and with it what the script is given
_SCRIPT = re.compile(r"(running ).*( over ssh)", re.DOTALL)
# the engine's last words; what went wrong is said before them
_FOLLOWS = re.compile(
    r"^(update|preview|refresh|destroy|operation) (failed|aborted)$", re.IGNORECASE
)


@dataclass(frozen=True)
class Step:
    """What happens to one resource. old, new: inputs, {} where there is none; changed, replaces:
    top-level properties, as the provider names them."""

    op: str
    urn: str
    type: str
    custom: bool
    old: Properties
    new: Properties
    old_outputs: Properties
    changed: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The resource's own name, the last part of its URN."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def inputs(self) -> Properties:
        """Those that will hold, or did before it goes."""
        return self.new or self.old

    @property
    def changes(self) -> bool:
        """Whether anything is done to it."""
        return self.op not in _QUIET


@dataclass(frozen=True)
class Violation:
    """A policy that a resource breaks. message: one line, with the fix."""

    policy: str
    resource: str
    mandatory: bool
    message: str


@dataclass
class Record:
    """All that one run of the engine told.

    steps: by URN, without the parts of a replacement; done: as steps, finished in earnest;
    states: old and new state of each resource, for an estimate of the cost.
    """

    steps: dict[str, Step] = field(default_factory=dict)
    done: dict[str, Step] = field(default_factory=dict)
    states: dict[str, tuple[Event | None, Event | None]] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    outputs: tuple[Properties, Properties] = field(default_factory=lambda: ({}, {}))
    packs: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """One event, in the engine's order."""
        if found := event.get("resourcePreEvent"):
            self._plan(found["metadata"])
        elif found := event.get("resOutputsEvent"):
            self._finish(found["metadata"], planned=bool(found.get("planning")))
        elif found := event.get("policyEvent"):
            self._violated(found)
        elif found := event.get("diagnosticEvent"):
            if found["severity"] == "error":
                self._failed(found)
        elif found := event.get("summaryEvent"):
            self.packs.update(found.get("PolicyPacks") or {})

    @property
    def counts(self) -> Counter[str]:
        """Resources by operation."""
        return Counter(step.op for step in self.steps.values())

    @property
    def broken(self) -> list[Violation]:
        """The violations that fail the run."""
        return [each for each in self.violations if each.mandatory]

    def _plan(self, meta: Event) -> None:
        if meta["op"] not in _PARTS_OF_A_REPLACEMENT:
            self.steps[meta["urn"]] = _step(meta)
            self.states[meta["urn"]] = (meta.get("old"), meta.get("new"))

    def _finish(self, meta: Event, planned: bool) -> None:
        if meta["type"] == STACK_TYPE and meta["op"] != "delete":
            sides = (meta.get("old") or {}, meta.get("new") or {})
            self.outputs = (sides[0].get("outputs") or {}, sides[1].get("outputs") or {})
        step = _step(meta)
        if step.urn in self.steps and self.steps[step.urn].op == "refresh":
            self.steps[step.urn] = step  # only now it is known what the refresh has found
        if not planned and meta["op"] not in _PARTS_OF_A_REPLACEMENT:
            self.done[step.urn] = step

    def _violated(self, found: Event) -> None:
        lines = [line.strip() for line in _plain(found["message"]).splitlines() if line.strip()]
        violation = Violation(
            policy=found["policyName"],
            resource=found.get("resourceUrn") or "",
            mandatory=found["enforcementLevel"] == "mandatory",
            message=lines[-1] if lines else "",
        )
        if violation not in self.violations:
            self.violations.append(violation)

    def _failed(self, found: Event) -> None:
        text = one_line(found["message"])
        urn = found.get("urn") or ""
        where = urn.rsplit("::", 1)[-1] if urn and f"::{STACK_TYPE}::" not in urn else ""
        message = f"{where}: {text}" if where else text
        if text and not _FOLLOWS.match(text) and message not in self.errors:
            self.errors.append(message)


def _step(meta: Event) -> Step:
    old, new = meta.get("old") or {}, meta.get("new") or {}
    detailed = [_top(path) for path in meta.get("detailedDiff") or ()]
    return Step(
        op=meta["op"],
        urn=meta["urn"],
        type=meta["type"],
        custom=bool((new or old).get("custom")),
        old=old.get("inputs") or {},
        new=new.get("inputs") or {} if meta["op"] != "delete" else {},
        old_outputs=old.get("outputs") or {},
        changed=tuple(dict.fromkeys([*(meta.get("diffs") or ()), *detailed])),
        replaces=tuple(_top(key) for key in meta.get("keys") or ()),
    )


def _top(path: str) -> str:
    """The property that a path (`tags.Name`, `rules[0].port`, `["a.b"].c`) begins with."""
    if path.startswith('["'):
        return path[2:].split('"]', 1)[0]
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def one_line(message: str) -> str:
    """An error without colours, scripts and traceback: its last line says what happened, the
    others where in Python."""
    text = _SCRIPT.sub(r"\1it\2", _plain(message)).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for index, line in enumerate(lines):
        if line.startswith("Traceback "):
            lines = [*lines[:index], lines[-1]]
            break
    return " ".join(lines)


def _plain(message: str) -> str:
    return masked(_COLOR.sub("", message))


def layer(urn: str) -> str:
    """The layer of the program that a resource belongs to, "other" for what is in none."""
    found = re.search(r"groundwork:(\w+):", urn.split("::")[2]) if urn.count("::") >= 3 else None
    return found[1] if found else "other"
