"""Real SSH servers on the loopback, each with its own configuration, host key and log."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.rehearsal.plugins.harness import end_process

USER = getpass.getuser()
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Key:
    """A key pair in the forms people keep them."""

    private: Any

    @classmethod
    def new(cls, kind: str = "ed25519") -> Key:
        """kind: ed25519, rsa or ecdsa."""
        if kind == "rsa":
            return cls(rsa.generate_private_key(65537, 2048))
        if kind == "ecdsa":
            return cls(ec.generate_private_key(ec.SECP256R1()))
        return cls(ed25519.Ed25519PrivateKey.generate())

    def text(
        self, format: PrivateFormat = PrivateFormat.OpenSSH, password: str | None = None
    ) -> str:
        lock: KeySerializationEncryption = NoEncryption()
        if password is not None:
            lock = BestAvailableEncryption(password.encode())
        text: bytes = self.private.private_bytes(Encoding.PEM, format, lock)
        return text.decode()

    @property
    def public(self) -> str:
        """The line of an authorized_keys file."""
        line: bytes = self.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return line.decode()


@dataclass
class Sshd:
    """A server for one user with `key`. settings: lines of sshd_config, before its defaults.

    user: this one, or any other name: an account that this server alone knows.
    """

    folder: Path
    key: Key
    settings: tuple[str, ...] = ()
    user: str = USER
    port: int = field(default_factory=lambda: free_port())
    host_key: Key = field(default_factory=Key.new)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def logins(self) -> int:
        """How many connections logged in so far."""
        return self.log.count("Accepted publickey")

    @property
    def connections(self) -> int:
        """How many connections were made so far, for whatever."""
        return self.log.count("Connection from ")

    def connection(self, **changes: Any) -> dict[str, Any]:
        """The resource's `connection` to it."""
        given = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "privateKey": self.key.text(),
            "dialErrorLimit": 2,
            "perDialTimeout": 10,
        }
        return {**given, **changes}

    @contextmanager
    def running(self) -> Iterator[Sshd]:
        """Serves until the end of the block; then it, its connections and their commands end."""
        process = self._start()
        try:
            yield self
        finally:
            descendants = _descendants(process.pid)
            end_process(process)
            for pid in descendants:
                _kill(pid)

    def _start(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "host_key").touch(mode=0o600)
        (self.folder / "host_key").write_text(self.host_key.text())
        (self.folder / "authorized_keys").write_text(self.key.public + "\n")
        config = self.folder / "sshd_config"
        config.write_text(
            "\n".join(
                [
                    *self.settings,
                    f"ListenAddress 127.0.0.1:{self.port}",
                    f"HostKey {self.folder}/host_key",
                    f"AuthorizedKeysFile {self.folder}/authorized_keys",
                    "PidFile none",
                    "StrictModes no",
                    "UsePAM no",
                    "PermitRootLogin prohibit-password",
                    "PasswordAuthentication no",
                    "LogLevel VERBOSE",
                    "UseDNS no",
                    # without the shell's start files of whoever runs the tests
                    f"SetEnv HOME={self.folder}",
                ]
            )
        )
        log = self.folder / "log"
        log.write_bytes(b"")
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it
        process = subprocess.Popen(
            [*self._with_account(), "/usr/sbin/sshd", "-D", "-e", "-f", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log.open("ab"),
            start_new_session=True,
        )
        until(lambda: "Server listening" in self.log or process.poll() is not None)
        assert process.poll() is None, self.log
        return process

    def _with_account(self) -> list[str]:
        """A command that runs another with an /etc/passwd of its own, if one is needed."""
        if self.user == USER:
            return []
        accounts = self.folder / "passwd"
        known = Path("/etc/passwd").read_text()
        accounts.write_text(f"{known}{self.user}:*:54321:65534::/:/bin/sh\n")
        script = 'mount --bind "$0" /etc/passwd && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, str(accounts)]


def _descendants(pid: int) -> list[int]:
    """All processes below one: sshd gives each connection and command a session of its own."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found[1:]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], object], patience: float = _PATIENCE_S) -> None:
    """Waits until `condition` holds; fails the test after `patience` seconds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but is not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter if it ends just now
        return False


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that answers nothing until the end of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
