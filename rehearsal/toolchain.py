"""Finds or builds the tools of tools/tools.toml; what is built is cached by version and source."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.errors import RehearsalError
from rehearsal.paths import Paths

_FORMAT = "2"  # raised when the way of building changes
_REPORT_EVERY_S = 20.0
_LOCK_RETRY_S = 0.5
_REQUIRED, _KNOWN = {"version", "binaries", "why"}, {"ldflags", "tags", "ask", "copied"}


@dataclass(frozen=True)
class Tool:
    """One module of tools/; what the fields mean is said in tools/tools.toml."""

    name: str
    version: str
    folder: Path
    binaries: Mapping[str, str]
    why: str
    ldflags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    copied: bool = False

    @property
    def key(self) -> str:
        """<name>-<version>-<hash of all that determines the build>."""
        digest = hashlib.sha256(
            json.dumps([_FORMAT, [*self.binaries.items()], self.ldflags]).encode()
        )
        if self.tags:
            digest.update(json.dumps(self.tags).encode())
        for file in sorted(self.folder.rglob("*")):
            if file.suffix in {".go", ".mod", ".sum"} and not file.name.endswith("_test.go"):
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{file.relative_to(self.folder)} {content}\n".encode())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:10]}"

    @property
    def go(self) -> tuple[int, ...]:
        """The oldest Go that builds it, from its go.mod: (1, 25, 0)."""
        line = re.search(r"^go ([\d.]+)$", (self.folder / "go.mod").read_text(), re.MULTILINE)
        if line is None:
            raise RehearsalError(f"{self.folder / 'go.mod'} has no go line; add one")
        return _numbers(line[1])


def catalogue(folder: Path) -> dict[str, Tool]:
    """The tools of <folder>/tools.toml by name, in the order of the file.

    Raises RehearsalError for a file that is missing, broken, or has keys that are not known.
    """
    file = folder / "tools.toml"
    try:
        data = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise RehearsalError(f"{file} cannot be read: {error}; restore it") from error
    return {name: _tool(file, name, entry) for name, entry in data.items()}


def _tool(file: Path, name: str, entry: dict[str, Any]) -> Tool:
    if missing := _REQUIRED - entry.keys():
        raise RehearsalError(f"{file}: [{name}] has no {', '.join(sorted(missing))}; add it")
    if unknown := entry.keys() - _REQUIRED - _KNOWN:
        raise RehearsalError(f"{file}: [{name}] has unknown keys {sorted(unknown)}; remove them")
    tool = Tool(
        name=name,
        version=entry["version"],
        folder=file.parent / name,
        binaries=entry["binaries"],
        why=entry["why"],
        ldflags=tuple(entry.get("ldflags", ())),
        tags=tuple(entry.get("tags", ())),
        ask=tuple(entry.get("ask", ())),
        copied=entry.get("copied", False),
    )
    if tool.ask and len(tool.binaries) != 1:
        raise RehearsalError(f"{file}: [{name}] has ask and several binaries; remove ask")
    return tool


class Toolchain:
    """Tools by name, each found on PATH, in the cache, or built.

    `ensure` may run in a thread; `cancel` may be called from any other.
    """

    def __init__(self, paths: Paths, report: Callable[[str], None]) -> None:
        self._paths, self._report = paths, report
        self.tools = catalogue(paths.checkout / "tools")
        self._links = paths.tools / "bin"
        self._cancelled = threading.Event()
        self._guard = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def ensure(self, names: Iterable[str] | None = None) -> dict[str, Path]:
        """Binary name -> path, for the named tools or all; <paths.tools>/bin links to each.

        Builds what is missing, one module at a time in the catalogue's order. Raises
        RehearsalError for an unknown tool, a Go that is missing or too old, a failed build (with
        its log's name), a cache that cannot be written, and after `cancel`. A build that is
        interrupted leaves no process and nothing that a later one would take for whole.
        """
        wanted = self._named(names)
        try:
            self._links.mkdir(parents=True, exist_ok=True)
            found = {tool.name: self._find(tool) for tool in wanted}
            missing = [tool for tool in wanted if found[tool.name] is None]
            if missing:
                _check_go(missing)
            for tool in missing:
                found[tool.name] = self._build_once(tool)
            paths = {name: path for each in found.values() for name, path in (each or {}).items()}
            for name, path in paths.items():
                _link(self._links / name, path)
        except OSError as error:
            raise RehearsalError(
                f"tools cannot be kept in {self._paths.tools}: {error}; make room or access there, "
                "or set GROUNDWORK_CACHE to another folder"
            ) from error
        return paths

    def cancel(self) -> None:
        """Ends the build that runs, and `ensure` with it, as well as all later ones."""
        with self._guard:
            self._cancelled.set()
            if self._child is not None:
                _end(self._child)

    def module_directory(self, name: str, package: str = "") -> Path:
        """The source of the module that a tool's first binary comes from, fetched if need be.

        package: another one that the tool is built of, where the binary is a program of ours.
        """
        (tool,) = self._named([name])
        _check_go([tool])
        package = package or next(iter(tool.binaries.values()))
        done = subprocess.run(
            ["go", "list", "-find", "-f", "{{.Module.Dir}}", package],
            cwd=tool.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RehearsalError(
                f"the source of {tool.name} {tool.version} cannot be had: {_cause(done.stderr)}; "
                "check the network to the Go module proxy"
            )
        return Path(done.stdout.strip())

    def _named(self, names: Iterable[str] | None) -> list[Tool]:
        """In the catalogue's order, each once."""
        wanted = set(self.tools if names is None else names)
        if unknown := wanted - self.tools.keys():
            raise RehearsalError(
                f"no tool is called {', '.join(sorted(unknown))}; there are {', '.join(self.tools)}"
            )
        return [tool for name, tool in self.tools.items() if name in wanted]

    def _target(self, tool: Tool) -> dict[str, Path]:
        return {name: self._paths.tools / tool.key / "bin" / name for name in tool.binaries}

    def _find(self, tool: Tool) -> dict[str, Path] | None:
        """The tool's binaries, built before or on PATH; None if they must be built."""
        target = self._target(tool)
        if all(path.exists() for path in target.values()):
            return target
        if tool.ask and (path := _on_path(tool, self._paths.tools)):
            return {name: path for name in tool.binaries}
        return None

    def _build_once(self, tool: Tool) -> dict[str, Path]:
        """Builds it unless another process has done so while this one waited for it."""
        target = self._target(tool)
        with self._lock(tool):
            if not all(path.exists() for path in target.values()):
                self._build(tool)
        return target

    @contextmanager
    def _lock(self, tool: Tool) -> Iterator[None]:
        """Held by one process at a time; the kernel gives it back however that one ends."""
        with (self._paths.tools / f"{tool.name}.lock").open("w") as handle:
            waiting = False
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not waiting:
                        self._report(f"waiting for another process that builds {tool.name}")
                    waiting = True
                if self._cancelled.wait(_LOCK_RETRY_S):
                    raise _cancelled()
            yield

    def _build(self, tool: Tool) -> None:
        """Builds into a scratch folder beside the target and renames it: all or nothing."""
        for stale in self._paths.tools.glob(f".{tool.name}-*"):
            shutil.rmtree(stale, ignore_errors=True)
        log = self._paths.tools / f"{tool.name}.log"
        log.write_bytes(b"")
        begin = time.monotonic()
        scratch = Path(tempfile.mkdtemp(prefix=f".{tool.name}-", dir=self._paths.tools))
        try:
            whole, work = scratch / "whole", scratch / "work"
            (whole / "bin").mkdir(parents=True)
            work.mkdir()
            for number, (name, package) in enumerate(tool.binaries.items(), 1):
                what = f"{tool.name} {tool.version} ({name}, {number} of {len(tool.binaries)})"
                self._report(f"building {what}")
                flags = " ".join(["-s", "-w", *tool.ldflags])
                command = ["build", "-v", "-trimpath", "-tags", ",".join(tool.tags)]
                command += ["-ldflags", flags]
                command += ["-o", str(whole / "bin" / name), package]
                if self._go(command, tool.folder, work, log, what) != 0:
                    raise RehearsalError(
                        f"building {what} failed: {_cause(log.read_text(errors='replace'))}; "
                        f"the whole log is {log}; fix the cause and run it again"
                    )
            final = self._paths.tools / tool.key
            shutil.rmtree(final, ignore_errors=True)
            whole.rename(final)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self._report(f"built {tool.name} {tool.version} in {time.monotonic() - begin:.0f} s")

    def _go(self, arguments: Sequence[str], folder: Path, work: Path, log: Path, what: str) -> int:
        """Runs go in a process group of its own, which ends when this call ends; its exit code.

        If this process is killed, the kernel kills go (setpriv); nice leaves the processors to
        whatever else is being set up.
        """
        command = ["setpriv", "--pdeathsig", "KILL", "nice", "go", *arguments]
        with log.open("ab") as sink, self._guard:
            if self._cancelled.is_set():
                raise _cancelled()
            child = self._child = subprocess.Popen(
                command,
                cwd=folder,
                env={**_environment(), "GOTMPDIR": str(work)},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
            ended = os.pidfd_open(child.pid)
        try:
            self._wait(ended, log, what)
            code = child.wait()
        except BaseException:
            _end(child)
            raise
        finally:
            os.close(ended)
            with self._guard:
                self._child = None
        if self._cancelled.is_set():
            raise _cancelled()
        return code

    def _wait(self, ended: int, log: Path, what: str) -> None:
        """Until that pidfd's process ends, telling now and then how far it is."""
        begin = time.monotonic()
        while not select.select([ended], [], [], _REPORT_EVERY_S)[0]:
            lines = log.read_text(errors="replace").splitlines()
            packages = sum(" " not in line for line in lines)
            passed = time.monotonic() - begin
            self._report(f"building {what}: {packages} packages compiled, {passed:.0f} s")


def _cancelled() -> RehearsalError:
    return RehearsalError("building the tools was cancelled; run it again to go on")


def _environment() -> dict[str, str]:
    """The caller's, where the proxy and Go's own caches are named, less what changes the build."""
    dropped = {"GOOS", "GOARCH", "GO111MODULE", "GOEXPERIMENT", "GODEBUG"}
    return {name: value for name, value in os.environ.items() if name not in dropped} | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kills the child's whole group: go alone would leave its compilers running."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait()


def _cause(log: str) -> str:
    """The first line of Go's output that tells of an error, for a sentence."""
    for line in log.splitlines():
        told = " " in line and not line.startswith(("go: downloading ", "# "))
        if told:
            return line.strip()[:300]
    return "it was killed or said nothing"


def _on_path(tool: Tool, cache: Path) -> Path | None:
    """The tool on PATH, if it says that it is of just this version; never the cache's own link."""
    (name,) = tool.binaries
    for folder in os.get_exec_path():
        path = Path(folder or ".") / name
        if not (path.is_file() and os.access(path, os.X_OK)):
            continue
        if path.resolve().is_relative_to(cache.resolve()):
            continue
        try:
            done = subprocess.run(
                [path, *tool.ask],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=20,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        same = tool.version in (word.removeprefix("v") for word in done.stdout.split())
        fits = same and (_is_static(path) if tool.copied else True)
        return path.absolute() if fits else None  # the first one is the one that a person means
    return None


def _is_static(path: Path) -> bool:
    """Whether it is a 64-bit ELF executable that asks for no dynamic linker (PT_INTERP)."""
    with path.open("rb") as file:
        header = file.read(64)
        if len(header) < 64 or header[:6] != b"\x7fELF\x02\x01":
            return False
        offset = struct.unpack_from("<Q", header, 0x20)[0]
        size, count = struct.unpack_from("<HH", header, 0x36)
        file.seek(offset)
        table = file.read(size * count)
    return len(table) == size * count and all(
        struct.unpack_from("<I", table, size * number)[0] != 3 for number in range(count)
    )


def _check_go(tools: Iterable[Tool]) -> None:
    """Raises unless go is on PATH and new enough for all of the tools."""
    needed = max(tool.go for tool in tools)
    text = ".".join(map(str, needed))
    if shutil.which("go") is None:
        raise RehearsalError(f"go is not on PATH; install Go {text} or newer and put it there")
    done = subprocess.run(
        ["go", "env", "GOVERSION"], env=_environment(), capture_output=True, text=True
    )
    has = re.search(r"go(\d+(\.\d+)*)", done.stdout)
    if has is None or _numbers(has[1]) < needed:
        told = done.stdout.strip() or _cause(done.stderr)
        raise RehearsalError(f"the tools need Go {text} or newer and go is {told}; update it")


def _numbers(version: str) -> tuple[int, ...]:
    """'1.25' -> (1, 25, 0)."""
    numbers = tuple(map(int, version.split(".")))
    return numbers + (0,) * (3 - len(numbers))


def _link(link: Path, path: Path) -> None:
    """Points the link at the path in one step: a reader finds the old or the new one."""
    if link.is_symlink() and link.readlink() == path:
        return
    new = link.with_name(f".{link.name}.{os.getpid()}.{threading.get_ident()}")
    new.symlink_to(path)
    new.rename(link)


def main(arguments: Sequence[str]) -> int:
    """`python -m rehearsal.toolchain [tool…]`: builds what is missing of all or the named tools."""
    paths = Paths()
    try:
        found = Toolchain(paths, lambda line: print(line, flush=True)).ensure(arguments or None)
    except RehearsalError as error:
        print(f"toolchain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("toolchain: interrupted; run it again to go on", file=sys.stderr)
        return 130
    print(f"{len(found)} binaries ready in {paths.tools / 'bin'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
