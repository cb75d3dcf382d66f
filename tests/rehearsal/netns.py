"""Small peers inside network namespaces: who answers, and whom do they see asking."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

PORT = 7000

SERVER = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[3] == "udp" else socket.SOCK_STREAM
server = socket.socket(socket.AF_INET, kind)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[1], int(sys.argv[2])))
if kind == socket.SOCK_STREAM:
    server.listen()
print("ready", flush=True)
while True:
    if kind == socket.SOCK_DGRAM:
        _, peer = server.recvfrom(9000)
        server.sendto(peer[0].encode(), peer)
    else:
        client, peer = server.accept()
        client.settimeout(10)
        try:
            while client.recv(1 << 16):
                client.sendall(peer[0].encode() + b"\\n")
        except OSError:
            pass
        client.close()
"""
_CLIENT = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[3] == "udp" else socket.SOCK_STREAM
client = socket.socket(socket.AF_INET, kind)
client.settimeout(float(sys.argv[4]))
try:
    client.connect((sys.argv[1], int(sys.argv[2])))
    client.sendall(b"x" * int(sys.argv[5]))
    print(client.recv(100).decode().split("\\n")[0])
except OSError as error:
    print(type(error).__name__, error.errno)
"""


def python(namespace: str, *arguments: str) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-IS", *arguments]


@contextlib.contextmanager
def server(namespace: str, address: str, port: int = PORT, kind: str = "tcp") -> Iterator[None]:
    """Tells each client the address it came from."""
    process = subprocess.Popen(
        python(namespace, "-c", SERVER, address, str(port), kind),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


def ask(
    namespace: str,
    address: str,
    port: int = PORT,
    kind: str = "tcp",
    timeout_s: float = 1.0,
    size: int = 1,
) -> str:
    """The address a `server` saw, or the name and number of the error."""
    done = subprocess.run(
        python(namespace, "-c", _CLIENT, address, str(port), kind, str(timeout_s), str(size)),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.05)
