"""The git mirror: seeding, clone and push over HTTP, the push webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.mirrors import git, push_event
from tests.rehearsal.mirrors.conftest import Mirrors


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A work tree with a gitops/tree of one file, one ignored file and another folder."""
    folder = tmp_path / "checkout"
    (folder / "gitops" / "tree").mkdir(parents=True)
    (folder / "gitops" / "tree" / "app.yaml").write_text("one\n")
    (folder / "gitops" / "tree" / "left.tmp").write_text("ignored\n")
    (folder / "gitops" / "code.py").write_text("not for Argo CD\n")
    (folder / ".gitignore").write_text("*.tmp\n")
    return folder


@pytest.fixture
def repository(mirrors: Mirrors) -> Path:
    path = mirrors.sites.git / "groundwork.git"
    git.create(path)
    return path


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", *map(str, command)],
        cwd=cwd,
        env=push_event.ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def clone(mirrors: Mirrors, target: Path, *options: str) -> Path:
    """A clone by the mirror's public name, which the test resolves to loopback."""
    url = f"http://git.rehearsal.test:{mirrors.port}/groundwork.git"
    resolve = f"http.curloptResolve=git.rehearsal.test:{mirrors.port}:127.0.0.1"
    run("-c", resolve, "clone", "-q", *options, "--config", resolve, url, target, cwd=target.parent)
    return target


def log(repository: Path) -> list[str]:
    return run("log", "--format=%s", "main", cwd=repository).splitlines()


def test_a_seed_holds_the_tree_and_nothing_else(
    mirrors: Mirrors, repository: Path, checkout: Path, tmp_path: Path
) -> None:
    seeded = git.seed(repository, checkout)
    work = clone(mirrors, tmp_path / "work")
    files = run("ls-files", cwd=work).splitlines()
    assert files == ["gitops/tree/app.yaml"]
    assert run("rev-parse", "HEAD", cwd=work).strip() == seeded.commit
    assert run("symbolic-ref", "--short", "HEAD", cwd=work).strip() == "main"


def test_only_a_change_makes_a_commit(repository: Path, checkout: Path) -> None:
    first = git.seed(repository, checkout)
    assert first.changed
    assert git.seed(repository, checkout) == git.Seeded(first.commit, changed=False)
    (checkout / "gitops" / "tree" / "app.yaml").unlink()
    (checkout / "gitops" / "tree" / "new.yaml").write_text("two\n")
    second = git.seed(repository, checkout)
    assert second.changed
    assert run("ls-tree", "-r", "--name-only", "main", cwd=repository) == "gitops/tree/new.yaml\n"
    assert run("rev-parse", "main~1", cwd=repository).strip() == first.commit
    assert len(log(repository)) == 2


def test_a_seed_leaves_the_checkouts_own_git_alone(repository: Path, checkout: Path) -> None:
    run("init", "-q", ".", cwd=checkout)
    (checkout / ".git" / "index.lock").touch()  # git would fail if it touched this index
    assert git.seed(repository, checkout).changed


