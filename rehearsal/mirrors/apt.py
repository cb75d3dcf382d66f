"""The apt repository of Kubernetes packages, in the layout of pkgs.k8s.io.

`<packages>/core:/stable:/v1.34/deb/` is a flat, signed repository of one Kubernetes minor:
Packages, Release, InRelease, Release.gpg, Release.key, amd64/*.deb. `deb` links to a folder named
by its inputs; a new one is built beside it and takes its place in one step, so what is served is
always whole.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.mirrors import deb
from rehearsal.mirrors.kubernetes_packages import minor, packages
from rehearsal.mirrors.signing import signer
from rehearsal.paths import Paths

# Raise when what the code below makes of the same packages changes.
_FORMAT = 1
_INPUTS = "inputs.json"


def repository_path(paths: Paths, version: str = "1.34.4") -> Path:
    """The repository of a Kubernetes version's minor; its path in URLs is that under packages."""
    return paths.packages / "core:" / "stable:" / minor(version) / "deb"


def build_packages(
    paths: Paths,
    binaries: Mapping[str, Path],
    report: Callable[[str], None],
    *,
    version: str = "1.34.4",
    revision: str = "1.1",
) -> Path:
    """Packages kubeadm, kubelet and kubectl and puts them into their minor's repository.

    binaries: kubeadm, kubelet, kubectl by name, of this version. Packages of other versions stay.
    Returns the repository's folder. Does nothing if it has these very packages already. Raises
    RehearsalError if a binary is missing or a package can't be built.
    """
    repository = repository_path(paths, version)
    wanted = {
        _place(package): package
        for package in packages(version, revision, _architecture(), binaries)
    }
    with _lock(paths.packages):
        inputs = _inputs(repository)
        inputs |= {place: _digest(package) for place, package in wanted.items()}
        name = f".deb-{_hash([_FORMAT, inputs, _key_id(paths)])[:16]}"
        if not (repository.parent / name).is_dir():
            _build(paths, repository, name, inputs, wanted, report)
        if _target(repository) != name:
            link = repository.parent / ".deb.new"
            link.unlink(missing_ok=True)
            link.symlink_to(name)
            link.rename(repository)
        for old in repository.parent.glob(".deb-*"):
            if old.name != name:
                shutil.rmtree(old)
    return repository


def _build(
    paths: Paths,
    repository: Path,
    name: str,
    inputs: Mapping[str, str],
    wanted: Mapping[str, deb.Package],
    report: Callable[[str], None],
) -> None:
    """Makes <parent>/<name>: what is there already by links, the rest anew."""
    there = _inputs(repository)
    new = repository.parent / ".deb-new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for place, digest in inputs.items():
        target = new / place
        target.parent.mkdir(exist_ok=True)
        if there.get(place) == digest and (repository / place).is_file():
            os.link(repository / place, target)
        else:
            report(f"packaging {target.name}")
            deb.build(wanted[place], target)
    index = "\n".join(_index_entry(new, place) for place in sorted(inputs)).encode()
    release_files = {"Packages": index, "Packages.gz": gzip.compress(index, mtime=0)}
    release = _release(repository.parent.name, release_files)
    with signer(_key_folder(paths)) as gpg:
        signed = {
            "Release": release,
            "InRelease": gpg.clear_sign(release),
            "Release.gpg": gpg.detached_signature(release),
            "Release.key": gpg.public_key(),
        }
    for file, content in {**release_files, **signed}.items():
        (new / file).write_bytes(content)
    (new / _INPUTS).write_text(json.dumps(inputs, indent=2, sort_keys=True))
    new.rename(repository.parent / name)


def _index_entry(folder: Path, place: str) -> str:
    """A package's paragraph in Packages: its control file and where its .deb is."""
    file = folder / place
    control = subprocess.run(
        ["dpkg-deb", "--field", str(file)], check=True, capture_output=True, text=True
    ).stdout
    # One digest: each host hashes all that it fetches for every kind that is listed.
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return f"{control}Filename: {place}\nSize: {file.stat().st_size}\nSHA256: {sha256}\n"


def _release(name: str, files: Mapping[str, bytes]) -> bytes:
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
    lines = [
        "Origin: groundwork",
        f"Label: kubernetes {name}",
        f"Date: {now}",
        f"Architectures: {_architecture()}",
        "Description: Kubernetes packages built by the rehearsal",
        "SHA256:",
    ]
    for file, content in files.items():
        lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {file}")
    return ("\n".join(lines) + "\n").encode()


def _place(package: deb.Package) -> str:
    """Where the package is in its repository, as upstream's."""
    return f"{package.architecture}/{package.filename}"


def _inputs(repository: Path) -> dict[str, str]:
    """What the repository was made from: the digest of each package's inputs by its place."""
    try:
        inputs: dict[str, str] = json.loads((repository / _INPUTS).read_text())
    except FileNotFoundError:
        return {}
    return inputs


def _digest(package: deb.Package) -> str:
    """A digest of all that goes into the package."""
    files = {}
    for path, file in package.files.items():
        if isinstance(file.source, Path):
            with file.source.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
        else:
            digest = file.source
        files[path] = [digest, file.mode]
    return _hash([_FORMAT, package.control(), files, package.conffiles, dict(package.scripts)])


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _key_folder(paths: Paths) -> Path:
    return paths.cache / "packages-key"


def _key_id(paths: Paths) -> str:
    """Changes when the key does, so that what it signed is signed anew."""
    try:
        return _hash((_key_folder(paths) / "private.asc").read_text())
    except FileNotFoundError:
        with signer(_key_folder(paths)):
            return _key_id(paths)


def _target(link: Path) -> str | None:
    return str(link.readlink()) if link.is_symlink() else None


def _architecture() -> str:
    """This machine's Debian architecture, e.g. amd64."""
    try:
        command = ["dpkg", "--print-architecture"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise RehearsalError(
            "dpkg is not installed; the rehearsal needs Debian or Ubuntu"
        ) from error
    return done.stdout.strip()


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One builder at a time; freed by the kernel when its holder dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
