"""Can this machine host the rehearsal? Said at the start, each problem in one sentence."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.hosts.machine import check_machine
from rehearsal.paths import Paths

MEMORY_GIB, DISK_GIB = 8, 25
OWNER = Path("/run/groundwork-rehearsal.owner")


def check(paths: Paths) -> None:
    """Raises RehearsalError with every problem, a line each.

    What a rehearsal of this checkout that runs already has taken is not asked for again.
    """
    problems = list(system_problems())
    if not problems:
        problems = list(check_machine(paths)) + list(other_owner(paths))
    if not problems and read_owner() is None:
        problems = list(room_problems(paths))
    if problems:
        raise RehearsalError("\n".join(problems))


def system_problems(system: str = platform.system(), uid: int | None = None) -> Iterator[str]:
    """What makes looking further pointless."""
    if system != "Linux":
        yield f"the rehearsal needs Linux, and this is {system}; use a Linux machine or a VM"
    elif (os.geteuid() if uid is None else uid) != 0:
        yield "the rehearsal makes namespaces and mounts, which needs root; run `sudo make up`"


def room_problems(paths: Paths) -> Iterator[str]:
    """Memory and disk."""
    memory = memory_gib()
    if memory < MEMORY_GIB:
        yield (
            f"{memory:.1f} GiB of memory are free and 14 nodes need {MEMORY_GIB}; "
            "free some, or use a larger machine"
        )
    for folder in (paths.run, paths.cache):
        free = shutil.disk_usage(_existing(folder)).free / 2**30
        if free < DISK_GIB:
            yield (
                f"{free:.1f} GiB are free on the disk of {folder} and {DISK_GIB} are needed; "
                "free some, or set GROUNDWORK_CACHE to a folder on a larger disk"
            )


def memory_gib(
    meminfo: Path = Path("/proc/meminfo"),
    membership: Path = Path("/proc/self/cgroup"),
    mounted: Path = Path("/sys/fs/cgroup"),
) -> float:
    """Memory that could be used now, in GiB; limits of this process's cgroups count."""
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    return min([available, *_memory_limits(membership.read_text(), mounted)]) / 2**30


def _memory_limits(membership: str, mounted: Path) -> Iterator[int]:
    """Of this process's memory cgroup and all above it, in bytes; of cgroup v1 or v2.

    In a container its own cgroup may be mounted in place of the machine's root; the path in
    `membership` is not to be found then, but the limit is, at the top.
    """
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = mounted, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            with contextlib.suppress(OSError):
                text = (folder / name).read_text().strip()
                if text.isdigit():  # else "max"
                    yield int(text)


def other_owner(paths: Paths) -> Iterator[str]:
    """A running rehearsal of another checkout, by what only one can have."""
    owner = read_owner()
    if owner is not None and owner != paths.checkout:
        yield (
            f"the rehearsal of {owner} is running, and a machine holds one; "
            f"run `make down` there first"
        )


def read_owner(record: Path = OWNER) -> Path | None:
    """The checkout whose rehearsal runs on this machine, or None."""
    try:
        return Path(record.read_text().strip())
    except OSError:
        return None


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
