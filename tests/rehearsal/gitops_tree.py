"""A clone of the repository that a running rehearsal's Argo CD pulls, and what comes of pushes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations.reasons import is_well
from rehearsal import status
from rehearsal.engine import Engine
from rehearsal.mirrors import git as mirror
from tests.rehearsal.running import PATHS, kubectl, operator, until

# Argo CD looks by itself every 120 s: what comes sooner came by the webhook.
SEEN_S = 100.0
_IDENTITY = ("--config=user.name=operator", "--config=user.email=operator@example.org")


@dataclass(frozen=True)
class Tree:
    """A clone on the branch that Argo CD follows. folder: the clone's."""

    folder: Path

    @classmethod
    def clone(cls, folder: Path) -> Tree:
        """A new clone in `folder`, which must not exist."""
        operator("git", "clone", "--quiet", *_IDENTITY, mirror.URL, str(folder))
        return cls(folder)

    def git(self, *arguments: str) -> str:
        return operator("git", "-C", str(self.folder), *arguments).strip()

    def file(self, name: str) -> Path:
        """A file of the tree, by its name below gitops/tree."""
        return self.folder / "gitops" / "tree" / name

    def edit(self, name: str, pattern: str, replacement: str) -> None:
        """Replaces the first match in a file of the tree."""
        before = self.file(name).read_text()
        after = re.sub(pattern, replacement, before, count=1)
        assert after != before, f"{name}: {pattern} changes nothing"
        self.file(name).write_text(after)

    def add_resource(self, folder: str, name: str, manifest: str) -> None:
        """One more file of a kustomization."""
        self.file(f"{folder}/{name}").write_text(manifest)
        self.list_resource(folder, name)

    def list_resource(self, folder: str, name: str) -> None:
        """One more line of a kustomization's `resources`."""
        self.edit(f"{folder}/kustomization.yaml", r"(?m)^resources:\n", rf"\g<0>  - {name}\n")

    def add_patch(self, folder: str, kind: str, patch: str) -> None:
        """One more patch of a kustomization, of all objects of a kind; patch: in one line."""
        text = rf"\g<0>  - target: {{kind: {kind}}}\n    patch: '{patch}'\n"
        self.edit(f"{folder}/kustomization.yaml", r"(?m)^patches:\n", text)

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def push(self, message: str) -> str:
        """Commits all that changed, and pushes it; the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "origin", f"HEAD:{mirror.BRANCH}")
        return self.head()

    def revert(self) -> str:
        """Takes the last commit back, by one more; the commit."""
        self.git("revert", "--no-edit", "HEAD")
        self.git("push", "--quiet", "origin", f"HEAD:{mirror.BRANCH}")
        return self.head()

    def pull(self) -> str:
        """The clone becomes what the repository is; the commit."""
        self.git("fetch", "--quiet", "origin", mirror.BRANCH)
        self.git("reset", "--quiet", "--hard", "FETCH_HEAD")
        self.git("clean", "--quiet", "-d", "--force")
        return self.head()

    @contextmanager
    def restored(self, *applications: str) -> Iterator[str]:
        """Whatever is pushed inside is taken back at the end, and these Applications are waited
        for: well at what git has then. Yields the commit at the beginning."""
        before = self.pull()
        try:
            yield before
        finally:
            after = self.pull()
            self.git("read-tree", "-u", "--reset", before)
            if self.git("diff", "--cached", "--name-only"):
                after = self.push("as before")
            for name in applications:
                live(after, name)


def application(name: str) -> Any:
    return kubectl("get", "applications.argoproj.io", name, "--namespace=argocd")


def live(commit: str, name: str) -> None:
    """Waits until the Application is well at this commit: synced, rolled out, hooks and all."""
    until(f"{name} is compared with {commit}", lambda: _at(application(name), commit), SEEN_S)
    until(f"{name} is well at {commit}", lambda: _well(application(name), commit))


def whole() -> status.Status:
    """What `make status` knows."""
    return status.read(PATHS.tools / "bin" / "kubectl", Engine(PATHS).kubeconfig)


def follow(revision: str) -> None:
    """The root app, and with it all of the tree, is to follow this branch or commit: the command
    of docs/operations.md."""
    document = (PATHS.checkout / "docs" / "operations.md").read_text()
    (command,) = re.findall(r"^kubectl -n argocd patch application root [^`]+", document, re.M)
    operator("bash", "-euc", f"commit={revision}\n{command}")


def _at(found: Any, commit: str) -> bool:
    return bool(found.get("status", {}).get("sync", {}).get("revision") == commit)


def _well(found: Any, commit: str) -> bool:
    return _at(found, commit) and is_well(found)
