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
        """`close` is called on a cancel, or when the time is up, meanwhile."""
        with self.cancellation.holding(close):
            left = self.limit(None)
            if left is None:
                yield
                return
            timer = threading.Timer(left, close)
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
