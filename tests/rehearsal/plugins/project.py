"""A small Pulumi project under the real engine, with state, plugins and home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from rehearsal.paths import Paths
from tests.rehearsal.plugins.harness import BIN

_PULUMI = Paths().tools / "bin" / "pulumi"
needs_engine = pytest.mark.skipif(not _PULUMI.exists(), reason="the Pulumi CLI is not built yet")
_LIMIT_S = 180


@dataclass
class Project:
    """runtime: the mapping of Pulumi.yaml. variables: of the environment the engine is given."""

    folder: Path
    program: str
    runtime: dict[str, Any] = field(default_factory=lambda: {"name": "python"})
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "state").mkdir(parents=True)
        (self.folder / "__main__.py").write_text(dedent(self.program))
        self.set_runtime(self.runtime)
        self.pulumi("stack", "init", "test")

    def set_runtime(self, runtime: dict[str, Any]) -> None:
        """Rewrites Pulumi.yaml."""
        text = json.dumps({"name": "project", "runtime": runtime})
        (self.folder / "Pulumi.yaml").write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the person's own set-up."""
        return {
            "PATH": f"{BIN}:{_PULUMI.parent}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "GROUNDWORK_PYTHON": sys.executable,
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_STACK": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_COMMANDS": "true",
            **self.variables,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The engine as a process of its own session, its output in one pipe."""
        return subprocess.Popen(
            [str(_PULUMI), "--non-interactive", "--color=never", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit status and all output."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            raise
        return process.returncode, output

    def pulumi(self, *arguments: str) -> str:
        """Output of a command that must succeed."""
        status, output = self.run(*arguments)
        assert status == 0, output
        return output

    def up(self, *arguments: str) -> dict[str, int]:
        """Updates; the number of resources by what was done with them (`same`, `create`, …)."""
        return self._changes("up", "--yes", "--skip-preview", *arguments)

    def destroy(self) -> dict[str, int]:
        """Destroys all resources; counts as `up`."""
        return self._changes("destroy", "--yes", "--skip-preview")

    def _changes(self, *arguments: str) -> dict[str, int]:
        self.pulumi(*arguments)
        history = json.loads(self.pulumi("stack", "history", "--json"))
        changes: dict[str, int] = history[0]["resourceChanges"]
        return changes

    def preview(self) -> list[dict[str, Any]]:
        """The planned steps."""
        steps: list[dict[str, Any]] = json.loads(_json_of(self.pulumi("preview", "--json")))[
            "steps"
        ]
        return steps

    def outputs(self) -> dict[str, Any]:
        """Stack outputs, secrets shown."""
        text = self.pulumi("stack", "output", "--json", "--show-secrets")
        outputs: dict[str, Any] = json.loads(_json_of(text))
        return outputs


def _json_of(output: str) -> str:
    """Without the lines before it, such as warnings."""
    return output[output.index("{\n") :] if "{\n" in output else output[output.index("{") :]
