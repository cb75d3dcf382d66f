"""Our own Go programs' tests, run as part of all tests."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.conftest import CHECKOUT

MODULES = sorted({file.parent for file in (CHECKOUT / "tools").glob("*/*_test.go")})


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: folder.name)
def test_a_modules_own_tests_pass(folder: os.PathLike[str]) -> None:
    assert shutil.which("go"), "go is not on PATH; install it (README.md says which)"
    settings = {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(
        ["go", "test", "./..."],
        cwd=folder,
        env={**os.environ, **settings, "CGO_ENABLED": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
