"""Private keys as people have them: ed25519, RSA, ECDSA; OpenSSH's format or PEM."""

from __future__ import annotations

import io

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from rehearsal.plugins.protocol import ProviderError


def private_key(text: str, password: str | None, whose: str) -> paramiko.PKey:
    """The key of a key file's text. whose: named in the error. Raises ProviderError."""
    data = text.encode()
    load = load_ssh_private_key if b"BEGIN OPENSSH " in data else load_pem_private_key
    try:
        key = load(data, password.encode() if password else None)
    except TypeError:
        need = "has a password that is not the given one" if password else "needs its password"
        if password and b"ENCRYPTED" not in data:
            need = "has no password, but one is given"
        raise ProviderError(f"the private key for {whose} {need}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ProviderError(
            f"the private key for {whose} cannot be read; it must be an ed25519, RSA or ECDSA key "
            "in OpenSSH's or PEM format" + (", and its password the right one" if password else "")
        ) from None
    if isinstance(key, RSAPrivateKey):
        return paramiko.RSAKey(key=key)
    if isinstance(key, EllipticCurvePrivateKey):
        return paramiko.ECDSAKey(vals=(key, key.public_key()))
    if isinstance(key, Ed25519PrivateKey):
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        return paramiko.Ed25519Key(file_obj=io.StringIO(plain.decode()))
    raise ProviderError(
        f"the private key for {whose} is of a kind that is not handled here; "
        "use ed25519, RSA or ECDSA"
    )
