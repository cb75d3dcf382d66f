"""Files over HTTP/1.1: ranges, validators, sendfile."""

from __future__ import annotations

import mimetypes
import os
import re
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

mimetypes.add_type("application/yaml", ".yaml")


def find(root: Path, url_path: str) -> Path | None:
    """The file of a URL path under `root`, or None.

    None too for what begins with a dot and for what a link would reach outside of `root`.
    """
    parts = [part for part in unquote(url_path).split("/") if part]
    if not parts or any(part.startswith(".") or "\0" in part for part in parts):
        return None
    root = root.resolve()
    file = root.joinpath(*parts).resolve()
    return file if file.is_relative_to(root) and file.is_file() else None


def send(handler: BaseHTTPRequestHandler, file: Path) -> int:
    """Answers a GET or HEAD with the file, or the part asked for. Returns the bytes of body."""
    with file.open("rb") as content:
        stat = os.fstat(content.fileno())
        version = _Version(
            etag=f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"', modified=int(stat.st_mtime)
        )
        headers = {
            "ETag": version.etag,
            "Last-Modified": formatdate(version.modified, usegmt=True),
            "Accept-Ranges": "bytes",
        }
        if _unchanged(handler, version):
            return _start(handler, HTTPStatus.NOT_MODIFIED, headers)
        headers["Content-Type"] = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        wanted = _range(handler, version, stat.st_size)
        if wanted is None:
            start, length = 0, stat.st_size
            status = HTTPStatus.OK
        elif not wanted:
            headers |= {"Content-Range": f"bytes */{stat.st_size}", "Content-Length": "0"}
            return _start(handler, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
        else:
            start, length = wanted.start, len(wanted)
            status = HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{stat.st_size}"
        _start(handler, status, headers | {"Content-Length": str(length)})
        if handler.command == "HEAD" or not length:
            return 0
        return _send_body(handler, content, start, length)


@dataclass(frozen=True)
class _Version:
    """What tells one content of a file from another. modified: seconds since the epoch."""

    etag: str
    modified: int


def _unchanged(handler: BaseHTTPRequestHandler, version: _Version) -> bool:
    """Whether the client has this version already."""
    known = handler.headers.get("If-None-Match")
    if known is not None:
        tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
        return "*" in tags or version.etag in tags
    # Not "or newer": a repository may go back to an older state.
    return _seconds(handler.headers.get("If-Modified-Since")) == version.modified


def _range(handler: BaseHTTPRequestHandler, version: _Version, size: int) -> range | None:
    """The bytes asked for: empty if there are none such, None for the whole file."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", handler.headers.get("Range", ""))
    if not match or not any(match.groups()):
        return None
    condition = handler.headers.get("If-Range")
    if condition not in (None, version.etag) and _seconds(condition) != version.modified:
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(size, int(last) + 1 if last else size))


def _seconds(date: str | None) -> int | None:
    """A header's date as seconds since the epoch, None if it is none."""
    try:
        return int(parsedate_to_datetime(date or "").timestamp())
    except (TypeError, ValueError):
        return None


def _start(handler: BaseHTTPRequestHandler, status: HTTPStatus, headers: dict[str, str]) -> int:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    return 0


def _send_body(handler: BaseHTTPRequestHandler, content: BinaryIO, start: int, length: int) -> int:
    sent: int = handler.connection.sendfile(content, offset=start, count=length)
    if sent < length:  # somebody cut the file short: the client must not wait for the rest
        handler.close_connection = True
    return sent
