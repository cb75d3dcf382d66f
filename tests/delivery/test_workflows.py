"""The workflows hold no logic of their own: every step is a target that tests run."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.comment import marker
from delivery.errors import Exit
from tests.delivery.fake_github import Fake, fake_github
from tests.delivery.shop import Runner, snapshot
from tests.delivery.test_request import BASE, HEAD, PULL, REVIEWS, event, review
from tests.program import CHECKOUT

FOLDER = CHECKOUT / ".github" / "workflows"
NAMES = ("bootstrap", "ci", "deploy", "drift", "preview")
_TARGET = re.compile(r"make ([a-z-]+)")
# What stands before a checkout is there, and the whole of CI, which `make test` is in.
SET_UP = (
    "apt-get -qq update && apt-get -qq install -y --no-install-recommends "
    "ca-certificates git make python3",
    ".ci/run",
)
# What each target is given by a workflow; GITHUB_… stand in every job.
GIVEN = {
    "affected": {"BASE"},
    "bootstrap": {"ENV"},
    "deploy": {"ENV", "PULUMI_BACKEND_URL"},
    "deploy-request": {"GITHUB_TOKEN"},
    "drift": {"ENV", "ISSUE", "GITHUB_TOKEN", "PULUMI_BACKEND_URL"},
    "environments": set(),
    "review": {"ENV", "OUT", "COMMIT", "PULUMI_BACKEND_URL"},
    "review-comment": {"ENV", "OUT", "PULL", "GITHUB_TOKEN"},
    "ssh-key": {"ENV", "SSH_PRIVATE_KEY"},
}


def workflow(name: str) -> dict[str, Any]:
    found = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    return {str(key).replace("True", "on"): value for key, value in found.items()}


def steps(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each step with its job."""
    for job in workflow(name)["jobs"].values():
        for step in job.get("steps", ()):
            yield job, step


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_a_target_or_a_line_of_set_up(name: str) -> None:
    for job, step in steps(name):
        if "run" not in step:
            continue
        if step["run"] in SET_UP:
            continue
        found = _TARGET.fullmatch(step["run"])
        assert found, step["run"]
        given = {**job.get("env", {}), **step.get("env", {})}
        assert given.keys() >= GIVEN[found[1]], (name, step)


def test_every_target_is_there_and_used() -> None:
    used = {
        found[1]
        for name in NAMES
        for _, step in steps(name)
        if (found := _TARGET.fullmatch(step.get("run", "")))
    }
    assert used == GIVEN.keys()
    text = (CHECKOUT / "Makefile").read_text()
    missing = [name for name in used if not re.search(rf"^{name}:.* ## ", text, re.MULTILINE)]
    assert not missing


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_pinned_and_nothing_is_let_in(name: str) -> None:
    text = (FOLDER / f"{name}.yml").read_text()
    for line in text.splitlines():
        if "uses: " in line and "uses: ./" not in line:
            assert re.search(r"uses: [\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", line), line
    found = workflow(name)
    assert not {"pull_request_target", "workflow_run"} & set(found["on"])
    assert found["permissions"] == {} and "concurrency" in found
    for job in found["jobs"].values():
        assert "write-all" not in str(job["permissions"])
        assert "uses" in job or "timeout-minutes" in job
    assert not re.search(r"(AWS_ACCESS_KEY|AWS_SECRET|PULUMI_ACCESS_TOKEN)", text)
    assert set(re.findall(r"secrets\.(\w+)", text)) <= {"SSH_PRIVATE_KEY"}


def test_what_may_write_comments_runs_no_code_of_the_pull_request() -> None:
    for job in workflow("preview")["jobs"].values():
        if "pull-requests" in job["permissions"]:
            refs = [s["with"].get("ref") for s in job["steps"] if "checkout" in s.get("uses", "")]
            assert refs == ["${{ github.event.pull_request.base.sha }}"]
            assert "id-token" not in job["permissions"]


def test_the_engine_is_the_one_that_the_rehearsal_runs() -> None:
    pinned = re.findall(r"pulumi==([\d.]+)", (CHECKOUT / "pyproject.toml").read_text())
    for name in NAMES:
        for _, step in steps(name):
            if step.get("uses", "").startswith("pulumi/actions@"):
                assert [step["with"]["pulumi-version"]] == pinned


