"""IAM policy documents: who may do what in AWS, as pure functions.

No action is a wildcard. `ANY` as a resource is only for actions that cannot be held to some
resource; all others name ARNs, and the cluster's own by its tags.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ANY = "*"
ETCD_PREFIX = "etcd/"  # where snapshots lie in the bucket of backups
DATABASES_PREFIX = "databases/"  # where dumps of databases do
Conditions = Mapping[str, Mapping[str, str | Sequence[str]]]


@dataclass(frozen=True)
class Statement:
    """One statement, in IAM's own words. principals: in policies of what is acted on (a bucket, a
    key, a role's trust), kind to names, such as {"Service": "ec2.amazonaws.com"}; in those of
    identities none. resources: none in a role's trust."""

    actions: Sequence[str]
    resources: Sequence[str] = ()
    conditions: Conditions = field(default_factory=dict)
    principals: Mapping[str, str] = field(default_factory=dict)
    allow: bool = True


@dataclass(frozen=True)
class Place:
    """Where resources are: a region, and the id of an account."""

    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this region and account."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def global_arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of a service that has no regions, such as IAM or CloudFront."""
        return f"arn:aws:{service}::{self.account}:{resource}"


def document(*statements: Statement) -> str:
    """The statements as a policy document: JSON, the same text for the same statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": [_plain(each) for each in statements]})


def _plain(statement: Statement) -> dict[str, Any]:
    parts = {
        "Effect": "Allow" if statement.allow else "Deny",
        "Principal": dict(statement.principals),
        "Action": list(statement.actions),
        "Resource": list(statement.resources),
        "Condition": {
            operator: {key: _values(value) for key, value in keys.items()}
            for operator, keys in statement.conditions.items()
        },
    }
    return {key: value for key, value in parts.items() if value}


def _values(value: str | Sequence[str]) -> str | list[str]:
    return value if isinstance(value, str) else list(value)


def ecr_pull(place: Place) -> str:
    """Pulling images of this account's registry. Source: "Private repository policy examples",
    ECR's User Guide; a token is for the whole registry."""
    return document(
        Statement(("ecr:GetAuthorizationToken",), (ANY,)),
        Statement(
            (
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ),
            (place.arn("ecr", "repository/*"),),
        ),
    )


def session_manager() -> str:
    """Shells by Systems Manager and nothing else of it. Source: "Create a custom IAM role for
    Session Manager", Systems Manager's User Guide, which has these for all resources."""
    return document(
        Statement(
            (
                "ssm:UpdateInstanceInformation",
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
            ),
            (ANY,),
        )
    )


def etcd_snapshots(bucket_arn: str, key_arn: str) -> str:
    """Writing and reading snapshots of etcd, never deleting: whoever takes over a control plane
    cannot take the backups with it. Source: "Required permissions for Amazon S3 API operations",
    S3's User Guide; "Using SSE-KMS", the same."""
    return document(
        Statement(("s3:PutObject", "s3:GetObject"), (f"{bucket_arn}/{ETCD_PREFIX}*",)),
        Statement(
            ("s3:ListBucket",),
            (bucket_arn,),
            {"StringLike": {"s3:prefix": f"{ETCD_PREFIX}*"}},
        ),
        _through_s3(key_arn),
    )


def database_backups(bucket_arn: str, key_arn: str) -> str:
    """Writing dumps of databases: not reading, listing or deleting them. An upload in parts takes
    Decrypt too. Source: as of `etcd_snapshots`."""
    return document(
        Statement(("s3:PutObject",), (f"{bucket_arn}/{DATABASES_PREFIX}*",)),
        _through_s3(key_arn),
    )


def _through_s3(key_arn: str) -> Statement:
    region = key_arn.split(":")[3]
    return Statement(
        ("kms:Decrypt", "kms:GenerateDataKey"),
        (key_arn,),
        {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}},
    )


def external_secrets(place: Place, cluster: str) -> str:
    """Reading a cluster's secrets, whichever key they are encrypted with. Source: external-secrets,
    docs/provider/aws-secrets-manager.md, without what only `dataFrom.find` and metadata need."""
    return document(
        Statement(("secretsmanager:GetSecretValue",), (secrets_of(place, cluster),)),
        decrypt_secrets(place, cluster),
    )


def secrets_of(place: Place, cluster: str) -> str:
    """The ARN of a cluster's secrets in Secrets Manager: `<cluster>/…`."""
    return place.arn("secretsmanager", f"secret:{cluster}/*")


