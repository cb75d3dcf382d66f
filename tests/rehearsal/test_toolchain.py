"""Tools are built once, whole or not at all, however a build ends; the real catalogue is pinned."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rehearsal import toolchain
from rehearsal.errors import RehearsalError
from rehearsal.paths import CHECKOUT, Paths
from rehearsal.toolchain import Toolchain, catalogue

LIMIT_S = 60.0
REAL = catalogue(CHECKOUT / "tools")

# Notes each build in $FAKE/builds; stays in one (with a compiler of its own) while $FAKE/hold is
# there; "compiles" a script that prints the last -X value.
FAKE_GO = """#!/bin/sh
[ "$1" = env ] && { cat "$FAKE/version"; exit; }
echo "$$" >> "$FAKE/builds"
if [ -e "$FAKE/hold" ]; then
    touch "$GOTMPDIR/half"
    sleep 1000 &
    echo "$!" > "$FAKE/compiler"
    wait
fi
echo example.com/package >&2
[ -e "$FAKE/broken" ] && { echo "./main.go:3:1: syntax error" >&2; exit 1; }
while [ "$1" != -ldflags ]; do shift; done
printf '#!/bin/sh\\necho "%s"\\n' "${2##*=}" > "$4"
chmod +x "$4"
"""
RUN = """
import sys
from pathlib import Path
from rehearsal.paths import Paths
from rehearsal.toolchain import Toolchain
here = Path(sys.argv[1])
Toolchain(Paths(checkout=here, cache=here / "cache"), print).ensure()
"""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether it runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class World:
    """A checkout of one tool, `thing` 1.2.3 with binaries `thing` and `other`, and a fake go."""

    def __init__(self, root: Path) -> None:
        self.root, self.fake = root, root / "fake"
        self.paths = Paths(checkout=root, run=root / "run", cache=root / "cache")
        self.module = root / "tools" / "thing"
        self.module.mkdir(parents=True)
        (self.module / "go.mod").write_text("module thing\n\ngo 1.25.0\n")
        (self.module / "main.go").write_text("package main\n")
        self.fake.mkdir()
        (self.fake / "version").write_text("go1.26.8\n")
        self.executable(self.fake / "go", FAKE_GO)
        self.declare(binaries='{ thing = ".", other = "./other" }')
        self.lines: list[str] = []
        self.started: list[subprocess.Popen[str]] = []

    def declare(self, **changes: str) -> None:
        entry = {"version": '"1.2.3"', "why": '"to try"', "ldflags": '["-X main.v=1.2.3"]'}
        text = "".join(f"{key} = {value}\n" for key, value in (entry | changes).items())
        (self.root / "tools" / "tools.toml").write_text(f"[thing]\n{text}")

    def executable(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def toolchain(self) -> Toolchain:
        return Toolchain(self.paths, self.lines.append)

    def start(self) -> subprocess.Popen[str]:
        """The same from a process of its own."""
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(self.root)],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Ends what a failed test left."""
        for process in self.started:
            process.kill()
            process.communicate()
        compiler = self.fake / "compiler"
        if compiler.exists() and lives(int(compiler.read_text())):
            os.kill(int(compiler.read_text()), signal.SIGKILL)

    def hold(self) -> None:
        (self.fake / "hold").touch()

    def release(self) -> None:
        (self.fake / "hold").unlink()

    def builds(self) -> list[int]:
        """The pids of all goes that built."""
        file = self.fake / "builds"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def compiler(self) -> int:
        """The pid of what the held go started, once it has."""
        file = self.fake / "compiler"
        until(lambda: file.exists() and file.read_text().strip())
        return int(file.read_text())

    def left(self) -> set[str]:
        """What is in the cache beside the links, logs and locks."""
        return {
            path.name
            for path in self.paths.tools.iterdir()
            if path.name != "bin" and path.suffix not in {".log", ".lock"}
        }


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path)
    monkeypatch.setenv("FAKE", str(made.fake))
    monkeypatch.setenv("PATH", f"{made.fake}:{os.environ['PATH']}")
    yield made
    made.end()


def output(path: Path) -> str:
    return subprocess.run([path], capture_output=True, text=True, check=True).stdout.strip()


def test_builds_what_is_missing_and_then_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = world.toolchain().ensure(["thing"])
    folder = world.paths.tools / world.toolchain().tools["thing"].key / "bin"
    assert found == {"thing": folder / "thing", "other": folder / "other"}
    assert output(world.paths.tools / "bin" / "other") == "1.2.3"
    assert len(world.builds()) == 2
    assert world.lines[:2] == [
        "building thing 1.2.3 (thing, 1 of 2)",
        "building thing 1.2.3 (other, 2 of 2)",
    ]
    assert re.fullmatch(r"built thing 1\.2\.3 in \d+ s", world.lines[2])
    assert world.left() == {folder.parent.name}

    monkeypatch.setenv("PATH", "/nowhere")  # a cached tool needs no Go
    assert world.toolchain().ensure() == found
    assert len(world.builds()) == 2


