"""Deleting a host down to its last trace, even when only traces of it are left."""

from __future__ import annotations

import subprocess
from pathlib import Path

from rehearsal.hosts.cgroups import PARENT, Hierarchy, HostCgroups, machine_hierarchies


def remove_traces(folder: Path) -> None:
    """End and delete whatever belongs to the host of `folder`, which may be half-made or gone.

    Idempotent. Its specification is deleted last, so that a host half-deleted is still found.
    """
    _remove_cgroups(folder.name, tuple(machine_hierarchies()))
    delete_folder(folder)


def delete_folder(folder: Path) -> None:
    """Unmount what is mounted below `folder` (nothing should be), and delete it. Idempotent."""
    for mountpoint in _mounted_below(folder):
        subprocess.run(["umount", "--lazy", str(mountpoint)], check=True, capture_output=True)
    if folder.is_dir():
        others = [str(entry) for entry in folder.iterdir() if entry.name != "spec.json"]
        subprocess.run(["rm", "-rf", "--one-file-system", "--", *others], check=True)
    subprocess.run(["rm", "-rf", "--one-file-system", "--", str(folder)], check=True)


def stray_hosts(hosts: Path) -> list[Path]:
    """Folders in `hosts` that are gone though their hosts' processes live on."""
    strays = set()
    for hierarchy in machine_hierarchies()[:1]:
        for cgroup in (hierarchy.folder / PARENT).glob("*/supervisor"):
            folder = hosts / cgroup.parent.name
            pids = (cgroup / "cgroup.procs").read_text().split()
            if not folder.exists() and any(_works_in(pid, folder) for pid in pids):
                strays.add(folder)
    return sorted(strays)


def remove_all_cgroups() -> None:
    """End and remove all in the hosts' cgroups, of whatever checkout; folders may be gone."""
    hierarchies = tuple(machine_hierarchies())
    for name in {each.name for h in hierarchies for each in (h.folder / PARENT).glob("i-*")}:
        _remove_cgroups(name, hierarchies)


def _remove_cgroups(name: str, hierarchies: tuple[Hierarchy, ...]) -> None:
    """End and remove all in the cgroups of the host of that name. Idempotent."""
    cgroups = HostCgroups(name, hierarchies)
    cgroups.kill()
    cgroups.remove()


def _works_in(pid: str, folder: Path) -> bool:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink()).removesuffix(" (deleted)") == str(folder)
    except OSError:
        return False


def _mounted_below(folder: Path) -> list[Path]:
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # Space, tab, newline and backslash are written in octal.
        mountpoint = Path(line.split()[4].encode().decode("unicode_escape"))
        if mountpoint.is_relative_to(folder.resolve()):
            found.append(mountpoint)
    return found[::-1]
