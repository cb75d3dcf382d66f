"""The apt repository: its files, its cache, and a real apt over HTTP."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.mirrors import signing
from rehearsal.mirrors.apt import build_packages, repository_path
from rehearsal.paths import CHECKOUT, Paths
from tests.rehearsal.mirrors.conftest import Mirrors

FULL = "1.34.4-1.1"
ARCHITECTURE = subprocess.run(
    ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
).stdout.strip()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(run=tmp_path / "run", cache=tmp_path / "cache")


@pytest.fixture
def binaries(tmp_path: Path) -> dict[str, Path]:
    """Small programs that say their names."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("kubeadm", "kubelet", "kubectl"):
        (folder / name).write_text(f"#!/bin/sh\necho {name} of the rehearsal\n")
        (folder / name).chmod(0o755)
    return {name: folder / name for name in ("kubeadm", "kubelet", "kubectl")}


def dpkg_deb(*arguments: str | Path) -> str:
    command = ["dpkg-deb", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def deb(repository: Path, name: str, version: str = FULL) -> Path:
    return repository / ARCHITECTURE / f"{name}_{version}_{ARCHITECTURE}.deb"


def test_upstreams_layout(paths: Paths, binaries: dict[str, Path]) -> None:
    repository = build_packages(paths, binaries, print)
    assert repository == paths.packages / "core:" / "stable:" / "v1.34" / "deb"
    contents = {}
    for name in binaries:
        for line in dpkg_deb("--contents", deb(repository, name)).splitlines():
            mode, owner, *_, path = line.split()
            assert owner == "root/root"
            if not path.endswith("/"):
                contents[path[1:]] = (name, mode)
    assert contents == {
        "/usr/bin/kubeadm": ("kubeadm", "-rwxr-xr-x"),
        "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": ("kubeadm", "-rw-r--r--"),
        "/usr/bin/kubectl": ("kubectl", "-rwxr-xr-x"),
        "/usr/bin/kubelet": ("kubelet", "-rwxr-xr-x"),
        "/usr/lib/systemd/system/kubelet.service": ("kubelet", "-rw-------"),
        "/etc/default/kubelet": ("kubelet", "-rw-r--r--"),
        "/etc/kubernetes/manifests/.kubelet-keep": ("kubelet", "-rw-r--r--"),
        "/var/lib/kubelet/.kubelet-keep": ("kubelet", "-rw-r--r--"),
    }
    assert dpkg_deb("--info", deb(repository, "kubelet"), "conffiles") == "/etc/default/kubelet\n"
    assert dpkg_deb("--field", deb(repository, "kubeadm"), "Version").strip() == FULL
    depends = dpkg_deb("--field", deb(repository, "kubelet"), "Depends")
    assert "containernetworking-plugins" in depends
    assert "kubernetes-cni" in dpkg_deb("--field", deb(repository, "kubelet"), "Description")


def test_units_are_sound(paths: Paths, binaries: dict[str, Path], tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    repository = build_packages(paths, binaries, print)
    root = tmp_path / "root"
    for name in binaries:
        dpkg_deb("--extract", deb(repository, name), root)
    unit = root / "usr/lib/systemd/system/kubelet.service"
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", "--recursive-errors=no", unit.name],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_maintainer_scripts_are_sound(paths: Paths, binaries: dict[str, Path]) -> None:
    repository = build_packages(paths, binaries, print)
    for script in ("postinst", "prerm", "postrm"):
        text = dpkg_deb("--info", deb(repository, "kubelet"), script)
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)
        if shutil.which("shellcheck"):
            done = subprocess.run(["shellcheck", "-"], input=text, text=True, capture_output=True)
            assert done.returncode == 0, done.stdout


def test_the_index_tells_the_files_as_they_are(paths: Paths, binaries: dict[str, Path]) -> None:
    repository = build_packages(paths, binaries, print)
    index = (repository / "Packages").read_bytes()
    assert gzip.decompress((repository / "Packages.gz").read_bytes()) == index
    paragraphs = [
        dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line)
        for paragraph in index.decode().split("\n\n")
    ]
    assert {item["Package"] for item in paragraphs} == set(binaries)
    for item in paragraphs:
        content = (repository / item["Filename"]).read_bytes()
        assert int(item["Size"]) == len(content)
        assert item["SHA256"] == hashlib.sha256(content).hexdigest()
    release = (repository / "Release").read_text()
    for name in ("Packages", "Packages.gz"):
        content = (repository / name).read_bytes()
        assert f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}\n" in release


