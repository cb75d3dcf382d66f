"""KMS: keys and aliases, where they differ from other types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.rehearsal.plugins.aws.conftest import Aws
from tests.rehearsal.plugins.aws.made import ALIAS, KEY, make, unique
from tests.rehearsal.plugins.harness import Plugin


def _policy(action: str) -> str:
    principal = {"AWS": "arn:aws:iam::123456789012:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_key_lives_until_its_window_ends(aws: Aws, plugin: Plugin) -> None:
    kms = aws.client("kms")
    key = make(
        plugin,
        KEY,
        policy=_policy("kms:*"),
        enableKeyRotation=True,
        deletionWindowInDays=30,
    )
    spaced = json.dumps(json.loads(_policy("kms:*")), indent=2)
    assert not key.diff(policy=spaced).changes  # the same document
    key.update(policy=_policy("kms:Put*"))
    assert json.loads(
        kms.get_key_policy(KeyId=key.id, PolicyName="default")["Policy"]
    ) == json.loads(key.inputs["policy"])
    key.update(deletionWindowInDays=7)  # known to the state alone until the end
    found = key.imported()
    assert json.loads(found["policy"]) == json.loads(_policy("kms:Put*"))
    assert found["enableKeyRotation"] is True
    kms.disable_key_rotation(KeyId=key.id)
    assert key.refresh() == {"enableKeyRotation": False}
    key.delete()
    ending = kms.describe_key(KeyId=key.id)["KeyMetadata"]
    assert ending["KeyState"] == "PendingDeletion"


def test_alias_is_found_by_name_and_follows_its_key(aws: Aws, plugin: Plugin) -> None:
    key, other = make(plugin, KEY), make(plugin, KEY)
    alias = make(plugin, ALIAS, name=f"alias/{unique('data')}", targetKeyId=key.id)
    assert alias.imported() == {"name": alias.id, "targetKeyId": key.id}
    aws.client("kms").update_alias(AliasName=alias.id, TargetKeyId=other.id)
    assert alias.refresh() == {"targetKeyId": other.id}
    assert alias.diff(name="alias/another").replaces == ["name"]
    for made in (alias, key, other):
        made.delete()


@pytest.mark.parametrize(
    ("token", "inputs", "property"),
    [
        (KEY, {"deletionWindowInDays": 3}, "deletionWindowInDays"),
        (KEY, {"policy": '{"a": "' + "x" * 32768 + '"}'}, "policy"),
        (KEY, {"policy": "no JSON"}, "policy"),
        (KEY, {"multiRegion": True}, "multiRegion"),
        (ALIAS, {"name": "data", "targetKeyId": "1"}, "name"),
        (ALIAS, {"name": "alias/data"}, "targetKeyId"),
    ],
)
def test_bad_inputs_are_refused(
    plugin: Plugin, token: str, inputs: dict[str, Any], property: str
) -> None:
    _, failures = plugin.check_failures(token, inputs)
    assert [where for where, _ in failures] == [property]
