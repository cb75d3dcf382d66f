"""Daemons: started once, known again, ended whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.process import Daemon, start_time
from tests.rehearsal.netns import until

DaemonMaker = Callable[..., Daemon]
NOBODY = 1 << 22  # a number that the kernel gives to no process


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonMaker]:
    """Makes daemons named `part` that run a shell script; ends them after the test."""
    made: list[Daemon] = []

    def make(script: str, **environment: str) -> Daemon:
        environment = {"PATH": os.environ["PATH"], **environment}
        made.append(Daemon("part", ["sh", "-c", script], environment, tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.stop(limit_s=0)


def _holds(file: Path, text: str) -> bool:
    return file.read_text() == text


def record(daemon: Daemon) -> Path:
    return daemon.run / "pids" / "part.json"


def test_a_daemon_runs_once_and_is_known_to_others(daemon: DaemonMaker) -> None:
    part = daemon("echo begun; exec sleep 600")
    assert part.pid() is None
    part.start()
    pid = part.pid()
    assert pid is not None
    part.start()
    daemon("exec sleep 600").start()
    assert daemon("").pid() == part.pid() == pid
    until(lambda: part.log.read_text() == "begun\n")
    part.stop()
    assert part.pid() is None
    assert start_time(pid) is None
    assert not record(part).exists()


def test_it_has_its_own_environment_folder_and_session(daemon: DaemonMaker) -> None:
    part = daemon('echo "$ONE ${HOME-none} $PWD"; readlink /proc/$$/fd/0; exec sleep 600', ONE="1")
    part.start()
    until(lambda: part.log.read_text().count("\n") == 2)
    assert part.log.read_text() == f"1 none {part.run}\n/dev/null\n"
    pid = part.pid()
    assert pid is not None
    assert os.getsid(pid) == pid


def test_the_log_goes_on_over_starts(daemon: DaemonMaker) -> None:
    part = daemon("echo out; echo error >&2; exec sleep 600")
    for expected in ("out\nerror\n", "out\nerror\nout\nerror\n"):
        part.start()
        until(partial(_holds, part.log, expected))
        part.stop()


def test_it_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; from rehearsal.process import Daemon;"
        "Daemon('part', ['sleep', '600'], dict(os.environ), pathlib.Path(sys.argv[1])).start()"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    part = Daemon("part", ["sleep", "600"], {}, tmp_path)
    pid = part.pid()
    assert pid is not None
    part.stop()
    assert part.pid() is None
    until(lambda: start_time(pid) is None)


def test_a_process_that_took_over_the_number_is_not_ours(daemon: DaemonMaker) -> None:
    part = daemon("exec sleep 600")
    other = subprocess.Popen(["sleep", "600"])
    try:
        record(part).parent.mkdir()
        start = start_time(other.pid)
        assert start is not None
        record(part).write_text(json.dumps({"pid": other.pid, "start": str(int(start) - 1)}))
        assert part.pid() is None
        part.stop()
        assert other.poll() is None
        assert not record(part).exists()
        record(part).write_text(json.dumps({"pid": other.pid, "start": str(int(start) - 1)}))
        part.start()
        assert part.pid() not in (None, other.pid)
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize(
    "text", ["", "{", *(f'{{"pid": {NOBODY}, "start": {start}}}' for start in ('"1"', "null"))]
)
def test_a_record_that_names_nobody(daemon: DaemonMaker, text: str) -> None:
    part = daemon("exec sleep 600")
    record(part).parent.mkdir()
    record(part).write_text(text)
    assert part.pid() is None
    part.start()
    assert part.pid() is not None


def test_one_that_ended_by_itself_is_no_more_and_starts_anew(daemon: DaemonMaker) -> None:
    part = daemon("test -e again && exec sleep 600; touch again; exit 1")
    part.start()
    until(lambda: part.pid() is None)
    part.stop()
    part.start()
    part.wait_until(lambda: True)
    assert part.pid() is not None


def test_one_that_does_not_heed_is_killed_with_all_it_started(
    daemon: DaemonMaker, tmp_path: Path
) -> None:
    part = daemon("trap '' TERM; sleep 600 & echo $! >child; touch ready; wait; sleep 600")
    part.start()
    part.wait_until((tmp_path / "ready").exists)
    pid, child = part.pid(), int((tmp_path / "child").read_text())
    assert pid is not None
    part.stop(limit_s=0.2)
    until(lambda: start_time(pid) is None and start_time(child) is None)
    assert part.pid() is None


def test_one_that_heeds_has_time_to_end(daemon: DaemonMaker, tmp_path: Path) -> None:
    part = daemon("trap 'echo tidied; exit' TERM; touch ready; while :; do sleep 0.05; done")
    part.start()
    part.wait_until((tmp_path / "ready").exists)
    part.stop()
    assert part.log.read_text() == "tidied\n"


def test_waiting_for_one_that_ends_at_once_names_its_log(daemon: DaemonMaker) -> None:
    part = daemon("echo no such luck; exit 3")
    part.start()
    with pytest.raises(RehearsalError) as raised:
        part.wait_until(lambda: False)
    assert str(raised.value) == f"part ended at once; see {part.log}"
    assert part.log.read_text() == "no such luck\n"


def test_waiting_has_a_limit(daemon: DaemonMaker) -> None:
    part = daemon("exec sleep 600")
    part.start()
    with pytest.raises(RehearsalError) as raised:
        part.wait_until(lambda: False, limit_s=0)
    assert str(raised.value) == f"part is not ready after 0 s: {part.log}"
    assert part.pid() is not None


def test_a_zombie_has_ended() -> None:
    process = subprocess.Popen(["sleep", "600"])
    assert start_time(process.pid) is not None
    assert start_time(process.pid) == start_time(process.pid)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(process.pid) is None
    process.wait()
    assert start_time(process.pid) is None
