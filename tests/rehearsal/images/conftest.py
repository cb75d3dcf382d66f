"""What several tests of images need."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.images import catalog
from rehearsal.images.debian import DebianFiles, debian_files
from rehearsal.paths import Paths


@pytest.fixture(scope="session")
def debian() -> DebianFiles:
    """The real packages' files; downloaded once, about 10 s."""
    return debian_files(Paths(), print)


@pytest.fixture
def binaries(tmp_path: Path) -> dict[str, Path]:
    """Small files in the place of all built programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    made = {}
    for name in (name for group in catalog.GROUPS for name in catalog.NEEDED[group]):
        made[name] = folder / name
        made[name].write_text(f"#!/bin/sh\necho {name} $SERVICE_NAME $*\n")
        made[name].chmod(0o755)
    return made
