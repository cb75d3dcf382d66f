"""S3: bucket."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rehearsal.plugins.aws.cloud import code
from rehearsal.plugins.aws.kinds import Boolean, Input, String
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.resources.s3_common import s3
from rehearsal.plugins.aws.schema import AutoName, Operation, ResourceType
from rehearsal.plugins.protocol import UNKNOWN, Properties

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CLOSED = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def _create(op: Operation) -> str:
    name, region = op.inputs["bucket"], op.cloud.region
    # us-east-1 is the one region that must not be named.
    place = {} if region == "us-east-1" else {"LocationConstraint": region}
    s3(op).create_bucket(Bucket=name, **({"CreateBucketConfiguration": place} if place else {}))
    return str(name)


def _settle(op: Operation) -> None:
    """What AWS gives every new bucket and moto does not, then the tags."""
    s3(op).put_public_access_block(
        Bucket=op.id, PublicAccessBlockConfiguration=dict.fromkeys(_CLOSED, True)
    )
    s3(op).put_bucket_ownership_controls(
        Bucket=op.id, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    if op.tags:
        _retag(op, op.tags, ())


def _read(op: Operation) -> Properties | None:
    head = s3(op).head_bucket(Bucket=op.id)
    region = head.get("BucketRegion") or op.cloud.region
    try:
        tags = tag_map(s3(op).get_bucket_tagging(Bucket=op.id)["TagSet"])
    except Exception as error:
        if code(error) != "NoSuchTagSet":
            raise
        tags = {}
    return {
        "bucket": op.id,
        "arn": f"arn:aws:s3:::{op.id}",
        "bucketDomainName": f"{op.id}.s3.amazonaws.com",
        "bucketRegion": region,
        "bucketRegionalDomainName": f"{op.id}.s3.{region}.amazonaws.com",
        "tags": tags,
    }


def _retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    """S3 takes all tags of a bucket at once."""
    if op.tags:
        s3(op).put_bucket_tagging(Bucket=op.id, Tagging={"TagSet": tag_list(op.tags)})
    else:
        s3(op).delete_bucket_tagging(Bucket=op.id)


def _delete(op: Operation) -> None:
    if op.get("forceDestroy"):
        pages = s3(op).get_paginator("list_object_versions").paginate(Bucket=op.id)
        for page in pages:
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects = [{"Key": o["Key"], "VersionId": o["VersionId"]} for o in found]
            if objects:
                s3(op).delete_objects(Bucket=op.id, Delete={"Objects": objects, "Quiet": True})
    s3(op).delete_bucket(Bucket=op.id)


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    name = inputs.get("bucket")
    if name is UNKNOWN or _NAME.fullmatch(str(name)):
        return []
    return [("bucket", f"{name!r} is no bucket name: 3 to 63 of a-z, 0-9, '.' and '-'")]


BUCKET = ResourceType(
    token="aws:s3/bucket:Bucket",
    noun="S3 bucket",
    inputs={
        "bucket": Input(String(), force_new=True),
        "forceDestroy": Input(Boolean(), default=False),
    },
    outputs=("arn", "bucketDomainName", "bucketRegion", "bucketRegionalDomainName"),
    create=_create,
    settle=_settle,
    read=_read,
    update=lambda op, changed: None,  # forceDestroy alone: it lives in the state
    delete=_delete,
    retag=_retag,
    validate=_validate,
    autoname=AutoName("bucket", longest=63, lower=True),
)

RESOURCE_TYPES = (BUCKET,)
