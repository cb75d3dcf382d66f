"""EC2: key pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rehearsal.plugins.aws.kinds import Input, String
from rehearsal.plugins.aws.resources.ec2_common import retag_id, tag_map, tagged
from rehearsal.plugins.aws.schema import AutoName, Operation, ResourceType
from rehearsal.plugins.protocol import Properties


@dataclass(frozen=True)
class _PublicKey(String):
    """A key in OpenSSH's format; white space around it says nothing."""

    def normal(self, value: Any) -> Any:
        return value.strip() or None


def _create(op: Operation) -> str:
    name = op.inputs["keyName"]
    material = op.inputs["publicKey"].encode()
    op.ec2.import_key_pair(KeyName=name, PublicKeyMaterial=material, **tagged("key-pair", op.tags))
    return str(name)


def _read(op: Operation) -> Properties | None:
    found = op.ec2.describe_key_pairs(KeyNames=[op.id], IncludePublicKey=True)["KeyPairs"][0]
    told, kept = found.get("PublicKey", ""), op.get("publicKey")
    same = kept and kept.split()[:2] == told.split()[:2]  # AWS keeps no comment
    return {
        "keyName": found["KeyName"],
        "publicKey": kept if same else told,
        "arn": op.cloud.arn("ec2", f"key-pair/{op.id}"),
        "fingerprint": found["KeyFingerprint"],
        "keyPairId": found["KeyPairId"],
        "keyType": found["KeyType"],
        "tags": tag_map(found.get("Tags")),
    }


def _retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    retag_id(op.ec2, op.state["keyPairId"], fresh, stale)


KEY_PAIR = ResourceType(
    token="aws:ec2/keyPair:KeyPair",
    noun="EC2 key pair",
    inputs={
        "keyName": Input(String(longest=255), force_new=True),
        "publicKey": Input(_PublicKey(), required=True, force_new=True),
    },
    outputs=("arn", "fingerprint", "keyPairId", "keyType"),
    create=_create,
    read=_read,
    delete=lambda op: op.ec2.delete_key_pair(KeyName=op.id),
    retag=_retag,
    autoname=AutoName("keyName", longest=255),
)

RESOURCE_TYPES = (KEY_PAIR,)
