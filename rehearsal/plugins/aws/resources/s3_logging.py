"""S3: a bucket's access log, which S3 writes into another bucket."""

from __future__ import annotations

from fnmatch import fnmatchcase

from rehearsal.plugins.aws.cloud import code
from rehearsal.plugins.aws.kinds import Input, Record, String
from rehearsal.plugins.aws.resources.s3_common import (
    from_aws,
    many,
    s3,
    setting,
    statements,
    to_aws,
)
from rehearsal.plugins.aws.schema import Operation
from rehearsal.plugins.protocol import Properties, ProviderError

_WRITER = "logging.s3.amazonaws.com"
_WRITERS = "uri=http://acs.amazonaws.com/groups/s3/LogDelivery"
_TARGET = Record(
    {
        "targetBucket": Input(String(), required=True),
        "targetPrefix": Input(String(), required=True),
    }
)


def _put(op: Operation, bucket: str) -> None:
    target, prefix = op.inputs["targetBucket"], op.inputs["targetPrefix"]
    if not _may_be_written(op, target, prefix):
        raise ProviderError(
            "InvalidTargetBucketForLogging: the policy of "
            f"{target} does not allow {_WRITER} to s3:PutObject under {prefix!r}"
        )
    # moto knows no wildcards in that policy, but it knows the older way, by access control list.
    s3(op).put_bucket_acl(Bucket=target, GrantWrite=_WRITERS, GrantReadACP=_WRITERS)
    wanted = {"LoggingEnabled": to_aws(_TARGET, op.inputs)}
    s3(op).put_bucket_logging(Bucket=bucket, BucketLoggingStatus=wanted)


def _may_be_written(op: Operation, target: str, prefix: str) -> bool:
    try:
        policy = s3(op).get_bucket_policy(Bucket=target)["Policy"]
    except Exception as error:
        if code(error) == "NoSuchBucket":
            raise ProviderError(
                f"InvalidTargetBucketForLogging: the target bucket {target} does not exist"
            ) from None
        if code(error) != "NoSuchBucketPolicy":
            raise
        return False
    log = f"arn:aws:s3:::{target}/{prefix}2026-01-01-00-00-00-0123456789ABCDEF"  # as S3 names one
    return any(
        each.get("Effect") == "Allow"
        and isinstance(each.get("Principal"), dict)
        and _WRITER in many(each["Principal"].get("Service"))
        and any(fnmatchcase("s3:putobject", a.lower()) for a in many(each.get("Action")))
        and any(fnmatchcase(log, resource) for resource in many(each.get("Resource")))
        for each in statements(policy)
    )


def _read(op: Operation, bucket: str) -> Properties | None:
    found = s3(op).get_bucket_logging(Bucket=bucket).get("LoggingEnabled")
    return from_aws(_TARGET, found) if found else None


LOGGING = setting(
    "aws:s3/bucketLogging:BucketLogging",
    "S3 bucket logging",
    _TARGET.fields,
    _put,
    _read,
    lambda op, bucket: s3(op).put_bucket_logging(Bucket=bucket, BucketLoggingStatus={}),
)

RESOURCE_TYPES = (LOGGING,)
