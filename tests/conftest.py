"""Fixtures that several packages' tests use."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml

from rehearsal.paths import Paths
from rehearsal.toolchain import Toolchain
from settings import Settings, load
from tests.program import Run, copy_project, run

CHECKOUT = Path(__file__).resolve().parent.parent

ProjectMaker = Callable[..., Path]
ToolFinder = Callable[[str], Path]

ENVIRONMENTS = ("prod", "dev", "rehearsal")


@dataclass(frozen=True)
class Environment:
    """One committed stack file: its settings, and what the program does with them."""

    name: str
    settings: Settings
    run: Run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-expected",
        action="store_true",
        help="write tests/expected/, tests/delivery/golden and recorded, and the TypeScript "
        "consumer's types anew from what the program does now",
    )


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


EnvironmentMaker = Callable[..., Environment]


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory, key_pair: Path) -> EnvironmentMaker:
    """Runs the program for a stack file of this checkout, with changes laid on its settings."""

    def make(name: str, preview: bool = False, **changes: object) -> Environment:
        folder = tmp_path_factory.mktemp(name)
        project = copy_project(folder, name, key_pair, **changes)
        return Environment(name, load(project, name), run(project, name, preview))

    return make


@pytest.fixture(scope="session")
def _environments(make_environment: EnvironmentMaker) -> Callable[[str], Environment]:
    return cache(make_environment)


@pytest.fixture(params=ENVIRONMENTS)
def environment(
    request: pytest.FixtureRequest, _environments: Callable[[str], Environment]
) -> Environment:
    """Each committed stack file in turn; the program runs once for it, and tests only look."""
    return _environments(request.param)


@pytest.fixture
def prod(_environments: Callable[[str], Environment]) -> Environment:
    """The environment with no endpoint or mirror of its own."""
    return _environments("prod")


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The pinned tools of tools/tools.toml; a missing one is built, which takes minutes."""
    return Toolchain(Paths(), print)


@pytest.fixture(scope="session")
def tool(toolchain: Toolchain) -> ToolFinder:
    """The path of a tool by its name."""
    return lambda name: toolchain.ensure([name])[name]