# --- the targets that need no engine, on a clone; test_engine.py has the others


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_github() as made:
        yield made


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A clone with two commits, of which the second changes an environment."""
    base = tmp_path_factory.mktemp("clone")
    made = Runner(base / "checkout", base / "home", "http://127.0.0.1:9")
    made.home.mkdir()
    snapshot(made.folder)
    _git(made, "init", "--quiet", "--initial-branch", "main")
    _git(made, "add", ".")
    _git(made, "commit", "--quiet", "-m", "one")
    with (made.folder / "Pulumi.dev.yaml").open("a") as file:
        file.write("# changed\n")
    _git(made, "commit", "--quiet", "-am", "two")
    return made


def _git(runner: Runner, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    done = subprocess.run(
        ["git", *who, *arguments],
        cwd=runner.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_environments_and_those_affected(clone: Runner, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    base = _git(clone, "rev-parse", "HEAD~1")
    done = clone.make("affected", BASE=base, GITHUB_OUTPUT=str(outputs))
    assert (done.status, json.loads(done.out)) == (0, ["dev"]), done.err
    done = clone.make("environments", GITHUB_OUTPUT=str(outputs))
    assert (done.status, json.loads(done.out)) == (0, ["dev", "prod", "staging"]), done.err
    assert outputs.read_text().splitlines() == [
        'environments=["dev"]',
        'environments=["dev", "prod", "staging"]',
    ]
    assert "say BASE=" in clone.make("affected").err


def test_what_a_job_is_given_is_no_command(clone: Runner, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    text = f"$(touch {trap})`touch {trap}`'; touch {trap}; '\"; touch {trap}; \""
    assert clone.make("affected", BASE=text).status != 0
    assert clone.make("ssh-key", ENV=text, SSH_PRIVATE_KEY="x").status != 0
    assert not trap.exists()


def test_a_review_is_put_on_its_pull_request(clone: Runner, fake: Fake) -> None:
    file = clone.folder / "review.md"
    file.write_text(f"{marker('dev')}\none\n")
    given = {"ENV": "dev", "OUT": "review.md", "PULL": "7", **fake.variables}
    assert clone.make("review-comment", **given).status == 0
    file.write_text(f"{marker('dev')}\ntwo\n")
    done = clone.make("review-comment", **given)
    assert done.status == 0, done.err
    assert [each["body"] for each in fake.comments[7]] == [f"{marker('dev')}\ntwo\n"]
    refused = clone.make("review-comment", **{**given, "ENV": "prod"})
    assert refused.status != 0 and "is no preview of prod" in refused.err


@pytest.mark.parametrize("approved", [True, False])
def test_a_comment_that_asks_for_a_deployment(
    approved: bool, clone: Runner, fake: Fake, tmp_path: Path
) -> None:
    repository = fake.variables["GITHUB_REPOSITORY"]
    for who in ("kim", "park"):
        fake.answers[f"{BASE}/collaborators/{who}/permission"] = {"permission": "admin"}
    fake.answers[PULL] = {
        "number": 7,
        "state": "open",
        "draft": False,
        "user": {"login": "lee"},
        "head": {"sha": HEAD, "repo": {"full_name": repository}},
        "base": {"ref": "main"},
    }
    fake.answers[REVIEWS] = [review("park", "APPROVED")] if approved else []
    fake.answers[f"{BASE}/compare/main...{HEAD}"] = {"behind_by": 0}
    file, outputs = tmp_path / "event.json", tmp_path / "outputs"
    file.write_text(json.dumps(event("/deploy prod\r\n")))
    done = clone.run(
        ".venv/bin/python",
        "-m",
        "delivery",
        "request",
        GITHUB_EVENT_NAME="issue_comment",
        GITHUB_EVENT_PATH=str(file),
        GITHUB_OUTPUT=str(outputs),
        GITHUB_SERVER_URL="https://github.com",
        GITHUB_RUN_ID="1",
        **fake.variables,
    )
    (answer,) = fake.comments[7]
    if approved:
        assert done.status == 0, done.err
        assert outputs.read_text().splitlines() == ['environments=["prod"]', f"commit={HEAD}"]
        assert f"Deploying prod from {HEAD[:12]}" in answer["body"]
    else:
        assert done.status == Exit.REFUSED
        assert not outputs.exists()
        assert "Not deployed: nobody but its author has approved" in answer["body"]


def test_a_push_asks_by_its_target(clone: Runner, fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps({"before": _git(clone, "rev-parse", "HEAD~1")}))
    done = clone.make(
        "deploy-request",
        GITHUB_EVENT_NAME="push",
        GITHUB_EVENT_PATH=str(file),
        GITHUB_SHA=HEAD,
        **fake.variables,
    )
    assert done.status == 0, done.err
    assert json.loads(done.out) == {"environments": ["dev"], "commit": HEAD}
