"""The git repository that Argo CD pulls from: bare, served over HTTP, seeded from the checkout."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.mirrors import push_event
from rehearsal.paths import CHECKOUT, Paths

NAME = "groundwork.git"
URL = f"http://git.rehearsal.test/{NAME}"
BRANCH = "main"

_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "groundwork"), ("EMAIL", "groundwork@rehearsal.test"))
}


@dataclass(frozen=True)
class Seeded:
    """What a seed led to. commit: the branch's commit; changed: whether the seed made it."""

    commit: str
    changed: bool


def repository_path(paths: Paths) -> Path:
    """The bare repository; its folder is what the server is given as --git."""
    return paths.run / "git" / NAME


def create(repository: Path) -> None:
    """Makes the bare repository, or puts its settings and hook right if it exists."""
    repository.mkdir(parents=True, exist_ok=True)
    _git(repository, "init", "--bare", "--quiet", f"--initial-branch={BRANCH}", str(repository))
    settings = {
        "http.receivepack": "true",  # push without a user name
        "receive.autogc": "false",  # no gc left behind in the background
        "gc.auto": "0",
    }
    for key, value in settings.items():
        _git(repository, "config", key, value)
    hook = repository / "hooks" / "post-receive"
    command = f"exec {shlex.quote(sys.executable)} -m {push_event.__name__}"
    script = f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(CHECKOUT))} {command} "$PWD"\n'
    hook.parent.mkdir(exist_ok=True)
    new = hook.with_name("post-receive.new")
    new.write_text(script)
    new.chmod(0o755)
    new.rename(hook)


def seed(repository: Path, checkout: Path, tree: str = "gitops/tree") -> Seeded:
    """Commits the checkout's folder `tree`, as it is in the work tree, to the branch.

    It keeps its path, what git ignores stays out, other paths of the branch stay as they are. No
    commit if nothing changed. The webhook is told as of any push, so run this where its address
    can be reached. Raises RehearsalError if there is no such folder or no file in it.
    """
    if not (checkout / tree).is_dir():
        raise RehearsalError(f"{checkout / tree} is missing; Argo CD would have nothing to sync")
    create(repository)
    before = _head(repository)
    with tempfile.TemporaryDirectory(dir=repository, prefix="seed-") as folder:
        work = {"GIT_WORK_TREE": str(checkout), "GIT_INDEX_FILE": str(Path(folder, "index"))}
        if before:
            _git(repository, "read-tree", before, environment=work)
        _git(repository, "add", "--all", "--", tree, environment=work, cwd=checkout)
        if not _git(repository, "ls-files", "--", tree, environment=work, cwd=checkout):
            raise RehearsalError(f"{checkout / tree} holds no file that git would track")
        content = _git(repository, "write-tree", environment=work)
    if before and content == _git(repository, "rev-parse", f"{before}^{{tree}}"):
        return Seeded(before, changed=False)
    parents = ["-p", before] if before else []
    message = f"{tree} as in the checkout"
    commit = _git(
        repository, "commit-tree", content, *parents, "-m", message, environment=_IDENTITY
    )
    # The old value makes git refuse if somebody pushed meanwhile.
    reference = f"refs/heads/{BRANCH}"
    old = before or push_event.NOTHING
    _git(repository, "update-ref", reference, commit, old)
    push_event.announce(repository, push_event.Update(old, commit, reference))
    return Seeded(commit, changed=True)


def webhook(
    repository: Path,
    url: str | None,
    secret: str | None = None,
    *,
    verify_tls: bool = True,
    repository_url: str = URL,
) -> None:
    """Sets whom each push is told to, from now on; None: nobody.

    url: takes GitHub's push events, e.g. Argo CD's /api/webhook. secret: signs them.
    repository_url: under which Argo CD knows the repository. verify_tls: False for Argo CD's own
    certificate.
    """
    file = repository / push_event.SETTINGS
    if url is None:
        file.unlink(missing_ok=True)
        return
    settings = push_event.Webhook(url, secret, verify_tls, repository_url)
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(vars(settings), out)
    new.rename(file)


def _head(repository: Path) -> str | None:
    """The branch's commit, or None if there is none yet."""
    return (
        _git(repository, "for-each-ref", "--format=%(objectname)", f"refs/heads/{BRANCH}") or None
    )


def _git(
    repository: Path,
    *arguments: str,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Runs git on the repository, with none of the user's settings; returns its output."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd or repository,
        env=push_event.ENVIRONMENT | {"GIT_DIR": str(repository)} | (environment or {}),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise RehearsalError(f"git {arguments[0]} failed on {repository}: {reason[-1]}")
    return done.stdout.strip()
