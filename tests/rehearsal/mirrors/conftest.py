"""A running mirror server over empty folders, and how to ask it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from rehearsal.mirrors.server import MirrorServer, Sites


@dataclass(frozen=True)
class Answer:
    """What came back. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Mirrors:
    """A server on a loopback port."""

    sites: Sites
    port: int

    def ask(
        self,
        host: str,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One request with that Host header."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()


@pytest.fixture
def mirrors(tmp_path: Path) -> Iterator[Mirrors]:
    """The server over four folders of tmp_path."""
    folders = {name: tmp_path / "sites" / name for name in ("packages", "charts", "git", "files")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    sites = Sites(**folders)
    with MirrorServer(("127.0.0.1", 0), sites) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield Mirrors(sites, server.server_port)
        server.shutdown()
        thread.join()
        server.git.end()
