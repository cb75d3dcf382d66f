"""A bell that one process rings and another waits for: a named pipe."""

from __future__ import annotations

import contextlib
import os
import select
import time
from dataclasses import dataclass
from pathlib import Path

# The pipe's name in the folder of a run: it rings when EC2 has changed.
EC2_CHANGED = "ec2-changed"
# After a ring, more are waited for until so long none came, but not for longer than that.
_QUIET_S, _LONGEST_S = 0.05, 0.3


class Bell:
    """The side that waits. One at a time: it makes the pipe anew."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        # For writing too: without a writer the pipe would be at its end, which wakes at once.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def wait(self, timeout_s: float) -> bool:
        """Whether it rang: before the call, or within the time. Several rings are taken as one."""
        if not self._rang(timeout_s):
            return False
        last = time.monotonic() + _LONGEST_S
        while (left := last - time.monotonic()) > 0 and self._rang(min(left, _QUIET_S)):
            pass
        return True

    def _rang(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._pipe], [], [], timeout_s)
        if ready:
            os.read(self._pipe, 1 << 16)
        return bool(ready)

    def close(self) -> None:
        os.close(self._pipe)


@dataclass(frozen=True)
class BellPull:
    """The side that rings."""

    path: Path

    def ring(self) -> None:
        """Never waits. Nothing happens while nobody listens, who looks around on coming anyway."""
        # no pipe, nobody at its other end, or full of rings that are still to be heard
        with contextlib.suppress(OSError):
            pipe = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(pipe, b"!")
            finally:
                os.close(pipe)
