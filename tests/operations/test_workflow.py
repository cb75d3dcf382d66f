"""The workflow `api-build`: its scripts run here as a runner runs them, with a docker and an aws
that only note how they are called."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operations.test_images import OVERLAY, git, messages

CHECKOUT = Path(__file__).resolve().parents[2]
WORKFLOW: dict[str, Any] = yaml.safe_load(
    (CHECKOUT / ".github/workflows/api-build.yml").read_text()
)
JOBS: dict[str, Any] = WORKFLOW["jobs"]
FAKE = '#!/bin/sh\necho "$(basename "$0") $*" >>"$LOG"\n'


def steps(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = JOBS[job]["steps"]
    return found


def script(job: str, part: str) -> str:
    (found,) = (s["run"] for s in steps(job) if part in s.get("run", ""))
    return str(found)


def run(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a runner does: bash, stopping at the first failure."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone of a team's repository, with the program and two services."""
    bare, clone = tmp_path / "origin.git", tmp_path / "clone"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(tmp_path, "clone", "--quiet", str(bare), str(clone))
    shutil.copytree(CHECKOUT / "operations", clone / "operations")
    (clone / ".gitignore").write_text("__pycache__\n")
    for name in ("auth", "my"):
        (clone / "services" / name).mkdir(parents=True)
        (clone / "services" / name / "Dockerfile").write_text("FROM scratch\n")
        overlay = clone / "gitops/tree/k8s/overlays" / name
        overlay.mkdir(parents=True)
        (overlay / "kustomization.yaml").write_text(OVERLAY)
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "-m", "all")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    return clone


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, str]:
    """docker and aws on PATH, which note how they are called; python3 is this one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("docker", "aws"):
        (folder / name).write_text(FAKE)
        (folder / name).chmod(0o755)
    (folder / "python3").symlink_to(sys.executable)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}


def test_changed_services_become_jobs(repository: Path, programs: dict[str, str]) -> None:
    before = git(repository, "rev-parse", "HEAD")
    (repository / "services/auth/main.py").write_text("x")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "auth")
    after = git(repository, "rev-parse", "HEAD")
    output = repository.parent / "output"
    # -S: as a runner's own Python, which has nothing installed
    text = script("changes", "changed-services").replace("python3", "python3 -S")
    done = run(text, repository, BEFORE=before, AFTER=after, GITHUB_OUTPUT=str(output), **programs)
    assert done.returncode == 0, done.stderr
    assert output.read_text() == f'services=["auth"]\ntag=sha-{after[:12]}\n'


@pytest.mark.parametrize("there", [True, False])
def test_an_image_is_pushed_once(programs: dict[str, str], tmp_path: Path, there: bool) -> None:
    docker = Path(programs["PATH"].split(":")[0], "docker")
    if not there:
        docker.write_text(FAKE + '[ "$1" != manifest ]\n')
    environment = {"SERVICE": "auth", "TAG": "sha-0", "REGION": "eu-west-1"}
    registry = "123.dkr.ecr.eu-west-1.example/team"
    text = script("push", "docker push")
    done = run(text, tmp_path, REGISTRY=registry, **environment, **programs)
    assert done.returncode == 0, done.stderr
    called = Path(programs["LOG"]).read_text().splitlines()
    assert "docker login --username AWS --password-stdin 123.dkr.ecr.eu-west-1.example" in called
    assert (f"docker push {registry}/auth:sha-0" in called) is not there
    assert called.index("docker load --input image.tar") < called.index(
        f"docker tag auth:sha-0 {registry}/auth:sha-0"
    )


def test_the_tag_is_committed_with_the_jobs_own_token(
    repository: Path, programs: dict[str, str]
) -> None:
    environment = JOBS["commit"]["env"] | {
        "SERVICE": "auth",
        "TAG": "sha-0",
        "REGISTRY": "123.example/team",
        "TOKEN": "planted",
        "GITHUB_SERVER_URL": "https://example.org",
    }
    done = run(script("commit", "set-image"), repository, **environment, **programs)
    assert done.returncode == 0, done.stderr
    assert "planted" not in done.stdout + done.stderr
    origin = repository.parent / "origin.git"
    assert messages(origin) == ["auth: image sha-0", "all"]
    shown = git(origin, "show", "main:gitops/tree/k8s/overlays/auth/kustomization.yaml")
    entry = yaml.safe_load(shown)["images"][0]
    assert (entry["newName"], entry["newTag"]) == ("123.example/team/auth", "sha-0")
    assert git(origin, "log", "-1", "--format=%an", "main") == "api-build"
    assert "planted" not in (repository / ".git/config").read_text()


def test_no_job_has_more_rights_than_its_work_needs() -> None:
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "changes": {"contents": "read"},
        "build": {"contents": "read"},
        "push": {"id-token": "write"},
        "commit": {"contents": "write"},
    }
    # what a pull request brings is run with nothing to be taken
    assert JOBS["push"]["if"] == "github.event_name == 'push'"
    assert "push" in JOBS["commit"]["needs"]
    assert "secrets." not in (CHECKOUT / ".github/workflows/api-build.yml").read_text()


def test_actions_are_pinned_and_no_expression_is_in_a_script() -> None:
    for job in JOBS:
        for step in steps(job):
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
            assert "${{" not in step.get("run", ""), step
