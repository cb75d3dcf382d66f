"""What the commands refuse, in conditions that are really so: one clear line, nothing changed.

The commands run as they do for a person, in a copy of this checkout on an island of the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from rehearsal import cli, preflight, world
from rehearsal.engine import STACK
from rehearsal.errors import RehearsalError
from rehearsal.hosts.cgroups import machine_hierarchies
from rehearsal.paths import CHECKOUT, Paths
from rehearsal.world import World
from tests.rehearsal.island import Island, island, network_namespace
from tests.rehearsal.netns import server, until

COMMANDS = ("up", "preview", "down", "clean", "status", "shell")
NOT_ROOT = "the rehearsal makes namespaces and mounts, which needs root; run `sudo make up`"
# reading is left to it, as this checkout and its Python may be where only root may look
NOBODY = (
    *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
NO_NAMESPACES = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEY_FILES = {".rehearsal/ssh/config", ".rehearsal/ssh/id_ed25519", ".rehearsal/ssh/id_ed25519.pub"}


@dataclass(frozen=True)
class Refused:
    """What a command said, and the files it made in the checkout."""

    lines: list[str]
    made: set[str]


@dataclass(frozen=True)
class Place:
    """A copy of this checkout on an island, with tools that tell if they were used."""

    island: Island
    checkout: Path
    cache: Path
    tools: Path
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, name: str, prefix: tuple[str, ...] = ()) -> list[str]:
        return [*prefix, ".venv/bin/python", "-m", "rehearsal", name]

    def refuse(self, name: str, prefix: tuple[str, ...] = ()) -> Refused:
        """Runs a command that must come to nothing, and looks whether it has left anything."""
        files, traces = self.files(), self.island.traces()
        done = self.island.run(self.command(name, prefix), self.checkout, self.environment)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        assert done.stdout == ""
        after = self.files()
        assert {file: after.get(file) for file in files} == files
        assert self.island.traces() == traces
        assert not (self.tools / "used").exists()
        first, *lines = done.stderr.strip().splitlines()
        assert first.startswith(f"{name}: ")
        return Refused([first.removeprefix(f"{name}: "), *lines], set(after) - set(files))

    def files(self) -> dict[str, bytes]:
        """Every file of the checkout and the cache."""
        roots = (self.checkout, self.cache)
        found = [file for root in roots for file in root.rglob("*") if not file.is_dir()]
        return {str(file.relative_to(self.checkout.parent)): _content(file) for file in found}

    def made(self, *names: str) -> set[str]:
        return {f"{self.checkout.name}/{name}" for name in names}

    def tool(self, name: str, script: str) -> None:
        """A program that is found before the machine's own."""
        file = self.tools / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def change(self, old: str, new: str) -> None:
        """In the stack's file."""
        file = self.checkout / f"Pulumi.{STACK}.yaml"
        text = file.read_text()
        assert text.count(old) == 1
        file.write_text(text.replace(old, new))


def _content(file: Path) -> bytes:
    return str(file.readlink()).encode() if file.is_symlink() else file.read_bytes()


@pytest.fixture
def place() -> Iterator[Place]:
    """On the checkout's own file system, which can hold hosts' disks; /tmp's may not."""
    ignored = CHECKOUT / ".pytest_cache"
    ignored.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=ignored, prefix="place-") as folder:
        yield from _place(Path(folder))


