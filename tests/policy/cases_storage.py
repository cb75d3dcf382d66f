"""What keeps and what breaks the rules of policy/storage.py."""

from __future__ import annotations

import json
from typing import Any

from tests.policy.pack import UNKNOWN, Case, Made, StackCase

BUCKET = "aws:s3/bucket:Bucket"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
_TRUE = {
    "blockPublicAcls": True,
    "blockPublicPolicy": True,
    "ignorePublicAcls": True,
    "restrictPublicBuckets": True,
}
_ARN = "arn:aws:s3:::shop-assets"


def _deny(**changes: Any) -> dict[str, Any]:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [_ARN, f"{_ARN}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": [statement | changes]})}


CASES = [
    Case(
        "bucket-acl-private",
        "aws:s3/bucketAcl:BucketAcl",
        {"acl": "private"},
        {"acl": "public-read"},
        "acl public-read",
    ),
    Case("bucket-tls-only", POLICY, _deny(), _deny(Effect="Allow"), "deny s3:* to everybody"),
    Case(
        "bucket-tls-only",
        POLICY,
        _deny(Principal={"AWS": "*"}, Condition={"Bool": {"aws:SecureTransport": False}}),
        _deny(Resource=f"{_ARN}/*"),
        "on the bucket and its objects",
    ),
    Case("bucket-tls-only", POLICY, _deny(Resource="*"), _deny(Resource=_ARN), "SecureTransport"),
    Case("bucket-tls-only", POLICY, _deny(), _deny(Action="s3:GetObject"), "SecureTransport"),
]

_ASSETS = Made(BUCKET, "assets", {"bucket": "shop-assets", "id": UNKNOWN, "tags": {"Name": "a"}})
_LOGS = Made(BUCKET, "logs", {"bucket": "shop-logs", "id": UNKNOWN, "tags": {"Purpose": "logs"}})


def _about(kind: str, bucket: str, **props: Any) -> Made:
    """A bucket's companion, as at a preview: the bucket's id is not known yet."""
    return Made(
        f"aws:s3/bucket{kind}:Bucket{kind}",
        f"{kind}-of-{bucket}",
        {"bucket": UNKNOWN, **props},
        refers={"bucket": [bucket]},
    )


def _encrypted(bucket: str, algorithm: str) -> Made:
    rules = [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}}]
    return _about("ServerSideEncryptionConfiguration", bucket, rules=rules)


def _versioned(status: str) -> Made:
    return _about("Versioning", "assets", versioningConfiguration={"status": status})


STACK_CASES = [
    StackCase(
        "bucket-blocks-public-access",
        [_ASSETS, _about("PublicAccessBlock", "assets", **_TRUE)],
        [_ASSETS, _LOGS, _about("PublicAccessBlock", "logs", **_TRUE)],
        "assets",
        "add a BucketPublicAccessBlock",
    ),
    StackCase(
        "bucket-blocks-public-access",
        [
            _ASSETS,
            Made(
                f"{BUCKET}PublicAccessBlock".replace("bucket:B", "bucketPublicAccessBlock:B"),
                "block",
                {**_TRUE, "bucket": "shop-assets"},
            ),
        ],
        [_ASSETS, _about("PublicAccessBlock", "assets", **{**_TRUE, "ignorePublicAcls": False})],
        "assets",
        "set ignorePublicAcls of its access block to True",
    ),
    StackCase(
        "bucket-versioned",
        [_ASSETS, _versioned("Enabled")],
        [_ASSETS, _versioned("Suspended")],
        "assets",
        "add a BucketVersioning",
    ),
    StackCase(
        "bucket-encrypted",
        [_ASSETS, _encrypted("assets", "aws:kms"), _LOGS, _encrypted("logs", "AES256")],
        [_ASSETS, _encrypted("assets", "AES256"), _LOGS, _encrypted("logs", "aws:kms")],
        "assets",
        "sse_algorithm 'aws:kms'",
    ),
    StackCase(
        "bucket-encrypted",
        [_LOGS, _encrypted("logs", "AES256")],
        [_LOGS],
        "logs",
        "sse_algorithm 'aws:kms' or 'AES256'",
    ),
    StackCase(
        "bucket-logged",
        [_ASSETS, _LOGS, _about("Logging", "assets", targetBucket=UNKNOWN)],
        [_ASSETS, _LOGS],
        "assets",
        "add a BucketLogging",
    ),
    StackCase(
        "bucket-has-policy",
        [_ASSETS, _about("Policy", "assets", policy=UNKNOWN)],
        [_ASSETS],
        "assets",
        "answers without TLS",
    ),
]
