"""A tag is committed to the tree, alone, on top of whatever others pushed."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
import yaml

from operations.errors import OperationsError
from operations.images import publish, refuse, with_image

OVERLAY = """\
# the auth API
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namePrefix: auth-   # of every name
images:
  - name: registry.example/placeholder   # the base's
    newName: registry.example/auth
    newTag: v1.0.0   # by the build
patches:
  - path: deployment-patch.yaml
"""
DOMAINS = ("auth", "my", "scan")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    bare, first = tmp_path / "origin.git", tmp_path / "first"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(tmp_path, "clone", "--quiet", str(bare), str(first))
    for folder in (*(f"overlays/{d}" for d in DOMAINS), "workers/ai"):
        file = first / "gitops/tree/k8s" / folder / "kustomization.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(OVERLAY.replace("auth", folder.split("/")[1]))
    git(first, "add", ".")
    git(first, "commit", "--quiet", "-m", "tree")
    git(first, "push", "--quiet", "origin", "HEAD:main")
    return bare


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    return cloned(origin, tmp_path / "clone")


def cloned(origin: Path, to: Path) -> Path:
    """As a workflow's checkout is: the last commit alone."""
    git(origin.parent, "clone", "--quiet", "--depth=1", f"file://{origin}", str(to))
    return to


def tag(origin: Path, domain: str, folder: str = "overlays") -> str:
    file = f"main:gitops/tree/k8s/{folder}/{domain}/kustomization.yaml"
    return str(yaml.safe_load(git(origin, "show", file))["images"][0]["newTag"])


def messages(origin: Path) -> list[str]:
    return git(origin, "log", "--format=%s", "main").splitlines()


def test_only_the_tag_changes() -> None:
    assert with_image(OVERLAY, "v1.0.1") == OVERLAY.replace("v1.0.0", "v1.0.1")
    quoted = OVERLAY.replace("v1.0.0", "'v1.0.0'")
    assert with_image(quoted, "v1.0.1") == OVERLAY.replace("v1.0.0", "v1.0.1")
    both = with_image(OVERLAY, "v2", "123.dkr.ecr.example/team/auth")
    assert both == OVERLAY.replace(
        "registry.example/auth", "123.dkr.ecr.example/team/auth"
    ).replace("v1.0.0", "v2")


@pytest.mark.parametrize("text", ["1.10", "0123", "1e3", "true", "2026-11-21", "null", "1_000"])
def test_a_tag_stays_text(text: str) -> None:
    assert yaml.safe_load(with_image(OVERLAY, text))["images"][0]["newTag"] == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("images: [", "is no YAML"),
        ("", "must have one entry"),
        ("images: []", "must have one entry"),
        ("images: [{newTag: a}, {newTag: b}]", "must have one entry"),
        ("images: [{name: a, digest: sha256:0}]", "has no newTag to be changed"),
    ],
)
def test_a_kustomization_of_another_shape_is_refused(text: str, told: str) -> None:
    with pytest.raises(OperationsError, match=told):
        with_image(text, "v1.0.1")


@pytest.mark.parametrize(
    "tag", ["latest", "", "-v1", ".v1", "v1/2", "v1:2", "v1 2", "é", "v" * 129, "v1\n"]
)
def test_a_tag_that_may_not_be_deployed_is_refused(tag: str) -> None:
    with pytest.raises(OperationsError):
        refuse(tag)
    refuse("sha-0123456789ab")
    refuse("v" * 128)


@pytest.mark.parametrize("image", ["example/auth:v1", "example/", "Example/Auth/", "a b", ""])
def test_what_is_no_image_is_refused(image: str) -> None:
    with pytest.raises(OperationsError, match="is no image name"):
        refuse("v1", image)


