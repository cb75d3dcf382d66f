"""How the engine is run: its environment, config, progress, interruption and stale locks.

A script stands for `pulumi`; it runs where the operator would be, in a namespace of the test's own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal import cloud, engine, namespace
from rehearsal.engine import STACK, Engine
from rehearsal.errors import RehearsalError
from rehearsal.paths import CHECKOUT, Paths
from rehearsal.process import start_time
from tests.rehearsal.island import network_namespace
from tests.rehearsal.netns import until

SECRET = "hunter2-and-hunter3"
VPC = "urn:pulumi:rehearsal::groundwork::groundwork:infra:Network$aws:ec2/vpc:Vpc::groundwork"
NEW = {"custom": True, "inputs": {"s": SECRET}}
META = {"urn": VPC, "type": "aws:ec2/vpc:Vpc", "op": "create", "new": NEW}
STEP = json.dumps({"resOutputsEvent": {"metadata": META}})
SAME = json.dumps({"resOutputsEvent": {"metadata": {**META, "op": "same"}}})
DEBUG = json.dumps({"diagnosticEvent": {"severity": "debug", "message": SECRET}})
ERROR = json.dumps({"diagnosticEvent": {"severity": "error", "message": "no quota", "urn": VPC}})
PULUMI = """#!/bin/bash
printf '%s\\n' "$*" >>"$HOME/asked"
while [ $# -gt 0 ]; do
  if [ "$1" = --event-log ]; then events=$2; fi
  shift
done
"""
Script = Callable[[str], None]


@pytest.fixture(autouse=True)
def operator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with network_namespace() as name:
        monkeypatch.setattr(namespace, "OPERATOR", name)
        monkeypatch.setattr(engine, "OPERATOR", name)
        yield


@pytest.fixture
def made(tmp_path: Path) -> Engine:
    """An engine with a checkout and a run of its own."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Pulumi.yaml", f"Pulumi.{STACK}.yaml"):
        (checkout / name).write_text((CHECKOUT / name).read_text())
    (checkout / ".rehearsal" / "pulumi").mkdir(parents=True)
    return Engine(Paths(checkout, checkout / ".rehearsal", tmp_path / "cache"))


@pytest.fixture
def pulumi(made: Engine) -> Script:
    """Says what `pulumi` does; `$events` is its event log."""
    file = made.paths.tools / "bin" / "pulumi"
    file.parent.mkdir(parents=True)

    def write(script: str) -> None:
        file.write_text(f"{PULUMI}{script}\n")
        file.chmod(0o755)

    return write


def home(of: Engine) -> Path:
    return of.paths.run / "pulumi"


def asked(of: Engine) -> list[str]:
    """Each call's arguments."""
    return (home(of) / "asked").read_text().splitlines()


