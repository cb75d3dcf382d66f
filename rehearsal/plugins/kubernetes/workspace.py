"""A private folder for the life of one plugin process: kubeconfig, files of helm and kubectl.

The engine ends plugins with SIGKILL as often as not, so the folder is removed by a helper that
waits, in a session of its own, for the plugin's end of a pipe to close.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

_REMOVE_WHEN_ALONE = 'cat >/dev/null; rm -rf -- "$1"'


class Workspace:
    """Use as a context manager. `path` has mode 0700; it is gone soon after the process is."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="groundwork-kubernetes-"))
        helper = subprocess.Popen(
            ["setsid", "--fork", "sh", "-c", _REMOVE_WHEN_ALONE, "sh", str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._pipe = helper.stdin  # kept open, and kept from every other child
        helper.wait()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._pipe is not None:
            self._pipe.close()

    def folder(self, name: str) -> Path:
        """A folder in it, made if need be."""
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def write(self, name: str, text: str) -> Path:
        """A file in it (mode 0600), replaced at once so that no reader sees half of it."""
        descriptor, temporary = tempfile.mkstemp(dir=self.path)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        path = self.path / name
        Path(temporary).replace(path)
        return path