def decrypt_secrets(place: Place, cluster: str) -> Statement:
    """Decrypting a cluster's secrets and nothing else of their key. Source: "Secret encryption and
    decryption", Secrets Manager's User Guide: it gives the secret's ARN as encryption context."""
    return Statement(
        ("kms:Decrypt",),
        (place.arn("kms", "key/*"),),
        {
            "StringEquals": {"kms:ViaService": f"secretsmanager.{place.region}.amazonaws.com"},
            "StringLike": {"kms:EncryptionContext:SecretARN": secrets_of(place, cluster)},
        },
    )


def cluster_tag(cluster: str) -> str:
    """The tag, with value "owned", of what a cluster made or may use."""
    return f"kubernetes.io/cluster/{cluster}"


def ebs_csi(place: Place, cluster: str) -> str:
    """What the EBS CSI driver's controller needs for volumes and snapshots of its own cluster.

    Source: kubernetes-sigs/aws-ebs-csi-driver, docs/example-iam-policy.json, held to the cluster's
    tag. The driver sets it when told `--k8s-tag-cluster-id` (the chart's
    controller.k8sTagClusterId); instances have it. Left out: fast restores, volumes made by hand,
    changes of tags.
    """
    tag = cluster_tag(cluster)
    volumes = place.arn("ec2", "volume/*")
    snapshots = f"arn:aws:ec2:{place.region}::snapshot/*"  # their ARNs name no account
    asked = {"StringEquals": {f"aws:RequestTag/{tag}": "owned"}}
    owned = {"StringEquals": {f"aws:ResourceTag/{tag}": "owned"}}
    return document(
        Statement(
            (
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeInstances",
                "ec2:DescribeSnapshots",
                "ec2:DescribeTags",
                "ec2:DescribeVolumeStatus",
                "ec2:DescribeVolumes",
                "ec2:DescribeVolumesModifications",
            ),
            (ANY,),
        ),
        Statement(("ec2:CreateVolume",), (volumes,), asked),
        Statement(("ec2:CreateVolume",), (snapshots,), owned),
        Statement(("ec2:CreateSnapshot",), (snapshots,), asked),
        Statement(("ec2:CreateSnapshot",), (volumes,), owned),
        Statement(
            ("ec2:CreateTags",),
            (volumes, snapshots),
            {"StringEquals": {"ec2:CreateAction": ["CreateVolume", "CreateSnapshot"]}},
        ),
        Statement(
            ("ec2:AttachVolume", "ec2:DetachVolume"),
            (volumes, place.arn("ec2", "instance/*")),
            owned,
        ),
        Statement(("ec2:DeleteVolume", "ec2:ModifyVolume"), (volumes,), owned),
        Statement(("ec2:DeleteSnapshot",), (snapshots,), owned),
    )


# Load balancers, target groups and what is below them, by the names that the controller gives.
_LB_NAMES = ("loadbalancer/app/k8s-*", "loadbalancer/net/k8s-*")
_LISTENER_NAMES = ("listener/app/k8s-*", "listener/net/k8s-*")
_RULE_NAMES = ("listener-rule/app/k8s-*", "listener-rule/net/k8s-*")
_LB_LOOK = (
    "acm:ListCertificates",
    "ec2:DescribeAccountAttributes",
    "ec2:DescribeAddresses",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeInstances",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeTags",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:DescribeVpcs",
    "ec2:GetSecurityGroupsForVpc",
    "elasticloadbalancing:DescribeCapacityReservation",
    "elasticloadbalancing:DescribeListenerAttributes",
    "elasticloadbalancing:DescribeListenerCertificates",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeSSLPolicies",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
    "elasticloadbalancing:DescribeTrustStores",
)


