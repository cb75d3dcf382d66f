"""Files of Debian packages: whole with their libraries, or one clear sentence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.images import debian as module
from rehearsal.images.debian import DebianFiles, debian_files
from rehearsal.images.elf import closure
from rehearsal.paths import Paths


def test_program_comes_with_interpreter_and_libraries_of_libraries(debian: DebianFiles) -> None:
    found = {Path(path).name for path in closure(debian.root, [debian.root / "usr/bin/jq"])}
    # jq itself needs libjq alone, which needs the regular expressions.
    assert {"libjq.so.1", "libonig.so.5", "libc.so.6"} <= found
    assert any(name.startswith("ld-linux") for name in found)


def test_scripts_and_static_programs_need_nothing(debian: DebianFiles, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert closure(debian.root, [script, debian.root / "usr/bin/busybox"]) == {}


def test_library_in_no_package_is_named(debian: DebianFiles, tmp_path: Path) -> None:
    shutil.copytree(debian.root / "usr/lib64", tmp_path / "usr/lib64", symlinks=True)
    shutil.copy(debian.root / "usr/bin/jq", tmp_path)
    with pytest.raises(RehearsalError, match=r"jq needs \S+, which is in no package"):
        closure(tmp_path, [tmp_path / "jq"])


def test_file_in_no_package_is_named(debian: DebianFiles) -> None:
    with pytest.raises(RehearsalError, match=r"No package of the images has usr/bin/emacs"):
        debian.programs("usr/bin/emacs")


def test_archive_that_is_down_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "debian_mirror", lambda suite: "http://127.0.0.1:9/debian")
    with pytest.raises(RehearsalError, match=r"^apt-get update for the images' packages failed"):
        debian_files(replace(Paths(), cache=tmp_path), lambda line: None)
    assert [file.name for file in (tmp_path / "image-packages").iterdir()] == [".lock"]
