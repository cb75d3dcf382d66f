"""Ends what is under way, when the engine cancels or an operation's time is up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rehearsal.plugins.protocol import ProviderError


class Cancelled(ProviderError):
    """The engine asked to stop."""

    def __init__(self) -> None:
        super().__init__("cancelled")


class TimedOut(ProviderError):
    """The operation's own time limit, set by the program, is over."""


class Cancellation:
    """What the engine's Cancel ends: every connection in hand, of all operations."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._lock = threading.Lock()
        self._closers: dict[object, Callable[[], object]] = {}

    def cancel(self) -> None:
        """Closes what is held, the newest first; what is begun later fails at once."""
        with self._lock:
            self.event.set()
            closers = list(self._closers.values())
        for close in reversed(closers):
            close()

    @contextmanager
    def holding(self, close: Callable[[], object]) -> Iterator[None]:
        """`close` is called on a cancel meanwhile. Raises Cancelled after one."""
        token = object()
        with self._lock:
            if self.event.is_set():
                raise Cancelled
            self._closers[token] = close
        try:
            yield
        finally:
            with self._lock:
                del self._closers[token]


class Operation:
    """One create, update or delete. timeout: seconds, 0 is no limit."""

    def __init__(self, cancellation: Cancellation, timeout: float) -> None:
        self.cancellation = cancellation
        self._timeout = timeout
        self._end = time.monotonic() + timeout if timeout else None
        self._closers: list[Callable[[], object]] = []

    def check(self) -> None:
        """Raises Cancelled or TimedOut when it is to stop."""
        if self.cancellation.event.is_set():
            raise Cancelled
        if self._end is not None and time.monotonic() >= self._end:
            raise TimedOut(f"not done within the resource's own time limit, {self._timeout:g} s")

    def wait(self, seconds: float) -> None:
        """Waits, but no longer than the operation may; then as `check`."""
        self.cancellation.event.wait(self.limit(seconds))
        self.check()

    def limit(self, seconds: float | None) -> float | None:
        """The shorter of `seconds` (None: no limit) and what is left."""
        if self._end is None:
            return seconds
        left = max(self._end - time.monotonic(), 0.001)
        return left if seconds is None else min(seconds, left)

    @contextmanager
    def holding(self, close: Callable[[], object]) -> Iterator[None]:
        """`close` is called on a cancel, or when the time is up, meanwhile: the newest first, so
        that a command is told to end before its connection is closed. For one thread."""
        with self.cancellation.holding(close):
            self._closers.append(close)
            timer = self._timer() if len(self._closers) == 1 else None
            try:
                self.check()
                yield
            finally:
                self._closers.pop()
                if timer is not None:
                    timer.cancel()

    def _timer(self) -> threading.Timer | None:
        left = self.limit(None)
        if left is None:
            return None
        timer = threading.Timer(left, self._time_is_up)
        timer.daemon = True
        timer.start()
        return timer

    def _time_is_up(self) -> None:
        for close in reversed(self._closers.copy()):
            close()
