"""Fixtures that several packages' tests use."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parent.parent

ProjectMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def key_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ed25519 key pair; the private half's path."""
    key = tmp_path_factory.mktemp("keys") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


@pytest.fixture
def make_project(tmp_path: Path, key_pair: Path) -> ProjectMaker:
    """Makes a project folder with one valid stack file, `Pulumi.test.yaml`, and changes laid on."""

    def make(**changes: object) -> Path:
        settings: dict[str, object] = {
            "access": {"operator_cidrs": ["198.51.100.0/24"]},
            "ssh": {"private_key_file": str(key_pair), "public_key_file": f"{key_pair}.pub"},
        }
        for section, value in changes.items():
            below = settings.get(section)
            merge = isinstance(below, dict) and isinstance(value, dict)
            settings[section] = {**below, **value} if merge else value  # type: ignore[dict-item]
        document = {"config": {"groundwork:settings": settings}}
        (tmp_path / "Pulumi.test.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return tmp_path

    return make
