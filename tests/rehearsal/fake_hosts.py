"""Hosts that are one process each, in the right network namespace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.hosts.host import HostSpec
from tests.rehearsal.netns import PORT, SERVER, python, until


class FakeHost:
    """Answers at its port, as `tests.rehearsal.netns.server` does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        saved = json.loads((directory / "spec.json").read_text())
        self.spec = HostSpec(**{**saved, "base": Path(saved["base"])})

    @property
    def pid(self) -> int | None:
        try:
            pid = int((self.directory / "pid").read_text())
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, ValueError):
            return None
        return None if fields[0] == "Z" else pid

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def boots(self) -> int:
        return len((self.directory / "boots").read_text().splitlines())

    def boot(self) -> None:
        if (self.directory.parent / f"{self.spec.name}.broken").exists():
            raise RehearsalError("The disk is on fire; replace it.")
        if self.running:
            return
        process = subprocess.Popen(
            python(self.spec.netns, "-c", SERVER, "0.0.0.0", str(PORT), "tcp"),
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        (self.directory / "pid").write_text(str(process.pid))
        with (self.directory / "boots").open("a") as file:
            file.write("boot\n")

    def shutdown(self, timeout_s: float) -> None:
        self.kill()

    def kill(self) -> None:
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGKILL)
            until(lambda: not self.running)

    def remove(self) -> None:
        self.kill()
        for file in self.directory.iterdir():
            file.unlink()
        self.directory.rmdir()


class FakeHosts:
    """The hosts in a folder. One whose name has a `.broken` file beside it can't boot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, spec: HostSpec) -> FakeHost:
        directory = self.folder / spec.name
        directory.mkdir(parents=True, exist_ok=True)
        saved = {**asdict(spec), "base": str(spec.base)}
        (directory / "spec.json").write_text(json.dumps(saved))
        return FakeHost(directory)

    def list(self) -> Sequence[FakeHost]:
        return [FakeHost(file.parent) for file in sorted(self.folder.glob("*/spec.json"))]

    def __getitem__(self, name: str) -> FakeHost:
        return FakeHost(self.folder / name)
