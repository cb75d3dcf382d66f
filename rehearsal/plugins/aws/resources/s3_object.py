"""S3: object of a text that the program gives. Its id is `<bucket>/<key>`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from rehearsal.plugins.aws.kinds import Boolean, Input, String
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.resources.s3_common import s3
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import Properties, ProviderError

_MOST_TAGS = 10
# input -> S3's name of it
_HEADERS = {
    "bucketKeyEnabled": "BucketKeyEnabled",
    "cacheControl": "CacheControl",
    "contentType": "ContentType",
    "kmsKeyId": "SSEKMSKeyId",
    "serverSideEncryption": "ServerSideEncryption",
}


def _where(op: Operation) -> dict[str, str]:
    bucket, _, key = op.id.partition("/")
    return {"Bucket": bucket, "Key": key}


def _put(op: Operation) -> str:
    """Puts all of it: S3 changes no object, it makes a new version."""
    _refuse_many_tags(op)
    bucket, key = op.inputs["bucket"], op.inputs["key"]
    given = {name: op.inputs.get(ours) for ours, name in _HEADERS.items()}
    s3(op).put_object(
        Bucket=bucket,
        Key=key,
        Body=op.inputs["content"].encode(),
        Tagging=urlencode(op.tags),
        **{name: value for name, value in given.items() if value is not None},
    )
    return f"{bucket}/{key}"


def _update(op: Operation, changed: frozenset[str]) -> None:
    _put(op)


def _refuse_many_tags(op: Operation) -> None:
    """moto refuses them too, but keeps the object."""
    if len(op.tags) > _MOST_TAGS:
        raise ProviderError(
            f"BadRequest: Object tags cannot be greater than {_MOST_TAGS}; with the provider's "
            f"default tags it would have {len(op.tags)}"
        )


def _read(op: Operation) -> Properties | None:
    """All but the content, as officially: who changes that by hand is not found out."""
    where = _where(op)
    head = s3(op).head_object(**where)
    return {
        "bucket": where["Bucket"],
        "key": where["Key"],
        **{ours: head.get(name) for ours, name in _HEADERS.items()},
        "arn": f"arn:aws:s3:::{op.id}",
        "etag": head["ETag"].strip('"'),
        "versionId": head.get("VersionId"),
        "tags": tag_map(s3(op).get_object_tagging(**where)["TagSet"]),
    }


def _retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    """S3 takes all tags of an object at once."""
    _refuse_many_tags(op)
    if op.tags:
        s3(op).put_object_tagging(**_where(op), Tagging={"TagSet": tag_list(op.tags)})
    else:
        s3(op).delete_object_tagging(**_where(op))


def _delete(op: Operation) -> None:
    """All its versions, as officially: a marker would keep the bucket from being deleted."""
    where = _where(op)
    pages = s3(op).get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=where["Bucket"], Prefix=where["Key"]):
        for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            if version["Key"] == where["Key"]:
                s3(op).delete_object(**where, VersionId=version["VersionId"])


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    if inputs.get("kmsKeyId") is None or inputs.get("serverSideEncryption") in (None, "aws:kms"):
        return []
    return [("kmsKeyId", "goes with the serverSideEncryption aws:kms alone")]


OBJECT = ResourceType(
    token="aws:s3/bucketObjectv2:BucketObjectv2",
    noun="S3 object",
    inputs={
        "bucket": Input(String(), required=True, force_new=True),
        # Officially the resource's name when it is missing.
        "key": Input(String(longest=1024), required=True, force_new=True),
        # Officially one of three ways to give it, or none for an empty object.
        "content": Input(String(), required=True),
        "contentType": Input(String(), computed=True),
        "cacheControl": Input(String()),
        "serverSideEncryption": Input(String(choices=("AES256", "aws:kms")), computed=True),
        "kmsKeyId": Input(String(), computed=True),
        "bucketKeyEnabled": Input(Boolean(), computed=True),
    },
    outputs=("arn", "etag", "versionId"),
    create=_put,
    read=_read,
    update=_update,
    delete=_delete,
    retag=_retag,
    validate=_validate,
    unsettled={key: ("etag", "versionId") for key in ("content", *_HEADERS)},
)

RESOURCE_TYPES = (OBJECT,)
