"""A piece of this machine with nothing of it in common: for commands that must come to nothing.

In its own mount, network, process, IPC and host name namespaces, with an empty /run: no rehearsal
of this machine can be seen or touched from it, no network is there, and whatever should be started
in it ends with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_KINDS = ("--mount", "--net", "--pid", "--ipc", "--uts")
# Named namespaces are let go, as they would outlive their own end here. mount(8) keeps notes in
# /run/mount. The kernel ends all of the island with its first process, which ends with its input.
_FIRST = (
    "umount --lazy --recursive /run/netns 2>/dev/null;"
    "mount -t tmpfs tmpfs /run && mkdir /run/mount && echo ready && exec cat >/dev/null"
)


@dataclass(frozen=True)
class Island:
    """pid: of its first process, as seen from outside."""

    pid: int

    def command(self, command: Sequence[str], folder: Path) -> list[str]:
        """`command` as it is run in `folder` of the island."""
        return ["nsenter", f"--target={self.pid}", *_KINDS, "env", "-C", str(folder), *command]

    def run(
        self,
        command: Sequence[str],
        folder: Path = Path("/"),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end."""
        return subprocess.run(
            self.command(command, folder),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def do(self, script: str) -> str:
        """What a shell script that must succeed prints."""
        done = self.run(["sh", "-euc", script])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def traces(self) -> str:
        """Everything that a command could leave in it but the lock's file, which always stays."""
        return self.do(
            "find /run ! -name groundwork-rehearsal.lock | sort;"
            "find /run -type f ! -name groundwork-rehearsal.lock -exec md5sum {} + | sort;"
            "cut -d' ' -f4- /proc/1/mountinfo; ip -oneline link;"
            "ps -eo args= | grep -vE '^(sh -euc|ps -eo|grep -vE) |<defunct>'"
        )

    def interrupt(self, process: subprocess.Popen[str]) -> None:
        """Ctrl-C: for what `process`, an `nsenter`, has started, but not for itself."""
        for pid in _descendants(process.pid):
            with suppress(ProcessLookupError):  # a parent may have ended it on its own interrupt
                os.kill(pid, signal.SIGINT)


def _descendants(pid: int) -> list[int]:
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for child in map(int, below) for each in (child, *_descendants(child))]


@contextmanager
def island() -> Iterator[Island]:
    """Makes one; at the end nothing of it is left."""
    command = ["unshare", *_KINDS, "--fork", "--kill-child", "--mount-proc", "sh", "-c", _FIRST]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as unshare:
        assert unshare.stdout and unshare.stdin
        assert unshare.stdout.readline() == "ready\n"
        (first,) = _descendants(unshare.pid)
        try:
            yield Island(first)
        finally:
            unshare.stdin.close()
            unshare.wait(30)


@contextmanager
def network_namespace() -> Iterator[str]:
    """A named network namespace of this process's own, with loopback alone; yields its name."""
    name = f"tr-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
