"""S3: how a bucket keeps its objects: versions, encryption, whose they are."""

from __future__ import annotations

from rehearsal.plugins.aws.kinds import Boolean, Input, Record, SetOf, String
from rehearsal.plugins.aws.resources.s3_common import from_aws, s3, setting, to_aws
from rehearsal.plugins.aws.schema import Operation
from rehearsal.plugins.protocol import UNKNOWN, Properties

_VERSIONS = Record(
    # Officially also Disabled, for a bucket that never had versions.
    {"status": Input(String(choices=("Enabled", "Suspended")), required=True)}
)


def _put_versioning(op: Operation, bucket: str) -> None:
    wanted = to_aws(_VERSIONS, op.inputs["versioningConfiguration"])
    s3(op).put_bucket_versioning(Bucket=bucket, VersioningConfiguration=wanted)


def _read_versioning(op: Operation, bucket: str) -> Properties | None:
    found = from_aws(_VERSIONS, s3(op).get_bucket_versioning(Bucket=bucket))
    return {"versioningConfiguration": found} if found else None


def _end_versioning(op: Operation, bucket: str) -> None:
    """Suspends it, as officially: a bucket that had versions never becomes one without."""
    if _read_versioning(op, bucket):
        s3(op).put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


VERSIONING = setting(
    "aws:s3/bucketVersioning:BucketVersioning",
    "S3 bucket versioning",
    {"versioningConfiguration": Input(_VERSIONS, required=True)},
    _put_versioning,
    _read_versioning,
    _end_versioning,
)

_RULES = SetOf(
    Record(
        {
            "applyServerSideEncryptionByDefault": Input(
                Record(
                    {
                        "sseAlgorithm": Input(
                            String(choices=("AES256", "aws:kms", "aws:kms:dsse")), required=True
                        ),
                        "kmsMasterKeyId": Input(String()),
                    }
                ),
                required=True,
            ),
            "bucketKeyEnabled": Input(Boolean()),
        }
    )
)


def _put_encryption(op: Operation, bucket: str) -> None:
    rules = to_aws(_RULES, op.inputs["rules"])
    s3(op).put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def _read_encryption(op: Operation, bucket: str) -> Properties | None:
    found = s3(op).get_bucket_encryption(Bucket=bucket)
    return {"rules": from_aws(_RULES, found["ServerSideEncryptionConfiguration"]["Rules"])}


def _validate_encryption(inputs: Properties) -> list[tuple[str, str]]:
    rules = inputs["rules"]
    if rules is UNKNOWN:
        return []
    if len(rules) != 1:
        return [("rules", f"must have exactly one rule, not {len(rules)}")]
    default = {} if rules[0] is UNKNOWN else rules[0]["applyServerSideEncryptionByDefault"]
    if default is UNKNOWN or default.get("sseAlgorithm") != "AES256":
        return []
    if default.get("kmsMasterKeyId") is None:
        return []
    return [("rules", "must not name a kmsMasterKeyId with the sseAlgorithm AES256")]


ENCRYPTION = setting(
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "S3 bucket encryption",
    {"rules": Input(_RULES, required=True)},
    _put_encryption,
    _read_encryption,
    lambda op, bucket: s3(op).delete_bucket_encryption(Bucket=bucket),
    _validate_encryption,
)

_OWNERSHIP = Record(
    {
        "objectOwnership": Input(
            String(choices=("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")),
            required=True,
        )
    }
)


def _put_ownership(op: Operation, bucket: str) -> None:
    rules = [to_aws(_OWNERSHIP, op.inputs["rule"])]
    s3(op).put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": rules})


def _read_ownership(op: Operation, bucket: str) -> Properties | None:
    found = s3(op).get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    return {"rule": from_aws(_OWNERSHIP, found[0])}


OWNERSHIP = setting(
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "S3 bucket ownership controls",
    {"rule": Input(_OWNERSHIP, required=True)},
    _put_ownership,
    _read_ownership,
    lambda op, bucket: s3(op).delete_bucket_ownership_controls(Bucket=bucket),
)

RESOURCE_TYPES = (VERSIONING, ENCRYPTION, OWNERSHIP)