def test_nothing_of_the_persons_own_set_up_reaches_the_engine(
    made: Engine, pulumi: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
        *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
        *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        *("PULUMI_ACCESS_TOKEN", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_HOME"),
        *("PULUMI_STACK", "PULUMI_CONFIG", "KUBECONFIG", "HOME", "https_proxy", "SSH_AUTH_SOCK"),
        *("HELM_DRIVER", "PYTHONPATH", "XDG_CONFIG_HOME"),
    ):
        monkeypatch.setenv(name, "/the/persons/own")
    monkeypatch.setenv("TERM", "dumb")
    pulumi("env")
    environment = dict(line.split("=", 1) for line in made.output("name").splitlines())
    assert "/the/persons/own" not in " ".join(environment.values())
    known = {name for name in environment if name.startswith(("AWS_", "PULUMI_"))}
    assert known == {name for name in made.environment() if name.startswith(("AWS_", "PULUMI_"))}
    assert {n: environment[n] for n in cloud.ENVIRONMENT} == cloud.ENVIRONMENT
    assert environment["HOME"] == environment["PULUMI_HOME"] == str(home(made))
    assert environment["PULUMI_BACKEND_URL"].startswith("s3://groundwork-state-123456789012?")
    assert "198.51.100.1:5000" in environment["PULUMI_BACKEND_URL"]
    assert environment["TERM"] == "dumb"


def test_plugins_and_tools_are_found_before_the_machines_own(made: Engine) -> None:
    folders = made.environment()["PATH"].split(":")
    assert folders[:3] == [
        str(made.paths.tools / "bin"),
        str(made.paths.checkout / "rehearsal" / "plugins" / "bin"),
        str(made.paths.checkout / ".venv" / "bin"),
    ]
    assert "/usr/bin" in folders


MAKE_STACK = """
read -r call < <(tail -n 1 "$HOME/asked")
case $call in
*"stack ls --json") cat "$HOME/stacks" 2>/dev/null || echo '[]' ;;
*"stack init"*)
  [ -f Pulumi.yaml ] && [ "$PWD" != "${HOME%/.rehearsal/pulumi}" ] || exit 9
  echo '[{"name": "rehearsal"}]' >"$HOME/stacks"
  printf 'secretsprovider: awskms://key\\nencryptedkey: QUJD\\n' >Pulumi.rehearsal.yaml ;;
*) exit 8 ;;
esac
"""


def test_the_stack_is_made_once_and_its_key_stays_out_of_the_checkout(
    made: Engine, pulumi: Script
) -> None:
    pulumi(MAKE_STACK)
    stack_file = made.paths.checkout / f"Pulumi.{STACK}.yaml"
    given = stack_file.read_text()
    made.prepare()
    own = yaml.safe_load(made.config_file.read_text())
    keys = {"secretsprovider": "awskms://key", "encryptedkey": "QUJD"}
    assert own == {**yaml.safe_load(given), **keys}
    assert stack_file.read_text() == given
    assert sorted(p.name for p in made.paths.checkout.iterdir()) == [
        ".rehearsal",
        f"Pulumi.{STACK}.yaml",
        "Pulumi.yaml",
    ]

    stack_file.write_text("config:\n  groundwork:settings: {name: changed}\n")
    made.prepare()
    assert yaml.safe_load(made.config_file.read_text()) == {
        "config": {"groundwork:settings": {"name": "changed"}},
        **keys,
    }
    assert sum("stack init" in call for call in asked(made)) == 1
    assert sorted(p.name for p in home(made).iterdir()) == [
        f"Pulumi.{STACK}.yaml",
        "asked",
        "stacks",
    ]


def test_a_stack_whose_key_is_lost_is_not_used(made: Engine, pulumi: Script) -> None:
    pulumi(MAKE_STACK)
    made.prepare()
    made.config_file.unlink()
    with pytest.raises(RehearsalError) as raised:
        made.prepare()
    assert str(raised.value) == (
        f"{made.config_file} is gone, and with it the key to the rehearsal's state; run `make "
        "down` and start again"
    )


def test_a_failing_question_is_told_in_a_line(made: Engine, pulumi: Script) -> None:
    pulumi("printf 'error: no\\n  bucket\\n' >&2; exit 255")
    with pytest.raises(RehearsalError) as raised:
        made.prepare()
    assert str(raised.value) == "pulumi stack ls failed: error: no bucket"


def test_a_run_tells_and_keeps_its_steps_but_no_secret(made: Engine, pulumi: Script) -> None:
    pulumi(
        f'stat -c %a "$events"; echo \'{DEBUG}\' >>"$events"; echo \'{STEP}\' >>"$events"; echo ok'
    )
    said: list[str] = []
    progress = made.run("up", said.append)
    assert progress.changes == [("create", VPC)]
    assert said == ["  infra   1: created Vpc groundwork (0 s)"]
    assert (made.paths.logs / "pulumi-up.log").read_text() == "600\nok\n"
    assert [json.loads(line)["urn"] for line in made.steps_file("up").read_text().splitlines()] == [
        VPC
    ]
    kept = [p.read_text() for p in made.paths.run.rglob("*") if p.is_file()]
    assert not [text for text in kept if SECRET in text]
    assert not list(made.paths.run.rglob("*.events"))


@pytest.mark.parametrize(
    ("verb", "confirmed"), [("up", True), ("destroy", True), ("refresh", True), ("preview", False)]
)
def test_only_what_changes_things_is_confirmed(
    verb: str, confirmed: bool, made: Engine, pulumi: Script
) -> None:
    pulumi("")
    made.run(verb, print, "--diff")
    (call,) = asked(made)
    assert call.startswith(f"{verb} --non-interactive ")
    assert ("--yes --skip-preview" in call) is confirmed
    assert "--diff" in call


def test_a_failed_run_gives_the_errors_and_the_log(made: Engine, pulumi: Script) -> None:
    pulumi(f"echo '{ERROR}' >>\"$events\"; echo much output; exit 1")
    with pytest.raises(RehearsalError) as raised:
        made.run("up", print)
    log = made.paths.logs / "pulumi-up.log"
    assert str(raised.value).splitlines() == [
        f"pulumi up failed; the whole output is in {log}:",
        "groundwork: no quota",
    ]
    assert log.read_text() == "much output\n"


def test_a_failed_run_without_errors_gives_the_end_of_its_log(made: Engine, pulumi: Script) -> None:
    pulumi("seq 1 30; exit 3")
    with pytest.raises(RehearsalError) as raised:
        made.run("up", print)
    assert str(raised.value).splitlines()[1:] == [str(number) for number in range(11, 31)]


class CtrlC:
    """Presses it when a step is told; keeps what was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, text: str) -> None:
        self.said.append(text)
        if "created" in text:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_lets_the_engine_finish_its_steps(made: Engine, pulumi: Script) -> None:
    pulumi(
        f"trap 'echo finishing; echo '\\''{SAME}'\\'' >>\"$events\"; exit 0' INT\n"
        f"echo '{STEP}' >>\"$events\"; for _ in {{1..600}}; do sleep 0.05; done"
    )
    pressed = CtrlC()
    with pytest.raises(KeyboardInterrupt):
        made.run("up", pressed)
    assert pressed.said[1:] == [
        "stopping: the engine finishes the steps in hand (Ctrl-C again to kill it)"
    ]
    assert (made.paths.logs / "pulumi-up.log").read_text() == "finishing\n"
    assert '"op": "same"' in made.steps_file("up").read_text()
    assert not list(made.paths.run.rglob("*.events"))


def test_a_second_ctrl_c_kills_it_with_all_it_started(made: Engine, pulumi: Script) -> None:
    pulumi(
        'sleep 60 & echo $$ $! >"$HOME/pids"\n'
        f"trap 'echo '\\''{STEP}'\\'' >>\"$events\"' INT\n"
        f"echo '{STEP}' >>\"$events\"; for _ in {{1..600}}; do sleep 0.05; done"
    )
    pressed = CtrlC()
    with pytest.raises(KeyboardInterrupt):
        made.run("up", pressed)
    assert len(pressed.said) == 3
    pids = [int(pid) for pid in (home(made) / "pids").read_text().split()]
    until(lambda: [start_time(pid) for pid in pids] == [None, None])


def test_the_kubeconfig_is_the_persons_alone(made: Engine, pulumi: Script) -> None:
    pulumi("printf 'apiVersion: v1\\nkind: Config\\n\\n'")
    made.save_kubeconfig()
    assert made.kubeconfig.read_text() == "apiVersion: v1\nkind: Config\n"
    assert made.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert asked(made) == ["--non-interactive stack output kubeconfig --show-secrets"]


def lock(pid: int) -> dict[str, Any]:
    """As the engine writes it."""
    return {
        "key": f".pulumi/locks/organization/groundwork/rehearsal/{pid}.json",
        "pid": pid,
        "username": "root",
        "hostname": "machine",
        "timestamp": "2026-01-01T00:00:00Z",
    }


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The locks that the state has; the test puts them in."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(cloud, "locks", lambda _stack: found)
    return found


@pytest.fixture
def process() -> Iterator[Callable[[str], int]]:
    """Starts a process that goes by a name; its pid."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> int:
        started.append(subprocess.Popen([name, "600"], executable="/bin/sleep"))
        pid = started[-1].pid
        until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(name.encode()))
        return pid

    yield start
    for each in started:
        each.kill()
        each.wait()


