"""A push builds the services that it changed, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations.errors import OperationsError
from operations.services import changed
from tests.operations.test_images import git


def commit(folder: Path, **files: str | None) -> str:
    """Writes or removes files, `__` for `/`; returns the commit."""
    for name, text in files.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    names = {f"services__{name}__Dockerfile": name for name in ("auth", "my", "scan")}
    return tmp_path, commit(tmp_path, **names, services__README="x", services__lib__a="no image")


def test_only_what_changed(repository: tuple[Path, str]) -> None:
    folder, first = repository
    assert changed(folder, first, commit(folder, services__my__app__main="x")) == ["my"]
    assert changed(folder, first, commit(folder, services__auth__Dockerfile="x")) == ["auth", "my"]


def test_what_is_no_service_builds_nothing(repository: tuple[Path, str]) -> None:
    folder, first = repository
    last = commit(folder, services__README="y", services__lib__a="y", services__é__x="y", docs="y")
    assert changed(folder, first, last) == []


def test_a_service_that_went_is_not_built(repository: tuple[Path, str]) -> None:
    folder, first = repository
    assert changed(folder, first, commit(folder, services__scan__Dockerfile=None)) == []


@pytest.mark.parametrize("before", ["0" * 40, "f" * 40])
def test_all_are_built_if_nobody_knows_what_was_before(
    repository: tuple[Path, str], before: str
) -> None:
    folder, first = repository
    assert changed(folder, before, first) == ["auth", "my", "scan"]


def test_a_commit_that_is_not_there(repository: tuple[Path, str]) -> None:
    with pytest.raises(OperationsError, match="git ls-tree failed"):
        changed(repository[0], repository[1], "f" * 40)


@pytest.mark.parametrize("name", ["Auth", "a b", "$(id)"])
def test_a_name_that_no_image_can_have(repository: tuple[Path, str], name: str) -> None:
    folder, first = repository
    last = commit(folder, **{f"services__{name}__Dockerfile": "x"})
    with pytest.raises(OperationsError, match="names no image"):
        changed(folder, first, last)
