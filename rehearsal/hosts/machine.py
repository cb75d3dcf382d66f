"""The machine that holds the hosts: can it, and the machine-wide limits that hosts need raised."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.hosts.cgroups import machine_hierarchies
from rehearsal.paths import Paths

# sysctl -> the least that 14 hosts need. The kubelets watch every cgroup.
LIMITS = {"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 131072}
# The kubelet and containerd keep that many files open at most.
OPEN_FILES = 16384
_TOOLS = {
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setsid": "util-linux",
    "setpriv": "util-linux",
    "flock": "util-linux",
    "pivot_root": "util-linux",
    "mount": "mount",
    "bash": "bash",
    "ssh-keygen": "openssh-client",
    "debootstrap": "debootstrap",
}
_PROC_SYS = Path("/proc/sys")


def check_machine(paths: Paths | None = None) -> list[str]:
    """Why this machine can't hold hosts, a sentence with its fix for each reason; empty if it can.

    Changes nothing. `paths.run` is where the hosts' disks will be.
    """
    paths = paths or Paths()
    if sys.platform != "linux":
        return [f"Hosts need Linux, and this is {sys.platform}; use a Linux machine or a VM."]
    if os.geteuid() != 0:
        return ["Hosts need root (namespaces, mounts); run this with sudo."]
    problems = [
        f"{tool} is missing; install it with `apt-get install {package}`."
        for tool, package in _TOOLS.items()
        if shutil.which(tool) is None
    ]
    if not problems:
        problems += _check_namespaces(paths)
    try:
        machine_hierarchies()
    except RehearsalError as error:
        problems.append(str(error))
    if not (_PROC_SYS / "net/bridge").is_dir():
        problems.append(
            "The kernel has no netfilter on bridges, which pods need; run `modprobe br_netfilter`."
        )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        problems.append(
            f"The limit of open files is {hard} and hosts need {OPEN_FILES}; raise it "
            f"(ulimit -Hn {OPEN_FILES})."
        )
    return problems


_TRIAL = """
set -e
mkdir lower upper work root
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
mknod root/null c 1 3
"""


def _check_namespaces(paths: Paths) -> list[str]:
    """Try for real what a host is made of: namespaces, an overlay on the hosts' disk, a device."""
    namespaces = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--net", "--fork"]
    if subprocess.run([*namespaces, "true"], capture_output=True).returncode != 0:
        return [
            "This machine doesn't let root make namespaces (a container without privileges?); use "
            "a virtual machine or a privileged container."
        ]
    existing = next(folder for folder in (paths.run, *paths.run.parents) if folder.is_dir())
    with tempfile.TemporaryDirectory(dir=existing, prefix=".hosts-check-") as scratch:
        trial = subprocess.run(
            [*namespaces, "sh", "-c", _TRIAL], cwd=scratch, capture_output=True, text=True
        )
    if trial.returncode != 0:
        reason = (trial.stderr.strip().splitlines() or ["no message"])[0]
        return [
            f"Hosts' disks (overlays) can't be mounted in {existing}: {reason}; put the checkout "
            "on a local file system such as ext4 or xfs, on a kernel with overlayfs."
        ]
    return []


def raise_limits(paths: Paths) -> None:
    """Raise the machine-wide limits that are too low, noting the old values in `paths.run` first.

    Idempotent: the values noted are those from before the first call.
    """
    old = {name: value for name in LIMITS if (value := _read(name)) < LIMITS[name]}
    if not old:
        return
    note = _note(paths)
    noted: dict[str, int] = json.loads(note.read_text()) if note.exists() else {}
    note.parent.mkdir(parents=True, exist_ok=True)
    fresh = note.with_suffix(".new")
    fresh.write_text(json.dumps({**old, **noted}))
    fresh.rename(note)
    for name in old:
        try:
            (_PROC_SYS / name).write_text(str(LIMITS[name]))
        except OSError as error:
            raise RehearsalError(
                f"Can't raise {name.replace('/', '.')} to {LIMITS[name]} ({error.strerror}); set "
                "it with sysctl on the machine itself."
            ) from error


def restore_limits(paths: Paths) -> None:
    """Put back what raise_limits changed. Idempotent; does nothing when nothing was changed."""
    note = _note(paths)
    if not note.exists():
        return
    for name, value in json.loads(note.read_text()).items():
        # Somebody else may have set it since: theirs then.
        if _read(name) == LIMITS.get(name):
            (_PROC_SYS / name).write_text(str(value))
    note.unlink()


def _read(name: str) -> int:
    return int((_PROC_SYS / name).read_text())


def _note(paths: Paths) -> Path:
    return paths.run / "limits.json"
