"""What is never shown, whoever forgot to say that it is secret."""

from __future__ import annotations

import re

MASK = "[secret]"
# to its end, or to that of a text that was cut before it; line ends may be written as \n
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_SECRET_NAMES = frozenset({"password", "passphrase", "passwd", "secret", "token", "credentials"})


def masked(text: str) -> str:
    """`text` without the private keys in it."""
    return _PRIVATE_KEY.sub(MASK, text)


def names_a_secret(key: str) -> bool:
    """Whether a property by this name (`adminPassword`, `private_key`) holds a secret."""
    words = [word.lower() for word in _WORDS.findall(key)]
    return bool(words) and (words[-1] in _SECRET_NAMES or words[-2:] == ["private", "key"])
