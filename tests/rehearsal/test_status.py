"""The rehearsal's status is `operations.status` of its cluster, asked where the operator sits."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from operations.status import ApplicationStatus, NodeStatus
from rehearsal import cli, status
from rehearsal.errors import RehearsalError
from rehearsal.namespace import OPERATOR
from rehearsal.paths import Paths
from rehearsal.status import Status, read
from tests.operations.objects import application, fake_kubectl, node

NODE = NodeStatus("k8s-master", True, "control-plane", "", "v1.34.4", "10.0.1.5", "")
APPLICATION = ApplicationStatus("root", None, "Synced", "Healthy", "0123456789abcdef", True, "")


@pytest.fixture
def island(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A machine without the operator's namespace; the commands that were to run in it."""
    entered: list[list[str]] = []

    def operator_command(command: list[str]) -> list[str]:
        entered.append(command)
        return command

    monkeypatch.setattr(status, "operator_command", operator_command)
    return entered


def test_it_is_asked_from_the_operators_namespace(tmp_path: Path, island: list[list[str]]) -> None:
    kubectl = fake_kubectl(tmp_path, [node(), application()])
    found = read(kubectl, tmp_path / "kubeconfig")
    assert found.well
    assert [a.name for a in found.applications] == ["root"]
    assert island == [[str(kubectl)]]


def test_it_is_asked_without_the_persons_proxies(
    tmp_path: Path, island: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\nenv | grep -i proxy >&2; exit 1\n")
    kubectl.chmod(0o755)
    with pytest.raises(RehearsalError) as raised:
        read(kubectl, tmp_path / "kubeconfig")
    assert str(raised.value) == "the cluster does not answer (no answer); run `make up`"


def test_a_watch_ends_by_ctrl_c(
    tmp_path: Path, island: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Screen(io.StringIO):
        def flush(self) -> None:
            if "all: well" in self.getvalue():
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdout", out := Screen())
    kubectl = fake_kubectl(tmp_path, [node(), application()])
    assert status.watch(kubectl, tmp_path / "kubeconfig", False) == 0
    monkeypatch.undo()
    assert "root: Synced Healthy" in out.getvalue()


@pytest.mark.parametrize(("ready", "code"), [(True, 0), (False, 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_the_commands_exit_code_is_the_status(
    ready: bool,
    code: int,
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    found = Status([replace(NODE, ready=ready)], [APPLICATION])
    (tmp_path / "kubeconfig").touch()
    monkeypatch.setattr(cli, "Paths", lambda: Paths(run=tmp_path))
    monkeypatch.setattr(cli, "exists", lambda name: name == OPERATOR)
    monkeypatch.setattr(status, "read", lambda *_: found)
    assert cli.main(["status", *(["--json"] if as_json else [])]) == code
    expected = found.as_json() if as_json else found.as_table()
    assert capsys.readouterr() == (f"{expected}\n", "")
