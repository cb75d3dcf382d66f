"""Names and values that the tests of the S3 types share."""

from __future__ import annotations

import json
from typing import Any

VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
LOGGING = "aws:s3/bucketLogging:BucketLogging"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"

KEY_ARN = "arn:aws:kms:eu-west-1:123456789012:key/1"
EXPIRE = {"id": "a", "status": "Enabled", "expiration": {"days": 90}}


def encryption(**default: Any) -> list[dict[str, Any]]:
    """The rules of an encryption by default."""
    return [{"applyServerSideEncryptionByDefault": default}]


def policy_of(resource: str, **changed: Any) -> str:
    """A policy of one statement, by which S3 may write its logs unless told otherwise."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": resource,
        **changed,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
