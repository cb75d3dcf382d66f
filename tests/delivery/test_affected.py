"""Which environments a change touches."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from delivery.affected import PROGRAM_FOLDERS, affected, delivered, touched
from delivery.errors import DeliveryError
from tests.delivery.shop import stack_file
from tests.program import CHECKOUT

ALL = ["dev", "prod", "staging"]


def test_environments_that_stand_elsewhere_are_not_delivered_to() -> None:
    assert delivered(CHECKOUT) == ALL


@pytest.mark.parametrize(
    ("files", "environments"),
    [
        (["Pulumi.dev.yaml"], ["dev"]),
        (["Pulumi.staging-cluster.yaml"], ["staging"]),
        (["Pulumi.staging.yaml", "Pulumi.dev.yaml"], ["dev", "staging"]),
        (["Pulumi.prod-infra.yaml"], ["prod"]),  # which is gone: prod was in several stacks
        (["Pulumi.gone.yaml"], []),
        (["Pulumi.rehearsal.yaml"], []),
        (["infra/nodes.py"], ALL),
        (["cluster/scripts/init.sh"], ALL),
        (["gitops/render.py"], ALL),
        (["gitops/health.lua"], ALL),
        (["settings/defaults.yaml"], ALL),
        (["contract/schema.json"], ALL),
        (["policy/iam.py"], ALL),
        (["__main__.py"], ALL),
        (["Pulumi.yaml"], ALL),
        (["requirements.lock"], ALL),
        (["gitops/tree/k8s/base/deployment.yaml", "gitops/tree/argocd/values.yaml"], []),
        (["docs/real-account.md", "README.md", "policy/README.md", "tests/test_go.py"], []),
        ([".github/workflows/ci.yml", "delivery/cli.py", "cost/prices.yaml", "Makefile"], []),
        (["sub/Pulumi.dev.yaml"], []),
        ([], []),
    ],
)
def test_what_a_change_touches(files: list[str], environments: list[str]) -> None:
    assert touched(CHECKOUT, files) == environments


def test_all_that_the_program_imports_is_of_the_program() -> None:
    tree = ast.parse((CHECKOUT / "__main__.py").read_text())
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    own = {name for name in names if (CHECKOUT / name).is_dir()}
    assert own and own <= set(PROGRAM_FOLDERS)


def test_of_commits(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(**files: str) -> str:
        for name, text in files.items():
            (tmp_path / f"Pulumi.{name}.yaml").write_text(text)
        git("add", ".")
        git("commit", "--quiet", "-m", "x")
        return git("rev-parse", "HEAD")

    git("init", "--quiet", "--initial-branch", "main")
    elsewhere = stack_file({"aws": {"endpoint_url": "http://192.0.2.1"}})
    first = commit(one=stack_file({}), two=stack_file({}), far=elsewhere)
    git("checkout", "--quiet", "-b", "change")
    commit(one=stack_file({"name": "a"}))
    git("checkout", "--quiet", "main")
    later = commit(two=stack_file({"name": "b"}))
    git("checkout", "--quiet", "change")
    assert affected(tmp_path, first) == ["one"]
    assert affected(tmp_path, later) == ["one"]  # what main got meanwhile is not of this change
    assert affected(tmp_path, "0" * 40) == ["one", "two"]
    with pytest.raises(DeliveryError, match="fetch the whole history"):
        affected(tmp_path, "f" * 40)


def test_an_environment_whose_settings_are_refused_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.bad.yaml").write_text("config: {groundwork:settings: [1]}\n")
    assert delivered(tmp_path) == ["bad"]
