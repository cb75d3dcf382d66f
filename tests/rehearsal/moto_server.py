"""A moto server of a test's own."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

from tests.rehearsal.netns import ask, until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(namespace: str | None, address: str, port: int) -> bool:
    if namespace:
        return not ask(namespace, address, port, timeout_s=1, size=0).startswith("Conn")
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def moto_server(
    namespace: str | None = None, address: str = "127.0.0.1", port: int | None = None
) -> Iterator[str]:
    """Runs moto here or in a network namespace; yields its endpoint."""
    port = port or free_port()
    entered = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
    process = subprocess.Popen(
        [*entered, sys.executable, "-m", "moto.server", "-H", address, "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _answers(namespace, address, port))
        yield f"http://{address}:{port}"
    finally:
        process.terminate()
        process.wait(10)


def forget(endpoint: str) -> None:
    """Empty a moto server."""
    request = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")
    urllib.request.urlopen(request, timeout=30).close()
