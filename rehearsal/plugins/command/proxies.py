"""Connections to proxies: one for all the commands that go through a proxy at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager

import paramiko

from rehearsal.plugins.command.inputs import Endpoint
from rehearsal.plugins.command.stopping import Operation

Dial = Callable[[], AbstractContextManager[paramiko.Transport]]


class _Shared:
    """One connection, dialled in a thread of its own, and the number of its users."""

    def __init__(self, dial: Dial) -> None:
        self.users = 0
        self._dialled: Future[paramiko.Transport] = Future()
        self._connection = dial()
        threading.Thread(target=self._dial, daemon=True).start()

    def _dial(self) -> None:
        try:
            transport = self._connection.__enter__()
        except Exception as error:
            self._dialled.set_exception(error)
        else:
            self._dialled.set_result(transport)

    @property
    def usable(self) -> bool:
        """Still being dialled, or dialled and open."""
        if not self._dialled.done():
            return True
        return self._dialled.exception() is None and self._dialled.result().is_active()

    def transport(self, operation: Operation) -> paramiko.Transport:
        try:
            return self._dialled.result(timeout=operation.limit(None))
        except TimeoutError:
            operation.check()
            raise

    def close(self) -> None:
        """Now, or when it is dialled."""
        self._dialled.add_done_callback(
            lambda done: None if done.exception() else self._connection.__exit__(None, None, None)
        )


class Proxies:
    """Who comes first has it dialled, the others wait too; who leaves last closes it.

    Sharing spares a proxy a log-in for each command: sshd drops log-ins beyond its MaxStartups,
    and does not limit how many connections it forwards.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared: dict[Endpoint, _Shared] = {}

    @contextmanager
    def use(
        self, endpoint: Endpoint, dial: Dial, operation: Operation
    ) -> Iterator[paramiko.Transport]:
        """An open connection. Raises what `dial` raises; TimedOut by the operation's own limit."""
        with self._lock:
            shared = self._shared.get(endpoint)
            if shared is None or not shared.usable:
                shared = self._shared[endpoint] = _Shared(dial)
            shared.users += 1
        try:
            yield shared.transport(operation)
        finally:
            with self._lock:
                shared.users -= 1
                if shared.users == 0:
                    if self._shared.get(endpoint) is shared:
                        del self._shared[endpoint]
                    shared.close()
