"""Tags and names: whose a resource is, and of which environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pulumi_policy import ResourceValidationArgs

from policy.rules import Findings, resource_rule

REQUIRED_TAGS = ("Project", "Environment", "ManagedBy")
# AWS has no tags for these. A type that is not here must have them.
UNTAGGED = frozenset(
    {
        "aws:acm/certificateValidation:CertificateValidation",
        "aws:cloudfront/originAccessControl:OriginAccessControl",
        "aws:ebs/encryptionByDefault:EncryptionByDefault",
        "aws:ec2/eipAssociation:EipAssociation",
        "aws:ec2/route:Route",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        "aws:iam/groupPolicy:GroupPolicy",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:iam/userPolicy:UserPolicy",
        "aws:kms/alias:Alias",
        "aws:kms/keyPolicy:KeyPolicy",
        "aws:lb/targetGroupAttachment:TargetGroupAttachment",
        "aws:route53/record:Record",
        "aws:s3/bucketAcl:BucketAcl",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketLogging:BucketLogging",
        "aws:s3/bucketNotification:BucketNotification",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
    }
)
# The property that is the name in AWS, where names share one space with other environments.
NAMES = {
    "aws:cloudfront/originAccessControl:OriginAccessControl": "name",
    "aws:ec2/keyPair:KeyPair": "keyName",
    "aws:ec2/securityGroup:SecurityGroup": "name",
    "aws:iam/instanceProfile:InstanceProfile": "name",
    "aws:iam/policy:Policy": "name",
    "aws:iam/role:Role": "name",
    "aws:kms/alias:Alias": "name",
    "aws:lb/loadBalancer:LoadBalancer": "name",
    "aws:lb/targetGroup:TargetGroup": "name",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:s3/bucketV2:BucketV2": "bucket",
}


def _default_tags(resource: ResourceValidationArgs) -> Mapping[str, Any]:
    """Those that the provider gives to everything; the SDK hands its settings over as JSON."""
    if resource.provider is None:
        return {}
    value = resource.provider.props.get("defaultTags") or {}
    parsed: Mapping[str, Any] = json.loads(value) if isinstance(value, str) else value
    return parsed.get("tags") or {}


def _tags(resource: ResourceValidationArgs) -> Findings:
    if resource.resource_type in UNTAGGED:
        return
    own = resource.props.get("tags") or {}
    defaults = _default_tags(resource)
    missing = [key for key in REQUIRED_TAGS if not own.get(key, defaults.get(key))]
    if missing:
        yield (
            f"has no tag {', '.join(missing)}: make it with the provider of infra/provider.py, "
            "whose default_tags give them to everything."
        )


def _names(resource: ResourceValidationArgs) -> Findings:
    project = _default_tags(resource).get("Project")
    if not project:
        return  # the tags' rule says so
    key = NAMES[resource.resource_type]
    name = str(resource.props.get(key) or resource.props.get(f"{key}Prefix") or "")
    if not name.removeprefix("alias/").startswith(f"{project}-"):
        yield (
            f"is called {name!r} in AWS, which does not say whose it is: begin its {key} with "
            f"'{project}-'."
        )


RULES = [
    resource_rule(
        "tagged",
        f"Everything has the tags {', '.join(REQUIRED_TAGS)}",
        (),
        _tags,
    ),
    resource_rule(
        "named-after-project",
        "AWS names begin with the name of the environment's project",
        tuple(NAMES),
        _names,
    ),
]
