"""A moto server and a configured plugin for all tests of the `aws` stand-in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.config
import botocore.session
import pytest

from rehearsal.paths import CHECKOUT
from rehearsal.plugins.aws.arguments import SERVICES
from tests.rehearsal.plugins.harness import Plugin, end_process, start_plugin

REGION = "eu-west-1"
AMI = "ami-0123456789abcdef0"
DEFAULT_TAGS = {"team": "platform"}
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Aws:
    """Where the tests' AWS is, and clients of it that bypass the plugin."""

    url: str
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, region: str = REGION) -> Any:
        """A client to look at, and to disturb, what the plugin made."""
        if (service, region) not in self.clients:
            session: Any = botocore.session.Session()
            self.clients[service, region] = session.create_client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=botocore.config.Config(proxies={}),
            )
        return self.clients[service, region]

    @property
    def ec2(self) -> Any:
        return self.client("ec2")

    @property
    def arguments(self) -> dict[str, Any]:
        """Provider arguments as the SDK sends them."""
        return {
            "region": REGION,
            "accessKey": "test",
            "secretKey": "test",
            "endpoints": json.dumps([{service: self.url for service in SERVICES}]),
            "defaultTags": json.dumps({"tags": DEFAULT_TAGS}),
            "skipCredentialsValidation": "true",
            "skipMetadataApiCheck": "true",
            "skipRegionValidation": "true",
            "skipRequestingAccountId": "true",
            "s3UsePathStyle": "true",
        }


@pytest.fixture(scope="package")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """A moto server on a free port, with one AMI."""
    folder = tmp_path_factory.mktemp("moto")
    amis = folder / "amis.json"
    amis.write_text(json.dumps([_image("2026-01-01", AMI), _image("2025-01-01", AMI[:-1] + "1")]))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        cwd=CHECKOUT,
        env=os.environ | _moto_environment(amis),
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        _await_port(process, port, folder / "log")
        yield Aws(f"http://127.0.0.1:{port}")
    finally:
        end_process(process)
        log.close()


@pytest.fixture(scope="package")
def plugin(aws: Aws) -> Iterator[Plugin]:
    """The plugin, configured for the moto server."""
    with start_plugin("pulumi-resource-aws") as plugin:
        plugin.configure(aws.arguments)
        yield plugin


def _image(day: str, id: str) -> dict[str, Any]:
    return {
        "ami_id": id,
        "state": "available",
        "public": True,
        "owner_id": "136693071363",
        "image_location": "amazon/debian",
        "sriov": "simple",
        "root_device_type": "ebs",
        "root_device_name": "/dev/xvda",
        "description": "Debian 12",
        "image_type": "machine",
        "platform": None,
        "architecture": "x86_64",
        "name": f"debian-12-amd64-{day}",
        "virtualization_type": "hvm",
        "hypervisor": "xen",
        "creation_date": f"{day}T00:00:00.000Z",
    }


def _moto_environment(amis: Path) -> dict[str, str]:
    return {
        "MOTO_ACM_VALIDATION_WAIT": "0",  # seconds
        "MOTO_AMIS_PATH": str(amis),
        "MOTO_ENABLE_AMI_VALIDATION": "true",
        "MOTO_ENABLE_KEYPAIR_VALIDATION": "true",
        "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    }


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"moto did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)  # between two questions; the deadline decides
