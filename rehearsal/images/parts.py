"""Entries that several images have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rehearsal.images.oci import Directory, Entry, File

TMP = Directory("tmp", mode=0o1777)
_ROOTFS = Path(__file__).parent / "rootfs"


def account(name: str, home: str) -> Iterable[Entry]:
    """User and group `name` with id 999 beside root."""
    passwd = f"root:x:0:0:root:/root:/sbin/nologin\n{name}:x:999:999::{home}:/sbin/nologin\n"
    group = f"root:x:0:\n{name}:x:999:\n"
    return (
        File("etc/passwd", passwd.encode(), mode=0o644),
        File("etc/group", group.encode(), mode=0o644),
        File("etc/nsswitch.conf", b"hosts: files dns\n", mode=0o644),
    )


def scripts(image: str) -> list[Entry]:
    """The files of rootfs/<image>, all executable."""
    root = _ROOTFS / image
    return [
        File(str(file.relative_to(root)), file.read_bytes())
        for file in sorted(root.rglob("*"))
        if file.is_file()
    ]
