"""The examples fit the contract and the tools of this checkout; types are checked as theirs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from contract import VERSION
from rehearsal.paths import CHECKOUT
from tests.contract import npm, teams
from tests.contract.teams import EXAMPLES

MAJOR = VERSION.split(".")[0]


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example where it stands in the repository, beside the schema."""
    folder = tmp_path_factory.mktemp("contract")
    shutil.copy(CHECKOUT / "contract" / "schema.json", folder)
    return teams.typescript(folder / "examples" / "typescript")


def test_the_types_are_generated_from_the_schema(
    typescript: Path, request: pytest.FixtureRequest
) -> None:
    done = npm.run("run", "generate", folder=typescript)
    assert done.returncode == 0, done.stderr
    made, kept = (typescript / "contract.ts").read_text(), EXAMPLES / "typescript" / "contract.ts"
    if request.config.getoption("--write-expected"):
        kept.write_text(made)
    assert kept.read_text() == made, f"run pytest --write-expected {Path(__file__).name}"


def test_a_wrong_name_is_an_error_of_types(typescript: Path) -> None:
    """As it stands it has none: the SDK checks types whenever it runs the program."""
    program = typescript / "index.ts"
    before = text = program.read_text()
    for old, new in (
        ('require("nodes")', 'require("hosts")'),
        ('require("api_server")', 'require("argocd_uri")'),
        ('require("kubeconfig")', 'require("cdn_url")'),  # not every environment has it
    ):
        assert old in text
        text = text.replace(old, new)
    program.write_text(text)
    try:
        said = npm.run("run", "check", folder=typescript).stdout
    finally:
        program.write_text(before)
    for name in ("hosts", "argocd_uri", "cdn_url"):
        assert f"Argument of type '\"{name}\"' is not assignable" in said


def test_the_python_example_is_typed(tmp_path: Path) -> None:
    """As its team checks it: in its own folder, where its modules are found."""
    folder = teams.python(tmp_path / "program")
    (folder / "wrong.py").write_text(
        "from platform_contract import InfraContract\n"
        "from platform_stack import read\n"
        "read('a/b/c', InfraContract).apply(lambda platform: platform.vpc)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "__main__.py", "wrong.py"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        'wrong.py:3: error: "InfraContract" has no attribute "vpc"  [attr-defined]',
        "Found 1 error in 1 file (checked 2 source files)",
    ]


def test_the_examples_are_of_this_major_version() -> None:
    written = {
        "typescript/platform.ts": r'MAJOR = "(\d+)"',
        "shell/platform.sh": r"^major=(\d+) ",
    }
    for name, pattern in written.items():
        found = re.search(pattern, (EXAMPLES / name).read_text(), re.MULTILINE)
        assert found and found[1] == MAJOR, name
    model = EXAMPLES / "python" / "platform_contract.py"
    assert model.read_text() == (CHECKOUT / "contract" / "model.py").read_text()


def test_the_examples_use_the_programs_own_versions() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = (EXAMPLES / "python" / "requirements.txt").read_text().split()
    assert set(wanted) <= set(project["dependencies"])
    package = json.loads((EXAMPLES / "typescript" / "package.json").read_text())
    sdk = f"pulumi=={package['dependencies']['@pulumi/pulumi']}"
    assert sdk in project["dependencies"]