def _place(folder: Path) -> Iterator[Place]:
    checkout, tools = folder / "checkout", folder / "tools"
    git = ["git", "-c", f"safe.directory={CHECKOUT}", "ls-files", "-z", "--cached", "--others"]
    listed = subprocess.run(
        [*git, "--exclude-standard"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, checkout / name)
    (checkout / ".venv").symlink_to(CHECKOUT / ".venv")
    tools.mkdir()
    environment = {
        "PATH": f"{tools}:{SYSTEM_PATH}",
        "HOME": str(folder),
        "GROUNDWORK_CACHE": str(folder / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with island() as found:
        made = Place(found, checkout, folder / "cache", tools, environment)
        for name in ("go", "debootstrap", "pulumi"):
            made.tool(name, f"touch {tools}/used; exit 1")
        yield made


@contextmanager
def memory_limit(gib: int) -> Iterator[tuple[str, ...]]:
    """A cgroup with that much memory; yields what puts a command in it."""
    name = f"groundwork-test-{os.getpid()}"
    hierarchies = {h.options: h for h in machine_hierarchies()}
    if "memory" in hierarchies:
        group, limit = hierarchies["memory"].folder / name, "memory.limit_in_bytes"
    else:
        root = hierarchies[""].folder
        if "memory" not in (root / "cgroup.subtree_control").read_text().split():
            pytest.skip("this machine's cgroup v2 gives no group a memory limit")
        group, limit = root / name, "memory.max"
    group.mkdir()
    try:
        (group / limit).write_text(str(gib << 30))
        yield ("sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', str(group))
    finally:
        until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


@pytest.mark.parametrize("command", COMMANDS)
def test_not_root(place: Place, command: str) -> None:
    assert place.refuse(command, NOBODY) == Refused([NOT_ROOT], set())


@pytest.mark.parametrize("command", COMMANDS)
def test_not_linux(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        cli, "system_problems", partial(preflight.system_problems, system="Darwin", uid=0)
    )
    monkeypatch.setattr(cli, "_LOCK", Path("/nowhere/lock"))
    assert cli.main([command]) == 1
    assert capsys.readouterr() == (
        "",
        f"\n{command}: the rehearsal needs Linux, and this is Darwin; use a Linux machine or a "
        "VM\n",
    )


@pytest.mark.parametrize("command", ["up", "preview"])
def test_no_namespaces(place: Place, command: str) -> None:
    refused = place.refuse(command, NO_NAMESPACES)
    assert refused == Refused(
        [
            "This machine doesn't let root make namespaces (a container without privileges?); use "
            "a virtual machine or a privileged container."
        ],
        set(),
    )


@pytest.mark.parametrize("command", ["up", "preview"])
def test_four_gib_of_memory(place: Place, command: str) -> None:
    with memory_limit(4) as limited:
        refused = place.refuse(command, limited)
    (line,) = refused.lines
    free, rest = line.split(" ", 1)
    assert 0 < float(free) <= 4
    assert rest == (
        "GiB of memory are free and 14 nodes need 8; free some, or use a larger machine"
    )
    assert refused.made == set()


def test_little_disk_and_little_memory_are_said_at_once(place: Place) -> None:
    place.island.do(f"mkdir {place.cache} && mount -t tmpfs -o size=64m tmpfs {place.cache}")
    disk = (
        f"0.1 GiB are free on the disk of {place.cache} and 25 are needed; free some, or set "
        "GROUNDWORK_CACHE to a folder on a larger disk"
    )
    assert place.refuse("up") == Refused([disk], set())
    with memory_limit(4) as limited:
        memory, *rest = place.refuse("up", limited).lines
    assert "GiB of memory are free" in memory
    assert rest == [disk]


@pytest.mark.parametrize("command", ["up", "preview"])
def test_a_disk_that_is_full_when_all_else_was_well(place: Place, command: str) -> None:
    run = place.checkout / ".rehearsal"
    place.island.do(
        f"mkdir {run} && mount -t tmpfs -o size=64k tmpfs {run} && echo {place.checkout} "
        f">/run/groundwork-rehearsal.owner; cat /dev/zero >{run}/all 2>/dev/null || true"
    )
    assert place.refuse(command).lines == ["the disk is full; make room and run this again"]


def test_a_key_that_cannot_be_made(place: Place) -> None:
    place.tool("ssh-keygen", "echo 'no entropy' >&2; exit 3")
    refused = place.refuse("up")
    assert refused.lines == [
        f"no SSH key can be made in {place.checkout}/.rehearsal/ssh: no entropy"
    ]


def test_an_unknown_instance_type(place: Place) -> None:
    place.change(
        "    ami:\n",
        "    nodes:\n      - name: k8s-master\n        instance_type: t3.mediun\n    ami:\n",
    )
    text = (place.checkout / f"Pulumi.{STACK}.yaml").read_text().splitlines()
    number = 1 + next(i for i, line in enumerate(text) if "t3.mediun" in line)
    for command in ("up", "preview"):
        refused = place.refuse(command)
        assert refused.lines == [
            "1 setting refused; nothing was changed:",
            f"  Pulumi.{STACK}.yaml:{number}: nodes[k8s-master].instance_type: unknown "
            "instance type 't3.mediun'; did you mean t3.medium?",
        ]
        assert refused.made == (place.made(*KEY_FILES) if command == "up" else set())


def test_every_broken_setting_is_said_with_its_line(place: Place) -> None:
    place.change("operator_cidrs: [198.51.100.0/24]", "operator_cidrs: [198.51.100.0/240]")
    place.change("owner: self", "owner: nobody")
    place.change("      coredns_version: v1.14.3\n", "      coredns: v1.14.3\n")
    head, *lines = place.refuse("up").lines
    assert head == "3 settings refused; nothing was changed:"
    text = (place.checkout / f"Pulumi.{STACK}.yaml").read_text().splitlines()
    for key, line in zip(
        ("access.operator_cidrs", "ami.owner", "cluster.coredns"),
        sorted(lines, key=lambda line: line.split(": ", 1)[1]),
        strict=True,
    ):
        number, rest = line.removeprefix(f"  Pulumi.{STACK}.yaml:").split(": ", 1)
        assert rest.startswith(key)
        assert key.rsplit(".", 1)[1] in text[int(number) - 1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("config: [unclosed\n", f"Pulumi.{STACK}.yaml:2"),
        (None, f"Pulumi.{STACK}.yaml: -: no such file"),
    ],
)
def test_a_broken_stack_file(place: Place, content: str | None, told: str) -> None:
    file = place.checkout / f"Pulumi.{STACK}.yaml"
    file.unlink()
    if content is not None:
        file.write_text(content)
    head, *lines = place.refuse("up").lines
    assert "refused; nothing was changed:" in head
    assert lines[0].startswith(f"  {told}")
    assert all(line.startswith("  Pulumi.") for line in lines)


def test_a_wrong_ssh_key(place: Place) -> None:
    folder = place.checkout / ".rehearsal" / "ssh"
    folder.mkdir(parents=True)
    for name in ("id_ed25519", "other"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    (folder / "other.pub").rename(folder / "id_ed25519.pub")
    refused = place.refuse("up")
    assert len(refused.lines) == 2
    assert refused.lines[1].endswith(
        f"ssh.private_key_file: {folder}/id_ed25519 is not the private half of "
        f"{folder}/id_ed25519.pub"
    )
    assert refused.made == set()


@pytest.mark.parametrize("command", ["up", "preview", "down", "clean"])
def test_the_rehearsal_of_another_checkout(place: Place, command: str) -> None:
    if command in ("down", "clean"):
        # hides the cgroups, so that nothing could be done to that rehearsal were it not refused
        place.island.do("mount -t tmpfs tmpfs /sys/fs/cgroup")
    place.island.do(
        "echo /some/where/else >/run/groundwork-rehearsal.owner; ip netns add gw-internet;"
        "nsenter --net=/run/netns/gw-internet sleep 600 >/dev/null 2>&1 &"
    )
    until(lambda: "sleep 600" in place.island.traces())
    place.cache.mkdir()
    (place.cache / "kept").touch()
    refused = place.refuse(command)
    (line,) = refused.lines
    assert line == (
        "the rehearsal of /some/where/else is running, and a machine holds one; run `make down` "
        "there first"
    )
    assert refused.made == set()


@pytest.mark.parametrize("command", ["status", "shell"])
def test_nothing_to_look_at(place: Place, command: str) -> None:
    assert place.refuse(command) == Refused(["no rehearsal is running here; run `make up`"], set())


def test_a_second_command_at_the_same_time_and_ctrl_c(place: Place, tmp_path: Path) -> None:
    place.tool("ssh-keygen", f"touch {tmp_path}/begun; exec sleep 600")
    first = subprocess.Popen(
        place.island.command(place.command("up"), place.checkout),
        env=place.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until((tmp_path / "begun").exists)
    holder = place.island.do("cat /run/groundwork-rehearsal.lock").strip()
    assert "rehearsal up" in place.island.do(f"tr '\\0' ' ' </proc/{holder}/cmdline")
    for command in ("up", "preview", "down", "clean"):
        assert place.refuse(command) == Refused(
            [f"another rehearsal command is at work (process {holder}); wait until it ends"],
            set(),
        )
    place.island.interrupt(first)
    stdout, stderr = first.communicate(timeout=300)
    assert first.returncode == 130
    assert stdout == ""
    assert stderr == ("\nstopped. `make up` goes on from here; `make down` removes everything.\n")
    assert "sleep" not in place.island.traces()
    place.island.do("flock --nonblock /run/groundwork-rehearsal.lock true")


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace of the test's own."""
    with network_namespace() as name:
        yield name


@pytest.mark.parametrize(("name", "port"), {"cloud": 5000, "registry": 5001, "mirrors": 80}.items())
def test_a_port_that_is_taken(
    name: str, port: int, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "OPERATOR", namespace)
    monkeypatch.setattr(world, "SERVICES", "127.0.0.1")
    tried = World(Paths(run=tmp_path / "run", cache=tmp_path / "cache"), lambda _: None)
    tried._check_port(name)
    with server(namespace, "127.0.0.1", port), pytest.raises(RehearsalError) as refused:
        tried._check_port(name)
    assert str(refused.value) == (
        f"port {port} in namespace {namespace} is taken (Address already in use), and {name} needs "
        f"it; find its holder with `ip netns exec {namespace} ss -tlnp`, end it, and run this again"
    )
    tried._check_port(name)
    assert not list(tmp_path.iterdir())


def test_a_taken_port_is_found_before_the_part_is_started(
    namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    changed: list[object] = []
    monkeypatch.setattr(world, "OPERATOR", namespace)
    monkeypatch.setattr(world, "SERVICES", "127.0.0.1")
    monkeypatch.setattr(world, "OWNER", tmp_path / "owner")
    monkeypatch.setattr(world, "create", changed.append)
    monkeypatch.setattr(world, "raise_limits", lambda _: None)
    with server(namespace, "127.0.0.1", 5000), pytest.raises(RehearsalError, match="port 5000"):
        World(Paths(run=tmp_path / "run", cache=tmp_path / "cache"), said.append).start()
    assert said == []
    assert not (tmp_path / "run" / "pids").exists()
