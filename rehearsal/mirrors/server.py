"""The mirrors' HTTP server: packages, charts and git, told apart by the Host header.

`python -m rehearsal.mirrors.server --listen 198.51.100.1:80 --packages DIR --charts DIR --git DIR
--files DIR`. One line a request goes to standard output; SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from urllib.parse import quote, unquote

from rehearsal.mirrors import static_files
from rehearsal.mirrors.git_backend import Backend, BadRequest

PACKAGES_HOST = "packages.rehearsal.test"
CHARTS_HOST = "charts.rehearsal.test"
GIT_HOST = "git.rehearsal.test"
FILES_PREFIX = "/files/"


@dataclass(frozen=True)
class Sites:
    """The folders behind the names.

    packages, charts: at the root of their hosts; git: bare repositories at the root of theirs;
    files: under packages' /files/.
    """

    packages: Path
    charts: Path
    git: Path
    files: Path


class MirrorServer(ThreadingHTTPServer):
    """Serves the sites at `address`; port 0 is a free one. Raises OSError if it can't listen."""

    daemon_threads = True
    request_queue_size = 256  # 14 hosts, each with several connections

    def __init__(self, address: tuple[str, int], sites: Sites) -> None:
        self.sites = sites
        self.git = Backend(sites.git)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: that one asks the DNS for its own name.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.socket.getsockname()

    def handle_error(self, request: object, client_address: tuple[str, int]) -> None:
        """One line for what broke a connection, in place of a traceback."""
        error = sys.exception()
        _log(f"{client_address[0]} connection ended: {type(error).__name__}: {error}")


class _Handler(BaseHTTPRequestHandler):
    server: MirrorServer
    protocol_version = "HTTP/1.1"
    server_version = "groundwork"
    sys_version = ""
    timeout = 120  # of an idle connection, seconds
    _status = 0

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        began = time.monotonic()
        host, path = self.headers.get("Host", ""), self.path
        if path.startswith("http://"):  # the absolute form, which proxies get
            host, slash, rest = path.removeprefix("http://").partition("/")
            path = slash + rest
        host = host.partition(":")[0].lower()
        path, _, query = path.partition("?")
        sent: int | str = "-"  # stays so if the client goes away
        self._status = 0
        try:
            sent = self._route(host, path, query)
        finally:
            took = round((time.monotonic() - began) * 1000)
            # No query: it may hold what nobody should read in a log.
            what = f"{self.command} {quote(host)} {quote(path, safe='/%:+~=@,')}"
            _log(f"{self.client_address[0]} {what} {self._status} {sent} {took}ms")

    def _route(self, host: str, path: str, query: str) -> int:
        """Answers from the host's site. Returns the bytes of body."""
        sites = self.server.sites
        if host == GIT_HOST:
            return self._serve_git(path, query)
        if host == PACKAGES_HOST and path.startswith(FILES_PREFIX):
            return self._serve_file(sites.files, path.removeprefix(FILES_PREFIX))
        if host == PACKAGES_HOST:
            return self._serve_file(sites.packages, path)
        if host == CHARTS_HOST:
            return self._serve_file(sites.charts, path)
        self.send_error(HTTPStatus.NOT_FOUND, f"no site {host or '(no Host header)'} here")
        return 0

    def _serve_file(self, root: Path, path: str) -> int:
        if self.command == "POST":
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, "files can only be read")
            return 0
        file = static_files.find(root, path)
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND, f"no file {path} here")
            return 0
        return static_files.send(self, file)

    def _serve_git(self, path: str, query: str) -> int:
        decoded = unquote(path)
        parts = decoded.lstrip("/").split("/")
        # http-backend checks paths as well; this keeps it on the repositories alone.
        if any(part.startswith(".") or "\0" in part for part in parts) or not (
            parts[0].endswith(".git") and (self.server.sites.git / parts[0]).is_dir()
        ):
            self.send_error(HTTPStatus.NOT_FOUND, f"no repository {path} here")
            return 0
        try:
            return self.server.git.serve(self, decoded, query)
        except BadRequest as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            return 0

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """One line of plain text. The connection ends: a body may be unread."""
        text = (message or HTTPStatus(code).phrase).encode("ascii", "backslashreplace") + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self._status = int(code)

    def log_message(self, format: str, *args: object) -> None:
        _log(f"{self.client_address[0]} {format % args}")


def _log(line: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%S"), line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns the exit status: 1 if it can't listen."""
    parser = argparse.ArgumentParser(prog="rehearsal.mirrors.server")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT")
    for name in ("packages", "charts", "git", "files"):
        parser.add_argument(f"--{name}", required=True, type=Path, metavar="DIR")
    given = parser.parse_args(arguments)
    address, _, port = given.listen.rpartition(":")
    if not address or not port.isdecimal():
        parser.error(f"--listen {given.listen}: not of the form 198.51.100.1:80")
    sites = Sites(given.packages, given.charts, given.git, given.files)
    try:
        server = MirrorServer((address, int(port)), sites)
    except OSError as error:
        print(f"can't listen on {given.listen}: {error.strerror}", file=sys.stderr)
        return 1

    def end(_signal: int, _frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()  # it waits for serve_forever

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    _log(f"listening on {server.server_name}:{server.server_port}")
    with server:
        server.serve_forever(poll_interval=0.2)
        server.git.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