def test_the_users_git_settings_have_no_effect(
    repository: Path, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text(
        f"[core]\n\texcludesFile = {tmp_path}/none\n[commit]\n\tgpgSign = true\n"
    )
    (tmp_path / "none").write_text("*\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert git.seed(repository, checkout).changed


def test_a_push_stays_when_the_tree_is_seeded_again(
    mirrors: Mirrors, repository: Path, checkout: Path, tmp_path: Path
) -> None:
    git.seed(repository, checkout)
    work = clone(mirrors, tmp_path / "work")
    (work / "README").write_text("pushed\n")
    run("add", "README", cwd=work)
    run("commit", "-q", "-m", "pushed", cwd=work)
    run("push", "-q", cwd=work)
    (checkout / "gitops" / "tree" / "app.yaml").write_text("two\n")
    git.seed(repository, checkout)
    assert log(repository) == [
        "gitops/tree as in the checkout",
        "pushed",
        "gitops/tree as in the checkout",
    ]
    assert run("show", "main:README", cwd=repository) == "pushed\n"


@pytest.mark.parametrize("content", ["missing", "empty", "ignored"])
def test_nothing_to_seed_is_an_error(repository: Path, checkout: Path, content: str) -> None:
    tree = checkout / "gitops" / "tree"
    (tree / "app.yaml").unlink()
    if content != "ignored":
        (tree / "left.tmp").unlink()
    if content == "missing":
        tree.rmdir()
    with pytest.raises(RehearsalError, match="gitops/tree"):
        git.seed(repository, checkout)


def test_large_pushes_and_shallow_clones(
    mirrors: Mirrors, repository: Path, checkout: Path, tmp_path: Path
) -> None:
    git.seed(repository, checkout)
    work = clone(mirrors, tmp_path / "work")
    content = os.urandom(3_000_000)  # over http.postBuffer: git sends it in chunks
    (work / "large").write_bytes(content)
    run("add", "large", cwd=work)
    run("commit", "-q", "-m", "large", cwd=work)
    run("push", "-q", cwd=work)
    other = clone(mirrors, tmp_path / "other", "--depth=1")
    assert (other / "large").read_bytes() == content
    assert run("rev-list", "--count", "HEAD", cwd=other).strip() == "1"


def test_other_repositories_and_files_are_not_served(mirrors: Mirrors, repository: Path) -> None:
    host = "git.rehearsal.test"
    assert mirrors.ask(host, "/groundwork.git/HEAD").status == 200
    for path in ("/other.git/info/refs", "/groundwork.git/webhook.json", "/groundwork.git/../x",
                 "/groundwork.git/hooks/post-receive", "/%2e%2e/groundwork.git/HEAD"):  # fmt: skip
        (repository / "webhook.json").write_text("secret")
        answer = mirrors.ask(host, path)
        assert answer.status == 404, path
        assert b"secret" not in answer.body
    bad = mirrors.ask(host, "/groundwork.git/git-receive-pack", method="POST",
                      headers={"Transfer-Encoding": "gzip"})  # fmt: skip
    assert (bad.status, len(bad.body.splitlines())) == (400, 1)


@dataclass
class Receiver:
    """A webhook's other end."""

    port: int
    status: int = 200
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/webhook"

    def event(self) -> dict[str, Any]:
        assert len(self.calls) == 1
        event: dict[str, Any] = json.loads(self.calls[0][1])
        return event


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            names = {name.lower(): value for name, value in self.headers.items()}
            end.calls.append((names, body))
            self.send_response(end.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        end = Receiver(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield end
        server.shutdown()
        thread.join()


def test_a_push_is_told_to_the_webhook(
    mirrors: Mirrors, repository: Path, checkout: Path, tmp_path: Path, receiver: Receiver
) -> None:
    before = git.seed(repository, checkout).commit
    git.webhook(repository, receiver.url, "s3cret")
    work = clone(mirrors, tmp_path / "work")
    (work / "gitops" / "tree" / "app.yaml").write_text("two\n")
    (work / "gitops" / "tree" / "ä new.yaml").write_text("new\n")
    run("add", "-A", cwd=work)
    run("commit", "-q", "-m", "change\n\nwhy", cwd=work)
    run("push", "-q", cwd=work)
    headers, body = receiver.calls[0]
    event = receiver.event()
    signature = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert headers["x-hub-signature-256"] == f"sha256={signature}"
    assert headers["x-github-event"] == "push"
    assert headers["content-type"] == "application/json"
    assert event["ref"] == "refs/heads/main"
    assert (event["before"], event["after"]) == (before, log_ids(repository)[0])
    assert event["repository"]["html_url"] == "http://git.rehearsal.test/groundwork"
    assert event["repository"]["default_branch"] == "main"
    (commit,) = event["commits"]
    assert commit["message"] == "change\n\nwhy"
    assert commit["modified"] == ["gitops/tree/app.yaml"]
    assert commit["added"] == ["gitops/tree/ä new.yaml"]
    assert "s3cret" not in (repository / push_event.LOG).read_text()


def log_ids(repository: Path) -> list[str]:
    return run("log", "--format=%H", "main", cwd=repository).split()


def test_a_seed_is_told_too_and_only_when_it_changed(
    repository: Path, checkout: Path, receiver: Receiver
) -> None:
    git.webhook(repository, receiver.url)
    seeded = git.seed(repository, checkout)
    git.seed(repository, checkout)
    event = receiver.event()
    assert (event["created"], event["after"]) == (True, seeded.commit)
    assert event["commits"][0]["added"] == ["gitops/tree/app.yaml"]
    assert not any("signature" in name for name in receiver.calls[0][0])


@pytest.mark.parametrize("end", ["refuses", "is down", "unreadable setting"])
def test_a_failing_webhook_never_fails_the_push(
    mirrors: Mirrors,
    repository: Path,
    checkout: Path,
    tmp_path: Path,
    receiver: Receiver,
    end: str,
) -> None:
    git.seed(repository, checkout)
    work = clone(mirrors, tmp_path / "work")
    run("commit", "-q", "--allow-empty", "-m", "empty", cwd=work)
    receiver.status = 500
    git.webhook(repository, receiver.url if end == "refuses" else "http://127.0.0.1:1/", "s3cret")
    if end == "unreadable setting":
        (repository / push_event.SETTINGS).write_text("{")
    shown = run("push", cwd=work)
    assert "remote: webhook: " in shown
    assert log(repository)[0] == "empty"
    logged = (repository / push_event.LOG).read_text()
    assert len(logged.splitlines()) == 1
    assert "s3cret" not in logged + shown


def test_a_deleted_branch_is_told(
    mirrors: Mirrors, repository: Path, checkout: Path, tmp_path: Path, receiver: Receiver
) -> None:
    git.seed(repository, checkout)
    work = clone(mirrors, tmp_path / "work")
    run("push", "-q", "origin", "HEAD:refs/heads/topic", cwd=work)
    git.webhook(repository, receiver.url)
    run("push", "-q", "origin", ":topic", cwd=work)
    event = receiver.event()
    assert (event["ref"], event["deleted"]) == ("refs/heads/topic", True)
    assert (event["commits"], event["head_commit"]) == ([], None)


def test_the_setting_is_private_and_can_be_taken_back(
    repository: Path, checkout: Path, receiver: Receiver
) -> None:
    git.webhook(repository, receiver.url, "s3cret")
    setting = repository / push_event.SETTINGS
    assert stat.S_IMODE(setting.stat().st_mode) == 0o600
    git.webhook(repository, None)
    git.webhook(repository, None)
    git.seed(repository, checkout)
    assert receiver.calls == []