def test_the_key_is_made_once_and_kept_private(paths: Paths, binaries: dict[str, Path]) -> None:
    repository = build_packages(paths, binaries, print)
    public = (repository / "Release.key").read_text()
    assert public.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    folder = paths.cache / "packages-key"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "private.asc").stat().st_mode) == 0o600
    build_packages(paths, binaries, print, version="1.34.3")
    assert (repository / "Release.key").read_text() == public
    served = [path for path in paths.packages.rglob("*") if path.is_file()]
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in served)


def test_a_key_that_is_broken_is_named(paths: Paths, binaries: dict[str, Path]) -> None:
    key = paths.cache / "packages-key" / "private.asc"
    key.parent.mkdir(parents=True)
    key.write_text("nonsense")
    with pytest.raises(RehearsalError, match=f"{key}.*remove it"):
        build_packages(paths, binaries, print)


def test_gpg_leaves_nothing_behind(
    paths: Paths, binaries: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir=signing.HOMES) as homes:
        monkeypatch.setattr(signing, "HOMES", homes)
        build_packages(paths, binaries, print)
        assert list(Path(homes).iterdir()) == []
        deadline = time.monotonic() + 20
        while running(homes) and time.monotonic() < deadline:
            time.sleep(0.02)  # the agent has been told to end
        assert running(homes) == []


def running(text: str) -> list[str]:
    """Command lines of the processes that hold the text."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.append(process.read_text(errors="replace"))
    return [line for line in found if text in line]


def test_only_what_changed_is_built(paths: Paths, binaries: dict[str, Path]) -> None:
    reports: list[str] = []
    repository = build_packages(paths, binaries, reports.append)
    target = repository.readlink().name
    assert len(reports) == 3
    build_packages(paths, binaries, reports.append)
    assert (len(reports), repository.readlink().name) == (3, target)
    binaries["kubectl"].write_text("#!/bin/sh\necho another\n")
    build_packages(paths, binaries, reports.append)
    assert reports[3:] == [f"packaging kubectl_{FULL}_{ARCHITECTURE}.deb"]
    assert repository.readlink().name != target
    # The one before is gone, and nothing else is left.
    assert {path.name for path in repository.parent.iterdir()} == {
        "deb",
        repository.readlink().name,
    }


def test_versions_live_side_by_side(paths: Paths, binaries: dict[str, Path]) -> None:
    for version in ("1.34.3", "1.34.4"):
        repository = build_packages(paths, binaries, print, version=version)
    for version in ("1.34.3", "1.34.4"):
        assert deb(repository, "kubelet", f"{version}-1.1").is_file()
    assert (repository / "Packages").read_text().count("Package: kubelet\n") == 2
    other = build_packages(paths, binaries, print, version="1.33.13")
    assert other == repository_path(paths, "1.33.13") != repository
    assert deb(repository, "kubelet").is_file()


def test_bad_input_is_one_sentence(paths: Paths, binaries: dict[str, Path]) -> None:
    with pytest.raises(RehearsalError, match=r"'1\.34'"):
        build_packages(paths, binaries, print, version="1.34")
    binaries.pop("kubelet")
    with pytest.raises(RehearsalError, match="no kubelet"):
        build_packages(paths, binaries, print)
    assert not paths.packages.exists()


def test_a_killed_build_is_done_again(paths: Paths, binaries: dict[str, Path]) -> None:
    """Killed while it reports, which is between any two of its steps."""
    code = """
import os, signal, sys
from pathlib import Path
from rehearsal.mirrors.apt import build_packages
from rehearsal.paths import Paths
cache, bin = map(Path, sys.argv[1:])
seen = []
def report(line):
    seen.append(line)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
