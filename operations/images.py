"""The image tag of an API or worker, set in the GitOps tree, committed and pushed."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from operations.errors import OperationsError

_FOLDERS = ("gitops/tree/k8s/overlays", "gitops/tree/k8s/workers")
_FILE = "kustomization.yaml"
# OCI distribution specification, "Pulling manifests", which ECR holds tags to.
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(rf"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?{_PATH}(?:/{_PATH})*")
_ATTEMPTS = 20  # each needs another push to have come first


def publish(
    checkout: Path, domain: str, tag: str, image: str | None = None, branch: str = "main"
) -> str:
    """Sets the tag on origin's `branch`, in one commit that changes nothing else; says what it did.

    image: the image's name, if it is to change too. The checkout's own files, branch and commits
    are left alone. Other pushes may come in between: the commit is put on top of theirs. Does
    nothing if the branch has it already. Raises OperationsError if it may not or cannot.
    """
    refuse(tag, image)
    with _worktree(checkout, branch) as folder:
        file = _file(folder, domain)
        before = file.read_text(encoding="utf-8")
        after = with_image(before, tag, image)
        if after == before:
            return f"{domain} is at {tag} on {branch} already"
        file.write_text(after, encoding="utf-8")
        _git(folder, "commit", "--quiet", "--message", f"{domain}: image {tag}", "--", str(file))
        _push(folder, branch)
        return f"{domain} is at {tag} on {branch}: {_git(folder, 'rev-parse', 'HEAD')}"


def refuse(tag: str, image: str | None = None) -> None:
    """Raises OperationsError for a tag that may not be deployed, and for what is no image."""
    if tag == "latest":
        raise OperationsError("latest is another image tomorrow; give the tag of one build")
    if not _TAG.fullmatch(tag):
        raise OperationsError(
            f"{tag!r} is no image tag; letters, digits, '_', '.' and '-', at most 128, the first "
            "a letter, digit or '_'"
        )
    if image is not None and not _IMAGE.fullmatch(image):
        raise OperationsError(f"{image!r} is no image name; give REGISTRY/REPOSITORY, without tag")


def with_image(text: str, tag: str, image: str | None = None) -> str:
    """A kustomization whose one image has this tag, and this name if one is given.

    All else stays, comments and order too. Raises OperationsError if there is not one such image.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise OperationsError(f"{_FILE} is no YAML: {' '.join(str(error).split())}") from None
    entries = _value(root, "images")
    if not isinstance(entries, yaml.SequenceNode) or len(entries.value) != 1:
        raise OperationsError(f"{_FILE} must have one entry under `images`, with a `newTag`")
    edits = [(_value(entries.value[0], "newTag"), "newTag", tag)]
    if image is not None:
        edits.append((_value(entries.value[0], "newName"), "newName", image))
    for node, key, value in sorted(edits, key=lambda e: -_start(e[0])):
        if not isinstance(node, yaml.ScalarNode):
            raise OperationsError(f"{_FILE}: the entry under `images` has no {key} to be changed")
        text = text[: node.start_mark.index] + _scalar(value) + text[node.end_mark.index :]
    return text


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for name, value in pairs if name.value == key), None)


def _start(node: yaml.Node | None) -> int:
    return node.start_mark.index if node else 0


def _scalar(value: str) -> str:
    """1.10 unquoted would be a number, and another."""
    return value if yaml.safe_load(value) == value else json.dumps(value)


def _file(folder: Path, domain: str) -> Path:
    found = {
        file.parent.name: file for each in _FOLDERS for file in (folder / each).glob(f"*/{_FILE}")
    }
    known = sorted(name for name, file in found.items() if "\nimages:" in file.read_text())
    if domain not in known:
        raise OperationsError(f"{domain!r} is not in the tree; there are {', '.join(known)}")
    return found[domain]


@contextmanager
def _worktree(checkout: Path, branch: str) -> Iterator[Path]:
    """Origin's branch as it is now, beside the checkout's own files."""
    _git(checkout, "fetch", "--quiet", "origin", branch)
    with tempfile.TemporaryDirectory(prefix="set-image-") as folder:
        made = Path(folder, "tree")
        _git(checkout, "worktree", "add", "--quiet", "--detach", str(made), "FETCH_HEAD")
        try:
            yield made
        finally:
            _git(checkout, "worktree", "remove", "--force", str(made))


def _push(folder: Path, branch: str) -> None:
    """Pushes the one commit, on top of what others pushed first."""
    for _ in range(_ATTEMPTS):
        below = _git(folder, "rev-parse", "HEAD~1")
        refused = _run(folder, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        if refused.returncode == 0:
            return
        _git(folder, "fetch", "--quiet", "origin", branch)
        if _git(folder, "rev-parse", "FETCH_HEAD") == below:  # it was not for another's push
            raise OperationsError(f"origin refuses the push ({_reason(refused.stderr)})")
        if _run(folder, "rebase", "--quiet", "FETCH_HEAD").returncode != 0:
            _git(folder, "rebase", "--abort")
            raise OperationsError(
                f"another tag for the same image was pushed to {branch} meanwhile; see which of "
                "the two is wanted, and run this again for it"
            )
        if _git(folder, "rev-parse", "HEAD") == _git(folder, "rev-parse", "FETCH_HEAD"):
            return  # the other push was of this very tag
    raise OperationsError(f"{_ATTEMPTS} pushes came first; run this again")


def _git(folder: Path, *arguments: str) -> str:
    done = _run(folder, *arguments)
    if done.returncode != 0:
        raise OperationsError(f"git {arguments[0]} failed in {folder} ({_reason(done.stderr)})")
    return done.stdout.strip()


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _reason(said: str) -> str:
    return " ".join(said.split()) or "no reason given"
