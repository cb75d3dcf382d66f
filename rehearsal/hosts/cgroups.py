"""A host's cgroups: where its processes are counted, found and ended.

Each host has `groundwork/<name>/` in every hierarchy, with two groups: `supervisor` (what boots the
host, outside its namespaces) and `host` (all that runs inside). Whatever is in them belongs to the
host and to nobody else, so a host is found by its cgroups and not by process ids kept in a file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import RehearsalError

PARENT = "groundwork"
ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = (
    *("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"),
    *("net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc"),
)
NEEDED_V1 = frozenset({"name=systemd", "cpu", "cpuacct", "cpuset", "memory", "pids", "devices"})
NEEDED_V2 = ("cpu", "cpuset", "memory", "pids")


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup file system.

    folder: where the machine has it mounted.
    kind: "cgroup" (v1) or "cgroup2".
    options: what mounts the same one again in a host: v1's controllers; empty for v2.
    """

    folder: Path
    kind: str
    options: str

    def __str__(self) -> str:
        return f"{self.folder}:{self.kind}:{self.options}"


def find_hierarchies(mountinfo: str) -> list[Hierarchy]:
    """The machine's hierarchies, from the text of /proc/self/mountinfo: all of v1, or v2 alone.

    Under v1 the one called `systemd` comes first. A v2 hierarchy mounted beside v1 (without
    controllers) is left out: systemd works without. Empty when there are none.
    """
    v1: list[Hierarchy] = []
    v2: list[Hierarchy] = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        folder = Path(left.split()[4])
        kind, _, super_options = right.split()[:3]
        if kind == "cgroup2" and folder == ROOT:
            v2.append(Hierarchy(folder, kind, ""))
        elif kind == "cgroup" and folder.parent == ROOT:
            words = super_options.split(",")
            named = [w for w in words if w.startswith("name=")]
            kept = ["none", *named] if named else [w for w in words if w in CONTROLLERS]
            v1.append(Hierarchy(folder, kind, ",".join(kept)))
    return sorted(v1, key=lambda h: "name=systemd" not in h.options) or v2


def machine_hierarchies() -> list[Hierarchy]:
    """The hierarchies this machine has mounted. Raises RehearsalError when hosts can't use them."""
    found = find_hierarchies(Path("/proc/self/mountinfo").read_text())
    if not found:
        raise RehearsalError(f"No cgroups are mounted on {ROOT}; mount cgroup2 there.")
    if found[0].kind == "cgroup2":
        have = set((ROOT / "cgroup.controllers").read_text().split())
        missing = sorted(set(NEEDED_V2) - have)
    else:
        have = {word for h in found for word in h.options.split(",")}
        missing = sorted(NEEDED_V1 - have)
    if missing:
        raise RehearsalError(
            f"Hosts need the cgroup controllers {', '.join(missing)}, which {ROOT} lacks; "
            "mount them, or boot the machine with cgroup v2."
        )
    return found


@dataclass(frozen=True)
class HostCgroups:
    """The cgroups of the host `name` in all of `hierarchies` (the first is asked for processes)."""

    name: str
    hierarchies: tuple[Hierarchy, ...]

    @property
    def _trees(self) -> list[Path]:
        return [h.folder / PARENT / self.name for h in self.hierarchies]

    def create(self) -> None:
        """Make both groups everywhere. Raises RehearsalError when the kernel refuses."""
        for hierarchy, tree in zip(self.hierarchies, self._trees, strict=True):
            for group in (tree / "supervisor", tree / "host"):
                group.mkdir(parents=True, exist_ok=True)
            if hierarchy.kind == "cgroup2":
                for folder in (hierarchy.folder, tree.parent, tree):
                    _delegate(folder)
            elif "cpuset" in hierarchy.options.split(","):
                # v1: a new cpuset is empty and takes no process until it has CPUs and memory.
                for folder in (tree.parent, tree, tree / "supervisor", tree / "host"):
                    for knob in ("cpuset.cpus", "cpuset.mems"):
                        (folder / knob).write_text((folder.parent / knob).read_text())
                (tree / "host" / "cgroup.clone_children").write_text("1")

    def pids(self, group: str = "") -> list[int]:
        """Process ids in the whole tree, or in `supervisor` or `host` and below."""
        found: list[int] = []
        for folder, _, _ in os.walk(self._trees[0] / group):
            # A group may go, or be one that only holds threads, while we look.
            with contextlib.suppress(OSError):
                found += map(int, (Path(folder) / "cgroup.procs").read_text().split())
        return [pid for pid in found if pid > 0]

    @contextlib.contextmanager
    def hold(self, pid: int) -> Iterator[int | None]:
        """A pidfd of `pid`, or None when it isn't (any more) a process of this host.

        What is signalled over the descriptor can't be another process that took over the number.
        """
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            yield None
            return
        try:
            yield descriptor if self._owns(pid) else None
        finally:
            os.close(descriptor)

    def _owns(self, pid: int) -> bool:
        try:
            return f"/{PARENT}/{self.name}/" in Path(f"/proc/{pid}/cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False

    def kill(self, limit_s: float = 30.0) -> None:
        """End every process, the supervisor first so that it boots nothing again. Idempotent.

        Raises RehearsalError when some process is still there after `limit_s` seconds.
        """
        deadline = time.monotonic() + limit_s
        for group in ("supervisor", ""):
            while pids := self.pids(group):
                for pid in pids:
                    with self.hold(pid) as descriptor:
                        if descriptor is not None:
                            with contextlib.suppress(ProcessLookupError):
                                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                if time.monotonic() > deadline:
                    raise RehearsalError(
                        f"Processes {pids} of host {self.name} don't end (blocked in the kernel?); "
                        "see them with `ps`, then run this again."
                    )
                time.sleep(0.05)

    def remove(self, limit_s: float = 15.0) -> None:
        """Remove the groups of a host whose processes are gone, in every hierarchy. Idempotent."""
        deadline = time.monotonic() + limit_s
        for tree in self._trees:
            while not _remove_tree(tree):
                if time.monotonic() > deadline:
                    raise RehearsalError(
                        f"The cgroup {tree} stays busy; see its cgroup.procs, then run this again."
                    )
                time.sleep(0.05)
            with contextlib.suppress(OSError):  # other hosts are in it, or it is gone
                tree.parent.rmdir()


def _delegate(folder: Path) -> None:
    try:
        (folder / "cgroup.subtree_control").write_text(" ".join(f"+{c}" for c in NEEDED_V2))
    except OSError as error:
        raise RehearsalError(
            f"Can't enable cgroup controllers in {folder} ({error.strerror}); run the rehearsal on "
            "the machine itself, or in a container with its own delegated cgroup."
        ) from error


def _remove_tree(tree: Path) -> bool:
    for folder, _, _ in os.walk(tree, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    return not tree.exists()
