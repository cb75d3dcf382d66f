"""What roles, policies and keys allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pulumi_policy import ResourceValidationArgs

from policy.documents import Statement, statements
from policy.rules import Findings, resource_rule

ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/policy:Policy"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
# Policies of identities, whose statements have no principal.
_IDENTITY = {
    POLICY: "policy",
    ROLE_POLICY: "policy",
    "aws:iam/userPolicy:UserPolicy": "policy",
    "aws:iam/groupPolicy:GroupPolicy": "policy",
}
# Policies of what is acted on: they name who may.
_OF_RESOURCES = {
    ROLE: "assumeRolePolicy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:kms/key:Key": "policy",
    "aws:kms/keyPolicy:KeyPolicy": "policy",
}
# Conditions that say who asks, whatever the principal is.
_WHO = (
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
)
# Actions that AWS allows for every resource or not at all ("Service Authorization Reference",
# the actions with no resource type), and an agent's report of its own instance, which AWS's guide
# for Session Manager has so. All others can, and so must, name what they are for.
_UNRESTRICTABLE = (
    "acm:ListCertificates",
    "autoscaling:Describe*",
    "cloudfront:List*",
    "cloudwatch:ListMetrics",
    "cloudwatch:PutMetricData",
    "ec2:Describe*",
    "ec2:GetSecurityGroupsForVpc",
    "ec2messages:*",
    "ecr:GetAuthorizationToken",
    "elasticloadbalancing:Describe*",
    "iam:ListServerCertificates",
    "kms:ListAliases",
    "kms:ListKeys",
    "route53:ListHostedZones*",
    "s3:ListAllMyBuckets",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:*",
    "sts:GetCallerIdentity",
    "tag:GetResources",
)


def _documents(
    resource: ResourceValidationArgs, where: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    """(property, document) of a resource; a role's own inline policies are an identity's."""
    props = resource.props
    if key := where.get(resource.resource_type):
        if props.get(key):
            yield key, props.get(key)
    elif resource.resource_type == ROLE:
        for index, inline in enumerate(props.get("inlinePolicies") or ()):
            if inline.get("policy"):
                yield f"inline_policies[{index}]", inline.get("policy")


def _allowing(
    resource: ResourceValidationArgs, where: Mapping[str, str]
) -> Iterator[tuple[str, Statement]]:
    """(property, statement) of every statement that allows something."""
    for key, document in _documents(resource, where):
        for statement in statements(document):
            if statement.allows:
                yield key, statement


def _actions(resource: ResourceValidationArgs) -> Findings:
    for key, statement in _allowing(resource, _IDENTITY):
        for action in statement.actions:
            service, _, verb = action.partition(":")
            if (service == "*" or verb in ("", "*")) and not _unrestrictable(action):
                yield f"allows {action} in {key}: name the actions that are needed."
        if statement.all_actions_but:
            yield f"allows all actions but some in {key} (NotAction): name those that are needed."


def _resources(resource: ResourceValidationArgs) -> Findings:
    for key, statement in _allowing(resource, _IDENTITY):
        if "*" not in statement.resources and not statement.all_resources_but:
            continue
        if statement.conditions:
            continue  # limits the resources, by their tags for one
        loose = [action for action in statement.actions if not _unrestrictable(action)]
        if loose:
            yield (
                f"allows {', '.join(loose)} on every resource in {key}: "
                "name the ARNs, or add a condition on their tags."
            )


def _unrestrictable(action: str) -> bool:
    return any(fnmatchcase(action.lower(), known.lower()) for known in _UNRESTRICTABLE)


def _managed(resource: ResourceValidationArgs) -> Findings:
    arns = [resource.props.get("policyArn")]
    if resource.resource_type == ROLE:
        arns = list(resource.props.get("managedPolicyArns") or ())
    for arn in arns:
        name = str(arn).rsplit("/", 1)[-1]
        if ":aws:policy/" in str(arn) and name.endswith(("AdministratorAccess", "FullAccess")):
            yield f"has AWS's policy {name}: write a policy of the actions that are needed."


def _everybody(resource: ResourceValidationArgs) -> Findings:
    for key, statement in _allowing(resource, _OF_RESOURCES):
        if statement.everybody and not statement.condition_keys() & set(_WHO):
            yield (
                f"lets anybody in the world in ({key}, Principal *): name the principals, or add "
                "a condition on aws:SourceArn or aws:PrincipalOrgID."
            )


def _web_identity(resource: ResourceValidationArgs) -> Findings:
    for _, statement in _allowing(resource, {ROLE: "assumeRolePolicy"}):
        federated = statement.principals.get("Federated", ())
        exact = {
            key
            for operator, keys in statement.conditions.items()
            if operator in ("StringEquals", "StringLike", "ForAnyValue:StringEquals")
            for key, values in keys.items()
            if "*" not in values
        }
        if federated and not any(key.endswith(":sub") for key in exact):
            yield (
                "can be taken by every token of its identity provider: add a condition "
                "StringEquals on the provider's :sub, the one that may."
            )


RULES = [
    resource_rule(
        "iam-no-wildcard-action",
        "Policies name the actions that they allow",
        (*_IDENTITY, ROLE),
        _actions,
        checkov=("CKV_AWS_62", "CKV_AWS_63"),
    ),
    resource_rule(
        "iam-no-wildcard-resource",
        "Policies name the resources of every action that can be held to some",
        (*_IDENTITY, ROLE),
        _resources,
        checkov=("CKV_AWS_109", "CKV_AWS_111", "CKV_AWS_290", "CKV_AWS_355"),
    ),
    resource_rule(
        "iam-no-full-access",
        "No role has AWS's policies for everything",
        (ATTACHMENT, ROLE),
        _managed,
        checkov=("CKV_AWS_274",),
    ),
    resource_rule(
        "no-public-principal",
        "Buckets, keys and roles are not open to anybody in the world",
        tuple(_OF_RESOURCES),
        _everybody,
        checkov=("CKV_AWS_33", "CKV_AWS_60", "CKV_AWS_61", "CKV_AWS_70"),
    ),
    resource_rule(
        "web-identity-names-subject",
        "A role for tokens of an identity provider names whose",
        (ROLE,),
        _web_identity,
    ),
]
