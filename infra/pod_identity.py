"""AWS roles for pods: an issuer of service account tokens that AWS knows (self-hosted IRSA).

A pod's token names the issuer; AWS reads the issuer's discovery document and keys over HTTPS, and
gives the pod the role whose trust names its service account. See docs/decisions/0009.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.buckets import Bucket, BucketArgs, BucketOutputs
from infra.cdn import Cdn, CdnArgs
from infra.policies import (
    Place,
    Statement,
    database_backups,
    document,
    ebs_csi,
    external_secrets,
    load_balancer_controller,
)
from infra.storage import bucket_name

AUDIENCE = "sts.amazonaws.com"
KEYS = "keys.json"  # the API server names it as service-account-jwks-uri
DISCOVERY = ".well-known/openid-configuration"
# CloudFront's cheapest: only AWS itself asks, and keeps what it got.
_PRICE_CLASS = "PriceClass_100"
_CACHE = "public, max-age=300"  # new keys are known within 5 minutes


@dataclass(frozen=True)
class Reach:
    """What permissions are held to. cluster: its name; backups_arn: of the bucket of backups;
    key_arn: of the key of all data."""

    place: Place
    cluster: str
    vpc_id: str
    backups_arn: str
    key_arn: str


@dataclass(frozen=True)
class Controller:
    """Pods that call AWS, by their service account; document: what they may."""

    name: str
    namespace: str
    service_account: str
    document: Callable[[Reach], str]

    @property
    def account(self) -> str:
        """`<namespace>/<service account>`."""
        return f"{self.namespace}/{self.service_account}"


CONTROLLERS = (
    Controller(
        name="ebs-csi",
        namespace="kube-system",
        service_account="ebs-csi-controller-sa",
        document=lambda reach: ebs_csi(reach.place, reach.cluster),
    ),
    Controller(
        name="load-balancer-controller",
        namespace="kube-system",
        service_account="aws-load-balancer-controller",
        document=lambda reach: load_balancer_controller(reach.place, reach.cluster, reach.vpc_id),
    ),
    Controller(
        name="external-secrets",
        namespace="external-secrets",
        service_account="external-secrets",
        document=lambda reach: external_secrets(reach.place, reach.cluster),
    ),
    Controller(
        name="database-backups",
        namespace="databases",
        service_account="database-backups",
        document=lambda reach: database_backups(reach.backups_arn, reach.key_arn),
    ),
)


def controller_permissions(reach: pulumi.Output[Reach]) -> dict[str, pulumi.Output[str]]:
    """What each of CONTROLLERS may, as a policy document by its name: for a role of its own, or for
    the nodes' where pods have none."""
    return {each.name: reach.apply(each.document) for each in CONTROLLERS}


@dataclass(frozen=True)
class PodIdentityArgs:
    """name: prefix of the AWS names; permissions: `controller_permissions`; key_arn: of the key of
    all data; logs: the bucket of logs; noncurrent_expire_days: of the documents' older versions;
    boundary: ARN of a policy that bounds the roles."""

    name: str
    place: pulumi.Input[Place]
    permissions: Mapping[str, pulumi.Input[str]]
    key_arn: pulumi.Input[str]
    logs: BucketOutputs
    noncurrent_expire_days: int
    boundary: str | None = None


@dataclass(frozen=True)
class PodIdentityOutputs:
    """issuer_url: for the API server; bucket_id: where the keys go; role_arns: by
    `<namespace>/<service account>`."""

    issuer_url: pulumi.Output[str]
    bucket_id: pulumi.Output[str]
    role_arns: Mapping[str, pulumi.Output[str]]


