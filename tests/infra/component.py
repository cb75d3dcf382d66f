"""Runs components by themselves under Pulumi's mocks, each time in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import program
from tests.program import Resource, Run


def run(folder: Path, build: Callable[[], None]) -> Run:
    """Runs `build`, a function of a module, as the whole program; `folder` is for its files."""
    call = f"from {build.__module__} import {build.__name__}\n\n{build.__name__}()\n"
    (folder / "__main__.py").write_text(call)
    done = program.run(folder, "test")
    assert done.error is None, done.error
    return done


def statements(document: str) -> list[dict[str, Any]]:
    """Those of a policy document."""
    found: list[dict[str, Any]] = json.loads(document)["Statement"]
    return found


def given(resource: Resource, *names: str) -> tuple[Any, ...]:
    """Some of a resource's inputs; None for what is not given."""
    return tuple(resource.inputs.get(name) for name in names)
