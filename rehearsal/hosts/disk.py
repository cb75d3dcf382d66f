"""The first contents of a host's disk: what makes it this host and no other of its image."""

from __future__ import annotations

import os
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import RehearsalError

_KEY_TYPES = ("ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-")
HOST_KEY = Path("etc/ssh/ssh_host_ed25519_key")


@dataclass(frozen=True)
class _Account:
    uid: int
    gid: int
    home: Path


@dataclass(frozen=True)
class Disk:
    """The writable layer `upper` over the image `base`; changed only while the host is down."""

    upper: Path
    base: Path

    def personalise(
        self, hostname: str, user: str, authorized_key: str, user_data: str | None
    ) -> None:
        """Write the host's name, machine id, SSH host key, the user's key and the user data.

        Raises RehearsalError for a user the image lacks, a key that is none, user data that is no
        script.
        """
        key = authorized_key.strip()
        if "\n" in key or not key.startswith(_KEY_TYPES):
            raise RehearsalError(
                f"The key for {hostname} isn't one line of an OpenSSH public key (ssh-ed25519 …); "
                "give the key pair's public half."
            )
        if user_data and not user_data.startswith("#!"):
            raise RehearsalError(
                f"The user data of {hostname} isn't a script; only user data that starts with #! "
                "is run here."
            )
        account = self._account(user)
        self.write("etc/hostname", f"{hostname}\n")
        self.write(
            "etc/hosts",
            f"127.0.0.1 localhost\n127.0.1.1 {hostname}\n::1 localhost ip6-localhost\n",
        )
        self.write("etc/machine-id", f"{uuid.uuid4().hex}\n", mode=0o444)
        ssh = account.home / ".ssh"
        self.write(ssh / "authorized_keys", f"{key}\n", mode=0o600, owner=account)
        os.chown(self.upper / ssh, account.uid, account.gid)
        (self.upper / ssh).chmod(0o700)
        if user_data:
            self.write("var/lib/cloud/instance/user-data.txt", user_data, mode=0o600)
        self._host_key()

    def write(
        self, name: str | Path, text: str, mode: int = 0o644, owner: _Account | None = None
    ) -> None:
        """Put a file on the disk, root's unless `owner` is given, over whatever is there."""
        target = self.upper / name
        self._folder(target.parent)
        target.unlink(missing_ok=True)
        descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, mode)
            if owner is not None:
                os.fchown(descriptor, owner.uid, owner.gid)
            file.write(text)

    def _folder(self, folder: Path) -> None:
        """Make `folder` with the image's owners and modes: the upper layer's are the ones seen."""
        if folder.exists():
            return
        self._folder(folder.parent)
        folder.mkdir()
        original = self.base / folder.relative_to(self.upper)
        folder.chmod(0o755)
        if original.is_dir():
            seen = original.stat()
            os.chown(folder, seen.st_uid, seen.st_gid)
            folder.chmod(seen.st_mode & 0o7777)

    def _host_key(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            key = Path(scratch) / "key"
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)],
                check=True,
                capture_output=True,
            )
            self.write(HOST_KEY, key.read_text(), mode=0o600)
            self.write(f"{HOST_KEY}.pub", key.with_suffix(".pub").read_text())

    def _account(self, user: str) -> _Account:
        for line in (self.base / "etc/passwd").read_text().splitlines():
            name, _, uid, gid, _, home, _ = line.split(":")
            if name == user:
                return _Account(int(uid), int(gid), Path(home).relative_to("/"))
        raise RehearsalError(f"The hosts' image has no user {user}; log in as admin, its user.")
