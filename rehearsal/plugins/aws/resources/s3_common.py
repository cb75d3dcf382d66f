"""What the S3 types share: the client, the setting of a bucket as a resource, names, policies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rehearsal.plugins.aws.kinds import Input, Kind, ListOf, MapOf, Record, String
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import Properties

# Where S3's name is not the program's with a capital.
_NAMES = {"id": "ID", "sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}


def s3(op: Operation) -> Any:
    return op.cloud.client("s3")


def setting(
    token: str,
    noun: str,
    inputs: Mapping[str, Input],
    put: Callable[[Operation, str], None],
    read: Callable[[Operation, str], Properties | None],
    delete: Callable[[Operation, str], object],
    validate: Callable[[Properties], Sequence[tuple[str, str]]] | None = None,
) -> ResourceType:
    """Something set on a bucket, as a resource whose id is the bucket's name.

    Each function gets that name. put: sets the whole of it, whatever was set before. read: None,
    or AWS's own error, when it is not set.
    """

    def create(op: Operation) -> str:
        put(op, op.inputs["bucket"])
        return str(op.inputs["bucket"])

    def found(op: Operation) -> Properties | None:
        live = read(op, op.id)
        return None if live is None else {"bucket": op.id, **live}

    def update(op: Operation, changed: frozenset[str]) -> None:
        put(op, op.id)

    def remove(op: Operation) -> None:
        delete(op, op.id)

    return ResourceType(
        token=token,
        noun=noun,
        inputs={"bucket": Input(String(), required=True, force_new=True), **inputs},
        outputs=(),
        create=create,
        read=found,
        update=update,
        delete=remove,
        validate=validate,
    )


def _aws_name(name: str) -> str:
    return _NAMES.get(name) or name[0].upper() + name[1:]


def to_aws(kind: Kind, value: Any) -> Any:
    """A property's value with S3's names; missing fields stay missing."""
    if isinstance(kind, Record):
        return {
            _aws_name(key): to_aws(spec.kind, value[key])
            for key, spec in kind.fields.items()
            if value.get(key) is not None
        }
    if isinstance(kind, ListOf):
        return [to_aws(kind.item, item) for item in value]
    return tag_list(value) if isinstance(kind, MapOf) else value


def from_aws(kind: Kind, value: Any) -> Any:
    """S3's answer with the program's names; fields that the kind does not have are left out."""
    if isinstance(kind, Record):
        return {
            key: from_aws(spec.kind, value[name])
            for key, spec in kind.fields.items()
            if (name := _aws_name(key)) in value
        }
    if isinstance(kind, ListOf):
        return [from_aws(kind.item, item) for item in value]
    if isinstance(kind, MapOf):
        return tag_map(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return value


def statements(policy: str) -> list[Mapping[str, Any]]:
    """The statements of a policy; a single one may stand without its list."""
    found = json.loads(policy).get("Statement") or []
    return [found] if isinstance(found, Mapping) else list(found)


def many(value: Any) -> list[Any]:
    """The values of a policy's element, of which one may stand without its list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