names = ("kubeadm", "kubelet", "kubectl")
build_packages(Paths(run=cache, cache=cache), {name: bin / name for name in names}, report)
"""
    arguments = [str(paths.cache), str(binaries["kubelet"].parent)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=CHECKOUT)
    assert done.returncode == -9
    repository = repository_path(paths)
    assert not repository.exists()
    build_packages(paths, binaries, print)
    assert (repository / "InRelease").is_file()
    assert len(list(repository.parent.iterdir())) == 2


# Of the hosts' base image, what the packages depend on.
INSTALLED = {"containernetworking-plugins": "1.1.1", "mount": "2.38", "util-linux": "2.38"}


class Apt:
    """A real apt with a root of its own, on a host that has INSTALLED."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.port = port
        folders = ["etc/apt/keyrings", "etc/apt/apt.conf.d", "etc/apt/preferences.d"]
        folders += ["var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"]
        for folder in folders:
            (root / folder).mkdir(parents=True)
        (root / "var/lib/dpkg/status").write_text(
            "\n".join(
                f"Package: {name}\nStatus: install ok installed\nVersion: {version}\n"
                f"Architecture: {ARCHITECTURE}\nMaintainer: t\nDescription: t\n"
                for name, version in INSTALLED.items()
            )
        )

    def trust(self, key: bytes) -> None:
        keyring = self.root / "etc/apt/keyrings/kubernetes.gpg"
        subprocess.run(["gpg", "--dearmor", "--yes", "-o", str(keyring)], input=key, check=True)
        url = "http://packages.rehearsal.test/core:/stable:/v1.34/deb/"
        line = f"deb [signed-by={keyring}] {url} /\n"
        (self.root / "etc/apt/sources.list").write_text(line)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        options = {
            "Dir": str(self.root),
            "Dir::State::status": str(self.root / "var/lib/dpkg/status"),
            "Debug::NoLocking": "1",
            "APT::Sandbox::User": "root",
            # apt has no way to be told an address for a name.
            "Acquire::http::Proxy": f"http://127.0.0.1:{self.port}",
        }
        command = ["apt-get", "-q"]
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        return subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, timeout=120
        )


@pytest.fixture
def apt(paths: Paths, binaries: dict[str, Path], mirrors: Mirrors, tmp_path: Path) -> Apt:
    if not shutil.which("apt-get"):
        pytest.skip("no apt here")
    for version in ("1.34.3", "1.34.4"):
        build_packages(paths, binaries, print, version=version)
    mirrors.sites.packages.rmdir()
    mirrors.sites.packages.symlink_to(paths.packages)
    return Apt(tmp_path / "apt", mirrors.port)


def test_apt_takes_the_packages_it_is_asked_for(apt: Apt, mirrors: Mirrors) -> None:
    key = mirrors.ask("packages.rehearsal.test", "/core:/stable:/v1.34/deb/Release.key")
    apt.trust(key.body)
    update = apt.run("update")
    assert update.returncode == 0, update.stderr
    assert not update.stderr
    wanted = [f"{name}=1.34.3-1.1" for name in ("kubeadm", "kubelet", "kubectl")]
    install = apt.run("install", "-y", "--download-only", "--no-install-recommends", *wanted)
    assert install.returncode == 0, install.stderr
    archives = {path.name for path in (apt.root / "var/cache/apt/archives").glob("*.deb")}
    assert archives == {
        f"{name}_1.34.3-1.1_{ARCHITECTURE}.deb" for name in ("kubeadm", "kubelet", "kubectl")
    }
    again = apt.run("update")
    assert again.returncode == 0
    assert "Hit:1" in again.stdout


def test_apt_refuses_another_key(apt: Apt, binaries: dict[str, Path], tmp_path: Path) -> None:
    other = build_packages(
        Paths(run=tmp_path / "other-run", cache=tmp_path / "other"), binaries, print
    )
    apt.trust((other / "Release.key").read_bytes())
    update = apt.run("update")
    assert update.returncode != 0 or "NO_PUBKEY" in update.stderr
    install = apt.run("install", "-y", "--download-only", f"kubectl={FULL}")
    assert install.returncode != 0
