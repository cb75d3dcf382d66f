"""Which shared libraries an ELF program needs, read from its headers: nothing is executed."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from rehearsal.errors import RehearsalError

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5


def closure(root: Path, programs: Iterable[Path]) -> dict[str, Path]:
    """Interpreters and libraries that `programs` need: path in the image -> file under `root`.

    Libraries are looked for where Debian's loader does: /usr/lib/<multiarch>, /usr/lib. Scripts
    and static programs need none. Raises RehearsalError when a library is not in `root`.
    """
    folders = [*sorted((root / "usr/lib").glob("*-linux-gnu")), root / "usr/lib"]
    found: dict[str, Path] = {}
    waiting = list(programs)
    while waiting:
        program = waiting.pop()
        for name in _requirements(program.read_bytes()):
            if name.startswith("/"):
                # /lib and /lib64 are links into /usr, which unpacked packages have not made.
                file = root / "usr" / name.removeprefix("/usr").lstrip("/")
            else:
                file = next((f / name for f in folders if (f / name).exists()), root / name)
            path = str(file.relative_to(root))
            if not file.exists():
                raise RehearsalError(
                    f"{program.name} needs {name}, which is in no package of the images; "
                    "add its package to the list in rehearsal/images/debian.py."
                )
            if path not in found:
                found[path] = file
                waiting.append(file)
    return found


def _requirements(image: bytes) -> list[str]:
    """The interpreter's path and the needed libraries' names of a 64-bit little-endian ELF."""
    if image[:6] != b"\x7fELF\x02\x01":
        return []
    table, size, count = *struct.unpack_from("<Q", image, 32), *struct.unpack_from("<HH", image, 54)
    segments = [struct.unpack_from("<IIQQQQQQ", image, table + i * size) for i in range(count)]
    names = []
    for kind, _, offset, _, _, length, _, _ in segments:
        if kind == _PT_INTERP:
            names.append(image[offset : offset + length].rstrip(b"\0").decode())
        if kind == _PT_DYNAMIC:
            names += _needed(image, offset, segments)
    return names


def _needed(image: bytes, offset: int, segments: list[tuple[int, ...]]) -> list[str]:
    needed: list[int] = []
    strings = 0
    while (entry := struct.unpack_from("<QQ", image, offset))[0] != _DT_NULL:
        tag, value = entry
        if tag == _DT_NEEDED:
            needed.append(value)
        elif tag == _DT_STRTAB:
            strings = _file_offset(value, segments)
        offset += 16
    return [
        image[strings + start : image.index(b"\0", strings + start)].decode() for start in needed
    ]


def _file_offset(address: int, segments: list[tuple[int, ...]]) -> int:
    for kind, _, offset, virtual, _, length, _, _ in segments:
        if kind == _PT_LOAD and virtual <= address < virtual + length:
            return offset + address - virtual
    raise ValueError(f"address {address:#x} is in no segment of the program")
