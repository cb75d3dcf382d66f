"""Finds or builds the tools of tools/tools.toml; what is built is cached by version and source."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.paths import Paths

GO = (1, 26)
_FORMAT = "1"  # raised when the way of building changes


@dataclass(frozen=True)
class Tool:
    """One module of tools/. binaries: name -> Go package; see tools/tools.toml for the rest."""

    name: str
    version: str
    folder: Path
    binaries: Mapping[str, str]
    ldflags: Sequence[str] = ()
    ask: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """<name>-<version>-<hash of what determines the build>."""
        digest = hashlib.sha256(
            json.dumps([_FORMAT, dict(self.binaries), list(self.ldflags)]).encode()
        )
        for file in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            digest.update(str(file.relative_to(self.folder)).encode())
            digest.update(file.read_bytes())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:10]}"


def catalogue(folder: Path) -> dict[str, Tool]:
    """The tools of <folder>/tools.toml by name, in the order of the file."""
    data = tomllib.loads((folder / "tools.toml").read_text())
    return {
        name: Tool(
            name=name,
            version=entry["version"],
            folder=folder / name,
            binaries=entry["binaries"],
            ldflags=tuple(entry.get("ldflags", ())),
            ask=entry.get("ask", {}),
        )
        for name, entry in data.items()
    }


class Toolchain:
    """Tools by name, each found on PATH, in the cache, or built."""

    def __init__(self, paths: Paths, report: Callable[[str], None]) -> None:
        self._paths, self._report = paths, report
        self.tools = catalogue(paths.checkout / "tools")

    def ensure(self, names: Iterable[str] | None = None) -> dict[str, Path]:
        """Binary name -> path, for the named tools or all; <cache>/tools/bin links to each.

        Raises RehearsalError naming the log if a build fails. A killed build leaves nothing.
        """
        found: dict[str, Path] = {}
        for name in names or self.tools:
            found.update(self._ensure(self.tools[name]))
        return found

    def module_directory(self, name: str) -> Path:
        """Where Go keeps the source of the first binary's module, for its manifests."""
        tool = self.tools[name]
        package = next(iter(tool.binaries.values()))
        done = self._go(
            ["list", "-f", "{{.Module.Dir}}", package], tool.folder, capture_output=True
        )
        if done.returncode != 0:
            self._go(["mod", "download"], tool.folder)
            done = self._go(
                ["list", "-f", "{{.Module.Dir}}", package], tool.folder, capture_output=True
            )
        if done.returncode != 0:
            raise RehearsalError(f"go list {package} failed: {done.stderr.strip()[-500:]}")
        return Path(done.stdout.strip())

    def _ensure(self, tool: Tool) -> dict[str, Path]:
        links = self._paths.tools / "bin"
        links.mkdir(parents=True, exist_ok=True)
        target = self._paths.tools / tool.key / "bin"
        found = {name: _on_path(name, ask, tool.version) for name, ask in tool.ask.items()}
        wanted = [name for name in tool.binaries if found.get(name) is None]
        if any(not (target / name).exists() for name in wanted):
            with _lock(self._paths.tools / f"{tool.name}.lock"):
                if any(not (target / name).exists() for name in wanted):
                    self._build(tool, target)
        result = {name: found.get(name) or target / name for name in tool.binaries}
        for name, path in result.items():
            _link(links / name, path)
        return result

    def _build(self, tool: Tool, target: Path) -> None:
        """Builds into a scratch folder beside the target and renames it: all or nothing."""
        _check_go()
        log = self._paths.tools / f"{tool.name}.log"
        log.write_bytes(b"")
        for stale in self._paths.tools.glob(f".{tool.name}-*"):
            shutil.rmtree(stale)
        begin = time.monotonic()
        scratch = Path(tempfile.mkdtemp(prefix=f".{tool.name}-", dir=self._paths.tools))
        try:
            (scratch / "bin").mkdir()
            ldflags = " ".join(["-s", "-w", *tool.ldflags])
            for number, (name, package) in enumerate(tool.binaries.items(), 1):
                self._report(
                    f"building {tool.name} {tool.version}: {name} "
                    f"({number} of {len(tool.binaries)})"
                )
                output = str(scratch / "bin" / name)
                arguments = ["build", "-trimpath", "-ldflags", ldflags, "-o", output, package]
                done = self._go(arguments, tool.folder, log=log)
                if done.returncode != 0:
                    raise RehearsalError(
                        f"building {tool.name} {tool.version} failed; see {log}, fix the cause "
                        "(network to the Go module proxy? disk?) and run this again"
                    )
            shutil.rmtree(target.parent, ignore_errors=True)
            scratch.rename(target.parent)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self._report(f"built {tool.name} {tool.version} in {time.monotonic() - begin:.0f} s")

    def _go(
        self,
        arguments: Sequence[str],
        folder: Path,
        log: Path | None = None,
        capture_output: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Runs go in a process group of its own, ended with this call however it ends."""
        environment = {
            **os.environ,
            "CGO_ENABLED": "0",
            "GOFLAGS": "-mod=readonly -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        with (log or Path(os.devnull)).open("ab") as sink:
            process = subprocess.Popen(
                ["nice", "go", *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if capture_output else sink,
                stderr=subprocess.PIPE if capture_output else sink,
                text=True,
                start_new_session=True,
            )
            try:
                out, err = process.communicate()
            except BaseException:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _on_path(name: str, ask: Sequence[str], version: str) -> Path | None:
    """A binary on PATH whose answer names exactly this version."""
    path = shutil.which(name)
    if path is None:
        return None
    try:
        done = subprocess.run([path, *ask], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (
        Path(path) if re.search(rf"(?<![\d.]){re.escape(version)}(?![\d.])", done.stdout) else None
    )


def _check_go() -> None:
    wanted = ".".join(map(str, GO))
    if shutil.which("go") is None:
        raise RehearsalError(f"go is not on PATH; install Go {wanted} or newer (go.dev/dl)")
    text = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True).stdout
    match = re.match(r"go(\d+)\.(\d+)", text)
    if match is None or (int(match[1]), int(match[2])) < GO:
        raise RehearsalError(f"Go {wanted} or newer is needed, and go is {text.strip()}; update it")


def _link(link: Path, path: Path) -> None:
    if link.is_symlink() and link.readlink() == path:
        return
    new = link.with_name(f".{link.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(path)
    new.rename(link)


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main() -> int:
    """`python -m rehearsal.toolchain [tool…]`: builds what is missing."""
    try:
        Toolchain(Paths(), print).ensure(sys.argv[1:] or None)
    except RehearsalError as error:
        print(f"toolchain: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
