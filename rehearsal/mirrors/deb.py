"""A Debian package from a description of its files, built by dpkg-deb."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rehearsal.errors import RehearsalError


@dataclass(frozen=True)
class File:
    """One file of a package. source: its content, or the file that has it; mode: e.g. 0o644."""

    source: str | Path
    mode: int = 0o644


@dataclass(frozen=True)
class Package:
    """What a binary package holds.

    files: by absolute path on the host. conffiles: those of them that dpkg keeps when the user
    has changed them. scripts: maintainer scripts by name (`postinst`, `prerm`, `postrm`).
    description: the summary; further lines are the long text.
    """

    name: str
    version: str
    architecture: str
    description: str
    files: Mapping[str, File]
    section: str = "net"
    depends: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    conffiles: tuple[str, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)

    @property
    def filename(self) -> str:
        return f"{self.name}_{self.version}_{self.architecture}.deb"

    def control(self) -> str:
        """The package's control file."""
        summary, *text = self.description.splitlines()
        lines = [
            f"Package: {self.name}",
            f"Version: {self.version}",
            f"Architecture: {self.architecture}",
            "Maintainer: Groundwork <groundwork@rehearsal.test>",
            f"Section: {self.section}",
            "Priority: optional",
        ]
        if self.depends:
            lines.append(f"Depends: {', '.join(self.depends)}")
        if self.recommends:
            lines.append(f"Recommends: {', '.join(self.recommends)}")
        lines.append(f"Description: {summary}")
        lines += [f" {line}" if line else " ." for line in text]
        return "\n".join(lines) + "\n"


def build(package: Package, target: Path) -> None:
    """Writes the package to `target`. Raises RehearsalError if dpkg-deb refuses it."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".deb-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        for path, file in package.files.items():
            destination = root / path.lstrip("/")
            destination.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(file.source, Path):
                shutil.copyfile(file.source, destination)
            else:
                destination.write_text(file.source)
            destination.chmod(file.mode)
        debian = root / "DEBIAN"
        debian.mkdir(mode=0o755)
        (debian / "control").write_text(package.control())
        if package.conffiles:
            (debian / "conffiles").write_text("".join(f"{path}\n" for path in package.conffiles))
        for name, script in package.scripts.items():
            (debian / name).write_text(script)
            (debian / name).chmod(0o755)
        # Lightly: 14 hosts at once hash and unpack it, which takes less of a processor than
        # uncompressed (there is less to hash), and each keeps a copy.
        done = subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", folder, str(target)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise RehearsalError(f"dpkg-deb could not build {package.filename}: {reason[0]}")
