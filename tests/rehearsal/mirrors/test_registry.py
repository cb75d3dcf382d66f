"""The registry as a client sees it: over HTTP, in a process of its own."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rehearsal.images.oci import File, Image, Layout, layer

CHECKOUT = Path(__file__).resolve().parents[3]
CONTENT = os.urandom(3_000_000)


@dataclass
class Server:
    process: subprocess.Popen[str]
    port: int
    lines: list[str] = field(default_factory=list)

    def request(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response, response.read()

    def stop(self) -> tuple[int, list[str]]:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stderr is not None
        lines = self.process.stderr.read().splitlines()
        return self.process.wait(timeout=30), lines


def write(folder: Path, *images: Image) -> list[str]:
    layout = Layout(folder)
    layout.prepare()
    return [layout.write(image) for image in images]


def image(reference: str, content: bytes = b"x") -> Image:
    return Image(reference, (layer([File("x", content)]),))


def start(folder: Path, listen: str = "127.0.0.1:0") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rehearsal.mirrors.registry", "--listen", listen]
    return subprocess.Popen(
        [*command, "--images", str(folder)], stderr=subprocess.PIPE, text=True, cwd=CHECKOUT
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    process = start(tmp_path)
    assert process.stderr is not None
    match = re.search(r":(\d+)$", process.stderr.readline().strip())
    assert match is not None
    yield Server(process, int(match[1]))
    process.kill()
    process.wait()
    process.stderr.close()


def error(body: bytes) -> dict[str, Any]:
    (only,) = json.loads(body)["errors"]
    assert set(only) == {"code", "message"}
    return dict(only)


def test_answers_the_version_check(server: Server) -> None:
    response, _ = server.request("/v2/")
    assert response.status == 200


def test_pull_by_tag_then_digest_then_blobs(server: Server, tmp_path: Path) -> None:
    (digest,) = write(tmp_path, image("registry.k8s.io/coredns/coredns:v1", CONTENT))
    path, ns = "/v2/coredns/coredns", "?ns=registry.k8s.io"
    head, body = server.request(f"{path}/manifests/v1{ns}", "HEAD")
    assert (head.status, body) == (200, b"")
    assert head.headers["Docker-Content-Digest"] == digest
    assert head.headers["Content-Type"] == "application/vnd.oci.image.manifest.v1+json"
    response, body = server.request(f"{path}/manifests/{digest}{ns}")
    assert response.status == 200
    assert len(body) == int(head.headers["Content-Length"])
    assert hashlib.sha256(body).hexdigest() == digest.removeprefix("sha256:")
    manifest = json.loads(body)
    for blob in (manifest["config"], *manifest["layers"]):
        response, body = server.request(f"{path}/blobs/{blob['digest']}{ns}")
        assert response.headers["Docker-Content-Digest"] == blob["digest"]
        assert len(body) == blob["size"]
        assert f"sha256:{hashlib.sha256(body).hexdigest()}" == blob["digest"]
    code, lines = server.stop()
    assert code == 0
    assert [line.split(" ", 2)[2] for line in lines] == [
        f"127.0.0.1 pull registry.k8s.io/coredns/coredns:v1 {digest}"
    ]


def test_same_name_of_two_registries_are_two_images(server: Server, tmp_path: Path) -> None:
    one, two = write(tmp_path, image("a.test/team/app:1", b"1"), image("b.test/team/app:1", b"2"))
    for namespace, digest in (("a.test", one), ("b.test", two)):
        response, _ = server.request(f"/v2/team/app/manifests/1?ns={namespace}")
        assert response.headers["Docker-Content-Digest"] == digest
    assert server.request("/v2/team/app/manifests/1?ns=c.test")[0].status == 404
    assert server.request("/v2/team/app/manifests/1")[0].status == 404
    # The digest of one is not an image of the other.
    assert server.request(f"/v2/team/app/manifests/{one}?ns=b.test")[0].status == 404


def test_without_namespace_the_path_names_the_registry(server: Server, tmp_path: Path) -> None:
    (digest,) = write(tmp_path, image("a.test/team/app:1"))
    response, _ = server.request("/v2/a.test/team/app/manifests/1")
    assert response.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/app/manifests/2?ns=a.test", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/app/manifests/sha256:{'0' * 64}?ns=a.test", 404, "MANIFEST_UNKNOWN"),
        ("/v2/other/manifests/1?ns=a.test", 404, "NAME_UNKNOWN"),
        (f"/v2/app/blobs/sha256:{'0' * 64}?ns=a.test", 404, "BLOB_UNKNOWN"),
        ("/v2/app/blobs/sha256:..%2f..%2findex.json?ns=a.test", 400, "DIGEST_INVALID"),
        (f"/v2/other/blobs/sha256:{'0' * 64}?ns=a.test", 404, "NAME_UNKNOWN"),
        ("/v1/search", 404, "UNSUPPORTED"),
    ],
)
def test_unknown_is_an_error_document(
    server: Server, tmp_path: Path, path: str, status: int, code: str
) -> None:
    write(tmp_path, image("a.test/app:1"))
    response, body = server.request(path)
    assert (response.status, error(body)["code"]) == (status, code)
    response, body = server.request(path, "HEAD")
    assert (response.status, body) == (status, b"")


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [("bytes=10-19", 10, 19), ("bytes=1000-", 1000, None), ("bytes=-7", -7, None)],
)
def test_parts_of_a_blob(
    server: Server, tmp_path: Path, span: str, first: int, last: int | None
) -> None:
    write(tmp_path, image("a.test/app:1", CONTENT))
    manifest = json.loads(server.request("/v2/app/manifests/1?ns=a.test")[1])
    path = f"/v2/app/blobs/{manifest['layers'][0]['digest']}?ns=a.test"
    whole = server.request(path)[1]
    response, body = server.request(path, Range=span)
    assert response.status == 206
    assert body == whole[first : None if last is None else last + 1]
    start = first % len(whole)
    expected = f"bytes {start}-{start + len(body) - 1}/{len(whole)}"
    assert response.headers["Content-Range"] == expected


def test_part_that_a_blob_has_not(server: Server, tmp_path: Path) -> None:
    write(tmp_path, image("a.test/app:1"))
    manifest = json.loads(server.request("/v2/app/manifests/1?ns=a.test")[1])
    path = f"/v2/app/blobs/{manifest['layers'][0]['digest']}?ns=a.test"
    assert server.request(path, Range="bytes=99999999-")[0].status == 416


def test_new_images_are_served_without_a_restart(server: Server, tmp_path: Path) -> None:
    path = "/v2/app/manifests/1?ns=a.test"
    assert server.request(path)[0].status == 404
    for content in (b"one", b"two"):
        (digest,) = write(tmp_path, image("a.test/app:1", content))
        assert server.request(path)[0].headers["Docker-Content-Digest"] == digest


def test_ends_at_once_though_a_client_stays_connected(server: Server, tmp_path: Path) -> None:
    write(tmp_path, image("a.test/app:1", CONTENT))
    idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(idle):
        idle.request("GET", "/v2/")
        idle.getresponse().read()
        assert server.stop()[0] == 0


def test_address_in_use_is_one_sentence(server: Server, tmp_path: Path) -> None:
    second = start(tmp_path, f"127.0.0.1:{server.port}")
    _, said = second.communicate(timeout=30)
    assert second.returncode == 1
    assert said.strip().splitlines() == [
        f"The registry can't listen on 127.0.0.1:{server.port} (Address already in use); "
        "end what uses it."
    ]