@pytest.mark.parametrize("file", ["main.go", "go.sum", "stub/go.mod"])
def test_a_changed_module_is_built_anew(world: World, file: str) -> None:
    old = world.toolchain().ensure()["thing"]
    (world.module / file).parent.mkdir(exist_ok=True)
    (world.module / file).write_text("changed")
    new = world.toolchain().ensure()["thing"]
    assert new != old and new.exists()
    assert (world.paths.tools / "bin" / "thing").readlink() == new


def test_changed_flags_build_anew_and_changed_tests_do_not(world: World) -> None:
    old = world.toolchain().ensure()["thing"]
    (world.module / "main_test.go").write_text("package main\n")
    assert world.toolchain().ensure()["thing"] == old
    world.declare(binaries='{ thing = "." }', ldflags='["-X main.v=new"]')
    assert output(world.toolchain().ensure()["thing"]) == "new"


def test_a_lost_binary_is_built_again(world: World) -> None:
    found = world.toolchain().ensure()
    found["other"].unlink()
    assert output(world.toolchain().ensure()["other"]) == "1.2.3"


def test_a_failed_build_names_cause_and_log_and_leaves_nothing(world: World) -> None:
    (world.fake / "broken").touch()
    log = world.paths.tools / "thing.log"
    with pytest.raises(RehearsalError, match=r"syntax error.*thing\.log") as raised:
        world.toolchain().ensure()
    assert str(log) in str(raised.value) and "syntax error" in log.read_text()
    assert world.left() == set()
    (world.fake / "broken").unlink()
    assert output(world.toolchain().ensure()["thing"]) == "1.2.3"


def test_no_go_and_an_old_go_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.fake / "version").write_text("go1.24.9\n")
    with pytest.raises(RehearsalError, match=r"need Go 1\.25\.0 or newer and go is go1\.24\.9"):
        world.toolchain().ensure()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RehearsalError, match=r"not on PATH; install Go 1\.25\.0"):
        world.toolchain().ensure()
    assert world.builds() == []


def test_unknown_tools_and_keys_are_refused(world: World) -> None:
    with pytest.raises(RehearsalError, match="no tool is called anvil; there are thing"):
        world.toolchain().ensure(["anvil"])
    world.declare(binaries='{ thing = "." }', colour='"red"')
    with pytest.raises(RehearsalError, match=r"unknown keys.*colour"):
        world.toolchain()
    world.declare()
    with pytest.raises(RehearsalError, match="has no binaries"):
        world.toolchain()
    (world.root / "tools" / "tools.toml").write_text("[")
    with pytest.raises(RehearsalError, match="cannot be read"):
        world.toolchain()


def test_a_cache_that_cannot_be_written_is_told_in_a_sentence(world: World) -> None:
    world.paths.cache.write_text("a file where the folder should be")
    with pytest.raises(RehearsalError, match=r"tools cannot be kept in .*GROUNDWORK_CACHE"):
        world.toolchain().ensure()


def test_two_processes_build_once(world: World) -> None:
    world.hold()
    first = world.start()
    world.compiler()
    second = world.start()
    assert second.stdout is not None
    assert "waiting for another process that builds thing" in second.stdout.readline()
    world.release()
    os.kill(world.compiler(), signal.SIGTERM)
    assert first.wait(LIMIT_S) == 0, first.communicate()
    assert second.wait(LIMIT_S) == 0, second.communicate()
    assert len(world.builds()) == 2  # one for each binary


def test_interrupted_it_ends_go_and_leaves_nothing(world: World) -> None:
    world.hold()
    process = world.start()
    compiler = world.compiler()
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_S) != 0
    until(lambda: not lives(compiler) and not lives(world.builds()[0]))
    assert world.left() == set()


def test_killed_it_ends_go_and_the_next_build_is_whole(world: World) -> None:
    world.hold()
    process = world.start()
    compiler = world.compiler()
    process.kill()
    process.wait(LIMIT_S)
    until(lambda: not lives(world.builds()[0]))
    os.kill(compiler, signal.SIGKILL)  # a real one ends by itself
    assert len(world.left()) == 1
    world.release()
    assert output(world.toolchain().ensure()["thing"]) == "1.2.3"
    assert world.left() == {world.toolchain().tools["thing"].key}


def test_cancel_from_another_thread_ends_the_build(world: World) -> None:
    world.hold()
    chain = world.toolchain()
    failure: list[BaseException] = []

    def build() -> None:
        try:
            chain.ensure()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    compiler = world.compiler()
    chain.cancel()
    thread.join(LIMIT_S)
    assert isinstance(failure[0], RehearsalError) and "cancelled" in str(failure[0])
    assert not lives(world.builds()[0])
    until(lambda: not lives(compiler))
    assert world.left() == set()


