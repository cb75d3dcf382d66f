"""As much of GitHub's REST API as delivery needs; https://docs.github.com/rest has the words."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from delivery.errors import DeliveryError

_LIMIT_S = 60
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')
_PAGE = 100  # entries; GitHub's most
DRIFT_LABEL = "drift"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class GitHub:
    """One repository. url: of the API; token: of the job, with no more rights than it needs."""

    url: str
    repository: str
    token: str

    def comment(self, number: int, marker: str, body: str) -> str:
        """Puts the comment that begins with `marker` on an issue or pull request; the one that is
        there is changed in place. Its address."""
        path = f"/repos/{self.repository}/issues/{number}/comments"
        for found in self._all(path):
            if _ours(found, marker):
                there = f"/repos/{self.repository}/issues/comments/{found['id']}"
                return str(self._ask("PATCH", there, {"body": body})["html_url"])
        return str(self._ask("POST", path, {"body": body})["html_url"])

    def open_issue(self, marker: str, title: str, body: str) -> str:
        """Opens the issue whose text begins with `marker`, or changes the open one. Its address."""
        found = self._issue(marker)
        if found is not None:
            there = f"/repos/{self.repository}/issues/{found['number']}"
            return str(self._ask("PATCH", there, {"title": title, "body": body})["html_url"])
        made = {"title": title, "body": body, "labels": [DRIFT_LABEL]}
        return str(self._ask("POST", f"/repos/{self.repository}/issues", made)["html_url"])

    def close_issue(self, marker: str, reason: str) -> str | None:
        """Closes the issue whose text begins with `marker`, if one is open. Its address."""
        found = self._issue(marker)
        if found is None:
            return None
        there = f"/repos/{self.repository}/issues/{found['number']}"
        self._ask("POST", f"{there}/comments", {"body": reason})
        closed = {"state": "closed", "state_reason": "completed"}
        return str(self._ask("PATCH", there, closed)["html_url"])

    def may_write(self, login: str) -> bool:
        """Whether a person may push to the repository."""
        name = urllib.parse.quote(login, safe="")
        path = f"/repos/{self.repository}/collaborators/{name}/permission"
        try:
            return self._ask("GET", path)["permission"] in ("admin", "write")
        except _NotFoundError:
            return False

    def pull(self, number: int) -> Json:
        """A pull request."""
        return self._ask("GET", f"/repos/{self.repository}/pulls/{number}")

    def reviews(self, number: int) -> list[Json]:
        """Its reviews, the oldest first."""
        return list(self._all(f"/repos/{self.repository}/pulls/{number}/reviews"))

    def behind(self, base: str, head: str) -> int:
        """How many commits of branch `base` are not in commit `head`."""
        name = urllib.parse.quote(base, safe="")
        path = f"/repos/{self.repository}/compare/{name}...{head}"
        return int(self._ask("GET", path)["behind_by"])

    def _issue(self, marker: str) -> Json | None:
        path = f"/repos/{self.repository}/issues"
        query = f"state=open&labels={DRIFT_LABEL}"
        return next((each for each in self._all(path, query) if _ours(each, marker)), None)

    def _all(self, path: str, query: str = "") -> Iterator[Json]:
        """Every entry of a list, page by page."""
        url: str | None = f"{self.url}{path}?{query}{'&' if query else ''}per_page={_PAGE}"
        while url is not None:
            found, links = self._send("GET", url, None)
            yield from found
            after = _NEXT.search(links)
            url = after[1] if after else None

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        found: Json = self._send(method, f"{self.url}{path}", body)[0]
        return found

    def _send(self, method: str, url: str, body: Json | None) -> tuple[Any, str]:
        """The answer and its `Link` header. Raises DeliveryError."""
        if not url.startswith(f"{self.url}/"):  # the token is for nobody else
            raise DeliveryError(f"GitHub sends to another server, {url}; nothing was sent there")
        request = urllib.request.Request(
            url,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_LIMIT_S) as answer:
                return json.load(answer), answer.headers.get("Link") or ""
        except urllib.error.HTTPError as error:
            told = f"GitHub refuses {method} {urllib.parse.urlsplit(url).path}: {_reason(error)}"
            raise (_NotFoundError if error.code == 404 else DeliveryError)(told) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise DeliveryError(f"GitHub does not answer at {self.url}: {reason}") from None


class _NotFoundError(DeliveryError):
    pass


def _ours(found: Json, marker: str) -> bool:
    """Written by a job: a person may have quoted it."""
    return (found["body"] or "").startswith(marker) and found["user"]["type"] == "Bot"


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        message = json.load(error).get("message", "")
    except (OSError, ValueError, AttributeError):
        message = ""
    return f"{error.code} {message or error.reason}; look at the job's `permissions`"


def from_environment() -> GitHub:
    """As a job has it. Raises DeliveryError naming the variables that are missing."""
    names = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise DeliveryError(f"{', '.join(missing)} not set; a workflow's job has them")
    url, repository, token = (os.environ[name] for name in names)
    return GitHub(url.rstrip("/"), repository, token)
