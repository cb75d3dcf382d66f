"""What is asked of the machine before a rehearsal, where it cannot be made so for a command."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rehearsal import preflight
from rehearsal.errors import RehearsalError
from rehearsal.paths import Paths
from rehearsal.preflight import (
    check,
    memory_gib,
    other_owner,
    read_owner,
    room_problems,
    system_problems,
)

GIB = 1 << 30
V1 = "9:name=systemd:/user\n4:memory:/a/b\n1:cpu:/\n0::/user\n"
V1_LIMIT = "memory.limit_in_bytes"


class Usage(NamedTuple):
    """As shutil.disk_usage gives it."""

    total: int
    used: int
    free: int


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(checkout=tmp_path, run=tmp_path / "run" / "not yet", cache=tmp_path / "cache")


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record of the machine's rehearsal; none is running until a test writes it."""
    record = tmp_path / "owner"
    monkeypatch.setattr(preflight, "read_owner", lambda: read_owner(record))
    return record


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with too little of everything."""
    monkeypatch.setattr(preflight, "memory_gib", lambda: 3.96)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9 * GIB, 8 * GIB, GIB))


def test_linux_and_root_are_all_that_is_asked_first() -> None:
    assert list(system_problems("Linux", 0)) == []
    assert list(system_problems("Linux", 1000)) == [
        "the rehearsal makes namespaces and mounts, which needs root; run `sudo make up`"
    ]
    assert list(system_problems("Darwin", 501)) == [
        "the rehearsal needs Linux, and this is Darwin; use a Linux machine or a VM"
    ]


@pytest.mark.parametrize(
    ("membership", "limits", "gib"),
    [
        ("0::/\n", {}, 20),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "max\n"}, 20),
        ("0::/a/b\n", {"a/b/memory.max": f"{4 * GIB}\n", "a/memory.max": f"{6 * GIB}\n"}, 4),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": f"{6 * GIB}\n"}, 6),
        ("0::/a/b\n", {"a/b/memory.max": f"{40 * GIB}\n"}, 20),
        ("0::/a/b\n", {"other/memory.max": f"{1 * GIB}\n"}, 20),
        # in a container: its own group is mounted as the root of all
        ("0::/../outside\n", {"memory.max": f"{3 * GIB}\n"}, 3),
        (V1, {f"memory/a/b/{V1_LIMIT}": f"{4 * GIB}\n"}, 4),
        (V1, {f"memory/a/b/{V1_LIMIT}": "9223372036854771712\n"}, 20),
        (V1, {f"memory/a/{V1_LIMIT}": f"{5 * GIB}\n"}, 5),
        (V1, {f"memory/{V1_LIMIT}": f"{2 * GIB}\n"}, 2),
        (V1, {f"cpu/{V1_LIMIT}": "1\n", f"memory/c/{V1_LIMIT}": "1\n"}, 20),
    ],
)
def test_the_memory_is_what_this_process_may_use(
    membership: str, limits: Mapping[str, str], gib: float, tmp_path: Path
) -> None:
    meminfo, cgroup, mounted = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "mounted"
    meminfo.write_text(f"MemFree: 1024 kB\nMemAvailable: {20 * GIB >> 10} kB\nBuffers: 1 kB\n")
    cgroup.write_text(membership)
    for name, text in limits.items():
        (mounted / name).parent.mkdir(parents=True, exist_ok=True)
        (mounted / name).write_text(text)
    assert memory_gib(meminfo, cgroup, mounted) == gib


def test_this_machines_memory_is_read() -> None:
    text = Path("/proc/meminfo").read_text()
    total_kib = int(text.split("MemTotal:")[1].split()[0])
    assert 0 < memory_gib() <= total_kib / 2**20


def test_each_lack_of_room_is_a_sentence(paths: Paths, small: None) -> None:
    assert list(room_problems(paths)) == [
        "4.0 GiB of memory are free and 14 nodes need 8; free some, or use a larger machine",
        *(
            f"1.0 GiB are free on the disk of {folder} and 25 are needed; free some, or set "
            "GROUNDWORK_CACHE to a folder on a larger disk"
            for folder in (paths.run, paths.cache)
        ),
    ]


def test_the_disk_asked_is_that_of_each_folder(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def usage(folder: Path) -> Usage:
        asked.append(folder)
        return Usage(0, 0, 100 * GIB)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setattr(preflight, "memory_gib", lambda: 100.0)
    paths.cache.mkdir()
    assert list(room_problems(paths)) == []
    assert asked == [paths.checkout, paths.cache]


def test_one_checkouts_rehearsal_a_machine(paths: Paths, owner: Path) -> None:
    assert list(other_owner(paths)) == []
    owner.write_text(f"{paths.checkout}\n")
    assert list(other_owner(paths)) == []
    owner.write_text("/some/where/else\n")
    assert list(other_owner(paths)) == [
        "the rehearsal of /some/where/else is running, and a machine holds one; run `make down` "
        "there first"
    ]


def test_room_is_not_asked_for_again_while_this_checkouts_runs(
    paths: Paths, owner: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "check_machine", lambda _: [])
    monkeypatch.setattr(preflight, "system_problems", lambda: iter(()))
    with pytest.raises(RehearsalError, match="of memory are free"):
        check(paths)
    owner.write_text(f"{paths.checkout}\n")
    check(paths)


def test_all_that_the_machine_lacks_is_said_at_once(
    paths: Paths, owner: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(_: Any) -> list[str]:
        return ["this is missing; get it", "that is off; turn it on"]

    monkeypatch.setattr(preflight, "check_machine", lacks)
    monkeypatch.setattr(preflight, "system_problems", lambda: iter(()))
    owner.write_text("/some/where/else\n")
    with pytest.raises(RehearsalError) as refused:
        check(paths)
    first, second, third = str(refused.value).splitlines()
    assert [first, second] == lacks(paths)
    assert third.startswith("the rehearsal of /some/where/else is running")
    assert list(paths.checkout.iterdir()) == [owner]
