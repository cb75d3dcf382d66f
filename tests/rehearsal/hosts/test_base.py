"""Making the base image: all or nothing, once for each recipe."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.hosts import base as module
from rehearsal.hosts.base import base_path, build_base, recipe_hash
from rehearsal.paths import Paths

from .conftest import until

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(run=tmp_path / "run", cache=tmp_path / "cache")


def fake_debootstrap(folder: Path, script: str) -> str:
    """A PATH on which debootstrap is `script`; $root is where the image should go."""
    program = folder / "bin" / "debootstrap"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nroot=$4\nmkdir -p "$root"\n{script}\n')
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes images")


def test_a_failed_debootstrap_is_one_sentence_and_leaves_nothing(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_root()
    monkeypatch.setenv("PATH", fake_debootstrap(tmp_path, "echo E: no mirror; exit 3"))
    with pytest.raises(RehearsalError, match=r"status 3.*base\.log"):
        build_base(paths, print)
    assert "E: no mirror" in (paths.logs / "base.log").read_text()
    assert [entry.name for entry in paths.base.iterdir()] == [".lock"]


def test_killed_while_building_leaves_no_process_and_the_next_run_clears_up(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_root()
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from rehearsal.hosts.base import build_base\n"
        "from rehearsal.paths import Paths\n"
        "build_base(Paths(run=Path(sys.argv[1]), cache=Path(sys.argv[2])), print)\n"
    )
    marker = f"sleep 3{os.getpid()}"
    search = fake_debootstrap(tmp_path, f'mount -t tmpfs tmpfs "$root"\n: >"$root/at"\n{marker}')
    building = subprocess.Popen(
        [sys.executable, "-c", program, str(paths.run), str(paths.cache)],
        env={**os.environ, "PATH": search},
        cwd=CHECKOUT,
    )

    def sleeping() -> bool:
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True)
        return marker in listed.stdout.splitlines()

    until(sleeping)
    os.kill(building.pid, signal.SIGKILL)
    building.wait()
    until(lambda: not sleeping())
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert list(paths.base.glob(".*.partial"))
    assert not base_path(paths).exists()

    monkeypatch.setenv("PATH", search)
    (tmp_path / "bin/debootstrap").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(RehearsalError):
        build_base(paths, print)
    assert not list(paths.base.glob(".*.partial"))


def test_an_image_in_the_cache_is_used_at_once(paths: Paths) -> None:
    base_path(paths).mkdir(parents=True)
    messages: list[str] = []
    assert build_base(paths, messages.append) == base_path(paths)
    assert messages == []


def test_the_cache_goes_by_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {recipe_hash()}
    monkeypatch.setattr(module, "PACKAGES", module.PACKAGES + " jq")
    hashes.add(recipe_hash())
    files = tmp_path / "image"
    files.mkdir()
    monkeypatch.setattr(module, "IMAGE_FILES", files)
    hashes.add(recipe_hash())
    (files / "program").write_text("x")
    hashes.add(recipe_hash())
    (files / "program").chmod(0o755)
    hashes.add(recipe_hash())
    assert len(hashes) == 5
    assert recipe_hash() in hashes


def test_the_image_has_no_identity_of_its_own(base: Path) -> None:
    for name in ("etc/machine-id", "etc/hostname", "etc/resolv.conf", "etc/apt/sources.list"):
        assert (base / name).read_text() == ""
    assert not list((base / "etc/ssh").glob("ssh_host_*"))
    assert not (base / "usr/bin/kubelet").exists()


def test_the_image_keeps_debians_containerd_configuration(base: Path) -> None:
    sums = (base / "var/lib/dpkg/info/containerd.md5sums").read_text()
    status = (base / "var/lib/dpkg/status").read_text()
    done = subprocess.run(
        ["md5sum", str(base / "etc/containerd/config.toml")], capture_output=True, text=True
    )
    assert done.stdout.split()[0] in sums + status


def test_only_root_can_change_what_root_runs(base: Path) -> None:
    for name in ("etc/sudoers.d/90-cloud-init-users", "usr/local/sbin/run-user-data"):
        seen = (base / name).stat()
        assert seen.st_uid == 0
        assert not seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