def test_without_a_lock_nothing_is_done(
    made: Engine, pulumi: Script, held: list[dict[str, Any]]
) -> None:
    pulumi("")
    made.clear_stale_lock(pytest.fail)
    assert not (home(made) / "asked").exists()


def test_the_lock_of_an_engine_that_is_no_more_is_removed(
    made: Engine, pulumi: Script, held: list[dict[str, Any]], process: Callable[[str], int]
) -> None:
    pulumi("")
    ended = subprocess.Popen(["true"])
    ended.wait()
    other = process("sleep")  # has the number of an engine that was
    held += [lock(ended.pid), lock(other)]
    said: list[str] = []
    made.clear_stale_lock(said.append)
    assert said == [
        f"removing the lock of process {pid}, which ended without taking it back"
        for pid in (ended.pid, other)
    ] + ["looking at what it left behind"]
    cancel, refresh = asked(made)
    assert cancel == f"--non-interactive cancel --yes {STACK}"
    assert refresh.startswith("refresh --non-interactive --yes ")
    assert "--clear-pending-creates" in refresh


def test_the_lock_of_an_engine_at_work_is_respected(
    made: Engine, pulumi: Script, held: list[dict[str, Any]], process: Callable[[str], int]
) -> None:
    pulumi("")
    running = process("pulumi")
    held.append(lock(running))
    with pytest.raises(RehearsalError) as raised:
        made.clear_stale_lock(pytest.fail)
    assert str(raised.value) == (
        f"rehearsal is locked by process {running} (root, since 2026-01-01T00:00:00Z); wait until "
        "it ends"
    )
    assert not (home(made) / "asked").exists()
    os.kill(running, signal.SIGKILL)
    until(lambda: start_time(running) is None)
    made.clear_stale_lock(lambda _: None)
    assert asked(made)[0] == f"--non-interactive cancel --yes {STACK}"
