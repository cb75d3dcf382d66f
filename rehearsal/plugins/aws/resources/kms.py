"""KMS: key and alias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rehearsal.plugins.aws.kinds import Boolean, Input, Integer, Json, String
from rehearsal.plugins.aws.schema import AutoName, Operation, ResourceType
from rehearsal.plugins.protocol import Properties


def _kms(op: Operation) -> Any:
    return op.cloud.client("kms")


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key, value in tags.items()]


def _create_key(op: Operation) -> str:
    optional = {"Description": op.inputs.get("description"), "Policy": op.inputs.get("policy")}
    made = _kms(op).create_key(
        KeyUsage=op.inputs["keyUsage"],
        Tags=_tags(op.tags),
        **{key: value for key, value in optional.items() if value},
    )
    return str(made["KeyMetadata"]["KeyId"])


def _settle_key(op: Operation) -> None:
    _update_key(op, frozenset({"enableKeyRotation", "isEnabled"}))


def _update_key(op: Operation, changed: frozenset[str]) -> None:
    kms, inputs = _kms(op), op.inputs
    if "description" in changed:
        kms.update_key_description(KeyId=op.id, Description=inputs.get("description") or "")
    if "policy" in changed and inputs.get("policy"):
        kms.put_key_policy(KeyId=op.id, PolicyName="default", Policy=inputs["policy"])
    if "enableKeyRotation" in changed:
        call = kms.enable_key_rotation if inputs["enableKeyRotation"] else kms.disable_key_rotation
        call(KeyId=op.id)
    if "isEnabled" in changed:  # last: a disabled key takes no other change
        (kms.enable_key if inputs["isEnabled"] else kms.disable_key)(KeyId=op.id)


def _read_key(op: Operation) -> Properties | None:
    kms = _kms(op)
    key = kms.describe_key(KeyId=op.id)["KeyMetadata"]
    if key["KeyState"] in ("PendingDeletion", "PendingReplicaDeletion"):
        return None
    policy = kms.get_key_policy(KeyId=op.id, PolicyName="default")["Policy"]
    kept = op.get("policy")
    same = kept and Json().normal(kept) == Json().normal(policy)
    tags = kms.list_resource_tags(KeyId=op.id)["Tags"]
    return {
        "description": key.get("Description") or None,
        "keyUsage": key.get("KeyUsage") or op.inputs.get("keyUsage"),
        "policy": kept if same else policy,
        "enableKeyRotation": kms.get_key_rotation_status(KeyId=op.id)["KeyRotationEnabled"],
        "isEnabled": key["Enabled"],
        "arn": key["Arn"],
        "keyId": key["KeyId"],
        "tags": {tag["TagKey"]: tag["TagValue"] for tag in tags},
    }


def _delete_key(op: Operation) -> None:
    if _read_key(op):
        days = op.get("deletionWindowInDays")
        window = {"PendingWindowInDays": days} if days else {}
        _kms(op).schedule_key_deletion(KeyId=op.id, **window)


def _retag_key(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    if stale:
        _kms(op).untag_resource(KeyId=op.id, TagKeys=list(stale))
    if fresh:
        _kms(op).tag_resource(KeyId=op.id, Tags=_tags(fresh))


KEY = ResourceType(
    token="aws:kms/key:Key",
    noun="KMS key",
    inputs={
        "description": Input(String(longest=8192), computed=True),
        "keyUsage": Input(
            String(choices=("ENCRYPT_DECRYPT",)), force_new=True, default="ENCRYPT_DECRYPT"
        ),
        "policy": Input(Json(longest=32768), computed=True),
        "enableKeyRotation": Input(Boolean(), default=False),
        "isEnabled": Input(Boolean(), default=True),
        "deletionWindowInDays": Input(Integer(7, 30)),
    },
    outputs=("arn", "keyId"),
    create=_create_key,
    settle=_settle_key,
    read=_read_key,
    update=_update_key,
    delete=_delete_key,
    retag=_retag_key,
)


@dataclass(frozen=True)
class _KeyReference(String):
    """A key by id or by ARN."""

    def normal(self, value: Any) -> Any:
        return value.rpartition("/")[2] or None


def _create_alias(op: Operation) -> str:
    name = op.inputs["name"]
    _kms(op).create_alias(AliasName=name, TargetKeyId=op.inputs["targetKeyId"])
    return str(name)


def _read_alias(op: Operation) -> Properties | None:
    key = _kms(op).describe_key(KeyId=op.id)["KeyMetadata"]
    kept = op.get("targetKeyId")
    return {
        "name": op.id,
        "targetKeyId": kept if kept in (key["KeyId"], key["Arn"]) else key["KeyId"],
        "arn": op.cloud.arn("kms", op.id),
        "targetKeyArn": key["Arn"],
    }


def _update_alias(op: Operation, changed: frozenset[str]) -> None:
    _kms(op).update_alias(AliasName=op.id, TargetKeyId=op.inputs["targetKeyId"])


def _validate_alias(inputs: Properties) -> list[tuple[str, str]]:
    name = inputs.get("name")
    if isinstance(name, str) and not name.startswith("alias/"):
        return [("name", "must begin with 'alias/'")]
    return []


ALIAS = ResourceType(
    token="aws:kms/alias:Alias",
    noun="KMS alias",
    inputs={
        "name": Input(String(longest=256), force_new=True),
        "targetKeyId": Input(_KeyReference(), required=True),
    },
    outputs=("arn", "targetKeyArn"),
    create=_create_alias,
    read=_read_alias,
    update=_update_alias,
    delete=lambda op: _kms(op).delete_alias(AliasName=op.id),
    validate=_validate_alias,
    autoname=AutoName("name", longest=256, prefix="alias/"),
    unsettled={"targetKeyId": ("targetKeyArn",)},
)

RESOURCE_TYPES = (KEY, ALIAS)
