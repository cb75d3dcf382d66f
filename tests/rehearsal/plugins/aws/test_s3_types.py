"""S3: what the types refuse, what a preview knows, and that their names are the SDK's and AWS's."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import botocore.session
import pytest

from rehearsal.plugins.aws.kinds import Kind, ListOf, Record, String
from rehearsal.plugins.aws.resources import TYPES
from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.aws.storage import (
    BLOCK,
    ENCRYPTION,
    EXPIRE,
    KEY_ARN,
    LIFECYCLE,
    LOGGING,
    OBJECT,
    OWNERSHIP,
    POLICY,
    VERSIONING,
    encryption,
    policy_of,
)
from tests.rehearsal.plugins.harness import Plugin


def _rules(**changed: Any) -> dict[str, Any]:
    rule = {**EXPIRE, **changed}
    return {"rules": [{key: value for key, value in rule.items() if value is not None}]}


@pytest.mark.parametrize(
    ("token", "inputs", "property", "reason"),
    [
        (VERSIONING, {"versioningConfiguration": {"status": "On"}}, None, "one of Enabled, Susp"),
        (ENCRYPTION, {"rules": []}, "rules", "exactly one rule, not 0"),
        (
            ENCRYPTION,
            {"rules": encryption(sseAlgorithm="AES256", kmsMasterKeyId=KEY_ARN)},
            "rules",
            "must not name a kmsMasterKeyId",
        ),
        (OWNERSHIP, {"rule": {"objectOwnership": "Owner"}}, None, "must be one of BucketOwnerEnf"),
        (BLOCK, {"skipDestroy": True}, "skipDestroy", "is not handled"),
        (POLICY, {"policy": "{}"}, "policy", "has no Statement"),
        (POLICY, {"policy": policy_of("*") + " " * 20480}, "policy", "at most 20480 bytes"),
        (
            POLICY,
            {"policy": '{"Statement": {"Effect": "Allow", "Resource": "*"}}'},
            "policy",
            "has a statement without Principal",
        ),
        (LOGGING, {"targetBucket": "logs"}, "targetPrefix", "is required"),
        (LIFECYCLE, {"rules": []}, "rules", "must have 1 to 1000 rules, not 0"),
        (LIFECYCLE, {"rules": [EXPIRE, EXPIRE]}, "rules", "one rule with the id 'a', not 2"),
        (LIFECYCLE, _rules(expiration=None), "rules[0]", "needs at least one of expiration, "),
        (LIFECYCLE, _rules(expiration={"days": 0}), "rules[0].expiration.days", "at least 1"),
        (
            LIFECYCLE,
            _rules(expiration={"days": 1, "expiredObjectDeleteMarker": True}),
            "rules[0]",
            "must have one of days, date, expiredObjectDeleteMarker",
        ),
        (
            LIFECYCLE,
            _rules(transitions=[{"days": 7, "storageClass": "STANDARD_IA"}]),
            "rules[0]",
            "must not move objects to STANDARD_IA before 30 days",
        ),
        (
            LIFECYCLE,
            _rules(transitions=[{"days": 90, "storageClass": "GLACIER"}]),
            "rules[0]",
            "expire after their last transition, that of 90 days",
        ),
        (
            LIFECYCLE,
            _rules(transitions=[{"storageClass": "GLACIER"}]),
            "rules[0]",
            "must have either days or date",
        ),
        (
            LIFECYCLE,
            _rules(filter={"prefix": "a", "tag": {"key": "a", "value": "b"}}),
            "rules[0]",
            "must have one of prefix, tag, and",
        ),
        (
            LIFECYCLE,
            _rules(
                filter={"tag": {"key": "a", "value": "b"}},
                abortIncompleteMultipartUpload={"daysAfterInitiation": 7},
            ),
            "rules[0]",
            "must not have abortIncompleteMultipartUpload",
        ),
        (
            LIFECYCLE,
            _rules(noncurrentVersionExpiration={"noncurrentDays": 7, "newerNoncurrentVersions": 2}),
            "rules[0].noncurrentVersionExpiration.newerNoncurrentVersions",
            "is not handled",
        ),
        (
            OBJECT,
            {"key": "a", "content": "", "kmsKeyId": KEY_ARN, "serverSideEncryption": "AES256"},
            "kmsKeyId",
            "aws:kms alone",
        ),
        (OBJECT, {"key": "a", "source": "x"}, "source", "is not handled"),
    ],
)
def test_bad_inputs_are_refused(
    plugin: Plugin, token: str, inputs: dict[str, Any], property: str | None, reason: str
) -> None:
    _, failures = plugin.check_failures(token, {"bucket": "bucket", **inputs})
    assert failures and reason in failures[0][1], failures
    assert property is None or failures[0][0] == property


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (ENCRYPTION, {"rules": encryption(sseAlgorithm="aws:kms", kmsMasterKeyId=UNKNOWN)}),
        (ENCRYPTION, {"rules": UNKNOWN}),
        (POLICY, {"policy": UNKNOWN}),
        (LIFECYCLE, _rules(expiration={"days": UNKNOWN})),
        (LOGGING, {"targetBucket": UNKNOWN, "targetPrefix": "a"}),
        (OBJECT, {"key": "a", "content": UNKNOWN}),
    ],
)
def test_what_is_unknown_at_preview(plugin: Plugin, token: str, inputs: dict[str, Any]) -> None:
    checked = plugin.check(token, {"bucket": UNKNOWN, **inputs})
    _, outputs = plugin.create(token, checked, preview=True)
    assert outputs["bucket"] is UNKNOWN
    assert {key: outputs[key] for key in inputs} == inputs


def _records(kind: Kind, cls: type, path: str) -> Iterator[tuple[str, set[str], set[str]]]:
    """(path, our fields, the SDK's) of the records in a kind."""
    while isinstance(kind, ListOf):
        kind = kind.item
    if not isinstance(kind, Record):
        return
    names = {
        getattr(each.fget, "_pulumi_name", key): each
        for key, each in vars(cls).items()
        if isinstance(each, property)
    }
    yield path, set(kind.fields), set(names)
    for key, spec in kind.fields.items():
        yield from _records(spec.kind, _class(names[key]) or cls, f"{path}.{key}")


def _class(each: Any) -> type | None:
    """The class of the SDK's outputs that a property has or lists."""
    annotation = str(each.fget.__annotations__["return"])
    _, found, name = annotation.rpartition("outputs.")
    outputs = import_module("pulumi_aws.s3.outputs")
    return getattr(outputs, name.split("'")[0]) if found else None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("token", [VERSIONING, ENCRYPTION, OWNERSHIP, LIFECYCLE])
def test_every_nested_property_is_the_sdk_s_own(token: str) -> None:
    resource = getattr(import_module("pulumi_aws.s3"), token.rpartition(":")[2])
    found = list(_records(Record(TYPES[token].inputs), resource, ""))
    assert len(found) > 1
    for path, ours, theirs in found:
        assert ours <= theirs, path


@pytest.mark.parametrize(
    ("token", "path", "shape"),
    [
        (VERSIONING, "versioningConfiguration.status", "BucketVersioningStatus"),
        (
            ENCRYPTION,
            "rules.applyServerSideEncryptionByDefault.sseAlgorithm",
            "ServerSideEncryption",
        ),
        (OWNERSHIP, "rule.objectOwnership", "ObjectOwnership"),
        (LIFECYCLE, "rules.status", "ExpirationStatus"),
        (LIFECYCLE, "rules.transitions.storageClass", "TransitionStorageClass"),
        (
            LIFECYCLE,
            "transitionDefaultMinimumObjectSize",
            "TransitionDefaultMinimumObjectSize",
        ),
        (OBJECT, "serverSideEncryption", "ServerSideEncryption"),
    ],
)
def test_every_choice_is_aws_s_own(token: str, path: str, shape: str) -> None:
    kind: Kind = Record(TYPES[token].inputs)
    for key in path.split("."):
        while isinstance(kind, ListOf):
            kind = kind.item
        assert isinstance(kind, Record)
        kind = kind.fields[key].kind
    assert isinstance(kind, String) and kind.choices
    session: Any = botocore.session.get_session()
    assert set(kind.choices) <= set(session.get_service_model("s3").shape_for(shape).enum)