def load_balancer_controller(place: Place, cluster: str, vpc_id: str) -> str:
    """What the AWS Load Balancer Controller needs for load balancers of its own cluster.

    Source: kubernetes-sigs/aws-load-balancer-controller v3.1.0, docs/install/iam_policy.json,
    where nearly all is for every resource that has any cluster's tag; here only for this
    cluster's, under the names that the controller gives (`k8s-…`), in this VPC. So it cannot touch
    the load balancers of this program. Left out: Cognito, WAF and Shield (set the chart's
    enableWaf, enableWafv2 and enableShield to false), Outposts, certificates of IAM. The nodes'
    security group must have the cluster's tag, by which the controller also finds it.
    """
    key = "elbv2.k8s.aws/cluster"
    asked = {"StringEquals": {f"aws:RequestTag/{key}": cluster}}
    owned = {"StringEquals": {f"aws:ResourceTag/{key}": cluster}}
    # tags of what is its own, except the one that says so
    retagged: Conditions = {**owned, "Null": {f"aws:RequestTag/{key}": "true"}}
    groups = place.arn("ec2", "security-group/*")

    def elb(*names: str) -> list[str]:
        return [place.arn("elasticloadbalancing", name) for name in names]

    balancers, listeners, rules = elb(*_LB_NAMES), elb(*_LISTENER_NAMES), elb(*_RULE_NAMES)
    targets = elb("targetgroup/k8s-*")
    service = "elasticloadbalancing.amazonaws.com"
    role = f"role/aws-service-role/{service}/AWSServiceRoleForElasticLoadBalancing"
    return document(
        Statement(_LB_LOOK, (ANY,)),
        Statement(("acm:DescribeCertificate",), (place.arn("acm", "certificate/*"),)),
        Statement(
            ("iam:CreateServiceLinkedRole",),
            (place.global_arn("iam", role),),
            {"StringEquals": {"iam:AWSServiceName": service}},
        ),
        Statement(("ec2:CreateSecurityGroup",), (groups,), asked),
        Statement(("ec2:CreateSecurityGroup",), (place.arn("ec2", f"vpc/{vpc_id}"),)),
        Statement(
            ("ec2:CreateTags",),
            (groups,),
            {
                "StringEquals": {
                    "ec2:CreateAction": "CreateSecurityGroup",
                    f"aws:RequestTag/{key}": cluster,
                }
            },
        ),
        Statement(("ec2:CreateTags", "ec2:DeleteTags"), (groups,), retagged),
        Statement(
            (
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:DeleteSecurityGroup",
                "ec2:RevokeSecurityGroupIngress",
            ),
            (groups,),
            owned,
        ),
        Statement(  # from its load balancers into the nodes
            ("ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"),
            (groups,),
            {"StringEquals": {f"aws:ResourceTag/{cluster_tag(cluster)}": "owned"}},
        ),
        Statement(
            (
                "elasticloadbalancing:CreateLoadBalancer",
                "elasticloadbalancing:CreateTargetGroup",
            ),
            (*balancers, *targets),
            asked,
        ),
        Statement(
            (
                "elasticloadbalancing:CreateListener",
                "elasticloadbalancing:DeleteLoadBalancer",
                "elasticloadbalancing:DeleteTargetGroup",
                "elasticloadbalancing:DeregisterTargets",
                "elasticloadbalancing:ModifyCapacityReservation",
                "elasticloadbalancing:ModifyIpPools",
                "elasticloadbalancing:ModifyLoadBalancerAttributes",
                "elasticloadbalancing:ModifyTargetGroup",
                "elasticloadbalancing:ModifyTargetGroupAttributes",
                "elasticloadbalancing:RegisterTargets",
                "elasticloadbalancing:SetIpAddressType",
                "elasticloadbalancing:SetSecurityGroups",
                "elasticloadbalancing:SetSubnets",
            ),
            (*balancers, *targets),
            owned,
        ),
        Statement(  # older listeners and rules have no tags, their names are the load balancer's
            (
                "elasticloadbalancing:AddListenerCertificates",
                "elasticloadbalancing:AddTags",
                "elasticloadbalancing:CreateRule",
                "elasticloadbalancing:DeleteListener",
                "elasticloadbalancing:DeleteRule",
                "elasticloadbalancing:ModifyListener",
                "elasticloadbalancing:ModifyListenerAttributes",
                "elasticloadbalancing:ModifyRule",
                "elasticloadbalancing:RemoveListenerCertificates",
                "elasticloadbalancing:RemoveTags",
                "elasticloadbalancing:SetRulePriorities",
            ),
            (*listeners, *rules),
        ),
        Statement(
            ("elasticloadbalancing:AddTags",),
            (*balancers, *targets),
            {
                "StringEquals": {
                    "elasticloadbalancing:CreateAction": [
                        "CreateTargetGroup",
                        "CreateLoadBalancer",
                    ],
                    f"aws:RequestTag/{key}": cluster,
                }
            },
        ),
        Statement(
            ("elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"),
            (*balancers, *targets),
            retagged,
        ),
    )
