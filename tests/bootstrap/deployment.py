"""The infra layer of an environment under the real engine, its AWS calls written down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rehearsal import cloud
from rehearsal.paths import CHECKOUT, Paths
from tests.rehearsal.plugins.harness import BIN

PULUMI = Paths().tools / "bin" / "pulumi"
_PACKAGES = ("settings", "infra", "cluster", "gitops", "contract")
_LIMIT_S = 300


@dataclass(frozen=True)
class Call:
    """One call of the provider: names are botocore's. answer: None if AWS refused."""

    service: str
    operation: str
    region: str
    params: Mapping[str, Any]
    answer: Mapping[str, Any] | None
    error: str | None

    def __str__(self) -> str:
        return f"{self.service}.{self.operation} in {self.region}"


@dataclass(frozen=True)
class Deployment:
    """A project whose environment, of one stack a layer, can be deployed to `endpoint`: infra of
    it, since the others make nothing in AWS but one object more."""

    folder: Path
    environment: str
    endpoint: str

    @property
    def _stack(self) -> str:
        return f"{self.environment}-infra"

    def make(self, **changes: Any) -> None:
        """Writes the project, from the committed file of the environment."""
        plugins = self.folder / "bin"
        plugins.mkdir(parents=True)
        plugin = plugins / "pulumi-resource-aws"
        plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.bootstrap.recorder "$@"\n')
        plugin.chmod(0o755)
        shutil.copy(CHECKOUT / "__main__.py", self.folder)
        for package in _PACKAGES:
            (self.folder / package).symlink_to(CHECKOUT / package)
        text = (CHECKOUT / "Pulumi.yaml").read_text()
        (self.folder / "Pulumi.yaml").write_text(
            text.replace("virtualenv: .venv", "toolchain: pip")
        )
        for layer in ("infra", "cluster", "gitops"):
            own = {"config": {"groundwork:settings": {"layers": [layer]}}}
            self._file(layer).write_text(yaml.safe_dump(own))
        key = self.folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        (self.folder / "state").mkdir()
        self.change(**changes)
        self.pulumi("stack", "init", self._stack)

    def _file(self, layer: str) -> Path:
        return self.folder / f"Pulumi.{self.environment}-{layer}.yaml"

    def change(self, **changes: Any) -> None:
        """Writes the environment's file anew: the committed one, what a test needs, and changes of
        whole sections."""
        name = f"Pulumi.{self.environment}.yaml"
        document = yaml.safe_load((CHECKOUT / name).read_text())
        settings = document["config"]["groundwork:settings"]
        key = self.folder / "key"
        settings["aws"] = {**settings.get("aws", {}), "endpoint_url": self.endpoint}
        settings["ssh"] = {"private_key_file": str(key), "public_key_file": f"{key}.pub"}
        settings["ami"] = {"owner": "self", "name": cloud.AMI_NAME}
        settings.update(changes)
        (self.folder / name).write_text(yaml.safe_dump(document, sort_keys=False))

    def pulumi(self, *arguments: str) -> str:
        """A command of the engine, which must succeed; its output."""
        done = subprocess.run(
            [str(PULUMI), "--non-interactive", *arguments],
            cwd=self.folder,
            env={
                **cloud.ENVIRONMENT,
                "AWS_ENDPOINT_URL": self.endpoint,
                "HOME": str(self.folder),
                "PATH": os.pathsep.join([f"{self.folder}/bin", str(BIN), "/usr/bin:/bin"]),
                "PYTHONPATH": str(CHECKOUT),
                "GROUNDWORK_PYTHON": sys.executable,
                "PULUMI_HOME": str(self.folder / "home"),
                "PULUMI_BACKEND_URL": f"file://{self.folder}/state",
                "PULUMI_CONFIG_PASSPHRASE": "test",
                "PULUMI_STACK": self._stack,
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                "RECORDED_CALLS": str(self.folder / "calls"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def up(self) -> None:
        self.pulumi("up", "--yes", "--skip-preview")

    def calls(self) -> list[Call]:
        """All calls so far, in order."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [Call(**json.loads(line)) for line in lines]
