"""One Linux host: created once, booted, stopped, killed and booted again on the same disk."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.hosts.cgroups import HostCgroups, machine_hierarchies
from rehearsal.hosts.disk import HOST_KEY, Disk
from rehearsal.hosts.traces import delete_folder, remove_traces, stray_hosts
from rehearsal.paths import Paths

_SUPERVISE = Path(__file__).parent / "supervise.sh"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_CONSOLE_LIMIT = 1 << 20
# systemd's signals to process 1 (systemd(1), "Signals").
_POWEROFF = signal.SIGRTMIN + 4
_REBOOT = signal.SIGRTMIN + 5


@dataclass(frozen=True)
class HostSpec:
    """What a host is.

    name: the instance id; lower-case letters, digits, hyphens. Names the host's cgroups too.
    netns: the network namespace it lives in, which exists before the host boots.
    hostname: its own name.
    user: the image's user; gets `authorized_key` (one line, an OpenSSH public key).
    user_data: a script that starts with `#!`, run as root at first boot; None for none.
    resolver: IPv4 address of its DNS server.
    base: the image's root folder (see build_base).
    """

    name: str
    netns: str
    hostname: str
    user: str
    authorized_key: str
    user_data: str | None
    resolver: str
    base: Path


class _GoneError(RehearsalError):
    """The host's folder was removed, perhaps by another process."""


