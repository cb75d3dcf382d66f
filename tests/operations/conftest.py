"""What all tests of operations share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nobodys_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Git with an identity and with none of this machine's settings."""
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "build")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "build@example.org")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
