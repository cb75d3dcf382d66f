"""git's smart HTTP: `git http-backend` as a CGI program behind an HTTP handler."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import IO

from rehearsal.mirrors.push_event import ENVIRONMENT

_PIECE = 1 << 16


class BadRequest(Exception):
    """One line for the client: what is wrong with its request."""


class Backend:
    """Runs git for requests on the bare repositories of one folder; knows what is running."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def serve(self, handler: BaseHTTPRequestHandler, path: str, query: str) -> int:
        """Answers the request. path: decoded, under the folder. Returns the bytes of body.

        Raises BadRequest, before anything is answered, if the request's body has no known form.
        """
        body = _Body(handler)
        with self._git(_environment(handler, self._folder, path, query)) as (stdin, stdout):
            # git answers while it still reads, so both have to be served at once.
            feeder = threading.Thread(target=body.copy_to, args=(stdin,), daemon=True)
            feeder.start()
            sent = _answer(handler, stdout)
            feeder.join(timeout=1)
        if not body.finished:  # the rest would be taken for the next request
            handler.close_connection = True
        return sent

    def end(self) -> None:
        """Ends what is running, for the server's own end."""
        with self._lock:
            for process in self._running:
                _terminate(process)

    @contextlib.contextmanager
    def _git(self, environment: dict[str, str]) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        process = subprocess.Popen(
            ["git", "http-backend"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin and process.stdout
        with self._lock:
            self._running.add(process)
        try:
            yield process.stdin, process.stdout
        except BaseException:
            _terminate(process)  # the client went away
            raise
        finally:
            process.stdout.close()
            process.wait()
            with self._lock:
                self._running.discard(process)


class _Body:
    """A request's body. finished: whether all of it has been read."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._source: IO[bytes] = handler.rfile  # type: ignore[assignment]
        self.finished = False
        encoding = handler.headers.get("Transfer-Encoding")
        length = handler.headers.get("Content-Length", "0")
        if encoding is not None and encoding.lower() != "chunked":
            raise BadRequest(f"transfer encoding {encoding!r} is not handled; use chunked")
        if not length.isdecimal():
            raise BadRequest(f"content length {length!r} is not a number")
        self._pieces = self._chunks() if encoding else self._plain(int(length))

    def copy_to(self, target: IO[bytes]) -> None:
        """Copies it all, then closes the target. Stops early when either side is gone."""
        with contextlib.suppress(OSError, ValueError), target:
            for piece in self._pieces:
                target.write(piece)
            self.finished = True

    def _plain(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self._source.read(min(length, _PIECE))
            if not piece:
                raise ConnectionResetError("the body ends early")
            length -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._source.readline(1024).split(b";")[0], 16):
            yield from self._plain(size)
            self._source.readline(1024)
        while self._source.readline(_PIECE).strip():
            pass  # trailers


def _environment(
    handler: BaseHTTPRequestHandler, folder: Path, path: str, query: str
) -> dict[str, str]:
    headers = {
        "CONTENT_TYPE": "Content-Type",
        "CONTENT_LENGTH": "Content-Length",
        "HTTP_CONTENT_ENCODING": "Content-Encoding",
        "GIT_PROTOCOL": "Git-Protocol",
    }
    return {
        **ENVIRONMENT,
        "GIT_PROJECT_ROOT": str(folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": handler.request_version,
        "REQUEST_METHOD": handler.command,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REMOTE_ADDR": handler.client_address[0],
        **{name: handler.headers[key] for name, key in headers.items() if key in handler.headers},
    }


def _answer(handler: BaseHTTPRequestHandler, output: IO[bytes]) -> int:
    """Passes a CGI program's answer on. Returns the bytes of body."""
    status = int(HTTPStatus.OK)
    headers = []
    while line := output.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers.append((name, value.strip()))
    if not headers:  # git ended before it said anything
        handler.send_error(HTTPStatus.BAD_GATEWAY, "git http-backend failed; see the log")
        return 0
    chunked = handler.request_version == "HTTP/1.1"
    handler.send_response(status)
    for name, value in headers:
        handler.send_header(name, value)
    if chunked:
        handler.send_header("Transfer-Encoding", "chunked")
    else:
        handler.close_connection = True
    handler.end_headers()
    if handler.command == "HEAD":
        return 0
    sent = 0
    while piece := output.read1(_PIECE):  # type: ignore[attr-defined]
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        sent += len(piece)
    if chunked:
        handler.wfile.write(b"0\r\n\r\n")
    return sent


def _terminate(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