class Host:
    """The host that lives in a folder. Its state is in the folder and in the kernel, not in here.

    So any process can take a host over, at any time; several may, as each operation locks.
    """

    def __init__(self, directory: Path) -> None:
        """Take up the host in `directory`. Raises RehearsalError when there is none."""
        self.directory = directory
        try:
            saved = json.loads((directory / "spec.json").read_text())
        except FileNotFoundError as error:
            raise RehearsalError(f"There is no host in {directory}; create it first.") from error
        self.spec = HostSpec(**{**saved, "base": Path(saved["base"])})

    @classmethod
    def create(cls, directory: Path, spec: HostSpec) -> Host:
        """Make the host's disk and note its spec, all or nothing; it doesn't boot yet.

        `directory` ends in the host's name. Creating again what is there already changes nothing.
        Raises RehearsalError when the spec can't be met, or another one is there.
        """
        if not _NAME.fullmatch(spec.name) or directory.name != spec.name:
            raise RehearsalError(
                f"{directory} can't hold a host {spec.name!r}; name the folder as the host, in "
                "lower-case letters, digits and hyphens."
            )
        if (directory / "spec.json").exists():
            host = cls(directory)
            if host.spec != spec:
                raise RehearsalError(
                    f"Host {spec.name} exists with another specification; remove it first."
                )
            return host
        fresh = directory.with_name(f".{directory.name}.new")
        delete_folder(fresh)
        remove_traces(directory)
        try:
            for name in ("upper", "work", "root", "state"):
                (fresh / name).mkdir(parents=True)
            (fresh / "upper").chmod(0o755)  # the mode of the host's /, whatever our umask
            (fresh / "base").symlink_to(spec.base)
            Disk(fresh / "upper", spec.base).personalise(
                spec.hostname, spec.user, spec.authorized_key, spec.user_data
            )
            saved = fresh / "spec.json"
            saved.touch(mode=0o600)  # user data may hold secrets
            saved.write_text(json.dumps({**asdict(spec), "base": str(spec.base)}, indent=1))
            fresh.rename(directory)
        except BaseException:
            delete_folder(fresh)
            raise
        return cls(directory)

    @property
    def host_key(self) -> str:
        """The public SSH host key: one line, `ssh-ed25519 …`; the disk keeps it all its life."""
        return (self.directory / "upper" / f"{HOST_KEY}.pub").read_text().strip()

    @property
    def console(self) -> Path:
        """What systemd and the kernel's side of booting had to say."""
        return self.directory / "console"

    @property
    def running(self) -> bool:
        """Whether it has any process, or is between two boots of a reboot."""
        return bool(self._cgroups.pids())

    def boot(self) -> None:
        """Start it; returns when its systemd has started (SSH answers a second or two later).

        Does nothing when it runs. Raises RehearsalError when its network namespace or image is
        missing, or a file system can't be mounted; nothing of it runs then.
        """
        with self._lock():
            if self.running:
                return
            self._check_parts()
            # Of a host whose supervisor was killed, cgroups are left.
            self._cgroups.remove()
            self._cgroups.create()
            disk = Disk(self.directory / "upper", self.spec.base)
            disk.write("etc/resolv.conf", f"nameserver {self.spec.resolver}\n")
            if not self._start():
                self._cgroups.kill()
                self._cgroups.remove()
                raise RehearsalError(
                    f"Host {self.spec.name} didn't start; the reason is at the end of "
                    f"{self.console}."
                )

    def shutdown(self, timeout_s: float = 30.0) -> None:
        """Power it off in order, as a stopped instance; by force after `timeout_s` seconds."""
        with self._lock():
            if (init := self._init_pid()) is not None:
                self._signal_until_gone(init, _POWEROFF, timeout_s)
            # The supervisor sees the end and follows; what is left after that has no order to end.
            self._cgroups.kill()

    def kill(self) -> None:
        """Pull the plug: every process ends at once, nothing is written any more."""
        with self._lock():
            self._cgroups.kill()

    def reboot(self, timeout_s: float = 30.0) -> None:
        """Reboot it in order, by force after `timeout_s` seconds; boots it when it is down."""
        with self._lock():
            init = self._init_pid()
            if init is not None and self._signal_until_gone(init, _REBOOT, timeout_s):
                deadline = time.monotonic() + timeout_s
                while time.monotonic() < deadline and self.running:
                    if self._init_pid() not in (None, init):
                        return
                    time.sleep(0.05)
            self._cgroups.kill()
        self.boot()

    def remove(self) -> None:
        """End it and delete all of it: processes, cgroups, mounts, files. Idempotent."""
        try:
            with self._lock():
                remove_traces(self.directory)
        except _GoneError:
            remove_traces(self.directory)

    @property
    def _cgroups(self) -> HostCgroups:
        return HostCgroups(self.spec.name, tuple(machine_hierarchies()))

    def _check_parts(self) -> None:
        netns = Path("/run/netns") / self.spec.netns
        if not netns.exists():
            raise RehearsalError(
                f"Host {self.spec.name} has no network namespace {self.spec.netns}; make its "
                "network first."
            )
        if not (self.spec.base / "etc/os-release").exists():
            raise RehearsalError(
                f"The image of host {self.spec.name} is gone from {self.spec.base}; build it again."
            )

    def _start(self) -> bool:
        """Run the supervisor, a daemon of its own. True when systemd started."""
        if self.console.exists() and self.console.stat().st_size > _CONSOLE_LIMIT:
            self.console.unlink()
        hierarchies = [str(h) for h in self._cgroups.hierarchies]
        arguments = [self.spec.name, self.spec.netns, self.spec.hostname, *hierarchies]
        ready, told = os.pipe()
        try:
            with self.console.open("a") as console:
                # `setsid --fork`: not our child, so that it never waits to be reaped by us.
                subprocess.run(
                    ["setsid", "--fork", str(_SUPERVISE), *arguments],
                    cwd=self.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=told,
                    stderr=console,
                    check=True,
                )
        finally:
            os.close(told)
        with os.fdopen(
            ready
        ) as pipe:  # ends when systemd started, or all that could start it is gone
            return "ready\n" in pipe

    def _init_pid(self) -> int | None:
        """The host's process 1, as seen from here."""
        for pid in self._cgroups.pids("host"):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            ids = re.search(r"^NSpid:\s+(.*)$", status, re.MULTILINE)
            # One level down from us and the first there (a pod's process 1 is two levels down).
            if ids is not None and ids[1].split() == [str(pid), "1"]:
                return pid
        return None

    def _signal_until_gone(self, init: int, number: int, timeout_s: float) -> bool:
        """Send `number` to process 1 and wait for its end; False when `timeout_s` goes by."""
        deadline = time.monotonic() + timeout_s
        with self._cgroups.hold(init) as descriptor:
            if descriptor is None:
                return True
            gone = select.poll()
            gone.register(descriptor, select.POLLIN)
            while (left := deadline - time.monotonic()) > 0:
                # Again and again: a systemd that has just begun to start may miss it.
                signal.pidfd_send_signal(descriptor, number)
                if gone.poll(min(left, 2.0) * 1000):
                    return True
        return False

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One operation on this host at a time, in all processes. Raises when the host is gone."""
        try:
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise _GoneError(f"Host {self.spec.name} has been removed; create it again.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not (self.directory / "spec.json").exists():
                raise _GoneError(f"Host {self.spec.name} has been removed; create it again.")
            yield
        finally:
            os.close(descriptor)


def list_hosts(paths: Paths) -> list[Host]:
    """Every host of this run, running or not, by name."""
    return [Host(file.parent) for file in sorted(paths.hosts.glob("[!.]*/spec.json"))]


def remove_all(paths: Paths, report: Callable[[str], None]) -> None:
    """Remove every host of this run, and what half-made or half-deleted ones left. Idempotent."""
    folders = sorted(paths.hosts.iterdir()) if paths.hosts.is_dir() else []
    folders += stray_hosts(paths.hosts)
    if folders:
        report(f"hosts: removing {len(folders)}")
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(_remove_folder, folders))
    delete_folder(paths.hosts)


def _remove_folder(folder: Path) -> None:
    if (folder / "spec.json").exists():
        Host(folder).remove()
    else:
        remove_traces(folder)
