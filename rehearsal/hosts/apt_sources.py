"""Which Debian mirror this machine uses, from its own apt sources."""

from __future__ import annotations

import re
from pathlib import Path

from rehearsal.errors import RehearsalError

_SCHEMES = ("http://", "https://", "file:/", "ftp://")


def debian_mirror(suite: str, etc_apt: Path = Path("/etc/apt")) -> str:
    """The address of a Debian archive that has `suite`, as `etc_apt` names it.

    A source of that very suite is preferred; else any whose path ends in /debian, which has all
    suites. Raises RehearsalError when there is none.
    """
    sources = [source for file in _files(etc_apt) for source in _read(file)]
    for address, suites in sources:
        if suite in suites:
            return address
    for address, _ in sources:
        if address.rstrip("/").endswith("/debian"):
            return address
    raise RehearsalError(
        f"No Debian archive with {suite} in {etc_apt}'s sources; add one (deb <address> {suite} "
        "main) so that the hosts' base image can be made."
    )


def _files(etc_apt: Path) -> list[Path]:
    extra = sorted((etc_apt / "sources.list.d").glob("*"))
    return [
        file
        for file in (etc_apt / "sources.list", *extra)
        if file.is_file() and file.suffix in (".list", ".sources")
    ]


def _read(file: Path) -> list[tuple[str, list[str]]]:
    text = file.read_text()
    pairs = _deb822(text) if file.suffix == ".sources" else _one_line(text)
    return [(address, suites) for address, suites in pairs if address.startswith(_SCHEMES)]


def _deb822(text: str) -> list[tuple[str, list[str]]]:
    found = []
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, list[str]] = {}
        for match in re.finditer(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.MULTILINE):
            fields[match[1].lower()] = match[2].split()
        if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"]) != ["no"]:
            found += [(address, fields.get("suites", [])) for address in fields.get("uris", [])]
    return found


def _one_line(text: str) -> list[tuple[str, list[str]]]:
    lines = re.findall(r"^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE)
    return [(address, [suite]) for address, suite in lines]
