"""What a run of the workflow `deploy` is asked for: by a push, by hand, or by a comment.

A comment `/deploy ENVIRONMENT` on a pull request deploys its head before it is merged, if

- whoever wrote it may push to the repository,
- somebody else who may has approved that very commit, and nobody's wish for changes stands,
- the pull request is open, ready, of the repository itself and to its default branch,
- the commit has all of that branch, so that nothing of others is taken back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.affected import affected, delivered
from delivery.errors import DeliveryError, RefusedError
from delivery.github import GitHub, Json

_COMMAND = "/deploy"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_INSIDERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})


@dataclass(frozen=True)
class Request:
    """environments: to deploy, by name; commit: what to deploy, 40 hex digits; pull: the pull
    request that asks, if one does."""

    environments: tuple[str, ...]
    commit: str
    pull: int | None = None


def read(project: Path, name: str, event: Mapping[str, Any], commit: str, api: GitHub) -> Request:
    """The request of an event. name, event, commit: GITHUB_EVENT_NAME, what GITHUB_EVENT_PATH
    holds, GITHUB_SHA.

    No environments: nothing was asked for. Raises RefusedError for what is not allowed, and
    DeliveryError.
    """
    if name == "push":
        return Request(tuple(affected(project, event["before"])), commit)
    if name == "workflow_dispatch":
        return Request((_known(project, event["inputs"]["environment"]),), commit)
    if name == "issue_comment":
        return _commented(project, event, api)
    raise DeliveryError(f"a deployment is not asked for by {name}; see .github/workflows")


def pull_of(event: Mapping[str, Any]) -> int | None:
    """The pull request that an event's comment asks on; None if it asks for nothing."""
    issue = event.get("issue") or {}
    asks = (event.get("comment", {}).get("body") or "").split()[:1] == [_COMMAND]
    return int(issue["number"]) if asks and "pull_request" in issue else None


def _commented(project: Path, event: Mapping[str, Any], api: GitHub) -> Request:
    number = pull_of(event)
    if number is None or event["action"] != "created":
        return Request((), "")
    comment = event["comment"]
    _insider(api, comment["user"]["login"], comment["author_association"])
    words = comment["body"].split()
    if len(words) != 2:
        raise RefusedError(f"say `{_COMMAND} ENVIRONMENT` and nothing else")
    environment = _known(project, words[1])
    pull = api.pull(number)
    commit = _deployable(pull, event["repository"])
    _approved(api, pull, commit)
    base = pull["base"]["ref"]
    if behind := api.behind(base, commit):
        raise RefusedError(
            f"{commit[:12]} lacks {behind} commits of {base}, which a deployment would take back; "
            "merge or rebase, and have it approved again"
        )
    return Request((environment,), commit, number)


def _insider(api: GitHub, login: str, association: str) -> None:
    if association not in _INSIDERS or not api.may_write(login):
        raise RefusedError(f"{login} may not deploy: only who may push to the repository may")


def _known(project: Path, name: str) -> str:
    known = delivered(project)
    if name not in known:
        shown = name if _NAME.fullmatch(name) else "that"
        raise RefusedError(f"{shown} is no environment; there are {', '.join(known) or 'none'}")
    return name


def _deployable(pull: Json, repository: Json) -> str:
    """The head's commit."""
    head, base = pull["head"], pull["base"]
    if pull["state"] != "open":
        raise RefusedError("the pull request is closed; what is merged is deployed by the merge")
    if pull["draft"]:
        raise RefusedError("the pull request is a draft")
    if (head["repo"] or {}).get("full_name") != repository["full_name"]:
        raise RefusedError("the pull request is of a fork, whose code runs with no credentials")
    if base["ref"] != repository["default_branch"]:
        raise RefusedError(f"the pull request is not to {repository['default_branch']}")
    return str(head["sha"])


def _approved(api: GitHub, pull: Json, commit: str) -> None:
    """By the last word of each reviewer. An approval counts for the commit it was given to."""
    last: dict[str, Json] = {}
    for review in api.reviews(pull["number"]):
        if review["state"] in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED") and review["user"]:
            last[review["user"]["login"]] = review
    wishes = [who for who, review in last.items() if review["state"] == "CHANGES_REQUESTED"]
    if wishes:
        raise RefusedError(f"{', '.join(sorted(wishes))} asked for changes")
    author = pull["user"]["login"]
    for who, review in last.items():
        given = review["state"] == "APPROVED" and review["commit_id"] == commit
        if given and who != author and api.may_write(who):
            return
    raise RefusedError(
        f"nobody but its author has approved {commit[:12]}; an approval of an earlier commit does "
        "not count"
    )