def test_cancel_ends_the_wait_for_another_process(world: World) -> None:
    world.paths.tools.mkdir(parents=True)
    with (world.paths.tools / "thing.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        chain = world.toolchain()
        chain.cancel()
        with pytest.raises(RehearsalError, match="cancelled"):
            chain.ensure()
    assert world.builds() == []


def test_a_long_build_tells_how_far_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "_REPORT_EVERY_S", 0.05)
    world.hold()
    chain = world.toolchain()
    thread = threading.Thread(target=chain.ensure)
    thread.start()
    until(lambda: any("packages compiled" in line for line in world.lines))
    world.release()
    os.kill(world.compiler(), signal.SIGTERM)
    thread.join(LIMIT_S)
    assert any(re.search(r"1 of 2\): 0 packages compiled, 0 s$", line) for line in world.lines)


def says(version: str) -> str:
    return f"#!/bin/sh\necho thing v{version}\n"


def test_a_tool_on_path_of_the_same_version_is_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.declare(binaries='{ thing = "." }', ask='["version"]')
    own = world.executable(world.fake / "thing", says("1.2.3"))
    assert world.toolchain().ensure() == {"thing": own}
    assert world.builds() == []


def test_the_caches_own_link_on_path_is_not_taken_for_a_tool(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.declare(binaries='{ thing = "." }', ask='["version"]')
    link = world.paths.tools / "bin" / "thing"
    monkeypatch.setenv("PATH", f"{link.parent}:{os.environ['PATH']}")
    world.toolchain().ensure()
    (world.module / "main.go").write_text("changed")  # of the same version
    new = world.toolchain().ensure()["thing"]
    assert link.readlink() == new != link
    assert output(link) == "1.2.3"


@pytest.mark.parametrize("version", ["1.2.30", "11.2.3", "1.2.3-dev", "1.2.3.4"])
def test_a_tool_on_path_of_another_version_is_not_used(world: World, version: str) -> None:
    world.declare(binaries='{ thing = "." }', ask='["version"]')
    world.executable(world.fake / "thing", says(version))
    assert world.toolchain().ensure()["thing"].is_relative_to(world.paths.tools)


def test_what_is_copied_into_images_must_be_static(world: World) -> None:
    world.declare(binaries='{ thing = "." }', ask='["version"]', copied="true")
    world.executable(world.fake / "thing", says("1.2.3"))
    assert world.toolchain().ensure()["thing"].is_relative_to(world.paths.tools)


# The real modules.


@pytest.mark.parametrize("name", REAL)
def test_the_catalogue_names_the_version_that_go_mod_pins(name: str) -> None:
    tool = REAL[name]
    text = (tool.folder / "go.mod").read_text()
    assert re.search(rf"^module (groundwork/tools/{name}|\S+/groundwork)$", text, re.MULTILINE)
    assert tool.go <= (1, 26, 8) and "\ntoolchain " not in text
    if (tool.folder / "go.sum").exists():
        assert re.search(rf"^\s*(require )?\S+ v{re.escape(tool.version)}( |$)", text, re.MULTILINE)
    for flag in tool.ldflags:
        value = flag.partition("=")[2].removeprefix("v")
        assert not re.match(r"\d+\.\d+\.\d+", value) or value == tool.version


def test_the_source_of_a_tool_can_be_had() -> None:
    source = Toolchain(Paths(), lambda _: None).module_directory("actionlint")
    assert (source / "go.mod").read_text().startswith("module github.com/rhysd/actionlint\n")


def test_every_folder_is_in_the_catalogue() -> None:
    folders = {path.name for path in (CHECKOUT / "tools").iterdir() if path.is_dir()}
    assert folders == set(REAL)


def go(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    return subprocess.run(
        ["go", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("name", ["pause", "service"])
def test_our_own_go_is_sound(name: str) -> None:
    folder = CHECKOUT / "tools" / name
    for arguments in (["vet", "./..."], ["test", "./..."]):
        done = go(*arguments, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(["gofmt", "-l", "."], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == ""


def test_really_builds_a_static_binary_that_collects_and_ends(tmp_path: Path) -> None:
    paths = Paths(checkout=CHECKOUT, run=tmp_path / "run", cache=tmp_path / "cache")
    pause = Toolchain(paths, lambda _: None).ensure(["pause"])["pause"]
    assert toolchain._is_static(pause) and not toolchain._is_static(Path("/bin/sh"))
    # The shell becomes pause with children: one that ends at once, one that it orphans later.
    script = f"true & (sleep 0.3 & sleep 0.6) & exec {pause}"
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script],
        stdout=subprocess.DEVNULL,
    )
    try:

        def children(pid: int) -> list[int]:
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            return [int(child) for child in text.split()]

        until(lambda: children(process.pid))
        (init,) = children(process.pid)
        until(lambda: Path(f"/proc/{init}/comm").read_text().strip() == "pause")
        until(lambda: children(init) == [])
        os.kill(init, signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    finally:
        process.kill()
        process.wait()
