"""Moto, and the command of the bootstrap against it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rehearsal import cloud
from rehearsal.paths import CHECKOUT
from tests.bootstrap.deployment import PULUMI
from tests.rehearsal.moto_server import forget, free_port
from tests.rehearsal.netns import until
from tests.rehearsal.plugins.harness import BIN

_LIMIT_S = 300


@dataclass(frozen=True)
class Command:
    """`python -m bootstrap` with a home of its own."""

    endpoint: str
    home: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Nothing of the person's own set-up."""
        path = [str(PULUMI.parent), str(BIN), str(Path(sys.executable).parent), "/usr/bin:/bin"]
        return {
            **cloud.ENVIRONMENT,
            "AWS_ENDPOINT_URL": self.endpoint,
            "HOME": str(self.home),
            "PATH": os.pathsep.join(path),
            "GROUNDWORK_PYTHON": sys.executable,
            "PULUMI_HOME": str(self.home / "pulumi"),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """In a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "bootstrap", "--json", *arguments],
            cwd=CHECKOUT,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> dict[str, Any]:
        """What it tells machines; fails the test if it fails."""
        process = self.start(*arguments)
        try:
            out, errors = process.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert process.returncode == 0, errors[-6000:]
        found: dict[str, Any] = json.loads(out)
        return found


@pytest.fixture(scope="package")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The rehearsal's cloud, on a loopback port."""
    amis = tmp_path_factory.mktemp("moto") / "amis.json"
    cloud.write_amis(amis)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "rehearsal.moto_server", "--listen", f"127.0.0.1:{port}"],
        cwd=CHECKOUT,
        env={**os.environ, "MOTO_AMIS_PATH": str(amis), "MOTO_ACM_VALIDATION_WAIT": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            forget(endpoint)
        except OSError:
            return False
        return True

    try:
        until(answers)
        yield endpoint
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def endpoint(moto: str) -> str:
    """Of an account that holds nothing."""
    forget(moto)
    return moto


@pytest.fixture
def command(endpoint: str, tmp_path: Path) -> Command:
    return Command(endpoint, tmp_path)
