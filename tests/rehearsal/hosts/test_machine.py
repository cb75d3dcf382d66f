"""What the machine offers: apt sources, cgroups, limits, and what it lacks."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.hosts import machine
from rehearsal.hosts.apt_sources import debian_mirror
from rehearsal.hosts.cgroups import find_hierarchies
from rehearsal.hosts.machine import check_machine, raise_limits, restore_limits
from rehearsal.paths import Paths

DEB822 = """\
Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security

Types: deb deb-src
# a remark
URIs: http://mirror.example/pool
Suites: trixie
 bookworm
Components: main

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
"""


@pytest.mark.parametrize(
    ("name", "text", "mirror"),
    [
        ("sources.list.d/debian.sources", DEB822, "http://mirror.example/pool"),
        (
            "sources.list",
            "# deb http://off.example/debian bookworm main\n"
            "deb [arch=amd64 signed-by=/k.gpg] https://on.example/debian bookworm main\n",
            "https://on.example/debian",
        ),
        (
            "sources.list",
            "deb http://new.example/debian/ trixie main\n",
            "http://new.example/debian/",
        ),
    ],
)
def test_the_mirror_is_the_machines_own(tmp_path: Path, name: str, text: str, mirror: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    assert debian_mirror("bookworm", tmp_path) == mirror


@pytest.mark.parametrize(
    "text",
    ["", "deb http://archive.example/ubuntu noble main\n", "deb cdrom:[disk]/ bookworm main\n"],
)
def test_no_debian_mirror_is_an_error_with_its_fix(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.list").write_text(text)
    with pytest.raises(RehearsalError, match="add one"):
        debian_mirror("bookworm", tmp_path)


V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:7 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 31 0:32 / /elsewhere/memory rw,relatime - cgroup cgroup rw,memory
"""
V2 = "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_finds_the_hierarchies_of_both_versions() -> None:
    assert [str(h) for h in find_hierarchies(V1)] == [
        "/sys/fs/cgroup/systemd:cgroup:none,name=systemd",
        "/sys/fs/cgroup/cpu,cpuacct:cgroup:cpu,cpuacct",
        "/sys/fs/cgroup/memory:cgroup:memory",
    ]
    assert [str(h) for h in find_hierarchies(V2)] == ["/sys/fs/cgroup:cgroup2:"]
    assert find_hierarchies("23 1 8:1 / / rw - ext4 /dev/sda rw\n") == []


def test_limits_are_raised_where_too_low_and_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_PROC_SYS", tmp_path)
    folder = tmp_path / "fs/inotify"
    folder.mkdir(parents=True)
    instances, watches = folder / "max_user_instances", folder / "max_user_watches"
    instances.write_text("128\n")
    watches.write_text("500000\n")
    paths = Paths(run=tmp_path / "run")

    for _ in range(2):
        raise_limits(paths)
        assert int(instances.read_text()) == 8192
        assert int(watches.read_text()) == 500000
    for _ in range(2):
        restore_limits(paths)
        assert int(instances.read_text()) == 128
    assert not list(paths.run.iterdir())


def test_a_limit_somebody_else_set_since_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_PROC_SYS", tmp_path)
    folder = tmp_path / "fs/inotify"
    folder.mkdir(parents=True)
    for name in ("max_user_instances", "max_user_watches"):
        (folder / name).write_text("1")
    paths = Paths(run=tmp_path / "run")
    raise_limits(paths)
    (folder / "max_user_instances").write_text("20000")
    restore_limits(paths)
    assert (folder / "max_user_instances").read_text() == "20000"
    assert (folder / "max_user_watches").read_text() == "1"


def test_says_what_the_machine_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(run=tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "need Linux" in check_machine(paths)[0]
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "need root" in check_machine(paths)[0]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "unshare" else found(tool))
    assert check_machine(paths)[0] == (
        "unshare is missing; install it with `apt-get install util-linux`."
    )
    assert list(tmp_path.iterdir()) == []