def test_a_tag_is_one_commit_and_the_checkout_is_left_alone(origin: Path, clone: Path) -> None:
    file = clone / "gitops/tree/k8s/overlays/auth/kustomization.yaml"
    file.write_text("mine, and not committed")
    head = git(clone, "rev-parse", "HEAD")
    said = publish(clone, "auth", "v1.0.1")
    assert said == f"auth is at v1.0.1 on main: {git(origin, 'rev-parse', 'main')}"
    assert messages(origin) == ["auth: image v1.0.1", "tree"]
    assert git(origin, "diff", "--numstat", "main~1", "main").split("\t")[:2] == ["1", "1"]
    assert tag(origin, "auth") == "v1.0.1"
    assert tag(origin, "my") == "v1.0.0"
    assert (file.read_text(), git(clone, "rev-parse", "HEAD")) == ("mine, and not committed", head)
    assert git(clone, "worktree", "list").count("\n") == 0


def test_a_second_time_there_is_nothing_to_do(origin: Path, clone: Path) -> None:
    publish(clone, "auth", "v1.0.1")
    assert publish(clone, "auth", "v1.0.1") == "auth is at v1.0.1 on main already"
    assert len(messages(origin)) == 2


def test_a_worker_has_a_tag_too(origin: Path, clone: Path) -> None:
    publish(clone, "ai", "v1.0.1")
    assert tag(origin, "ai", "workers") == "v1.0.1"


def test_an_unknown_domain_is_refused_with_those_that_are_known(origin: Path, clone: Path) -> None:
    with pytest.raises(OperationsError, match="'nope' is not in the tree; there are ai, auth, my"):
        publish(clone, "nope", "v1.0.1")
    assert messages(origin) == ["tree"]


def first_by_hook(origin: Path, clone: Path, domain: str, tag: str) -> None:
    """Before the clone's first push is sent, another one arrives at origin."""
    other = cloned(origin, clone.with_name("other"))
    file = other / f"gitops/tree/k8s/overlays/{domain}/kustomization.yaml"
    file.write_text(with_image(file.read_text(), tag))
    git(other, "commit", "--quiet", "-am", f"{domain}: image {tag}")
    hook = clone / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    # what git sets for a hook is about the repository that it runs for
    own = "unset $(git rev-parse --local-env-vars)"
    hook.write_text(f"#!/bin/sh\nrm '{hook}'\n{own}\ngit -C '{other}' push -q origin HEAD:main\n")
    hook.chmod(0o755)


def test_a_push_that_came_first_stays_below(origin: Path, clone: Path) -> None:
    first_by_hook(origin, clone, "my", "v2.0.0")
    publish(clone, "auth", "v1.0.1")
    assert messages(origin) == ["auth: image v1.0.1", "my: image v2.0.0", "tree"]
    assert (tag(origin, "auth"), tag(origin, "my")) == ("v1.0.1", "v2.0.0")


def test_another_tag_for_the_same_image_is_not_written_over(origin: Path, clone: Path) -> None:
    first_by_hook(origin, clone, "auth", "v2.0.0")
    with pytest.raises(OperationsError, match="another tag for the same image was pushed to main"):
        publish(clone, "auth", "v1.0.1")
    assert messages(origin) == ["auth: image v2.0.0", "tree"]


def test_the_same_tag_pushed_first_is_as_good(origin: Path, clone: Path) -> None:
    first_by_hook(origin, clone, "auth", "v1.0.1")
    publish(clone, "auth", "v1.0.1")
    assert messages(origin) == ["auth: image v1.0.1", "tree"]


def test_builds_of_all_services_at_once_all_arrive(origin: Path, tmp_path: Path) -> None:
    clones = {domain: cloned(origin, tmp_path / domain) for domain in (*DOMAINS, "ai")}
    threads = [
        threading.Thread(target=publish, args=(clone, domain, "v3.0.0"))
        for domain, clone in clones.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(messages(origin)) == sorted([*(f"{d}: image v3.0.0" for d in clones), "tree"])


def test_a_push_that_origin_refuses_is_told_and_not_tried_again(origin: Path, clone: Path) -> None:
    hook = origin / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho x >>tries; echo main is protected >&2; exit 1\n")
    hook.chmod(0o755)
    with pytest.raises(OperationsError, match=r"origin refuses the push \(.*main is protected"):
        publish(clone, "auth", "v1.0.1")
    assert (origin / "tries").read_text() == "x\n"
