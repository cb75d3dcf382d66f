"""The simulator decides as IAM's guide says, and refuses what it does not know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bootstrap.simulator import Request, allowed, assumable, mentions

ARN = "arn:aws:s3:::one/key"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(**elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **elements}


GET = Request("s3:GetObject", ARN)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], False),
        ([allow()], True),
        ([allow(Action=["s3:Get*"])], True),
        ([allow(Action="s3:getobjec?")], True),
        ([allow(Action="S3:Put*")], False),
        ([allow(Resource="arn:aws:s3:::one/*")], True),
        ([allow(Resource="arn:aws:s3:::ONE/*")], False),
        ([allow(Resource="arn:aws:s3:::one")], False),
        ([{"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}], True),
        ([{"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"}], False),
        ([{"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::one/*"}], False),
        ([allow(), {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}], False),
        ([allow(), {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}], True),
    ],
)
def test_actions_resources_and_effects(statements: list[dict[str, Any]], expected: bool) -> None:
    assert allowed([policy(*statements)], GET) is expected


@pytest.mark.parametrize(
    ("condition", "context", "expected"),
    [
        ({"StringEquals": {"k": "a"}}, {"K": "a"}, True),
        ({"StringEquals": {"k": ["a", "b"]}}, {"k": "b"}, True),
        ({"StringEquals": {"k": "a"}}, {"k": "A"}, False),
        ({"StringEquals": {"k": "a"}}, {}, False),
        ({"StringEquals": {"k": "a", "l": "b"}}, {"k": "a"}, False),
        ({"StringNotEquals": {"k": "a"}}, {"k": "b"}, True),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "b"}, False),
        ({"StringNotEquals": {"k": "a"}}, {}, True),
        ({"StringLike": {"k": "a*"}}, {"k": "ab"}, True),
        ({"StringLike": {"k": "a*"}}, {}, False),
        ({"Null": {"k": "true"}}, {}, True),
        ({"Null": {"k": "true"}}, {"k": "a"}, False),
        ({"Null": {"k": "false"}}, {"k": "a"}, True),
        ({"ForAllValues:StringLike": {"k": ["a*", "b"]}}, {"k": ["a1", "b"]}, True),
        ({"ForAllValues:StringLike": {"k": ["a*"]}}, {"k": ["a1", "b"]}, False),
        ({"ForAllValues:StringLike": {"k": ["a*"]}}, {}, True),
        ({"ForAllValues:StringNotEquals": {"k": ["a"]}}, {"k": ["b", "c"]}, True),
        ({"ForAllValues:StringNotEquals": {"k": ["a"]}}, {"k": ["b", "a"]}, False),
    ],
)
def test_conditions(condition: dict[str, Any], context: dict[str, Any], expected: bool) -> None:
    request = Request("s3:GetObject", ARN, context)
    assert allowed([policy(allow(Condition=condition))], request) is expected


@pytest.mark.parametrize(
    "statement",
    [
        allow(Condition={"NumericLessThan": {"k": "1"}}),
        allow(Condition={"ForAnyValue:StringEquals": {"k": "1"}}),
        allow(Resource="arn:aws:s3:::${aws:username}/*"),
        allow(Principal="*"),
    ],
)
def test_what_it_does_not_know_it_refuses(statement: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not known here"):
        allowed([policy(statement)], GET)


def test_a_boundary_only_takes_away() -> None:
    everything = policy(allow(Action="*"))
    assert allowed([everything], GET, boundary=policy(allow()))
    assert not allowed([everything], Request("s3:PutObject", ARN), boundary=policy(allow()))
    assert not allowed([], GET, boundary=everything)


def test_mentions_looks_at_actions_alone() -> None:
    narrow = policy(allow(Resource="arn:nothing", Condition={"StringEquals": {"k": "a"}}))
    assert mentions([narrow], "s3:GetObject") and not mentions([narrow], "s3:PutObject")
    assert not mentions([policy({**allow(), "Effect": "Deny"})], "s3:GetObject")


def test_trust() -> None:
    trust = policy({"Effect": "Allow", "Condition": {"StringEquals": {"iss:sub": ["a", "b"]}}})
    assert assumable(trust, {"iss:sub": "b"})
    assert not assumable(trust, {"iss:sub": "c"}) and not assumable(trust, {})
