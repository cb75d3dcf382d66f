"""Stacks of several teams in one backend, under the real engine, wherever that runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.paths import CHECKOUT, Paths
from tests.contract.npm import install

EXAMPLES = CHECKOUT / "contract" / "examples"
PLUGINS = CHECKOUT / "rehearsal" / "plugins" / "bin"
TOOLS = Paths().tools / "bin"
_LIMIT_S = 300


@dataclass(frozen=True)
class Site:
    """Where the engine runs. environment: all of a command's. enter: makes a command one there."""

    environment: Mapping[str, str]
    secrets_provider: str = "passphrase"
    enter: Callable[[Sequence[str]], Sequence[str]] = list

    def run(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """A command, whatever becomes of it."""
        return subprocess.run(
            self.enter(command),
            cwd=folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT_S,
        )


@dataclass(frozen=True)
class Team:
    """One stack, of the program in `folder`."""

    site: Site
    folder: Path
    stack: str

    def begin(self) -> Team:
        """Makes the stack."""
        self.pulumi("stack", "init", "--secrets-provider", self.site.secrets_provider)
        return self

    def run(self, *arguments: str, **config: str) -> subprocess.CompletedProcess[str]:
        """A command on the stack, whatever becomes of it."""
        given = [f"--config={key}={value}" for key, value in config.items()]
        command = ["pulumi", "--non-interactive", "--color=never", *arguments, *given]
        return self.site.run(self.folder, *command, "--stack", self.stack)

    def pulumi(self, *arguments: str, **config: str) -> str:
        """What a command prints that must succeed."""
        done = self.run(*arguments, **config)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def up(self, **config: str) -> str:
        """A preview and an update."""
        return self.pulumi("up", "--yes", **config)

    def refused(self, **config: str) -> str:
        """What a preview prints that must fail."""
        done = self.run("preview", **config)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def outputs(self) -> dict[str, Any]:
        """All of the stack's, secrets shown."""
        done = self.run("stack", "output", "--json", "--show-secrets")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def inputs(self) -> dict[str, Any]:
        """Inputs of its resources by name, as they are stored: secrets are encrypted."""
        resources = json.loads(self.pulumi("stack", "export"))["deployment"]["resources"]
        return {each["urn"].rpartition("::")[2]: each.get("inputs", {}) for each in resources}

    def shown(self) -> str:
        """What of it is stored and shown: its state and outputs."""
        return self.pulumi("stack", "export") + self.pulumi("stack", "output", "--json")

    def end(self) -> None:
        """Destroys what is there, and the stack."""
        self.pulumi("destroy", "--yes", "--skip-preview")
        self.pulumi("stack", "rm", "--yes")


def python(folder: Path) -> Path:
    """The Python example in `folder`, with this Python's packages as its virtualenv."""
    made = shutil.copytree(EXAMPLES / "python", folder)
    (made / "venv").symlink_to(sys.prefix)
    return made


def typescript(folder: Path) -> Path:
    """The TypeScript example in `folder`, with its packages."""
    ignored = shutil.ignore_patterns("node_modules")
    made = shutil.copytree(EXAMPLES / "typescript", folder, ignore=ignored)
    (made / "node_modules").symlink_to(install(made))
    return made


def shell(site: Site, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The shell example, run in `folder`."""
    return site.run(folder, str(EXAMPLES / "shell" / "platform.sh"), *arguments)
