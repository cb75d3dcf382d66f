"""The stand-in under the real engine: one command from preview to destroy."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.plugins.command.conftest import MakeSshd
from tests.rehearsal.plugins.command.sshd import Sshd, until
from tests.rehearsal.plugins.project import Project, needs_engine

pytestmark = needs_engine

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # as the engine writes it
_PROGRAM = """
    import json, os
    import pulumi
    from pulumi_command import remote

    given = json.load(open("given.json"))
    connection = given["connection"]
    proxy = remote.ProxyConnectionArgs(
        **given["proxy"], dial_error_limit=2, private_key=pulumi.Output.secret(given["key"])
    )
    command = remote.Command(
        "command",
        connection=remote.ConnectionArgs(
            **connection, private_key=pulumi.Output.secret(given["key"]), proxy=proxy
        ),
        create=given["create"],
        delete=given.get("delete"),
        triggers=given.get("triggers"),
        stdin=pulumi.Output.secret("p1ea5e-h1de"),
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions(additional_secret_outputs=given.get("secret_outputs")),
    )
    pulumi.export("stdout", command.stdout)
"""


class Given:
    """The program's input. server: both the host and the proxy before it."""

    def __init__(self, folder: Path, server: Sshd, **values: Any) -> None:
        self._file = folder / "given.json"
        address = {"host": "127.0.0.1", "port": server.port, "user": server.user}
        self._values: dict[str, Any] = {
            "connection": address,
            "proxy": address,
            "key": server.key.text(),
            **values,
        }
        self.change()

    def change(self, **values: Any) -> None:
        self._values.update(values)
        self._file.write_text(json.dumps(self._values))


@pytest.mark.slow
def test_a_commands_life(tmp_path: Path, sshd: Sshd) -> None:
    ran, gone = tmp_path / "ran", tmp_path / "gone"
    project = Project(tmp_path / "project", _PROGRAM)
    given = Given(
        project.folder, sshd, create=f"cat >> {ran}; wc -l < {ran}", delete=f"touch {gone}"
    )
    begin = sshd.connections

    steps = {step["urn"].split("::")[-1]: step for step in project.preview()}
    assert steps["command"]["op"] == "create"
    assert sshd.connections == begin

    assert project.up() == {"create": 2}
    assert project.outputs() == {"stdout": "0"}
    assert ran.read_text() == "p1ea5e-h1de"
    after_first = sshd.connections
    assert after_first > begin

    assert project.up() == {"same": 2}
    assert {step["op"] for step in project.preview()} == {"same"}
    assert sshd.connections == after_first

    given.change(create=f"cat >> {ran}; echo other")
    changed = next(step for step in project.preview() if step["op"] == "update")
    assert changed["diffReasons"] == ["create"]
    assert project.up() == {"same": 1, "update": 1}
    assert ran.read_text() == "p1ea5e-h1de" * 2

    given.change(triggers=["other machine"])
    assert project.up() == {"same": 1, "replace": 1}
    assert (ran.read_text(), gone.exists()) == ("p1ea5e-h1de" * 3, True)

    gone.unlink()
    before = sshd.connections
    assert "unchanged" in project.pulumi("refresh", "--yes", "--skip-preview")
    assert sshd.connections == before

    exported = project.pulumi("stack", "export")
    assert "p1ea5e-h1de" not in exported and "PRIVATE KEY" not in exported

    assert project.destroy() == {"delete": 2}
    assert gone.exists()


def test_unknown_output_at_preview_reaches_what_depends_on_it(tmp_path: Path, sshd: Sshd) -> None:
    follower = """
    remote.Command(
        "follower",
        connection=remote.ConnectionArgs(**connection, private_key=given["key"]),
        create=pulumi.Output.concat("echo ", command.stdout),
    )
    """
    project = Project(tmp_path / "project", _PROGRAM + follower)
    Given(project.folder, sshd, create="echo one")
    steps = {step["urn"].split("::")[-1]: step for step in project.preview()}
    assert steps["follower"]["newState"]["inputs"]["create"] == UNKNOWN
    assert project.up() == {"create": 3}
    # only what has changed runs again
    Given(project.folder, sshd, create="echo two")
    assert project.up() == {"same": 1, "update": 2}


def test_a_failure_is_told_and_the_next_up_goes_on(tmp_path: Path, sshd: Sshd) -> None:
    project = Project(tmp_path / "project", _PROGRAM)
    big = "head -c 200000 /dev/zero | tr '\\0' x; echo; echo reason >&2; exit 4"
    given = Given(project.folder, sshd, create=big)
    status, output = project.run("up", "--yes", "--skip-preview")
    assert status != 0
    assert "Process exited with status 4: running" in output and "reason" in output
    assert "x" * 200000 in output
    assert "p1ea5e-h1de" not in output
    given.change(create="echo fine")
    assert project.up() == {"create": 1, "same": 1}


def test_refused_inputs_stop_the_preview(tmp_path: Path, sshd: Sshd) -> None:
    project = Project(tmp_path / "project", _PROGRAM)
    given = Given(project.folder, sshd, create="true")
    agent = {"host": "127.0.0.1", "agent_socket_path": "/nowhere"}
    given.change(connection=agent)
    status, output = project.run("preview")
    assert status != 0
    assert "connection.agentSocketPath" in output and "not handled by this stand-in" in output


def test_an_interrupted_up_hangs_up_and_ends_soon(tmp_path: Path, make_sshd: MakeSshd) -> None:
    server, project = make_sshd(), Project(tmp_path / "project", _PROGRAM)
    started = tmp_path / "started"
    given = Given(project.folder, server, create=f"touch {started}; while sleep 0.1; do echo; done")
    process = project.start("up", "--yes", "--skip-preview")
    until(started.exists)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "cancelled" in output
    until(lambda: server.log.count("Connection closed") >= 1)
    # nothing is left half-alive: the next run begins at once
    given.change(create="echo fine")
    assert project.up() == {"create": 1, "same": 1}


@pytest.mark.parametrize("secret", [True, False])
def test_output_is_encrypted_when_asked(tmp_path: Path, sshd: Sshd, secret: bool) -> None:
    project = Project(tmp_path / "project", _PROGRAM)
    Given(
        project.folder,
        sshd,
        create="echo 1mp0rtant | tr -d '\\n'",
        secret_outputs=["stdout"] if secret else None,
    )
    project.up()
    state = json.loads(project.pulumi("stack", "export"))
    command = next(r for r in state["deployment"]["resources"] if "Command" in r["type"])
    assert (command["outputs"]["stdout"] == "1mp0rtant") is not secret
