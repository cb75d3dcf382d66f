"""The SSH key pair named in the settings: there, readable, and one pair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import serialization


def mismatch(private: Path, public: Path) -> Iterator[tuple[str, str]]:
    """What is wrong with the pair, as (settings field, reason); never shows key material."""
    fix = f"make one with: ssh-keygen -t ed25519 -f {private}"
    derived = given = None
    try:
        key = serialization.load_ssh_private_key(private.read_bytes(), password=None)
        derived = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
    except OSError as error:
        yield "private_key_file", f"{private} cannot be read ({error.strerror}); {fix}"
    except (ValueError, TypeError):
        yield "private_key_file", f"{private} is no unencrypted OpenSSH private key; {fix}"
    try:
        given = b" ".join(public.read_bytes().split()[:2])
    except OSError as error:
        yield "public_key_file", f"{public} cannot be read ({error.strerror}); {fix}"
    if derived and given and derived != given:
        yield "private_key_file", f"{private} is not the private half of {public}"
