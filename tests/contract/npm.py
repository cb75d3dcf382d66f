"""A program's npm packages, installed once for each lock and kept in the rehearsal's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from rehearsal.paths import Paths
from rehearsal.plugins.language_nodejs import node, npm

_FILES = ("package.json", "package-lock.json", ".npmrc")


def install(folder: Path) -> Path:
    """node_modules by the lock in `folder`, with development's; asks a registry the first time."""
    digest = hashlib.sha256(b"".join((folder / name).read_bytes() for name in _FILES))
    kept = Paths().cache / "npm"
    kept.mkdir(parents=True, exist_ok=True)
    target = kept / digest.hexdigest()[:16]
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            scratch = Path(tempfile.mkdtemp(prefix=".", dir=kept))
            try:
                for name in _FILES:
                    shutil.copy(folder / name, scratch)
                done = run("ci", folder=scratch)
                assert done.returncode == 0, done.stderr
                scratch.rename(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return target / "node_modules"


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """An npm command in `folder`, with the person's own registry."""
    path = f"{node().parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [*npm(), *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
