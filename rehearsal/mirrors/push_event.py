"""Tells a webhook of each push as GitHub does. The repository's post-receive hook runs this.

`python -m rehearsal.mirrors.push_event REPOSITORY` reads what git gives to the hook: a line
`<old> <new> <ref>` for each changed reference. It never fails the push: what went wrong is in
<repository>/webhook.log and is shown to who pushed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import ssl
import subprocess
import sys
import urllib.request
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NOTHING = "0" * 40  # git's name for no commit
SETTINGS = "webhook.json"
LOG = "webhook.log"
# git with none of the user's or the machine's settings.
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}

_TIMEOUT_S = 5
_MOST_COMMITS = 200


@dataclass(frozen=True)
class Webhook:
    """Whom to tell; see `rehearsal.mirrors.git.webhook`."""

    url: str
    secret: str | None
    verify_tls: bool
    repository_url: str


@dataclass(frozen=True)
class Update:
    """One changed reference. old, new: its commits, NOTHING if it was or is none."""

    old: str
    new: str
    reference: str


def announce(repository: Path, update: Update) -> str | None:
    """Sends the push event if a webhook is set. Returns and logs why it failed, if it did."""
    try:
        webhook = Webhook(**json.loads((repository / SETTINGS).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        return _log(repository, update, f"{SETTINGS} can't be read: {error}")
    try:
        _send(webhook, json.dumps(event(repository, webhook.repository_url, update)).encode())
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        return _log(repository, update, f"{webhook.url} was not told: {error}")
    _log(repository, update, f"{webhook.url} was told")
    return None


def event(repository: Path, repository_url: str, update: Update) -> dict[str, Any]:
    """GitHub's push event of an update, as far as its readers look at it."""
    web_url = repository_url.removesuffix(".git")
    name = web_url.rsplit("/", 1)[-1]
    commits = [_commit(repository, web_url, commit) for commit in _new_commits(repository, update)]
    person = {"name": "groundwork", "email": "groundwork@rehearsal.test"}
    return {
        "ref": update.reference,
        "before": update.old,
        "after": update.new,
        "created": update.old == NOTHING,
        "deleted": update.new == NOTHING,
        "forced": False,
        "base_ref": None,
        "compare": f"{web_url}/compare/{update.old[:12]}...{update.new[:12]}",
        "commits": commits,
        "head_commit": commits[-1] if commits else None,
        "repository": {
            "id": 1,
            "name": name,
            "full_name": f"groundwork/{name}",
            "owner": {**person, "login": "groundwork"},
            "html_url": web_url,
            "url": web_url,
            "clone_url": repository_url,
            "default_branch": "main",
            "master_branch": "main",
        },
        "pusher": person,
        "sender": {"login": "groundwork", "id": 1},
    }


def _new_commits(repository: Path, update: Update) -> list[str]:
    """The commits that the push brought, oldest first, at most _MOST_COMMITS of the newest."""
    if update.new == NOTHING:
        return []
    span = update.new if update.old == NOTHING else f"{update.old}..{update.new}"
    found = _git(repository, "rev-list", f"--max-count={_MOST_COMMITS}", span, "--").split()
    return found[::-1]


def _commit(repository: Path, web_url: str, commit: str) -> dict[str, Any]:
    form = "%T%x00%cI%x00%an%x00%ae%x00%cn%x00%ce%x00%B"
    shown = _git(repository, "show", "--no-patch", f"--format={form}", commit, "--")
    tree, timestamp, author, author_mail, committer, committer_mail, message = shown.split("\0")
    files: dict[str, list[str]] = {"added": [], "removed": [], "modified": []}
    # A merge is compared with what it was merged into.
    changes = _git(
        repository, "log", "-1", "--format=", "--name-status", "--no-renames", "-z",
        "--diff-merges=first-parent", commit, "--",
    )  # fmt: skip
    fields = changes.strip("\0\n").split("\0")
    for status, path in zip(fields[::2], fields[1::2], strict=False):
        files[{"A": "added", "D": "removed"}.get(status, "modified")].append(path)
    return {
        "id": commit,
        "tree_id": tree,
        "distinct": True,
        "message": message.strip(),
        "timestamp": timestamp,
        "url": f"{web_url}/commit/{commit}",
        "author": {"name": author, "email": author_mail},
        "committer": {"name": committer, "email": committer_mail},
        **files,
    }


def _send(webhook: Webhook, body: bytes) -> None:
    """Posts the event. Raises OSError if it can't be delivered or is refused."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/groundwork",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": str(uuid.uuid4()),
    }
    if webhook.secret:
        signature = hmac.new(webhook.secret.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Hub-Signature-256"] = f"sha256={signature}"
    context = ssl.create_default_context()
    if not webhook.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    request = urllib.request.Request(webhook.url, data=body, headers=headers, method="POST")
    opener.open(request, timeout=_TIMEOUT_S).close()


def _log(repository: Path, update: Update, message: str) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with (repository / LOG).open("a") as log:
        log.write(f"{now} {update.reference} {update.new[:12]} {message}\n")
    return message


def _git(repository: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments],
        cwd=repository,
        env=ENVIRONMENT | {"GIT_DIR": str(repository)},
        check=True,
        capture_output=True,
        text=True,
        errors="replace",
    ).stdout


def main() -> int:
    """The hook: tells the webhook of each update on standard input."""
    repository = Path(sys.argv[1])
    for line in sys.stdin:
        failure = announce(repository, Update(*line.split()))
        if failure:
            print(f"webhook: {failure}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
