"""Which services a push changed, so that only their images are built."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from operations.errors import OperationsError

_FOLDER = "services"  # one folder a service, each with the Dockerfile of its image
_NAME = re.compile(r"[a-z][a-z0-9-]*")  # it names the image too


def changed(checkout: Path, before: str, after: str) -> list[str]:
    """Names of the services whose folders differ between two commits, sorted.

    All services if `before` is not in the repository: the branch is new, or was rewritten. Raises
    OperationsError if `after` is not, and for a name that no image can have.
    """
    services = {
        path.split("/")[1]
        for path in _git(checkout, "ls-tree", "-r", "--name-only", after, "--", _FOLDER)
        if path.count("/") == 2 and path.endswith("/Dockerfile")
    }
    for name in services:
        if not _NAME.fullmatch(name):
            raise OperationsError(
                f"{_FOLDER}/{name} names no image; use small letters, digits and '-'"
            )
    known = subprocess.run(
        ["git", "-C", str(checkout), "cat-file", "-e", f"{before}^{{commit}}"], capture_output=True
    )
    if known.returncode != 0:
        return sorted(services)
    paths = _git(checkout, "diff", "--name-only", "--no-renames", before, after, "--", _FOLDER)
    return sorted(services & {path.split("/")[1] for path in paths if path.count("/") > 1})


def _git(checkout: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", "-C", str(checkout), "-c", "core.quotePath=false", *arguments],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or "no reason given"
        raise OperationsError(f"git {arguments[0]} failed in {checkout} ({reason})")
    return done.stdout.splitlines()
