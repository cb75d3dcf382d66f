"""Previews of the real engine, recorded: what it told, with what differs by run and machine left
out. Made anew by `pytest tests/delivery --write-expected`, as the comments made of them are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from delivery.engine import Deployed, Engine, Outcome, Take, concluded
from delivery.events import STACK_TYPE, Event, Record
from tests.delivery.shop import NODES, REGION, Runner

HERE = Path(__file__).resolve().parent
EVENTS, GOLDEN = HERE / "recorded", HERE / "golden"
OTHER_TOKEN = "MARKER-OF-ANOTHER-TOKEN"


@dataclass(frozen=True)
class Case:
    """What is laid on the stack's configuration before the preview; token: the new secret."""

    values: Mapping[str, Any]
    token: str | None = None


def _nodes(name: str, **changes: Any) -> dict[str, Any]:
    nodes = deepcopy(NODES)
    nodes[name].update(changes)
    return {"nodes": nodes}


CASES = {
    "nothing": Case({}),
    "change": Case(_nodes("k8s-api-auth", type="t3.medium") | {"name": "front | door"}),
    "database": Case(_nodes("k8s-postgresql", zone=f"{REGION}b")),
    "policy": Case(_nodes("k8s-api-auth", imds="optional")),
    "error": Case({"broken": "true"}),
    "secret": Case({}, OTHER_TOKEN),
}


def set_up(runner: Runner, case: Case) -> None:
    """The stack file as a pull request changes it."""
    runner.configure("shop", **case.values)
    if case.token:
        runner.pulumi("config", "set", "--stack", "shop", "--secret", "shop:token", case.token)


def record(runner: Runner, name: str) -> None:
    """Runs the case's preview by the engine, and writes down what it told."""
    told: list[Event] = []
    set_up(runner, CASES[name])
    with mock.patch.dict(os.environ, runner.environment, clear=True):
        outcome = Engine(runner.folder).preview("shop", told.append)
    lines = [json.dumps({"ok": outcome.ok}), *map(json.dumps, filter(_kept, told))]
    text = "\n".join(lines) + "\n"
    for found, word in ((str(runner.folder), "/checkout"), (runner.endpoint, "http://aws")):
        text = text.replace(found, word)
    EVENTS.mkdir(exist_ok=True)
    (EVENTS / f"{name}.jsonl").write_text(text)


def _kept(event: Event) -> bool:
    if found := event.get("diagnosticEvent"):
        return bool(found["severity"] == "error")
    if found := event.get("resOutputsEvent"):
        return bool(found["metadata"]["type"] == STACK_TYPE)
    return any(kind in event for kind in ("resourcePreEvent", "policyEvent", "summaryEvent"))


def outcome(name: str) -> Outcome:
    """What was recorded."""
    first, *lines = (EVENTS / f"{name}.jsonl").read_text().splitlines()
    found = Record()
    for line in lines:
        found.take(json.loads(line))
    return concluded("shop", found, 0 if json.loads(first)["ok"] else 1, "")


class Recorded(Engine):
    """Previews as they were recorded, by stack."""

    def __init__(self, **cases: str) -> None:
        super().__init__(Path())
        object.__setattr__(self, "cases", cases)

    def stacks(self) -> dict[str, Deployed]:
        cases: dict[str, str] = self.__dict__["cases"]
        return {name: Deployed(name, 1) for name in cases}

    def preview(self, stack: str, take: Take | None = None) -> Outcome:
        return outcome(self.__dict__["cases"][stack])
