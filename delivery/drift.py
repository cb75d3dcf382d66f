"""What exists by what the state says: changes that somebody made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from delivery.changes import Absent, Change, changes
from delivery.engine import Engine
from delivery.errors import DeliveryError
from delivery.events import Step
from delivery.markdown import LIMIT, change, code, prose, value
from settings import Environment

_LISTED = 50
_PROPERTIES = 12  # of one resource


@dataclass(frozen=True)
class Drift:
    """stacks: what differs, by stack in order of deployment; absent: stacks that the backend does
    not have."""

    environment: str
    stacks: Mapping[str, tuple[Step, ...]]
    absent: tuple[str, ...]

    @property
    def count(self) -> int:
        """Resources that differ."""
        return sum(map(len, self.stacks.values()))


def find(engine: Engine, environment: Environment, say: Callable[[str], None]) -> Drift:
    """Looks at every resource of every stack; changes nothing. Commands on hosts cannot be looked
    at: they have no state of their own.

    Raises DeliveryError if a provider does not answer.
    """
    there = engine.stacks()
    found: dict[str, tuple[Step, ...]] = {}
    for stack in environment.stacks:
        if stack.name not in there:
            continue
        say(f"{stack.name}: looking for what was changed by hand")
        outcome = engine.drift(stack.name)
        if not outcome.ok:
            reasons = "; ".join(outcome.errors)
            raise DeliveryError(f"{stack.name} cannot be compared with what exists: {reasons}")
        steps = outcome.record.steps.values()
        found[stack.name] = tuple(step for step in steps if step.op in ("update", "delete"))
    absent = tuple(stack.name for stack in environment.stacks if stack.name not in there)
    return Drift(environment.name, found, absent)


def lines(drift: Drift) -> list[str]:
    """A line a resource, and one for each property of it, for a terminal."""
    told: list[str] = []
    for stack, steps in drift.stacks.items():
        for step in steps:
            gone = "is gone" if step.op == "delete" else "was changed:"
            told.append(f"  {stack}: {step.type} {step.name} {gone}")
            told += [f"    {_plain(each)}" for each in changes(step)[:_PROPERTIES]]
    return told


def _plain(found: Change) -> str:
    sides = ["nothing" if isinstance(s, Absent) else value(s) for s in (found.old, found.new)]
    return f"{found.path}: {sides[0]} -> {sides[1]}"


def marker(environment: str) -> str:
    """The first line of an environment's issue, by which it is found again."""
    return f"<!-- groundwork drift of {environment} -->"


def title(environment: str) -> str:
    """Of an environment's issue."""
    return f"Drift: {environment}"


def body(drift: Drift) -> str:
    """The issue's text as Markdown."""
    name = prose(drift.environment)
    parts = [
        f"{marker(drift.environment)}\nWhat exists in {name} is not what its state says. Somebody "
        "changed it by hand, or AWS did.",
        f"Put it back by a deployment (`make deploy ENV={drift.environment} ACCEPT_DRIFT=1`), or "
        "write the change into the settings first. The next check that finds nothing closes this.",
    ]
    listed = [(stack, step) for stack, steps in drift.stacks.items() for step in steps]
    size = 0
    for number, (stack, step) in enumerate(listed):
        part = _resource(stack, step)
        size += len(part.encode())
        if number == _LISTED or size > LIMIT // 2:
            parts.append(f"… and {len(listed) - number} more resources.")
            break
        parts.append(part)
    return "\n\n".join(parts) + "\n"


def _resource(stack: str, step: Step) -> str:
    gone = "is gone" if step.op == "delete" else "was changed"
    found = changes(step)
    told = [f"**{prose(stack)}**: {code(step.type)} {code(step.name)} {gone}"]
    told += ["", *map(change, found[:_PROPERTIES])] if found else []
    return "\n".join(told)
