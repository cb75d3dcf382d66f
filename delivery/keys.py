"""The operators' SSH key pair, put where the settings look for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from delivery.errors import DeliveryError
from settings import Environment
from settings.check import resolve
from settings.load import merged
from settings.sources import read_sources

VARIABLE = "SSH_PRIVATE_KEY"


def plant(project: Path, environment: Environment) -> list[Path]:
    """Writes the private key that the variable SSH_PRIVATE_KEY holds, and the public one it gives;
    which files. One that is there already is never written over.

    Raises DeliveryError.
    """
    text = os.environ.get(VARIABLE, "").replace("\r\n", "\n").strip() + "\n"
    public = _public(text)
    written: list[Path] = []
    for stack in environment.stacks:
        given: Any = merged(project, stack.name, read_sources()).data.get("ssh")
        halves = (("private", text.encode(), 0o600), ("public", public, 0o644))
        for half, content, mode in halves:
            name = given.get(f"{half}_key_file") if isinstance(given, dict) else None
            if not isinstance(name, str):
                raise DeliveryError(f"{stack.name}: ssh.{half}_key_file names no file")
            if file := _write(resolve(project, name), content, mode):
                written.append(file)
    return written


def _public(text: str) -> bytes:
    try:
        key = serialization.load_ssh_private_key(text.encode(), password=None)
        public = key.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):  # their words may quote the key
        raise DeliveryError(
            f"{VARIABLE} holds no private key in OpenSSH's form without a passphrase; put the "
            "whole file into the secret of that name"
        ) from None
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return public.public_bytes(encoding, form) + b"\n"


def _write(file: Path, content: bytes, mode: int) -> Path | None:
    """The file, None if it holds this key already: what is after a public key is a comment."""
    if file.exists():
        there = file.read_bytes()
        if there.strip() == content.strip() or there.split()[:2] == content.split():
            return None
        raise DeliveryError(f"{file} holds another key; it is not written over")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
    return file
