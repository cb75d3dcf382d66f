"""The package repository's OpenPGP key: made once, kept in the cache, used by gpg."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rehearsal.errors import RehearsalError

HOMES = "/tmp"  # where gpg's homes are while it works: the path of a socket has to be short

_OWNER = "Groundwork rehearsal packages"


@contextmanager
def signer(folder: Path) -> Iterator[Signer]:
    """A signer with the key kept in `folder`, which is made on first use.

    One at a time for a folder: the caller holds a lock. The private part is
    <folder>/private.asc, mode 0600. gpg's own home lives as long as the block.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _home(folder) as home, _agent(home):
        gpg = Signer(Path(home))
        private = folder / "private.asc"
        if private.exists():
            gpg.load(private)
        else:
            gpg.create(private)
        yield gpg


@contextmanager
def _home(folder: Path) -> Iterator[str]:
    """A home for gpg, always of the same name: what a killed run left is removed by the next."""
    home = Path(HOMES) / f"groundwork-gpg-{hashlib.sha256(bytes(folder)).hexdigest()[:12]}"
    if home.exists():
        shutil.rmtree(home)
    home.mkdir(mode=0o700)
    try:
        yield str(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _agent(home: str) -> Iterator[None]:
    """gpg's agent for that home. It ends with its child, and that one with our end of its pipe."""
    child = ["sh", "-c", "echo started; exec cat"]
    command = ["gpg-agent", "--homedir", home, "--quiet", "--daemon", *child]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except FileNotFoundError as error:
        raise RehearsalError("gpg is not installed; apt-get install gnupg") from error
    with process:
        try:
            if process.stdout is None or process.stdout.readline() != b"started\n":
                raise RehearsalError(f"gpg-agent did not start in {home}")
            yield
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], capture_output=True)


class Signer:
    """gpg with one secret key. Errors are RehearsalErrors."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def create(self, private: Path) -> None:
        """Makes a key and writes its private part to `private`."""
        self._gpg("--passphrase", "", "--quick-gen-key", _OWNER, "ed25519", "sign", "never")
        armored = self._gpg("--passphrase", "", "--armor", "--export-secret-keys")
        new = private.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(armored)
        new.rename(private)

    def load(self, private: Path) -> None:
        """Takes the key of `private`."""
        try:
            self._gpg("--import", str(private))
        except RehearsalError as error:
            raise RehearsalError(
                f"the package repository's key {private} can't be read; remove it and a new one"
                f" is made ({error})"
            ) from error

    def public_key(self) -> bytes:
        """The public part, armored."""
        return self._gpg("--armor", "--export")

    def clear_sign(self, content: bytes) -> bytes:
        """The content inside a signature, as InRelease has it."""
        return self._gpg("--armor", "--clearsign", content=content)

    def detached_signature(self, content: bytes) -> bytes:
        """The signature alone, armored, as Release.gpg has it."""
        return self._gpg("--armor", "--detach-sign", content=content)

    def _gpg(self, *arguments: str, content: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self._home), "--batch", "--no-tty", "--quiet"]
        command += ["--no-autostart", "--pinentry-mode", "loopback", *arguments]
        done = subprocess.run(command, input=content, capture_output=True)
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
            raise RehearsalError(f"gpg failed: {reason[-1]}")
        return done.stdout
