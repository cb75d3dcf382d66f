"""What an environment's settings and stacks say of where it is."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations.errors import OperationsError
from settings import Environment, SettingsError, environment
from settings.load import merged
from settings.sources import read_sources


@dataclass(frozen=True)
class Place:
    """Where a cluster is in AWS. cluster: its name, which AWS tags bear; endpoint_url: None for
    AWS's own."""

    cluster: str
    region: str
    endpoint_url: str | None


def place(project: Path, name: str) -> Place:
    """Where an environment is, or the one that a stack belongs to. Its other settings may be
    wrong. project: the folder with Pulumi.yaml. Raises OperationsError if there is none."""
    try:
        data: dict[str, Any] = merged(
            project, _environment(project, name).stacks[0].name, read_sources()
        ).data
    except SettingsError as error:
        raise OperationsError(str(error)) from None
    return Place(data["name"], data["aws"]["region"], data["aws"]["endpoint_url"])


@contextmanager
def kubeconfig(project: Path, name: str) -> Iterator[Path]:
    """A file with the kubeconfig of an environment, or of the one that a stack belongs to.

    Nobody else may read the file, and it goes at the end. Raises OperationsError if there is no
    such stack, or it has none to tell.
    """
    stack = _environment(project, name).owner("cluster").name
    asked = ["pulumi", "stack", "output", "kubeconfig", "--show-secrets", "--non-interactive"]
    try:
        done = subprocess.run(
            [*asked, "--stack", stack],
            cwd=project,
            # a key that nobody has committed yet is in the state too
            env={**os.environ, "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
    except FileNotFoundError:
        raise OperationsError("pulumi is not on PATH; install it, or give --kubeconfig") from None
    if done.returncode != 0:
        reason = " ".join(done.stderr.decode(errors="replace").split()) or "no reason given"
        raise OperationsError(f"the stack {stack} does not tell its kubeconfig ({reason})")
    with tempfile.TemporaryDirectory(prefix="kubeconfig-") as folder:  # its mode is 0700
        file = Path(folder, "kubeconfig")
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(done.stdout)
        yield file


def _environment(project: Path, name: str) -> Environment:
    try:
        return environment(project, name)
    except SettingsError as error:
        raise OperationsError(str(error)) from None
