"""What a running command shows in the engine's log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.plugins.command.conftest import MakeSshd
from tests.rehearsal.plugins.command.fake_engine import FakeEngine, fake_engine
from tests.rehearsal.plugins.command.sshd import Sshd, free_port, until
from tests.rehearsal.plugins.harness import BIN, Plugin, PluginError, start_plugin, urn

TYPE = "command:remote:Command"


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with fake_engine() as running:
        yield running


@pytest.fixture
def plugin(engine: FakeEngine, tmp_path: Path) -> Iterator[Plugin]:
    """The plugin, told where the engine is as the engine tells it: by its first argument."""
    wrapper = tmp_path / "plugin"
    wrapper.write_text(f"#!/bin/sh\nexec {BIN}/pulumi-resource-command {engine.address}\n")
    wrapper.chmod(0o755)
    with start_plugin(wrapper) as running:
        yield running


@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        (None, {"to stdout", "to stderr"}),
        ("stdoutAndStderr", {"to stdout", "to stderr"}),
        ("stdout", {"to stdout"}),
        ("stderr", {"to stderr"}),
        ("none", set()),
    ],
)
def test_logging_chooses_what_is_shown(
    plugin: Plugin, engine: FakeEngine, sshd: Sshd, logging: str | None, shown: set[str]
) -> None:
    inputs: dict[str, Any] = {
        "connection": sshd.connection(),
        "create": "echo to stdout; echo to stderr >&2",
        "logging": logging,
    }
    _, outputs = plugin.create(TYPE, inputs)
    assert set(engine.statuses) == shown
    assert engine.urns == ({urn(TYPE)} if shown else set())
    assert (outputs["stdout"], outputs["stderr"]) == ("to stdout", "to stderr")


def test_lines_are_shown_while_the_command_runs(
    plugin: Plugin, engine: FakeEngine, sshd: Sshd, tmp_path: Path
) -> None:
    """The command waits for a file that is made once its first line has been seen."""
    go_on = tmp_path / "go-on"
    line = f"echo first; printf last; until [ -e {go_on} ]; do sleep 0.05; done"
    done: list[Any] = []
    thread = threading.Thread(
        target=lambda: done.append(
            plugin.create(TYPE, {"connection": sshd.connection(), "create": line})
        )
    )
    thread.start()
    until(lambda: engine.statuses == ["first"])
    assert not done
    go_on.touch()
    thread.join()
    assert engine.statuses == ["first", "last"]
    assert done[0][1]["stdout"] == "first\nlast"


def test_failed_dials_are_shown(plugin: Plugin, engine: FakeEngine, sshd: Sshd) -> None:
    connection = sshd.connection(port=free_port(), dialErrorLimit=2)
    with pytest.raises(PluginError):
        plugin.create(TYPE, {"connection": connection, "create": "true"})
    assert [text.split(" failed: retrying: ")[1] for text in engine.statuses] == [
        "connect: connection refused"
    ] * 2


_SHOW = 'echo "[$PULUMI_COMMAND_STDOUT|$PULUMI_COMMAND_STDERR]"'


def test_previous_output_is_in_the_environment_of_update_and_delete(
    plugin: Plugin, engine: FakeEngine, make_sshd: MakeSshd, tmp_path: Path
) -> None:
    server = make_sshd("AcceptEnv PULUMI_COMMAND_*")
    gone = tmp_path / "gone"
    inputs = {"connection": server.connection(), "create": _SHOW, "delete": f"{_SHOW} > {gone}"}
    state = {**inputs, "stdout": "out", "stderr": "err"}
    assert plugin.create(TYPE, inputs)[1]["stdout"] == "[|]"
    assert plugin.update(TYPE, "thing", inputs, state, inputs)["stdout"] == "[out|err]"
    plugin.delete(TYPE, "thing", inputs, state)
    assert gone.read_text() == "[out|err]\n"
    assert engine.warnings == []


def test_refused_previous_output_is_a_warning_and_the_command_runs(
    plugin: Plugin, engine: FakeEngine, make_sshd: MakeSshd
) -> None:
    server = make_sshd("AcceptEnv PULUMI_COMMAND_STDERR GREETING")
    inputs = {
        "connection": server.connection(),
        "create": f"{_SHOW}; echo $GREETING",
        "environment": {"GREETING": "hello"},
    }
    state = {**inputs, "stdout": "p1ea5e-h1de", "stderr": "err"}
    assert plugin.update(TYPE, "thing", inputs, state, inputs)["stdout"] == "[|err]\nhello"
    (warning,) = engine.warnings
    assert "PULUMI_COMMAND_STDOUT" in warning and "addPreviousOutputInEnv" in warning
    assert "p1ea5e-h1de" not in warning


def test_previous_output_is_not_sent_when_it_is_not_asked_for(
    plugin: Plugin, engine: FakeEngine, make_sshd: MakeSshd
) -> None:
    server = make_sshd("AcceptEnv PULUMI_COMMAND_*")
    inputs = {
        "connection": server.connection(),
        "create": _SHOW,
        "addPreviousOutputInEnv": False,
    }
    state = {**inputs, "stdout": "out", "stderr": "err"}
    assert plugin.update(TYPE, "thing", inputs, state, inputs)["stdout"] == "[|]"
