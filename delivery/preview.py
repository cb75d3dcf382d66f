"""What an environment's update would do, stack by stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from delivery.engine import Engine, Outcome
from delivery.errors import DeliveryError
from delivery.expense import expense
from settings import Environment


@dataclass(frozen=True)
class Plan:
    """stacks: by name in order of deployment, None for one that the backend does not have;
    cost: the difference a month (`cost.report.difference`), or why it is not known."""

    environment: str
    stacks: Mapping[str, Outcome | None]
    cost: Mapping[str, Any] | str

    @property
    def failed(self) -> bool:
        """Whether an update would not be made: an error, or a policy that is broken."""
        return any(outcome is not None and not outcome.ok for outcome in self.stacks.values())


def preview(engine: Engine, environment: Environment, say: Callable[[str], None]) -> Plan:
    """Previews every stack that there is. Raises DeliveryError if the backend does not answer."""
    there = engine.stacks()
    found: dict[str, Outcome | None] = {}
    for stack in environment.stacks:
        if stack.name in there:
            say(f"previewing {stack.name}")
            found[stack.name] = engine.preview(stack.name)
        else:
            found[stack.name] = None
    return Plan(environment.name, found, _cost(found))


def _cost(found: Mapping[str, Outcome | None]) -> Mapping[str, Any] | str:
    outcomes = [outcome for outcome in found.values() if outcome is not None]
    if not outcomes:
        return "nothing is deployed to compare with"
    if any(outcome.errors for outcome in outcomes):
        return "the preview did not get to its end"
    try:
        return expense(outcome.record for outcome in outcomes)
    except DeliveryError as error:
        return str(error)