class PodIdentity(pulumi.ComponentResource):
    """The issuer, which AWS trusts, and a role for each of CONTROLLERS. Tokens are taken once
    IssuerKeys has published the keys."""

    def __init__(self, name: str, args: PodIdentityArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:PodIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = Bucket(
            "issuer",
            BucketArgs(
                bucket=bucket_name(args.name, "issuer", pulumi.Output.from_input(args.place)),
                purpose="issuer",
                key_arn=args.key_arn,
                logs=args.logs.id,
                expire_days=None,
                noncurrent_expire_days=args.noncurrent_expire_days,
                statements=None,
                force_destroy=True,  # all in it can be made again
            ),
            child,
        ).outputs
        cdn = Cdn(
            "issuer",
            CdnArgs(
                name=args.name,
                bucket=bucket,
                logs_domain=args.logs.domain_name,
                price_class=_PRICE_CLASS,
                root_object=KEYS,
                own_name=None,  # a cluster keeps its issuer for life, whatever domain it gets
            ),
            child,
        ).outputs
        url = pulumi.Output.concat("https://", cdn.domain_name)
        discovery = _publish("discovery", bucket.id, DISCOVERY, url.apply(discovery_document), self)
        provider = aws.iam.OpenIdConnectProvider(
            "issuer",
            url=url,
            client_id_lists=[AUDIENCE],
            tags={"Name": f"{args.name}-issuer"},
            # AWS looks at the issuer when it is told of it
            opts=pulumi.ResourceOptions(parent=self, depends_on=[discovery]),
        )
        self.outputs = PodIdentityOutputs(
            issuer_url=url,
            bucket_id=bucket.id,
            role_arns={
                each.account: _role(args, each, provider, url, child) for each in CONTROLLERS
            },
        )
        self.register_outputs({"issuer_url": url})


@dataclass(frozen=True)
class IssuerKeysArgs:
    """bucket_id: PodIdentityOutputs'; jwks: the cluster's public keys, as JSON (RFC 7517)."""

    bucket_id: pulumi.Input[str]
    jwks: pulumi.Input[str]


class IssuerKeys(pulumi.ComponentResource):
    """The keys by which AWS checks tokens, known only when the cluster's control plane stands."""

    def __init__(self, name: str, args: IssuerKeysArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:IssuerKeys", name, None, opts)
        _publish("keys", args.bucket_id, KEYS, args.jwks, self)
        self.register_outputs({})


def _publish(
    name: str,
    bucket_id: pulumi.Input[str],
    key: str,
    content: pulumi.Input[str],
    parent: pulumi.Resource,
) -> aws.s3.BucketObjectv2:
    return aws.s3.BucketObjectv2(
        name,
        bucket=bucket_id,
        key=key,
        content=content,
        content_type="application/json",
        cache_control=_CACHE,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _role(
    args: PodIdentityArgs,
    controller: Controller,
    provider: aws.iam.OpenIdConnectProvider,
    url: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    role = aws.iam.Role(
        controller.name,
        name=f"{args.name}-{controller.name}",
        permissions_boundary=args.boundary,
        description=f"Pods of {controller.namespace}/{controller.service_account}",
        assume_role_policy=pulumi.Output.all(provider.arn, url).apply(
            lambda known: trust(str(known[0]), str(known[1]), controller)
        ),
        opts=opts,
    )
    aws.iam.RolePolicy(
        controller.name,
        name=controller.name,
        role=role.name,
        policy=args.permissions[controller.name],
        opts=opts,
    )
    return role.arn


def discovery_document(issuer_url: str) -> str:
    """What AWS reads first of an issuer. Source: "OpenID Connect Discovery 1.0", section 3, as
    Kubernetes serves it ("Service account issuer discovery")."""
    return json.dumps(
        {
            "issuer": issuer_url,
            "jwks_uri": f"{issuer_url}/{KEYS}",
            "authorization_endpoint": "urn:kubernetes:programmatic_authorization",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["sub", "iss"],
        },
        indent=2,
    )


def trust(provider_arn: str, issuer_url: str, controller: Controller) -> str:
    """Lets the pods of one service account take a role, by tokens made for AWS."""
    issuer = issuer_url.removeprefix("https://")
    subject = f"system:serviceaccount:{controller.namespace}:{controller.service_account}"
    return document(
        Statement(
            actions=("sts:AssumeRoleWithWebIdentity",),
            conditions={
                "StringEquals": {f"{issuer}:sub": subject, f"{issuer}:aud": AUDIENCE},
            },
            principals={"Federated": provider_arn},
        )
    )
