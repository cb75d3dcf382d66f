"""Running things where the operator sits."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal import namespace
from rehearsal.namespace import (
    daemon_command,
    exists,
    inside,
    operator_command,
    operator_environment,
)
from tests.rehearsal.island import network_namespace


@pytest.fixture
def elsewhere() -> Iterator[str]:
    with network_namespace() as name:
        yield name


def here() -> int:
    return Path("/proc/thread-self/ns/net").stat().st_ino


def test_this_thread_alone_is_inside_and_comes_back(elsewhere: str) -> None:
    home, there = here(), Path("/run/netns", elsewhere).stat().st_ino
    seen: dict[str, int] = {}
    go, gone = threading.Event(), threading.Event()

    def look(name: str) -> None:
        go.wait(30)
        seen[name] = here()
        gone.set()

    other = threading.Thread(target=look, args=("started before",))
    other.start()
    with inside(elsewhere):
        assert here() == there != home
        go.set()
        gone.wait(30)
        started = threading.Thread(target=look, args=("started inside",))
        started.start()
        started.join()
        with socket.socket() as made:
            made.bind(("127.0.0.1", 0))
            port = made.getsockname()[1]
            made.listen()
    other.join()
    assert here() == home
    assert seen == {"started before": home, "started inside": there}
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_it_comes_back_after_an_error_too(elsewhere: str) -> None:
    home = here()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ValueError, match="inside"), inside(elsewhere):
        raise ValueError("inside")
    with pytest.raises(FileNotFoundError), inside("tr-there-is-none"):
        pass
    assert here() == home
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_commands_run_there(elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exists(elsewhere)
    assert not exists("tr-there-is-none")
    monkeypatch.setattr(namespace, "OPERATOR", elsewhere)
    there = Path("/run/netns", elsewhere).stat().st_ino
    show = ["stat", "-Lc", "%i", "/proc/self/ns/net"]
    for command in (operator_command(show), daemon_command(show)):
        assert subprocess.check_output(command, text=True) == f"{there}\n"
    # a daemon keeps the machine's own mounts, with the cgroups that hosts need
    mine = Path("/proc/self/ns/mnt").stat().st_ino
    show = ["stat", "-Lc", "%i", "/proc/self/ns/mnt"]
    assert subprocess.check_output(daemon_command(show), text=True) == f"{mine}\n"


def test_the_operator_has_the_persons_environment_but_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "proxy.example:3128")
    monkeypatch.setenv("OWN", "kept")
    assert operator_environment()["OWN"] == "kept"
    assert "proxy.example:3128" not in operator_environment().values()
