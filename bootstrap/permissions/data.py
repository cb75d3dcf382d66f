"""Deploying: buckets, and the key of what is in them.

Actions: those of the provider's create, update and delete of infra/'s resource types.
"""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.permissions.look import BUCKETS, through_s3
from bootstrap.permissions.scope import Scope
from infra.policies import ANY, Statement

_KEY_WRITES = (
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)
_ALIAS_WRITES = ("kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias")
_TAGGING = ("kms:TagResource", "kms:UntagResource")
_BUCKET_WRITES = (
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketAcl",  # CloudFront's log delivery is written into it for whoever sets it up
    "s3:PutBucketLogging",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketTagging",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:TagResource",
    "s3:UntagResource",
)


def data(scope: Scope) -> Sequence[Statement]:
    """The environment's buckets by name; objects of those alone that go with what is in them. Its
    keys by tag."""
    keys, aliases = scope.arns("kms", "key/*"), scope.arns("kms", f"alias/{scope.prefix}-*")
    emptied = scope.buckets("issuer", "logs")
    (issuer,) = scope.buckets("issuer")
    return (
        Statement(_BUCKET_WRITES, scope.buckets(*BUCKETS)),
        Statement(("s3:ListBucketVersions",), emptied),
        Statement(
            ("s3:DeleteObject", "s3:DeleteObjectVersion"), [f"{bucket}/*" for bucket in emptied]
        ),
        Statement(
            ("s3:DeleteObjectTagging", "s3:PutObject", "s3:PutObjectTagging"), (f"{issuer}/*",)
        ),
        Statement(("kms:GenerateDataKey",), keys, through_s3(scope)),
        Statement(
            ("kms:CreateKey",),
            (ANY,),
            {"StringEquals": {**scope.asked["StringEquals"], **scope.in_region()["StringEquals"]}},
        ),
        Statement(("kms:TagResource",), keys, scope.claimed),
        Statement([each for each in _KEY_WRITES if each not in _TAGGING], keys, scope.owned),
        Statement(_TAGGING, keys, scope.retagged),
        Statement(_ALIAS_WRITES, aliases),
    )
