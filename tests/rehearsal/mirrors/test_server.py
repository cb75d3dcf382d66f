"""The mirrors' server: routing, files with ranges and validators, its process."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rehearsal.paths import CHECKOUT
from tests.rehearsal.mirrors.conftest import Mirrors

PACKAGES = "packages.rehearsal.test"
CHARTS = "charts.rehearsal.test"


def test_the_host_header_chooses_the_site(mirrors: Mirrors) -> None:
    (mirrors.sites.packages / "core:").mkdir()
    (mirrors.sites.packages / "core:" / "Release").write_text("packages")
    (mirrors.sites.charts / "index.yaml").write_text("charts")
    (mirrors.sites.files / "cni").mkdir()
    (mirrors.sites.files / "cni" / "cni.yaml").write_text("cni")
    assert mirrors.ask(PACKAGES, "/core:/Release").body == b"packages"
    assert mirrors.ask(PACKAGES, "/core%3a/Release").body == b"packages"
    assert mirrors.ask(f"{CHARTS.upper()}:80", "/index.yaml").body == b"charts"
    assert mirrors.ask(PACKAGES, "/files/cni/cni.yaml").body == b"cni"
    assert mirrors.ask("proxy.test", f"http://{CHARTS}/index.yaml").body == b"charts"
    assert mirrors.ask(CHARTS, "/files/cni/cni.yaml").status == 404


@pytest.mark.parametrize(
    ("host", "path"),
    [("elsewhere.test", "/"), (PACKAGES, "/"), (PACKAGES, "/none"), ("git.rehearsal.test", "/")],
)
def test_what_is_not_there_is_one_line(mirrors: Mirrors, host: str, path: str) -> None:
    answer = mirrors.ask(host, path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "text/plain"
    assert len(answer.body.splitlines()) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/../secret",
        "/%2e%2e/secret",
        "/a/../../secret",
        "/out/secret",
        "/.lock",
        "/a%00b",
        "//..//",
    ],
)
def test_nothing_outside_the_folder_is_served(mirrors: Mirrors, path: str) -> None:
    (mirrors.sites.packages.parent / "secret").write_text("secret")
    (mirrors.sites.packages / "out").symlink_to(mirrors.sites.packages.parent)
    (mirrors.sites.packages / ".lock").write_text("secret")
    answer = mirrors.ask(PACKAGES, path)
    assert answer.status == 404
    assert b"secret" not in answer.body.replace(path.encode(), b"")


def test_a_link_inside_the_folder_is_followed(mirrors: Mirrors) -> None:
    (mirrors.sites.packages / ".deb-1").mkdir()
    (mirrors.sites.packages / ".deb-1" / "Release").write_text("one")
    (mirrors.sites.packages / "deb").symlink_to(".deb-1")
    assert mirrors.ask(PACKAGES, "/deb/Release").body == b"one"


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_ranges(
    mirrors: Mirrors, asked: str, status: int, body: bytes, content_range: str | None
) -> None:
    (mirrors.sites.packages / "a.deb").write_bytes(b"0123456789")
    answer = mirrors.ask(PACKAGES, "/a.deb", headers={"Range": asked})
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers.get("content-range") == content_range


def test_a_range_of_an_older_version_gets_the_whole_file(mirrors: Mirrors) -> None:
    file = mirrors.sites.packages / "a.deb"
    file.write_bytes(b"older")
    first = mirrors.ask(PACKAGES, "/a.deb")
    file.write_bytes(b"newer one")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    for condition in (first.headers["etag"], first.headers["last-modified"]):
        headers = {"Range": "bytes=2-", "If-Range": condition}
        answer = mirrors.ask(PACKAGES, "/a.deb", headers=headers)
        assert (answer.status, answer.body) == (200, b"newer one")


def test_unchanged_files_are_not_sent_again(mirrors: Mirrors) -> None:
    file = mirrors.sites.packages / "Packages"
    file.write_text("one")
    first = mirrors.ask(PACKAGES, "/Packages").headers
    for headers in (
        {"If-None-Match": first["etag"]},
        {"If-Modified-Since": first["last-modified"]},
    ):
        answer = mirrors.ask(PACKAGES, "/Packages", headers=headers)
        assert (answer.status, answer.body) == (304, b"")
    # An older state put back is a change too.
    os.utime(file, (1_000_000_000, 1_000_000_000))
    headers = {"If-Modified-Since": first["last-modified"]}
    assert mirrors.ask(PACKAGES, "/Packages", headers=headers).status == 200


def test_head_has_no_body_and_files_are_not_written(mirrors: Mirrors) -> None:
    (mirrors.sites.packages / "a").write_text("abc")
    head = mirrors.ask(PACKAGES, "/a", method="HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, "3", b"")
    assert mirrors.ask(PACKAGES, "/a", method="POST", body=b"x").status == 405


def test_a_large_file_comes_whole_on_a_kept_connection(mirrors: Mirrors) -> None:
    content = os.urandom(5_000_000)
    (mirrors.sites.packages / "large").write_bytes(content)
    connection = http.client.HTTPConnection("127.0.0.1", mirrors.port, timeout=20)
    sockets = set()
    for _ in range(3):
        connection.request("GET", "/large", headers={"Host": PACKAGES})
        assert connection.getresponse().read() == content
        sockets.add(connection.sock)
    connection.close()
    assert len(sockets) == 1


def start(folder: Path, listen: str) -> subprocess.Popen[str]:
    folders = [f"--{name}={folder}" for name in ("packages", "charts", "git", "files")]
    return subprocess.Popen(
        [sys.executable, "-m", "rehearsal.mirrors.server", f"--listen={listen}", *folders],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_process_logs_each_request_and_ends_on_sigterm(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    with start(tmp_path, "127.0.0.1:0") as process:
        assert process.stdout
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/a?token=hidden", headers={"Host": PACKAGES})
        assert connection.getresponse().read() == b"abc"
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=20)
        connection.close()
    assert f"127.0.0.1 GET {PACKAGES} /a 200 3 " in line
    assert "hidden" not in line + rest
    assert (process.returncode, errors) == (0, "")


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with start(tmp_path, address) as process:
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors == f"can't listen on {address}: Address already in use\n"
