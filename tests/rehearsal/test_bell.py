"""The bell, and the cloud's server that rings it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from rehearsal.bell import Bell, BellPull
from rehearsal.moto_server import ringing
from rehearsal.network.ec2 import client
from tests.rehearsal.moto_server import free_port
from tests.rehearsal.netns import until


class TestBell:
    def test_rings_before_and_while_waiting_are_heard_and_are_one(self, tmp_path: Path) -> None:
        bell, pull = Bell(tmp_path / "bell"), BellPull(tmp_path / "bell")
        try:
            assert not bell.wait(0)
            for _ in range(100_000):  # more than the pipe holds
                pull.ring()
            assert bell.wait(0)
            assert not bell.wait(0)
            with subprocess.Popen(
                [sys.executable, "-c", f"open({str(pull.path)!r}, 'w').write('!')"]
            ) as other:
                assert bell.wait(60)
                assert other.wait(60) == 0
        finally:
            bell.close()

    def test_ringing_with_nobody_there_is_no_error(self, tmp_path: Path) -> None:
        pull = BellPull(tmp_path / "bell")
        pull.ring()
        Bell(pull.path).close()
        pull.ring()
        bell = Bell(pull.path)
        assert not bell.wait(0)
        bell.close()


def request(service: str, action: str = "") -> dict[str, Any]:
    body = urlencode({"Action": action, "Version": "2016-11-15"}).encode() if action else b"data"
    scope = f"Credential=test/20260101/eu-central-1/{service}/aws4_request"
    return {
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }


@pytest.mark.parametrize(
    ("environ", "rings"),
    [
        (request("ec2", "AuthorizeSecurityGroupIngress"), True),
        (request("ec2", "RunInstances"), True),
        (request("ec2", "DescribeInstances"), False),
        (request("ec2", "GetConsoleOutput"), False),
        (request("iam", "CreateRole"), False),
        (request("s3"), False),
        ({"wsgi.input": io.BytesIO(b"Action=RunInstances"), "CONTENT_LENGTH": "19"}, False),
    ],
)
def test_it_rings_after_what_may_have_changed_ec2(
    tmp_path: Path, environ: dict[str, Any], rings: bool
) -> None:
    body = environ["wsgi.input"].getvalue()
    bell = Bell(tmp_path / "bell")

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert not bell.wait(0)
        return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))]

    try:
        answered = ringing(application, BellPull(tmp_path / "bell"))(environ, None)
        assert list(answered) == [body]
        assert bell.wait(0) == rings
    finally:
        bell.close()


def test_the_server_is_motos_own_and_ends_when_it_is_told(tmp_path: Path) -> None:
    port, bell = free_port(), Bell(tmp_path / "bell")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "rehearsal.moto_server"),
            *("--listen", f"127.0.0.1:{port}", "--bell", str(tmp_path / "bell")),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stderr=subprocess.DEVNULL,
    )
    try:
        ec2 = client("ec2", f"http://127.0.0.1:{port}", "eu-central-1")
        until(lambda: _answers(ec2), 60)
        assert not bell.wait(0)
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        assert bell.wait(0)
        assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        bell.close()


def _answers(ec2: Any) -> bool:
    try:
        ec2.describe_vpcs()
    except Exception:
        return False
    return True
