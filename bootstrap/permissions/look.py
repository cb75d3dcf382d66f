"""Looking at an environment: all that a preview with a refresh asks AWS for.

Actions: those of the provider's reads (hashicorp/terraform-provider-aws, which pulumi-aws is made
of) of the resource types that infra/ has. None reads what is in a bucket, but for the issuer's
documents, which are public.
"""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.permissions.scope import Scope, Tests
from infra.policies import ANY, Statement

BUCKETS = ("assets", "backups", "issuer", "logs")
# AWS knows no resource for these ("Service Authorization Reference")
_ANYWHERE = (
    "acm:ListCertificates",
    "cloudfront:ListDistributions",
    "cloudfront:ListOriginAccessControls",
    "ec2:Describe*",
    "elasticloadbalancing:Describe*",
    "kms:ListAliases",
    "route53:ListHostedZones",
    "route53:ListHostedZonesByName",
    "sts:GetCallerIdentity",
)
_BUCKET = (
    "s3:GetAccelerateConfiguration",
    "s3:GetBucket*",  # its settings, each an action of its own
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "s3:ListTagsForResource",
)


def look(scope: Scope) -> Sequence[Statement]:
    """For the preview and the deploy role."""
    prefix = scope.prefix
    certificates = [
        f"arn:aws:acm:{region}:{scope.account}:certificate/*"
        for region in scope.certificate_regions
    ]
    (issuer,) = scope.buckets("issuer")
    return (
        Statement(_ANYWHERE, (ANY,)),
        Statement(
            ("ec2:GetManagedPrefixListEntries",),
            (f"arn:aws:ec2:{scope.environment.region}:*:prefix-list/*",),  # AWS's own, too
        ),
        Statement(("acm:DescribeCertificate", "acm:ListTagsForCertificate"), certificates),
        Statement(
            (
                "cloudfront:GetDistribution",
                "cloudfront:GetDistributionConfig",
                "cloudfront:GetOriginAccessControl",
                "cloudfront:GetOriginAccessControlConfig",
                "cloudfront:ListTagsForResource",
            ),
            scope.global_arns("cloudfront", "distribution/*", "origin-access-control/*"),
        ),
        Statement(
            (
                "iam:GetInstanceProfile",
                "iam:GetOpenIDConnectProvider",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfileTags",
                "iam:ListInstanceProfilesForRole",
                "iam:ListOpenIDConnectProviderTags",
                "iam:ListRolePolicies",
                "iam:ListRoleTags",
            ),
            scope.global_arns(
                "iam", f"role/{prefix}-*", f"instance-profile/{prefix}-*", "oidc-provider/*"
            ),
        ),
        Statement(
            (
                "kms:DescribeKey",
                "kms:GetKeyPolicy",
                "kms:GetKeyRotationStatus",
                "kms:ListResourceTags",
            ),
            scope.arns("kms", "key/*"),
            scope.owned,
        ),
        Statement(
            (
                "route53:GetChange",
                "route53:GetHostedZone",
                "route53:ListResourceRecordSets",
                "route53:ListTagsForResource",
            ),
            ("arn:aws:route53:::change/*", "arn:aws:route53:::hostedzone/*"),
        ),
        Statement(_BUCKET, scope.buckets(*BUCKETS)),
        Statement(("s3:GetObject", "s3:GetObjectTagging"), (f"{issuer}/*",)),
        Statement(("kms:Decrypt",), scope.arns("kms", "key/*"), through_s3(scope)),
    )


def through_s3(scope: Scope) -> Tests:
    """The environment's key of data, and by S3 alone."""
    via = f"s3.{scope.environment.region}.amazonaws.com"
    return {"StringEquals": {**scope.owned["StringEquals"], "kms:ViaService": via}}
