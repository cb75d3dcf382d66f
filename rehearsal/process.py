"""Long-running parts of the rehearsal: started detached, known by pid and start time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import RehearsalError


def start_time(pid: int) -> str | None:
    """The kernel's start time of a process (ticks since boot), or None if there is none.

    With the pid it names one process for good: a reused pid has another start time.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else fields[19]


@dataclass(frozen=True)
class Daemon:
    """One part. name: also of its log and pid file; command: run with `environment` alone."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    run: Path

    @property
    def log(self) -> Path:
        return self.run / "logs" / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.run / "pids" / f"{self.name}.json"

    def pid(self) -> int | None:
        """The running process's pid, or None."""
        try:
            saved = json.loads(self._pid_file.read_text())
        except (OSError, ValueError):
            return None
        pid, start = int(saved["pid"]), start_time(int(saved["pid"]))
        return pid if start is not None and start == saved["start"] else None

    def start(self) -> None:
        """Starts it unless it runs; it outlives this process and its terminal."""
        if self.pid() is not None:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.run,
            )
        record = {"pid": process.pid, "start": start_time(process.pid)}
        new = self._pid_file.with_suffix(".new")
        new.write_text(json.dumps(record))
        new.rename(self._pid_file)

    def wait_until(self, ready: Callable[[], bool], limit_s: float = 60) -> None:
        """Returns when `ready` is true. Raises RehearsalError if the process ends before."""
        deadline = time.monotonic() + limit_s
        while not ready():
            if self.pid() is None:
                raise RehearsalError(f"{self.name} ended at once; see {self.log}")
            if time.monotonic() > deadline:
                raise RehearsalError(f"{self.name} is not ready after {limit_s:.0f} s: {self.log}")
            time.sleep(0.1)

    def stop(self, limit_s: float = 20) -> None:
        """Ends it: SIGTERM, then SIGKILL to its session. Fine if it does not run."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):  # it may end by itself meanwhile
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + limit_s
            while self.pid() is not None and time.monotonic() < deadline:
                _reap(pid)
                time.sleep(0.05)
            if self.pid() is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                _reap(pid)
        self._pid_file.unlink(missing_ok=True)


def _reap(pid: int) -> None:
    """Collects the process if it is our child; else its own parent does."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
