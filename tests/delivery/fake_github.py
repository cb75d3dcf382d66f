"""A server that stands for GitHub's REST API, with pages of two entries."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY, TOKEN = "shop/platform", "the-jobs-token"
_PAGE = 2
BOT = {"login": "github-actions[bot]", "type": "Bot"}


@dataclass
class Fake:
    """What the repository has. answers: of GET, by path, for what is looked up alone."""

    url: str = ""
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    issues: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """As a job has them."""
        return {
            "GITHUB_API_URL": self.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": TOKEN,
        }

    def say(self, number: int, body: str, user: dict[str, Any] = BOT) -> dict[str, Any]:
        """Adds a comment."""
        count = sum(map(len, self.comments.values()))
        made = {
            "id": count + 1,
            "body": body,
            "user": user,
            "html_url": f"{self.url}/c/{count + 1}",
        }
        self.comments.setdefault(number, []).append(made)
        return made

    def answer(self, method: str, path: str, body: Any) -> Any:
        """What GitHub would; None: not found."""
        base = f"/repos/{REPOSITORY}"
        if method == "GET" and path in self.answers:
            return self.answers[path]
        if found := re.fullmatch(rf"{base}/issues/(\d+)/comments", path):
            number = int(found[1])
            if method == "GET":
                return self.comments.get(number, [])
            return self.say(number, body["body"])
        if found := re.fullmatch(rf"{base}/issues/comments/(\d+)", path):
            everything = [each for some in self.comments.values() for each in some]
            (comment,) = (each for each in everything if each["id"] == int(found[1]))
            comment.update(body)
            return comment
        if path == f"{base}/issues":
            if method == "GET":
                return [each for each in self.issues if each["state"] == "open"]
            number = len(self.issues) + 1
            made = {**body, "number": number, "state": "open", "user": BOT}
            self.issues.append({**made, "html_url": f"{self.url}/i/{number}"})
            return self.issues[-1]
        if found := re.fullmatch(rf"{base}/issues/(\d+)", path):
            self.issues[int(found[1]) - 1].update(body)
            return self.issues[int(found[1]) - 1]
        return None


@contextmanager
def fake_github() -> Iterator[Fake]:
    """Serves one on the loopback address."""
    fake = Fake()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            parts = urlsplit(self.path)
            fake.asked.append((self.command, parts.path))
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                return self._send(401, {"message": "Bad credentials"}, "")
            found = fake.answer(self.command, parts.path, body)
            if found is None:
                return self._send(404, {"message": "Not Found"}, "")
            link = ""
            if isinstance(found, list):
                page = int(parse_qs(parts.query).get("page", ["1"])[0])
                if len(found) > page * _PAGE:
                    link = f'<{fake.url}{parts.path}?page={page + 1}>; rel="next"'
                found = found[(page - 1) * _PAGE : page * _PAGE]
            return self._send(200, found, link)

        do_GET = do_POST = do_PATCH = _handle

        def _send(self, status: int, found: Any, link: str) -> None:
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            if link:
                self.send_header("Link", link)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
