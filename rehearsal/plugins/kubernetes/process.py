"""Child processes: own process group, ended when the operation is cancelled or the plugin dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from rehearsal.paths import Paths
from rehearsal.plugins.protocol import ProviderError

_GRACE_SECONDS = 10.0
_CANCELLED = "the operation was cancelled"


@dataclass(frozen=True)
class Result:
    """A finished child. code: exit status, negative when it was ended by a signal."""

    code: int
    stdout: str
    stderr: str


def find_tool(name: str) -> str:
    """The executable: the rehearsal's own pinned build, else the one on PATH."""
    built = Paths().tools / "bin" / name
    if os.access(built, os.X_OK):
        return str(built)
    found = shutil.which(name)
    if found is None:
        raise ProviderError(f"{name} is not on PATH; install it, or let the rehearsal build it")
    return found


class Runner:
    """Runs tools with an environment of their own. Thread-safe."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()

    def run(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        stdin: str = "",
        timeout: float | None = None,
        after_cancel: bool = False,
    ) -> Result:
        """Waits for the child. timeout: seconds. Raises ProviderError if cancelled or too slow.

        after_cancel: run even so, for the short question of what a cancelled operation has left.
        """
        with self._child(command, env, subprocess.PIPE, after_cancel) as child:
            try:
                stdout, stderr = child.communicate(stdin.encode(), timeout=timeout)
            except subprocess.TimeoutExpired:
                raise ProviderError(f"{_tool(command)} gave no answer in {timeout:.0f} s") from None
        if self.cancelled.is_set() and not after_cancel:
            raise ProviderError(_CANCELLED)
        return Result(child.returncode, stdout.decode("utf-8", "replace"), _text(stderr))

    @contextmanager
    def stream(
        self, command: Sequence[str], env: Mapping[str, str], stdin: str, timeout: float
    ) -> Iterator[IO[bytes]]:
        """The child's output while it runs; it is ended after `timeout` s or on the way out."""
        with self._child(command, env, subprocess.DEVNULL) as child, _limit(child, timeout):
            assert child.stdin is not None and child.stdout is not None
            with suppress(BrokenPipeError):  # it ended early: the reader sees its output end too
                child.stdin.write(stdin.encode())
                child.stdin.close()
            yield child.stdout

    def cancel(self) -> None:
        """Interrupts every child; helm then marks its release failed and not pending for ever."""
        self.cancelled.set()
        with self._lock:
            children = list(self._children)
        for child in children:
            _signal(child, signal.SIGINT)
            last = threading.Timer(_GRACE_SECONDS, _signal, (child, signal.SIGKILL))
            last.daemon = True
            last.start()

    @contextmanager
    def _child(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        stderr: int,
        after_cancel: bool = False,
    ) -> Iterator[subprocess.Popen[bytes]]:
        # The plugin may be killed outright: the kernel then ends its children.
        child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *command],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        with self._lock:
            self._children.add(child)
        try:
            if self.cancelled.is_set() and not after_cancel:
                raise ProviderError(_CANCELLED)
            yield child
        finally:
            _end(child)
            with self._lock:
                self._children.discard(child)


@contextmanager
def _limit(child: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, _signal, (child, signal.SIGTERM))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends the child if it still runs, gently first; its pipes are closed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            break
        _signal(child, number)
        try:
            child.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    if child.poll() is None:
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return


def _tool(command: Sequence[str]) -> str:
    return " ".join([command[0].rsplit("/", 1)[-1], *command[1:2]])


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")
