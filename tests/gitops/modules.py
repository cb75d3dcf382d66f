"""Modules that hold charts and kinds of add-ons, fetched for tests; nothing of them is built."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rehearsal.toolchain import Toolchain

EXTERNAL_SECRETS = "github.com/external-secrets/external-secrets"
CLOUD_PROVIDER = "k8s.io/cloud-provider-aws"
_PINNED = Path(__file__).parent / "charts"


class Loader(yaml.CSafeLoader):
    """Reads `=`, which the operator's CRDs have in an enum, as what it is."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def module(name: str) -> Path:
    """A module of charts/go.mod, fetched if need be; its sum is in go.sum."""
    environment = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(
        ["go", "mod", "download", "-json", name],
        cwd=_PINNED,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(json.loads(done.stdout)["Dir"])


def kinds(toolchain: Toolchain) -> Iterator[dict[str, Any]]:
    """Specs of the CustomResourceDefinitions of External Secrets and of the Prometheus operator."""
    operator = toolchain.module_directory("prometheus-operator")
    for file in (
        *module(EXTERNAL_SECRETS).glob("config/crds/bases/*.yaml"),
        *operator.glob("example/prometheus-operator-crd/*.yaml"),
    ):
        for each in yaml.load_all(file.read_text(), Loader=Loader):
            if each and each["kind"] == "CustomResourceDefinition":
                yield each["spec"]
