"""The hosts' base image, what the AMI is in a cloud: Debian, prepared, cached by its recipe."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.hosts.apt_sources import debian_mirror
from rehearsal.paths import Paths

SUITE = "bookworm"
USER = "admin"
PACKAGES = """
    systemd systemd-sysv dbus openssh-server sudo less netbase python3-minimal
    ca-certificates curl gnupg mount procps util-linux
    iproute2 iputils-ping iptables nftables ipset conntrack ethtool socat kmod
    containerd runc containernetworking-plugins
"""
# What makes no sense on a host that shares its kernel, or wakes up for nothing. Not logind:
# `systemctl reboot` needs it.
MASKED = """
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
    e2scrub_reap.service getty.target getty@tty1.service console-getty.service
    systemd-udevd.service systemd-pstore.service systemd-timesyncd.service nftables.service
    dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount
    sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount
"""
ENABLED = ["ssh.service", "containerd.service", "cloud-final.service"]
EMPTY = [f"etc/{name}" for name in ("machine-id", "fstab", "hostname", "resolv.conf")]
EMPTY.append("etc/apt/sources.list")
IMAGE_FILES = Path(__file__).parent / "image"
# Raise when what the code below does to the image changes.
_FORMAT = 2


def base_path(paths: Paths) -> Path:
    """Where the base image of this recipe is, or will be."""
    return paths.base / f"{SUITE}-{recipe_hash()}"


def recipe_hash() -> str:
    """12 hex digits over all that determines the image, but for the archive's own updates."""
    files = {
        str(file.relative_to(IMAGE_FILES)): [_mode(file), file.read_text()]
        for file in sorted(IMAGE_FILES.rglob("*"))
        if file.is_file()
    }
    recipe = [_FORMAT, platform.machine(), SUITE, USER, PACKAGES, MASKED, ENABLED, EMPTY, files]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def build_base(paths: Paths, report: Callable[[str], None]) -> Path:
    """The base image's root folder; made first (1-2 minutes, 400 MB) when it isn't in the cache.

    The result appears at once or not at all; what an interrupted run left half-made is removed.
    Two callers don't collide: the second waits. The log is base.log in `paths.logs`. Raises
    RehearsalError when the machine's apt sources have no Debian archive or debootstrap fails.
    """
    target = base_path(paths)
    if target.is_dir():
        return target
    paths.base.mkdir(parents=True, exist_ok=True)
    with _lock(paths.base / ".lock"):
        if target.is_dir():
            return target
        for half_made in paths.base.glob(".*.partial"):
            _remove(half_made)
        partial = paths.base / f".{target.name}.partial"
        try:
            _debootstrap(partial, paths.logs / "base.log", report)
            report("base image: preparing")
            prepare(partial)
            partial.rename(target)
        except BaseException:
            _remove(partial)
            raise
    report("base image: ready")
    return target


def prepare(root: Path) -> None:
    """Turn a fresh Debian in `root` into the image: our files, user and units, no machine's names.

    Raises CalledProcessError when a command of the image fails.
    """
    for file in sorted(IMAGE_FILES.rglob("*")):
        if file.is_file():
            target = root / file.relative_to(IMAGE_FILES)
            _chroot(root, "mkdir", "--parents", f"/{file.parent.relative_to(IMAGE_FILES)}")
            target.write_bytes(file.read_bytes())
            target.chmod(_mode(file))
    for name in EMPTY:
        (root / name).unlink(missing_ok=True)  # it may be a link that leads out of `root`
        (root / name).write_text("")
        (root / name).chmod(0o644)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    _neutralise_sysctls(root)
    _chroot(root, "useradd", "--create-home", "--shell", "/bin/bash", USER)
    # Not "!": a locked account may not log in with a key either.
    _chroot(root, "usermod", "--password", "*", USER)
    _chroot(root, "systemctl", "mask", *MASKED.split())
    _chroot(root, "systemctl", "enable", *ENABLED)
    _chroot(root, "systemctl", "set-default", "multi-user.target")
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        package.unlink()
    for index in (root / "var/lib/apt/lists").iterdir():
        if index.is_file():
            index.unlink()
    for entry in (root / "var/log").iterdir():
        _remove(entry)


def _neutralise_sysctls(root: Path) -> None:
    """Debian's own kernel settings can't be set from a host (they are the machine's): none here."""
    overriding = root / "etc/sysctl.d"
    for file in (root / "usr/lib/sysctl.d").glob("*.conf"):
        (overriding / file.name).unlink(missing_ok=True)
        (overriding / file.name).symlink_to("/dev/null")


def _debootstrap(root: Path, log: Path, report: Callable[[str], None]) -> None:
    mirror = debian_mirror(SUITE)
    if shutil.which("debootstrap") is None:
        raise RehearsalError("debootstrap is missing; run `apt-get install debootstrap`.")
    log.parent.mkdir(parents=True, exist_ok=True)
    # In its own mount and pid namespaces, and ended with us: an interruption leaves neither mounts
    # nor processes behind.
    command = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork"]
    command += ["--kill-child", "--", "debootstrap", "--variant=minbase"]
    command += [f"--include={','.join(PACKAGES.split())}", SUITE, str(root), mirror]
    report("base image: Debian's package lists")
    with log.open("w") as sink:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, umask=0o022
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                sink.write(line)
                sink.flush()
                if progress := _progress(line):
                    report(f"base image: {progress}")
            status = process.wait()
        finally:
            process.kill()
            process.wait()
    if status != 0:
        raise RehearsalError(
            f"debootstrap failed (status {status}); see {log}, and check that the Debian archive "
            "in this machine's apt sources answers."
        )


_STAGES = {
    "I: Checking component": "downloading packages",
    "I: Chosen extractor": "unpacking the core packages",
    "I: Installing core packages": "installing the core packages",
    "I: Unpacking the base system": "unpacking the other packages",
    "I: Configuring the base system": "configuring the other packages",
}


def _progress(line: str) -> str | None:
    return next((text for start, text in _STAGES.items() if line.startswith(start)), None)


def _chroot(root: Path, *command: str) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    subprocess.run(
        ["chroot", str(root), *command],
        check=True,
        capture_output=True,
        env=environment,
        umask=0o022,
    )


def _mode(file: Path) -> int:
    return 0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644


def _remove(folder: Path) -> None:
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
