"""S3 buckets: what guards one is in resources of their own, which refer to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pulumi_policy import PolicyResource, ResourceValidationArgs

from policy.documents import Statement, statements
from policy.rules import Findings, Stack, resource_rule, stack_rule

BUCKETS = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_KMS = ("aws:kms", "aws:kms:dsse")


def _about(bucket: PolicyResource, stack: Stack, kind: str) -> Iterator[Mapping[str, Any]]:
    """The properties of the resources of a kind (`Versioning`) that refer to this bucket."""
    types = [f"aws:s3/bucket{kind}{v}:Bucket{kind}{v}" for v in ("", "V2")]
    for found in stack.about(bucket, types, "bucket"):
        yield found.props


def _receives_logs(bucket: PolicyResource) -> bool:
    """Told by its tag. Such a bucket keeps no log of itself, which would never end, and is
    encrypted with S3's own keys, the only ones that S3's and the load balancers' logs take."""
    return (bucket.props.get("tags") or {}).get("Purpose") == "logs"


def _public_access(bucket: PolicyResource, stack: Stack) -> Findings:
    blocks = list(_about(bucket, stack, "PublicAccessBlock"))
    if not blocks:
        yield "could be made public: add a BucketPublicAccessBlock with all four settings True."
    for block in blocks:
        if missing := [key for key in _BLOCKS if block.get(key) is not True]:
            yield f"could be made public: set {', '.join(missing)} of its access block to True."


def _acl(resource: ResourceValidationArgs) -> Findings:
    acl = resource.props.get("acl")
    if acl in ("public-read", "public-read-write", "authenticated-read"):
        yield f"is readable from outside (acl {acl}): leave acl out, and serve by CloudFront."


def _versioning(bucket: PolicyResource, stack: Stack) -> Findings:
    for versioning in _about(bucket, stack, "Versioning"):
        if (versioning.get("versioningConfiguration") or {}).get("status") == "Enabled":
            return
    yield 'keeps no old versions: add a BucketVersioning with status "Enabled".'


def _encryption(bucket: PolicyResource, stack: Stack) -> Findings:
    allowed = (*_KMS, "AES256") if _receives_logs(bucket) else _KMS
    for encryption in _about(bucket, stack, "ServerSideEncryptionConfiguration"):
        for rule in encryption.get("rules") or ():
            default = rule.get("applyServerSideEncryptionByDefault") or {}
            if default.get("sseAlgorithm") in allowed:
                return
    yield (
        "is not encrypted with a KMS key: add a BucketServerSideEncryptionConfiguration with "
        f"sse_algorithm {' or '.join(repr(name) for name in allowed if name != _KMS[1])}."
    )


def _logging(bucket: PolicyResource, stack: Stack) -> Findings:
    if not _receives_logs(bucket) and not list(_about(bucket, stack, "Logging")):
        yield (
            "keeps no access log: add a BucketLogging to the log bucket (which itself is told by "
            "its tag Purpose: logs)."
        )


def _has_policy(bucket: PolicyResource, stack: Stack) -> Findings:
    if not stack.about(bucket, (POLICY,), "bucket"):
        yield (
            "has no bucket policy, and so answers without TLS: add one that denies s3:* where "
            'aws:SecureTransport is "false".'
        )


def _tls_only(resource: ResourceValidationArgs) -> Findings:
    if not any(_denies_plain(found) for found in statements(resource.props["policy"])):
        yield (
            "lets requests without TLS pass: deny s3:* to everybody, on the bucket and its "
            'objects, where aws:SecureTransport is "false".'
        )


def _denies_plain(statement: Statement) -> bool:
    objects = [name for name in statement.resources if name == "*" or name.endswith("/*")]
    return (
        not statement.allows
        and statement.everybody
        and bool({"s3:*", "*"} & set(statement.actions))
        and statement.conditions.get("Bool", {}).get("aws:securetransport") == ["false"]
        and bool(objects)
        and ("*" in objects or len(objects) < len(statement.resources))
    )


RULES = [
    stack_rule(
        "bucket-blocks-public-access",
        "No bucket can be made public",
        BUCKETS,
        _public_access,
        checkov=("CKV2_AWS_6", "CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56"),
    ),
    resource_rule(
        "bucket-acl-private",
        "No bucket is public by its access control list",
        (*BUCKETS, "aws:s3/bucketAcl:BucketAcl", "aws:s3/bucketAclV2:BucketAclV2"),
        _acl,
        checkov=("CKV_AWS_20", "CKV_AWS_57"),
    ),
    stack_rule(
        "bucket-versioned",
        "Every bucket keeps old versions",
        BUCKETS,
        _versioning,
        checkov=("CKV_AWS_21",),
    ),
    stack_rule(
        "bucket-encrypted",
        "Every bucket is encrypted with a KMS key",
        BUCKETS,
        _encryption,
        checkov=("CKV_AWS_145",),
    ),
    stack_rule(
        "bucket-logged",
        "Every bucket keeps an access log",
        BUCKETS,
        _logging,
        checkov=("CKV_AWS_18",),
    ),
    stack_rule(
        "bucket-has-policy",
        "Every bucket has a policy, the place where requests without TLS are denied",
        BUCKETS,
        _has_policy,
    ),
    resource_rule(
        "bucket-tls-only",
        "Bucket policies deny requests without TLS",
        (POLICY,),
        _tls_only,
    ),
]
