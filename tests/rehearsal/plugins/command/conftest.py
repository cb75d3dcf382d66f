"""One server with a plugin beside it for all tests that need nothing special of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.plugins.command.sshd import Key, Sshd
from tests.rehearsal.plugins.harness import Plugin, start_plugin

MakeSshd = Callable[..., Sshd]


@pytest.fixture(scope="module")
def plugin() -> Iterator[Plugin]:
    with start_plugin("pulumi-resource-command") as running:
        yield running


@pytest.fixture
def make_sshd(tmp_path: Path) -> Iterator[MakeSshd]:
    """make_sshd(*settings, **Sshd's fields): a running server."""
    with ExitStack() as stack:
        count = iter(range(100))

        def make(*settings: str, **fields: Any) -> Sshd:
            server = Sshd(
                folder=fields.pop("folder", tmp_path / f"sshd{next(count)}"),
                key=fields.pop("key", None) or Key.new(),
                settings=settings,
                **fields,
            )
            return stack.enter_context(server.running())

        yield make


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server with sshd's defaults: it accepts no environment of this project's."""
    with Sshd(tmp_path_factory.mktemp("sshd"), Key.new()).running() as server:
        yield server
