"""Who may deploy what by which event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery.errors import DeliveryError, RefusedError
from delivery.github import GitHub
from delivery.request import Request, pull_of, read
from tests.delivery.fake_github import REPOSITORY, TOKEN, Fake, fake_github
from tests.program import CHECKOUT

HEAD, EARLIER, MERGED = "a" * 40, "b" * 40, "c" * 40
BASE = f"/repos/{REPOSITORY}"
PULL, REVIEWS = f"{BASE}/pulls/7", f"{BASE}/pulls/7/reviews"
Change = Callable[[Fake, dict[str, Any]], object]


def review(who: str, state: str, commit: str = HEAD) -> dict[str, Any]:
    return {"user": {"login": who}, "state": state, "commit_id": commit}


def event(body: str = "/deploy prod", association: str = "MEMBER") -> dict[str, Any]:
    return {
        "action": "created",
        "issue": {"number": 7, "pull_request": {}},
        "comment": {"body": body, "author_association": association, "user": {"login": "kim"}},
        "repository": {"full_name": REPOSITORY, "default_branch": "main"},
    }


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A pull request by lee that park has approved; kim, lee and park may push."""
    with fake_github() as made:
        for who in ("kim", "lee", "park"):
            made.answers[f"{BASE}/collaborators/{who}/permission"] = {"permission": "write"}
        made.answers[f"{BASE}/collaborators/passer-by/permission"] = {"permission": "read"}
        made.answers[PULL] = {
            "number": 7,
            "state": "open",
            "draft": False,
            "user": {"login": "lee"},
            "head": {"sha": HEAD, "repo": {"full_name": REPOSITORY}},
            "base": {"ref": "main"},
        }
        made.answers[REVIEWS] = [review("park", "APPROVED")]
        made.answers[f"{BASE}/compare/main...{HEAD}"] = {"behind_by": 0}
        yield made


def asked(fake: Fake, given: dict[str, Any], name: str = "issue_comment") -> Request:
    return read(CHECKOUT, name, given, MERGED, GitHub(fake.url, REPOSITORY, TOKEN))


def test_an_approved_pull_request_is_deployed_at_the_commit_that_was_approved(fake: Fake) -> None:
    assert asked(fake, event()) == Request(("prod",), HEAD, 7)


def _sets(path: str, key: str, value: Any) -> Change:
    return lambda fake, _: fake.answers[path].update({key: value})


def _reviews(*found: dict[str, Any]) -> Change:
    return lambda fake, _: fake.answers.update({REVIEWS: list(found)})


REFUSED: dict[str, tuple[dict[str, Any], Change, str]] = {
    "an outsider": (event(association="NONE"), lambda fake, _: None, "kim may not deploy"),
    "a reader": (
        event(),
        _sets(f"{BASE}/collaborators/kim/permission", "permission", "read"),
        "kim may not deploy",
    ),
    "nobody of the repository": (
        event(),
        lambda fake, _: fake.answers.pop(f"{BASE}/collaborators/kim/permission"),
        "kim may not deploy",
    ),
    "no environment": (event("/deploy"), lambda *_: None, "say `/deploy ENVIRONMENT`"),
    "two": (event("/deploy prod dev"), lambda *_: None, "say `/deploy ENVIRONMENT`"),
    "an unknown one": (event("/deploy prdo"), lambda *_: None, "prdo is no environment; there are"),
    "one with words for a shell": (event("/deploy $(id)"), lambda *_: None, "that is no environ"),
    "one that stands elsewhere": (event("/deploy rehearsal"), lambda *_: None, "no environment"),
    "a closed one": (event(), _sets(PULL, "state", "closed"), "is closed"),
    "a draft": (event(), _sets(PULL, "draft", True), "is a draft"),
    "a fork": (
        event(),
        _sets(PULL, "head", {"sha": HEAD, "repo": {"full_name": "else/platform"}}),
        "of a fork",
    ),
    "a fork that is gone": (event(), _sets(PULL, "head", {"sha": HEAD, "repo": None}), "of a fork"),
    "another branch": (event(), _sets(PULL, "base", {"ref": "release"}), "is not to main"),
    "not reviewed": (event(), _reviews(), "nobody but its author has approved"),
    "approved by its author": (event(), _reviews(review("lee", "APPROVED")), "nobody but its"),
    "approved by a reader": (event(), _reviews(review("passer-by", "APPROVED")), "nobody but its"),
    "approved before": (event(), _reviews(review("park", "APPROVED", EARLIER)), "nobody but its"),
    "approval taken back": (
        event(),
        _reviews(review("park", "APPROVED"), review("park", "DISMISSED")),
        "nobody but its",
    ),
    "changes wished for": (
        event(),
        _reviews(review("park", "APPROVED"), review("choi", "CHANGES_REQUESTED", EARLIER)),
        "choi asked for changes",
    ),
    "behind": (
        event(),
        _sets(f"{BASE}/compare/main...{HEAD}", "behind_by", 3),
        "lacks 3 commits of main",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_else_is(case: str, fake: Fake) -> None:
    given, change, said = REFUSED[case]
    change(fake, given)
    with pytest.raises(RefusedError) as refused:
        asked(fake, given)
    assert said in str(refused.value)


def test_a_later_word_of_a_reviewer_counts(fake: Fake) -> None:
    later = [review("park", "CHANGES_REQUESTED", EARLIER), review("park", "COMMENTED")]
    fake.answers[REVIEWS] = [*later, review("park", "APPROVED"), review("park", "COMMENTED")]
    assert asked(fake, event()).commit == HEAD


@pytest.mark.parametrize(
    "given",
    [
        event("do /deploy prod"),
        event("/deployed prod"),
        {**event(), "issue": {"number": 7}},
        {**event(), "action": "edited"},
    ],
)
def test_other_comments_ask_for_nothing(given: dict[str, Any], fake: Fake) -> None:
    assert asked(fake, given) == Request((), "")
    assert fake.asked == []


def test_by_hand_any_environment_is_asked_for(fake: Fake) -> None:
    found = asked(fake, {"inputs": {"environment": "dev"}}, "workflow_dispatch")
    assert found == Request(("dev",), MERGED)
    with pytest.raises(RefusedError, match="nope is no environment"):
        asked(fake, {"inputs": {"environment": "nope"}}, "workflow_dispatch")


def test_a_push_asks_for_what_it_touches(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def affected(_: Path, base: str) -> list[str]:
        return [base]

    monkeypatch.setattr("delivery.request.affected", affected)
    assert asked(fake, {"before": "x"}, "push") == Request(("x",), MERGED)
    with pytest.raises(DeliveryError, match="by release"):
        asked(fake, {}, "release")


def test_whom_to_answer() -> None:
    assert pull_of(event()) == 7
    assert pull_of(event("hello")) is None
    assert pull_of({"issue": {"number": 7}, "comment": {"body": "/deploy prod"}}) is None
