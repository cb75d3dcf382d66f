"""S3: who gets at a bucket: the block of public access, and the policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from rehearsal.plugins.aws.cloud import code
from rehearsal.plugins.aws.kinds import Boolean, Input, Json, Record
from rehearsal.plugins.aws.resources.iam_common import same_document
from rehearsal.plugins.aws.resources.s3_common import (
    from_aws,
    many,
    s3,
    setting,
    statements,
    to_aws,
)
from rehearsal.plugins.aws.schema import Operation
from rehearsal.plugins.protocol import UNKNOWN, Properties, ProviderError

_BLOCK = Record(
    {
        "blockPublicAcls": Input(Boolean(), default=False),
        "blockPublicPolicy": Input(Boolean(), default=False),
        "ignorePublicAcls": Input(Boolean(), default=False),
        "restrictPublicBuckets": Input(Boolean(), default=False),
    }
)


def _put_block(op: Operation, bucket: str) -> None:
    wanted = to_aws(_BLOCK, op.inputs)
    s3(op).put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=wanted)


def _read_block(op: Operation, bucket: str) -> Properties | None:
    found = s3(op).get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    live: Properties = from_aws(_BLOCK, found)
    return live


PUBLIC_ACCESS_BLOCK = setting(
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "S3 bucket public access block",
    _BLOCK.fields,
    _put_block,
    _read_block,
    lambda op, bucket: s3(op).delete_public_access_block(Bucket=bucket),
)

_LONGEST = 20 * 1024  # bytes
_ARN = "arn:*:s3:::"
# Fixed values of these make a grant to everybody one that is not public: "The meaning of
# 'public'", S3's User Guide.
_CONFINING = {
    "aws:principalorgid",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
}


def _put_policy(op: Operation, bucket: str) -> None:
    policy = op.inputs["policy"]
    # moto takes any
    for resource in (r for each in statements(policy) for r in many(each.get("Resource"))):
        if resource != "*" and not _within(bucket, resource):
            raise ProviderError(
                f"MalformedPolicy: Policy has invalid resource: {resource} is not of {bucket}"
            )
    if _blocks_public_policies(op, bucket) and any(_public(each) for each in statements(policy)):
        raise ProviderError(
            "AccessDenied: public policies are prevented by the BlockPublicPolicy setting of "
            f"{bucket}'s public access block"
        )
    s3(op).put_bucket_policy(Bucket=bucket, Policy=policy)


def _within(bucket: str, resource: str) -> bool:
    named = resource.split(":", 5)[-1].split("/")[0]
    return fnmatchcase(resource, _ARN + "*") and fnmatchcase(bucket, named)


def _blocks_public_policies(op: Operation, bucket: str) -> bool:
    try:
        return bool((_read_block(op, bucket) or {}).get("blockPublicPolicy"))
    except Exception as error:
        if code(error) != "NoSuchPublicAccessBlockConfiguration":
            raise
        return False


def _public(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    named = many(principal.get("AWS") if isinstance(principal, Mapping) else principal)
    if statement.get("Effect") != "Allow" or "*" not in named:
        return False
    return not any(
        key.lower() in _CONFINING and not any("*" in str(value) for value in many(values))
        for tests in (statement.get("Condition") or {}).values()
        for key, values in tests.items()
    )


def _read_policy(op: Operation, bucket: str) -> Properties | None:
    live = json.loads(s3(op).get_bucket_policy(Bucket=bucket)["Policy"])
    return {"policy": same_document(op.get("policy"), live)}


def _validate_policy(inputs: Properties) -> list[tuple[str, str]]:
    policy = inputs["policy"]
    if policy is UNKNOWN:
        return []
    if len(policy.encode()) > _LONGEST:
        return [("policy", f"must have at most {_LONGEST} bytes, not {len(policy.encode())}")]
    if not isinstance(json.loads(policy), Mapping) or not statements(policy):
        return [("policy", "has no Statement")]
    for each in statements(policy):
        if not {"Principal", "NotPrincipal"} & each.keys():
            return [("policy", "has a statement without Principal")]
        if not {"Resource", "NotResource"} & each.keys():
            return [("policy", "has a statement without Resource")]
    return []


POLICY = setting(
    "aws:s3/bucketPolicy:BucketPolicy",
    "S3 bucket policy",
    {"policy": Input(Json(), required=True)},
    _put_policy,
    _read_policy,
    lambda op, bucket: s3(op).delete_bucket_policy(Bucket=bucket),
    _validate_policy,
)

RESOURCE_TYPES = (PUBLIC_ACCESS_BLOCK, POLICY)
