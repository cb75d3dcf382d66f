"""The commands: what they print, how they exit, and what a stack's kubeconfig is kept from."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from operations import stacks
from operations.__main__ import main
from operations.errors import OperationsError
from operations.stacks import Place, place
from operations.status import Status
from operations.watch import watch
from tests.operations.objects import application, fake_kubectl, node
from tests.operations.test_status import APPLICATION, NODE

CHECKOUT = Path(__file__).resolve().parents[2]
Output = pytest.CaptureFixture[str]
PULUMI = """#!{python}
import pathlib, sys
folder = pathlib.Path(__file__).parent
(folder / "asked").write_text(" ".join(sys.argv[1:]))
if (folder / "locked").exists():
    raise SystemExit("error: passphrase must be set")
print("the secret kubeconfig")
"""


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pulumi whose stacks have a kubeconfig; the folder where it is."""
    program = tmp_path / "pulumi"
    program.write_text(PULUMI.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("name", "stack"), [("prod", "prod"), ("staging", "staging-cluster")])
def test_a_stacks_kubeconfig_is_for_nobody_else(
    pulumi: Path, name: str, stack: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with stacks.kubeconfig(CHECKOUT, name) as file:
        assert file.read_text() == "the secret kubeconfig\n"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
    assert not file.exists()
    assert (pulumi / "asked").read_text().endswith(f"--stack {stack}")
    assert capfd.readouterr() == ("", "")


def test_a_stack_that_does_not_tell_its_kubeconfig(pulumi: Path) -> None:
    (pulumi / "locked").touch()
    told = r"the stack prod does not tell its kubeconfig \(error: passphrase must be set\)"
    with pytest.raises(OperationsError, match=told), stacks.kubeconfig(CHECKOUT, "prod"):
        pass
    with pytest.raises(OperationsError, match="no such file"), stacks.kubeconfig(CHECKOUT, "no"):
        pass


def test_where_an_environment_is() -> None:
    assert place(CHECKOUT, "prod") == Place("prod", "ap-northeast-2", None)


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a cluster, which kubectl on PATH answers for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    file = tmp_path / "kubeconfig"
    file.touch()
    return file


@pytest.mark.parametrize(("ready", "code"), [("True", 0), ("False", 1)])
@pytest.mark.parametrize("named", [True, False])
def test_status(
    kubeconfig: Path,
    ready: str,
    code: int,
    named: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
) -> None:
    fake_kubectl(kubeconfig.parent, [node(ready), application()])
    monkeypatch.setenv("KUBECONFIG", "" if named else str(kubeconfig))
    arguments = ["--kubeconfig", str(kubeconfig)] if named else []
    assert main(["status", "--json", *arguments]) == code
    assert json.loads(capsys.readouterr().out)["well"] is (code == 0)
    assert main(["status", *arguments]) == code
    assert "k8s-master" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["status"], "of which cluster?"),
        (["teardown-check", "--kubeconfig", "/nonexistent"], "no such kubeconfig"),
        (["leftovers", "--cluster", "prod"], "of which cluster?"),
        (["leftovers", "--stack", "prod", "--region", "x"], "--stack says what"),
        (["set-image", "auth", "latest"], "latest is another image tomorrow"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"{arguments[0]}: ") and told in err


def test_teardown_check_tells_problems_from_what_is_there(kubeconfig: Path, capsys: Output) -> None:
    balancer = {
        "kind": "Service",
        "metadata": {
            "name": "edge",
            "namespace": "auth",
            "annotations": {"argocd.argoproj.io/tracking-id": "x"},
        },
        "spec": {"type": "LoadBalancer"},
    }
    fake_kubectl(kubeconfig.parent, [balancer])
    asked = ["teardown-check", "--kubeconfig", str(kubeconfig)]
    assert main(asked) == 0
    assert main([*asked, "--empty"]) == 1
    assert "Service auth/edge" in capsys.readouterr().out


def test_leftovers(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    asked = ["leftovers", "--cluster", "prod", "--region", "eu-west-1"]
    tags = [{"Key": "kubernetes.io/cluster/prod", "Value": "owned"}]
    with mock_aws():
        assert main(asked) == 0
        assert capsys.readouterr().out == "nothing of the cluster prod is left in eu-west-1\n"
        ec2: Any = boto3.client("ec2", region_name="eu-west-1")
        specification = {"ResourceType": "volume", "Tags": tags}
        volume = ec2.create_volume(
            AvailabilityZone="eu-west-1a", Size=1, TagSpecifications=[specification]
        )["VolumeId"]
        assert main(asked) == 1
        assert capsys.readouterr().out == (
            f"volume {volume} (tag kubernetes.io/cluster/prod=owned)\n"
            f"    aws ec2 delete-volume --volume-id {volume} --region eu-west-1\n"
        )
        assert main([*asked, "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["leftovers"][0]["id"] == volume


def test_an_account_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    assert main(["leftovers", "--cluster", "prod", "--region", "eu-west-1"]) == 1
    assert "AWS in eu-west-1 cannot be asked" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


WELL = Status([NODE], [APPLICATION])
UNWELL = Status([NODE], [replace(APPLICATION, sync="OutOfSync", well=False, reason="why")])
Read = Callable[[], Status]


def then_ctrl_c(*answers: Status | str) -> Read:
    """What a cluster answers in turn; a str: that it does not, for this reason."""
    given: Iterator[Status | str] = iter(answers)

    def read() -> Status:
        answer = next(given, None)
        if answer is None:
            raise KeyboardInterrupt
        if isinstance(answer, str):
            raise OperationsError(answer)
        return answer

    return read


def no_pause(_: float) -> None:
    """Not a moment."""


def test_a_watch_on_a_terminal_redraws_and_exits_by_what_it_saw_last() -> None:
    out = Terminal()
    assert watch(then_ctrl_c(UNWELL, WELL), out, False, no_pause) == 0
    assert out.getvalue().count("\033[H\033[2J") == 2
    assert WELL.as_table() in out.getvalue()
    assert watch(then_ctrl_c(WELL, UNWELL), Terminal(), False, no_pause) == 1
    assert watch(then_ctrl_c(WELL, "no answer"), Terminal(), False, no_pause) == 1
    assert watch(then_ctrl_c(), Terminal(), False, no_pause) == 1


def test_a_watch_elsewhere_is_a_line_for_each_change() -> None:
    out = io.StringIO()
    answers = (UNWELL, UNWELL, "no answer", "no answer", WELL, Status([], [APPLICATION]))
    assert watch(then_ctrl_c(*answers), out, False, no_pause) == 1
    lines = [line.split(" ", 1)[1] for line in out.getvalue().splitlines()]  # after the time
    assert lines == [
        "cluster: answers",
        "node k8s-master: Ready",
        "root: OutOfSync Healthy 01234567: why",
        "all: not well",
        "cluster: no answer",
        "cluster: answers",
        "root: Synced Healthy 01234567",
        "all: well",
        "all: not well",
        "node k8s-master: gone",
    ]


def test_a_watch_for_machines_is_an_object_a_line() -> None:
    out = io.StringIO()
    watch(then_ctrl_c(UNWELL, UNWELL, "no answer", WELL), out, True, no_pause)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(f["well"], f.get("problem")) for f in found] == [
        (False, None),
        (False, "no answer"),
        (True, None),
    ]
