"""Comments and issues, each one changed in place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from delivery.errors import DeliveryError
from delivery.github import GitHub, from_environment
from tests.delivery.fake_github import REPOSITORY, TOKEN, Fake, fake_github

MARK = "<!-- groundwork preview of shop -->"
PERSON = {"login": "kim", "type": "User"}


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_github() as made:
        yield made


@pytest.fixture
def api(fake: Fake) -> GitHub:
    return GitHub(fake.url, REPOSITORY, TOKEN)


def test_a_comment_is_made_once_and_then_changed(fake: Fake, api: GitHub) -> None:
    for number in range(3):  # two pages, before ours
        fake.say(7, f"looks good {number}", PERSON)
    fake.say(7, f"{MARK}\nquoted by a person", PERSON)
    fake.say(7, "<!-- groundwork preview of other -->\n")
    first = api.comment(7, MARK, f"{MARK}\nfirst")
    assert api.comment(7, MARK, f"{MARK}\nsecond") == first
    bodies = [each["body"] for each in fake.comments[7]]
    assert bodies[3:] == [
        f"{MARK}\nquoted by a person",
        "<!-- groundwork preview of other -->\n",
        f"{MARK}\nsecond",
    ]


def test_an_issue_is_opened_changed_closed_and_opened_anew(fake: Fake, api: GitHub) -> None:
    assert api.close_issue(MARK, "clean") is None
    first = api.open_issue(MARK, "Drift: shop", f"{MARK}\none")
    assert api.open_issue(MARK, "Drift: shop", f"{MARK}\ntwo") == first
    assert api.open_issue("<!-- other -->", "Drift: other", "<!-- other -->\n") != first
    assert api.close_issue(MARK, "clean") == first
    assert [(each["body"], each["state"]) for each in fake.issues] == [
        (f"{MARK}\ntwo", "closed"),
        ("<!-- other -->\n", "open"),
    ]
    assert fake.comments[1][0]["body"] == "clean"
    assert api.open_issue(MARK, "Drift: shop", f"{MARK}\nthree") != first


def test_what_github_refuses_is_said_without_the_token(fake: Fake) -> None:
    with pytest.raises(DeliveryError, match=r"refuses GET .*: 401 Bad credentials") as refused:
        GitHub(fake.url, REPOSITORY, "wrong-token").comment(7, MARK, "x")
    assert "wrong-token" not in str(refused.value)
    with pytest.raises(DeliveryError, match="does not answer"):
        GitHub("http://127.0.0.1:9", REPOSITORY, TOKEN).pull(7)


def test_the_token_is_sent_nowhere_else(fake: Fake, api: GitHub) -> None:
    fake.say(7, "one", PERSON)
    fake.say(7, "two", PERSON)
    fake.say(7, "three", PERSON)
    fake.url = "http://127.0.0.1:9"  # where the next page is said to be
    with pytest.raises(DeliveryError, match="nothing was sent there"):
        api.comment(7, MARK, "x")


def test_a_machine_that_is_no_job_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DeliveryError, match="GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN not"):
        from_environment()
