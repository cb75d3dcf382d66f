"""Deploying: load balancers, names, certificates, CDN.

Actions: those of the provider's create, update and delete of infra/'s resource types.
"""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.permissions.scope import GLOBAL, Scope
from infra.policies import ANY, Statement

_BALANCING = (
    "AddTags",
    "CreateListener",
    "CreateLoadBalancer",
    "CreateRule",
    "CreateTargetGroup",
    "DeleteListener",
    "DeleteLoadBalancer",
    "DeleteRule",
    "DeleteTargetGroup",
    "DeregisterTargets",
    "ModifyListener",
    "ModifyListenerAttributes",
    "ModifyLoadBalancerAttributes",
    "ModifyRule",
    "ModifyTargetGroup",
    "ModifyTargetGroupAttributes",
    "RegisterTargets",
    "RemoveTags",
    "SetIpAddressType",
    "SetRulePriorities",
    "SetSecurityGroups",
    "SetSubnets",
)


def edges(scope: Scope) -> Sequence[Statement]:
    """Load balancers by name, DNS records by the environment's domains, all else by its tag."""
    return (*_load_balancers(scope), *_names(scope), *_certificates(scope), *_cdn(scope))


def _load_balancers(scope: Scope) -> Sequence[Statement]:
    prefix = scope.prefix
    kinds = [
        f"{kind}/{family}/{prefix}-*"
        for kind in ("loadbalancer", "listener", "listener-rule")
        for family in ("app", "net")
    ]
    service = "elasticloadbalancing.amazonaws.com"
    role = f"role/aws-service-role/{service}/AWSServiceRoleForElasticLoadBalancing"
    return (
        Statement(
            tuple(f"elasticloadbalancing:{name}" for name in _BALANCING),
            scope.arns("elasticloadbalancing", *kinds, f"targetgroup/{prefix}-*"),
        ),
        Statement(  # an account's first load balancer makes it
            ("iam:CreateServiceLinkedRole",),
            scope.global_arns("iam", role),
            {"StringEquals": {"iam:AWSServiceName": service}},
        ),
    )


def _names(scope: Scope) -> Sequence[Statement]:
    """Zones bear no tag that a policy could ask for: records are held to the domains, and a zone
    that holds any is not deleted by AWS."""
    zones = ("arn:aws:route53:::hostedzone/*",)
    names = [name for each in scope.environment.domains for name in (each, f"*.{each}")]
    return (
        Statement(
            ("route53:ChangeResourceRecordSets",),
            zones,
            {
                "ForAllValues:StringLike": {
                    "route53:ChangeResourceRecordSetsNormalizedRecordNames": names
                }
            },
        ),
        # of a zone that is yet to be made there is no ARN
        Statement(("route53:CreateHostedZone",), (ANY,), scope.in_region(GLOBAL)),
        Statement(
            (
                "route53:AssociateVPCWithHostedZone",
                "route53:ChangeTagsForResource",
                "route53:DeleteHostedZone",
                "route53:DisassociateVPCFromHostedZone",
                "route53:UpdateHostedZoneComment",
            ),
            zones,
        ),
    )


def _certificates(scope: Scope) -> Sequence[Statement]:
    domains = [name for each in scope.environment.domains for name in (each, f"*.{each}")]
    arns = [
        f"arn:aws:acm:{region}:{scope.account}:certificate/*"
        for region in scope.certificate_regions
    ]
    return (
        Statement(
            ("acm:RequestCertificate",),
            arns,
            {**scope.asked, "ForAllValues:StringLike": {"acm:DomainNames": domains}},
        ),
        Statement(("acm:AddTagsToCertificate",), arns, scope.claimed),
        Statement(("acm:DeleteCertificate",), arns, scope.owned),
        Statement(
            ("acm:AddTagsToCertificate", "acm:RemoveTagsFromCertificate"), arns, scope.retagged
        ),
    )


def _cdn(scope: Scope) -> Sequence[Statement]:
    distributions = scope.global_arns("cloudfront", "distribution/*")
    return (
        Statement(("cloudfront:CreateDistribution",), distributions),
        Statement(("cloudfront:TagResource",), distributions, scope.claimed),
        Statement(
            ("cloudfront:DeleteDistribution", "cloudfront:UpdateDistribution"),
            distributions,
            scope.owned,
        ),
        Statement(
            ("cloudfront:TagResource", "cloudfront:UntagResource"), distributions, scope.retagged
        ),
        Statement(  # these bear no tags
            (
                "cloudfront:CreateOriginAccessControl",
                "cloudfront:DeleteOriginAccessControl",
                "cloudfront:UpdateOriginAccessControl",
            ),
            scope.global_arns("cloudfront", "origin-access-control/*"),
        ),
    )
