"""A read-only OCI distribution registry over the images' layout; stands for every upstream one.

    python -m rehearsal.mirrors.registry --listen 198.51.100.1:5001 --images DIR

As a mirror it is asked for another registry's images: containerd names that one in the query
parameter `ns`, so that images of different registries can't be taken for each other. Without `ns`
the path has the registry's name itself: <address>/registry.k8s.io/pause:3.10.1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rehearsal.errors import RehearsalError
from rehearsal.images.oci import blob_path, read_index

_PATH = re.compile(r"/v2/(?P<name>[^?]+)/(?P<kind>manifests|blobs)/(?P<what>[^/]+)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")


@dataclass(frozen=True)
class Found:
    """A blob to serve. reference: the image, when the blob is a manifest."""

    digest: str
    media_type: str
    reference: str | None = None


class Images:
    """Looks images up in the layout; sees new ones as soon as the layout's index has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._images: dict[str, dict[str, Any]] = {}

    def manifest(self, repository: str, what: str) -> Found | None:
        """By tag or digest; repository with its registry's name, such as registry.k8s.io/pause."""
        images = self._current()
        if not _DIGEST.fullmatch(what):
            reference = f"{repository}:{what}"
            if (image := images.get(reference)) is None:
                return None
            return Found(image["digest"], image["mediaType"], reference)
        for reference, image in images.items():
            if image["digest"] == what and reference.rpartition(":")[0] == repository:
                return Found(what, image["mediaType"], reference)
        return None

    def has_repository(self, repository: str) -> bool:
        """Whether there is an image of any tag."""
        return any(name.rpartition(":")[0] == repository for name in self._current())

    def _current(self) -> dict[str, dict[str, Any]]:
        try:
            status = (self.folder / "index.json").stat()
        except FileNotFoundError:
            return {}
        stamp = (status.st_ino, status.st_mtime_ns)
        with self._lock:
            if stamp != self._stamp:
                self._images, self._stamp = read_index(self.folder), stamp
            return self._images


class Registry(ThreadingHTTPServer):
    """Serves `images` at `address`; a thread for each connection."""

    daemon_threads = True
    block_on_close = False
    # A dozen hosts pull several layers each at the same moment.
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], images: Images) -> None:
        self.images = images
        super().__init__(address, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to report."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD of the distribution API's manifests and blobs."""

    protocol_version = "HTTP/1.1"
    server_version = "rehearsal-registry"
    # Idle connections end, or every pull would leave a thread.
    timeout = 60
    server: Registry

    def do_GET(self) -> None:
        """Answer with the content."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with the headers."""
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing for each request: a pull of a manifest has its own line."""

    def _answer(self, with_body: bool) -> None:
        url = urlsplit(self.path)
        if url.path in ("/v2", "/v2/"):
            self._json(HTTPStatus.OK, {}, with_body)
            return
        match = _PATH.fullmatch(url.path)
        if match is None:
            self._error(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "not a path of a registry", with_body)
            return
        namespace = parse_qs(url.query).get("ns", [""])[0]
        repository = "/".join(filter(None, (namespace, match["name"])))
        if match["kind"] == "blobs":
            self._blob(repository, match["what"], with_body)
        else:
            self._manifest(repository, match["what"], with_body)

    def _manifest(self, repository: str, what: str, with_body: bool) -> None:
        found = self.server.images.manifest(repository, what)
        if found is None:
            known = self.server.images.has_repository(repository)
            code = "MANIFEST_UNKNOWN" if known else "NAME_UNKNOWN"
            separator = "@" if _DIGEST.fullmatch(what) else ":"
            message = f"no image {repository}{separator}{what} here"
            self._log(f"unknown {repository}{separator}{what}")
            self._error(HTTPStatus.NOT_FOUND, code, message, with_body)
            return
        if with_body:
            self._log(f"pull {found.reference} {found.digest}")
        self._send(found, with_body)

    def _blob(self, repository: str, digest: str, with_body: bool) -> None:
        if not _DIGEST.fullmatch(digest):
            message = f"{digest} is not sha256: and 64 hex digits"
            self._error(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", message, with_body)
        elif not self.server.images.has_repository(repository):
            message = f"no repository {repository} here"
            self._error(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", message, with_body)
        else:
            self._send(Found(digest, "application/octet-stream"), with_body)

    def _send(self, found: Found, with_body: bool) -> None:
        try:
            file = blob_path(self.server.images.folder, found.digest).open("rb")
        except FileNotFoundError:
            message = f"no blob {found.digest} here"
            self._error(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN", message, with_body)
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            span = _span(self.headers.get("Range"), size)
            if span is None:
                self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            first, last = span
            whole = span == (0, size - 1)
            self.send_response(HTTPStatus.OK if whole else HTTPStatus.PARTIAL_CONTENT)
            if not whole:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", found.media_type)
            self.send_header("Content-Length", str(last + 1 - first))
            self.send_header("Docker-Content-Digest", found.digest)
            self.send_header("ETag", f'"{found.digest}"')
            self.end_headers()
            if with_body:
                self.wfile.flush()
                self.connection.sendfile(file, first, last + 1 - first)

    def _error(self, status: HTTPStatus, code: str, message: str, with_body: bool) -> None:
        self._json(status, {"errors": [{"code": code, "message": message}]}, with_body)

    def _json(self, status: HTTPStatus, document: dict[str, Any], with_body: bool) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def _log(self, line: str) -> None:
        print(
            self.log_date_time_string(), self.client_address[0], line, file=sys.stderr, flush=True
        )


def _span(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte that a Range header asks for; None when there are no such bytes.

    Without a header, or with one that is not a single range (RFC 9110 says to ignore it): all.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or match["first"] == match["last"] == "":
        return 0, size - 1
    if match["first"] == "":
        first, last = max(0, size - int(match["last"])), size - 1
    else:
        first, last = int(match["first"]), min(int(match["last"] or size), size - 1)
    return (first, last) if first <= last else None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDRESS:PORT")
    return host, int(port)


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Exit status 1 with one line when the address can't be used."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--listen", type=_address, required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        registry = Registry(options.listen, Images(options.images))
    except OSError as error:
        host, port = options.listen
        raise RehearsalError(
            f"The registry can't listen on {host}:{port} ({error.strerror}); end what uses it."
        ) from None
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the serving thread, which this is.
        signal.signal(number, lambda *_: threading.Thread(target=registry.shutdown).start())
    host, port = registry.server_address[:2]
    print(f"serving {options.images} on {host!s}:{port}", file=sys.stderr, flush=True)
    with registry:
        registry.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except RehearsalError as problem:
        sys.exit(str(problem))
