"""One process in a network namespace that listens on many ports, and asks others on many."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.rehearsal.netns import python

_PROGRAM = """
import json, os, random, selectors, socket, struct, sys
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
waiting, asked, echoes = selectors.DefaultSelector(), [], {}

def accept(server):
    server.accept()[0].close()

def answer(server):
    server.sendto(b"y", server.recvfrom(99)[1])

def say(client, number):
    error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if not error and client.type != socket.SOCK_STREAM:
        try:
            data = client.recv(99)
        except OSError as failed:
            error = failed.errno
        else:
            if client.type == socket.SOCK_RAW and data[20:28] != echoes[client]:
                return
    waiting.unregister(client)
    print(json.dumps([times, number, error]), flush=True)

def echo(type, identifier):
    total = (type << 8) + identifier
    checksum = ~(total % 0x10000 + total // 0x10000) % 0x10000
    return struct.pack("!BBHHH", type, 0, checksum, identifier, 0)

def ask(number, source, address, kind, port):
    if kind == "icmp":
        client = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    else:
        client = socket.socket(socket.AF_INET, KINDS[kind])
    client.setblocking(False)
    asked.append(client)
    if source:
        client.bind((source, 0))
    try:
        client.connect_ex((address, port if kind != "icmp" else 0))
        if kind != "tcp":
            identifier = random.getrandbits(16)  # another one is another connection
            echoes[client] = echo(0, identifier)
            client.send(echo(8, identifier) if kind == "icmp" else b"x")
    except OSError as failed:
        print(json.dumps([times, number, failed.errno]), flush=True)
        return
    event = selectors.EVENT_WRITE if kind == "tcp" else selectors.EVENT_READ
    waiting.register(client, event, (say, number))

def command(_):
    global left, times
    data = os.read(0, 1 << 20)
    if not data:
        sys.exit()
    *lines, left = (left + data).split(b"\\n")
    for line in lines:
        for client in asked:
            if client.fileno() in waiting.get_map():
                waiting.unregister(client)
            client.close()
        asked.clear()
        echoes.clear()
        times += 1
        print(json.dumps([times, None, 0]), flush=True)
        for number, target in enumerate(json.loads(line)):
            ask(number, *target)

left, times = b"", 0
for kind, port in json.loads(sys.argv[1]):
    server = socket.socket(socket.AF_INET, KINDS[kind])
    server.bind(("0.0.0.0", port))
    if kind == "tcp":
        server.listen(100)
    waiting.register(server, selectors.EVENT_READ, (accept if kind == "tcp" else answer, None))
waiting.register(0, selectors.EVENT_READ, (command, None))
print("ready", flush=True)
while True:
    for key, _ in waiting.select():
        does, number = key.data
        does(key.fileobj) if number is None else does(key.fileobj, number)
"""


@dataclass(frozen=True)
class Target:
    """Whom to ask: kind is tcp, udp or icmp (an echo request, whatever the port). source: an
    address of the asking namespace; "" lets the kernel choose."""

    address: str
    port: int
    kind: str = "tcp"
    source: str = ""


@dataclass
class Probe:
    """It asks all targets of `ask` at once. Those of the call before are let go: when it returns,
    no more packets are sent to them."""

    process: subprocess.Popen[bytes]
    _left: bytes = field(default=b"", init=False)
    _times: int = field(default=0, init=False)
    _closed: int = field(default=0, init=False)
    _unread: list[tuple[Target, int]] = field(default_factory=list, init=False)
    _targets: list[Target] = field(default_factory=list, init=False)

    def ask(self, targets: Iterable[Target]) -> None:
        assert self.process.stdin
        self._targets, self._times = list(targets), self._times + 1
        line = json.dumps([(t.source, t.address, t.kind, t.port) for t in self._targets])
        self.process.stdin.write(line.encode() + b"\n")
        while self._closed < self._times:
            self._read(0.5)

    def answers(self, wait_s: float = 0.0) -> list[tuple[Target, int]]:
        """Who has answered since the last call, and with which error, 0 for none. Waits for the
        first of them. One that is silent is never in it."""
        if not self._unread:
            self._read(wait_s)
        answers, self._unread = self._unread, []
        return answers

    def _read(self, wait_s: float) -> None:
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], wait_s)
        if ready:
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            assert data, "the probe has ended"
            self._left += data
        *lines, self._left = self._left.split(b"\n")
        for times, number, error in map(json.loads, lines):
            if number is None:
                self._closed, self._unread = times, []
            elif times == self._closed:
                self._unread.append((self._targets[number], error))

    def reached(self, count: int, limit_s: float = 60.0) -> set[Target]:
        """The first `count` of those who answered without an error."""
        found: set[Target] = set()
        deadline = time.monotonic() + limit_s
        while len(found) < count and time.monotonic() < deadline:
            found |= {target for target, error in self.answers(0.5) if not error}
        return found


@contextlib.contextmanager
def probe(namespace: str, listening: Iterable[tuple[str, int]] = ()) -> Iterator[Probe]:
    """listening: (tcp or udp, port)."""
    process = subprocess.Popen(
        python(namespace, "-c", _PROGRAM, json.dumps(list(listening))),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield Probe(process)
    finally:
        process.kill()
        process.communicate()
