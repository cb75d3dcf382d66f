"""A connection to a host that a proxy forwards."""

from __future__ import annotations

import threading

import paramiko


class Forwarded:
    """What a transport needs of a socket; nothing is sent once it is closed.

    The library's channel lets a send in one thread overtake a close in another. Data for a channel
    that is closed makes OpenSSH drop the whole connection to the proxy, and with it the commands of
    everybody who shares it.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._one = threading.Lock()

    @property
    def _closed(self) -> bool:
        return self._channel.closed

    def send(self, data: bytes) -> int:
        """Waits for room as long as `settimeout` allows. Raises TimeoutError."""
        with self._one:
            return self._channel.send(data)

    def recv(self, most: int) -> bytes:
        """Empty at the end. Raises TimeoutError."""
        return self._channel.recv(most)

    def settimeout(self, seconds: float | None) -> None:
        self._channel.settimeout(seconds)

    def close(self) -> None:
        with self._one:
            self._channel.close()
