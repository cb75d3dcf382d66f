"""What a command does on a host, and what becomes of it in the state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.command.conftest import MakeSshd
from tests.rehearsal.plugins.command.sshd import Sshd
from tests.rehearsal.plugins.harness import Plugin, PluginError

TYPE = "command:remote:Command"


def _create(plugin: Plugin, inputs: dict[str, Any]) -> dict[str, Any]:
    return plugin.create(TYPE, plugin.check(TYPE, inputs))[1]


def _update(
    plugin: Plugin, old: dict[str, Any], changes: dict[str, Any], preview: bool = False
) -> dict[str, Any]:
    old_inputs = {k: v for k, v in old.items() if k not in ("stdout", "stderr")}
    news = plugin.check(TYPE, {**old_inputs, **changes})
    return plugin.update(TYPE, "thing", old_inputs, old, news, preview=preview)


def test_create_gives_its_inputs_and_both_streams_less_one_newline(
    plugin: Plugin, sshd: Sshd
) -> None:
    inputs = {
        "connection": sshd.connection(),
        "create": "printf 'one\\n\\n'; echo two >&2",
        "logging": "none",
    }
    id, outputs = plugin.create(TYPE, inputs, name="thing")
    assert id.startswith("thing") and len(id) == len("thing") + 8
    assert outputs == {**inputs, "stdout": "one\n", "stderr": "two"}


def test_text_that_is_not_utf8_or_cut_inside_a_letter_is_kept(plugin: Plugin, sshd: Sshd) -> None:
    line = "printf '\\303'; printf '\\251 \\377'"
    assert (
        _create(plugin, {"connection": sshd.connection(), "create": line})["stdout"] == "é \ufffd"
    )


def test_much_output_on_both_streams_arrives_whole(plugin: Plugin, sshd: Sshd) -> None:
    line = "yes out | head -c 3000000 & yes err | head -c 3000000 >&2; wait; echo; echo >&2"
    inputs = {"connection": sshd.connection(), "create": line, "logging": "none"}
    outputs = _create(plugin, inputs)
    assert (len(outputs["stdout"]), len(outputs["stderr"])) == (3_000_000, 3_000_000)


def test_without_create_nothing_is_run(plugin: Plugin, sshd: Sshd) -> None:
    before = sshd.connections
    outputs = _create(plugin, {"connection": sshd.connection()})
    assert (outputs["stdout"], outputs["stderr"]) == ("", "")
    assert sshd.connections == before


def test_stdin_reaches_the_command_and_nothing_else_on_its_host(plugin: Plugin, sshd: Sshd) -> None:
    found = "grep -sl 'p1ea5[e]-h1de' /proc/[0-9]*/cmdline /proc/[0-9]*/environ"
    inputs = {
        "connection": sshd.connection(),
        "create": f'read -r first; echo "$first"; {found} >&2; cat',
        "stdin": "p1ea5e-h1de\n" * 9000,
        "logging": "none",
    }
    outputs = _create(plugin, inputs)
    assert outputs["stdout"] + "\n" == inputs["stdin"]
    assert outputs["stderr"] == ""


def test_a_command_that_leaves_stdin_unread_ends(plugin: Plugin, sshd: Sshd) -> None:
    inputs = {"connection": sshd.connection(), "create": "true", "stdin": "x" * 5_000_000}
    assert _create(plugin, inputs)["stdout"] == ""


def test_a_failure_tells_status_command_and_all_output_but_no_stdin(
    plugin: Plugin, sshd: Sshd
) -> None:
    inputs = {
        "connection": sshd.connection(),
        "create": 'echo "so far"; echo then >&2; exit 3',
        "stdin": "p1ea5e-h1de",
    }
    with pytest.raises(PluginError) as failed:
        plugin.create(TYPE, inputs)
    told, *output = failed.value.message.splitlines()
    assert told == (
        'Process exited with status 3: running "echo \\"so far\\"; echo then >&2; exit 3" over ssh:'
    )
    assert sorted(output) == ["so far", "then"]  # two streams: no order between them


def test_a_command_ended_by_a_signal_failed(plugin: Plugin, sshd: Sshd) -> None:
    with pytest.raises(PluginError, match="Process was ended by a signal: running"):
        plugin.create(TYPE, {"connection": sshd.connection(), "create": "kill -9 $$"})


def test_environment_is_set_where_sshd_accepts_it(plugin: Plugin, make_sshd: MakeSshd) -> None:
    server = make_sshd("AcceptEnv GREETING WHO")
    inputs = {
        "connection": server.connection(),
        "create": 'echo "$GREETING, $WHO"',
        "environment": {"GREETING": "hello  there", "WHO": "you"},
    }
    assert _create(plugin, inputs)["stdout"] == "hello  there, you"


def test_a_refused_environment_is_an_error_that_tells_the_fix(plugin: Plugin, sshd: Sshd) -> None:
    inputs = {
        "connection": sshd.connection(),
        "create": "echo ran",
        "environment": {"TOKEN": "p1ea5e-h1de"},
    }
    with pytest.raises(PluginError, match="AcceptEnv TOKEN") as failed:
        plugin.create(TYPE, inputs)
    assert "p1ea5e-h1de" not in failed.value.message


def test_update_unset_runs_create_again(plugin: Plugin, sshd: Sshd, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    inputs = {"connection": sshd.connection(), "create": f"echo x >> {ran}; cat {ran}"}
    first = _create(plugin, inputs)
    again = _update(plugin, first, {"connection": sshd.connection(perDialTimeout=9)})
    assert (first["stdout"], again["stdout"]) == ("x", "x\nx")


def test_update_set_is_what_runs_on_a_change(plugin: Plugin, sshd: Sshd) -> None:
    first = _create(
        plugin, {"connection": sshd.connection(), "create": "echo one", "update": "echo two"}
    )
    again = _update(plugin, first, {"stdin": "other"})
    assert (first["stdout"], again["stdout"], again["stdin"]) == ("one", "two", "other")


def test_an_update_without_any_command_keeps_the_output(plugin: Plugin, sshd: Sshd) -> None:
    old = {"connection": sshd.connection(), "create": "echo kept", "stdout": "kept", "stderr": ""}
    news = {"connection": sshd.connection()}
    outputs = plugin.update(TYPE, "thing", {}, old, news)
    assert outputs == {**news, "stdout": "kept", "stderr": ""}


def test_a_preview_knows_no_output_and_dials_nothing(plugin: Plugin, sshd: Sshd) -> None:
    before = sshd.connections
    inputs = {"connection": sshd.connection(), "create": "echo one"}
    id, planned = plugin.create(TYPE, inputs, preview=True)
    assert (id, planned["stdout"], planned["stderr"]) == ("", UNKNOWN, UNKNOWN)
    changed = _update(plugin, {**inputs, "stdout": "one"}, {"create": UNKNOWN}, preview=True)
    assert (changed["stdout"], changed["create"]) == (UNKNOWN, UNKNOWN)
    assert sshd.connections == before


@pytest.mark.parametrize("update", [{}, {"update": "echo two"}])
def test_triggers_replace_and_everything_else_updates(
    plugin: Plugin, sshd: Sshd, update: dict[str, Any]
) -> None:
    old = {"connection": sshd.connection(), "create": "echo one", "triggers": ["a", 1], **update}
    assert plugin.diff(TYPE, "thing", old, old, old).changes == []
    triggered = plugin.diff(TYPE, "thing", old, old, {**old, "triggers": ["b", 1]})
    assert (triggered.changes, triggered.replaces) == (["triggers"], ["triggers"])
    unknown = plugin.diff(TYPE, "thing", old, old, {**old, "triggers": [UNKNOWN, 1]})
    assert unknown.replaces == ["triggers"]
    news = {**old, "connection": sshd.connection(user="another"), "create": "echo other"}
    changed = plugin.diff(TYPE, "thing", old, old, news)
    assert (changed.changes, changed.replaces) == (["connection", "create"], [])


def test_delete_runs_over_the_connection_in_the_state(
    plugin: Plugin, sshd: Sshd, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    state = {
        "connection": sshd.connection(),
        "delete": f"cat > {gone}",
        "stdin": "bye",
        "stdout": "",
        "stderr": "",
    }
    plugin.delete(TYPE, "thing", {}, state)
    assert gone.read_text() == "bye"
    with pytest.raises(PluginError, match="Process exited with status 9"):
        plugin.delete(TYPE, "thing", {}, {**state, "delete": "exit 9"})


def test_without_delete_nothing_is_dialled(plugin: Plugin, sshd: Sshd) -> None:
    before = sshd.connections
    plugin.delete(TYPE, "thing", {}, {"connection": sshd.connection(), "create": "true"})
    assert sshd.connections == before


def test_a_refresh_sees_no_drift_and_dials_nothing(plugin: Plugin, sshd: Sshd) -> None:
    before = sshd.connections
    state = {"connection": sshd.connection(), "create": "true", "stdout": "a", "stderr": ""}
    inputs = {"connection": sshd.connection(), "create": "true"}
    read = plugin.read(TYPE, "thing", inputs, state)
    assert (read.id, read.outputs, read.inputs) == ("thing", state, inputs)
    assert sshd.connections == before


@pytest.mark.parametrize(
    ("change", "property", "reason"),
    [
        ({"creates": "x"}, "creates", "not handled"),
        ({"connection": None}, "connection", "required"),
        ({"connection": {"privateKey": "k"}}, "connection.host", "required"),
        ({"connection": {"host": "h"}}, "connection", "needs a privateKey or a password"),
        (
            {"connection": {"host": "h", "password": "p", "agentSocketPath": "/x"}},
            "connection.agentSocketPath",
            "not handled",
        ),
        (
            {"connection": {"host": "h", "password": "p", "proxy": {"host": "h", "password": 1}}},
            "connection.proxy.password",
            "must be text",
        ),
        (
            {"connection": {"host": "h", "password": "p", "port": 22.5}},
            "connection.port",
            "must be a whole number",
        ),
        (
            {"connection": {"host": "h", "password": "p", "hostKey": "AAAA"}},
            "connection.hostKey",
            "known_hosts",
        ),
        ({"logging": "stdOut"}, "logging", "known: none, stdout"),
        ({"environment": {"A": 1}}, "environment.A", "must be text"),
        ({"addPreviousOutputInEnv": "no"}, "addPreviousOutputInEnv", "must be true or false"),
    ],
)
def test_what_is_not_handled_is_refused(
    plugin: Plugin, change: dict[str, Any], property: str, reason: str
) -> None:
    good = {"connection": {"host": "h", "password": "p"}, "create": "true"}
    assert plugin.check(TYPE, good) == good
    _, failures = plugin.check_failures(TYPE, {**good, **change})
    assert [at for at, _ in failures] == [property]
    assert reason in failures[0][1]


def test_unknown_inputs_pass_the_check(plugin: Plugin) -> None:
    connection = {"host": UNKNOWN, "privateKey": UNKNOWN, "port": UNKNOWN, "proxy": UNKNOWN}
    plugin.check(TYPE, {"connection": connection, "create": UNKNOWN, "triggers": [UNKNOWN]})
    plugin.check(TYPE, {"connection": UNKNOWN, "stdin": UNKNOWN, "environment": {"A": UNKNOWN}})


@pytest.mark.parametrize("type", ["command:local:Command", "command:remote:CopyToRemote"])
def test_other_resources_are_refused(plugin: Plugin, type: str) -> None:
    _, failures = plugin.check_failures(type, {"create": "true"})
    assert len(failures) == 1 and f"{type} is not handled" in failures[0][1]


def test_provider_arguments_are_refused(plugin: Plugin) -> None:
    assert plugin.check_config({"version": "1.2.1"}) == []
    assert [at for at, _ in plugin.check_config({"shell": "zsh"})] == ["shell"]
