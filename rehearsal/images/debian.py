"""Files of Debian packages for the images: downloaded by apt, unpacked, never installed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.hosts.apt_sources import debian_mirror
from rehearsal.images.elf import closure
from rehearsal.images.oci import Entry, File, Link, architecture
from rehearsal.paths import Paths

# Not the hosts' own release: newer Argo CD pods call `cp --update=none` (coreutils 9.3), and its
# Redis is nearer to the version that Argo CD asks for.
SUITE = "trixie"
PACKAGES = """
awscli busybox-static ca-certificates conntrack containernetworking-plugins coreutils curl dash git
gpg gpg-agent grep gzip iproute2 ipset iptables jq libc-bin nftables openssh-client postgresql-17
rabbitmq-server redis-server sed tar tini
"""
# What those depend on, but none of the files taken from them needs: not downloaded.
_UNUSED = """
adduser debconf groff-base liberror-perl libllvm19 locales openssl passwd perl pinentry-curses
postgresql-client-common postgresql-common procps sensible-utils sgml-base socat ssl-cert xml-core
"""
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_APT = """\
Dir "{folder}";
Dir::State "state";
Dir::State::status "{folder}/status";
Dir::Cache "cache";
Dir::Etc "etc";
Dir::Etc::main "none";
Dir::Etc::parts "none";
Dir::Etc::sourceparts "none";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Architecture "{architecture}";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
"""
# Since all of Debian's files are in /usr, the root has links only.
MERGED_USR = tuple(Link(name, f"usr/{name}") for name in ("bin", "lib", "lib64", "sbin"))


class DebianFiles:
    """The unpacked packages, as entries of image layers."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def programs(self, *paths: str) -> list[Entry]:
        """Programs by path (no leading slash) with all their libraries and the root's links."""
        files = {path: self._file(path) for path in paths}
        libraries = closure(self.root, files.values())
        return [*MERGED_USR, *(File(path, file) for path, file in (files | libraries).items())]

    def data(self, *paths: str) -> list[Entry]:
        """Other files, by path."""
        return [File(path, self._file(path), mode=0o644) for path in paths]

    def tree(self, path: str, without: Collection[str] = ()) -> list[Entry]:
        """Everything below a folder, but what is in folders of the names `without`. Programs and
        libraries of the system that it needs are programs()'s to find.

        Links stay links where they lead to another entry of the tree, else are what they lead to.
        """
        top = self.root / path
        found: list[Entry] = []
        for file in sorted(top.rglob("*")):
            if not set(file.relative_to(top).parts[:-1]).isdisjoint(without) or file.is_dir():
                continue
            name = str(file.relative_to(self.root))
            if file.is_symlink() and file.resolve().is_relative_to(top):
                found.append(Link(name, str(file.readlink())))
            elif file.exists():
                mode = 0o755 if file.stat().st_mode & 0o100 else 0o644
                found.append(File(name, file, mode=mode))
        if not found:
            raise RehearsalError(
                f"No package of the images has {path}; add one that has to PACKAGES in "
                "rehearsal/images/debian.py."
            )
        return found

    def names(self, pattern: str) -> list[str]:
        """Paths of the files that match a glob pattern; RehearsalError when there is none."""
        found = sorted(str(file.relative_to(self.root)) for file in self.root.glob(pattern))
        if not found:
            raise RehearsalError(
                f"No package of the images has {pattern}; add one that has to PACKAGES in "
                "rehearsal/images/debian.py."
            )
        return found

    def certificates(self) -> bytes:
        """The bundle of Mozilla's certificate authorities, as update-ca-certificates makes it."""
        names = self.names("usr/share/ca-certificates/mozilla/*.crt")
        return b"".join((self.root / name).read_bytes() for name in names)

    def version(self, package: str) -> str:
        """The upstream version of an unpacked package, such as 8.0.2."""
        versions = json.loads((self.root / "versions.json").read_text())
        return str(versions[package]).split(":")[-1].rsplit("-", 1)[0]

    def _file(self, path: str) -> Path:
        return self.root / self.names(path)[0]


def debian_files(paths: Paths, report: Callable[[str], None]) -> DebianFiles:
    """The packages' files; downloaded first (160 MB, about 20 s) when they aren't in the cache.

    Appears at once or not at all; of two callers the second waits. Raises RehearsalError when
    the machine's apt sources name no Debian archive, or apt fails.
    """
    recipe = json.dumps([1, SUITE, PACKAGES, _UNUSED, architecture()])
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    folder = paths.cache / "image-packages"
    target = folder / f"{SUITE}-{key}"
    if target.is_dir():
        return DebianFiles(target)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return DebianFiles(target)
        for half_made in folder.glob(".partial-*"):
            shutil.rmtree(half_made)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as work:
            root = Path(work) / "root"
            report("image packages: downloading")
            archives = _download(Path(work), PACKAGES.split())
            report(f"image packages: unpacking {len(archives)}")
            _unpack(archives, root)
            root.rename(target)
    return DebianFiles(target)


def _download(work: Path, packages: Iterable[str]) -> list[Path]:
    """All packages with their dependencies, by an apt that knows nothing of this machine's."""
    mirror = debian_mirror(SUITE)
    for name in ("state/lists/partial", "cache/archives/partial", "etc"):
        (work / name).mkdir(parents=True)
    signed = f"[signed-by={_KEYRING}] " if _KEYRING.is_file() else ""
    (work / "etc/sources.list").write_text(f"deb {signed}{mirror} {SUITE} main\n")
    (work / "status").write_text("\n".join(_installed(name) for name in _UNUSED.split()))
    configuration = work / "apt.conf"
    configuration.write_text(_APT.format(folder=work, architecture=architecture()))
    _apt(configuration, "update", "--error-on=any")
    _apt(configuration, "install", "--download-only", "--yes", *packages)
    return sorted((work / "cache/archives").glob("*.deb"))


def _installed(package: str) -> str:
    return (
        f"Package: {package}\nStatus: install ok installed\nVersion: 99:1\nMaintainer: none\n"
        f"Architecture: {architecture()}\nMulti-Arch: allowed\nDescription: not needed\n"
    )


def _apt(configuration: Path, *command: str) -> None:
    try:
        result = subprocess.run(
            ["apt-get", "--quiet", *command],
            env={"APT_CONFIG": str(configuration), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise RehearsalError(
            "apt-get is missing; rehearse on a Debian or Ubuntu machine."
        ) from None
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.startswith("E:")]
        reason = lines[0] if lines else f"status {result.returncode}"
        raise RehearsalError(
            f"apt-get {command[0]} for the images' packages failed ({reason}); check that the "
            f"Debian archive in this machine's apt sources answers and has {SUITE}."
        )


def _unpack(archives: list[Path], root: Path) -> None:
    root.mkdir()
    versions = {}
    for archive in archives:
        subprocess.run(["dpkg-deb", "--extract", str(archive), str(root)], check=True)
        fields = subprocess.run(
            ["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(archive)],
            check=True,
            capture_output=True,
            text=True,
        )
        name, version = fields.stdout.split()
        versions[name] = version
    (root / "versions.json").write_text(json.dumps(versions, indent=1))
