"""AWS roles for pods: the issuer that AWS reads, and whose tokens each role takes."""

from __future__ import annotations

import json

import pulumi
import pytest

from infra.buckets import BucketOutputs
from infra.pod_identity import (
    CONTROLLERS,
    IssuerKeys,
    IssuerKeysArgs,
    PodIdentity,
    PodIdentityArgs,
    Reach,
    controller_permissions,
)
from infra.policies import Place
from tests.infra.component import run, statements
from tests.program import Run

PLACE = Place("ap-northeast-2", "123456789012")
JWKS = json.dumps({"keys": [{"kty": "RSA", "kid": "1"}]})
ISSUER = "d-issuer.cloudfront.net"
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"


def identity() -> None:
    def known(value: str) -> pulumi.Output[str]:
        return pulumi.Output.from_input(value)

    key = PLACE.arn("kms", "key/data")
    reach = Reach(PLACE, "prod", "vpc-1", "arn:aws:s3:::prod-backups-123456789012", key)
    permissions = controller_permissions(pulumi.Output.from_input(reach))
    made = PodIdentity(
        "pod-identity",
        PodIdentityArgs(
            name="prod",
            place=PLACE,
            permissions=permissions,
            key_arn=key,
            logs=BucketOutputs(
                id=known("logs-id"),
                arn=known("arn:aws:s3:::logs"),
                domain_name=known("logs.s3.amazonaws.com"),
                regional_domain_name=known("logs.s3.ap-northeast-2.amazonaws.com"),
            ),
            noncurrent_expire_days=30,
        ),
        pulumi.ResourceOptions(),
    ).outputs
    IssuerKeys("issuer-keys", IssuerKeysArgs(made.bucket_id, known(JWKS)), pulumi.ResourceOptions())
    pulumi.export("issuer", made.issuer_url)
    pulumi.export("roles", made.role_arns)
    pulumi.export("permissions", permissions)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("identity"), identity)


def test_aws_trusts_the_issuer_for_tokens_made_for_it(made: Run) -> None:
    provider = made.one("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
    assert provider.inputs["url"] == made.outputs["issuer"] == f"https://{ISSUER}"
    assert provider.inputs["clientIdLists"] == ["sts.amazonaws.com"]
    # and is told of it only when it answers
    ahead = made.needs(provider)
    assert made.of(OBJECT)["discovery"].urn in ahead
    assert made.one("aws:s3/bucketPolicy:BucketPolicy").urn in ahead


def test_both_documents_are_where_aws_looks(made: Run) -> None:
    objects = {each.inputs["key"]: each.inputs for each in made.of(OBJECT).values()}
    assert set(objects) == {".well-known/openid-configuration", "keys.json"}
    discovery = json.loads(objects[".well-known/openid-configuration"]["content"])
    assert discovery["issuer"] == f"https://{ISSUER}"
    assert discovery["jwks_uri"] == f"https://{ISSUER}/keys.json"
    assert discovery["id_token_signing_alg_values_supported"] == ["RS256"]
    assert json.loads(objects["keys.json"]["content"]) == json.loads(JWKS)
    for each in objects.values():
        assert each["contentType"] == "application/json"
        assert "max-age=300" in each["cacheControl"]
        assert "acl" not in each


def test_the_issuers_bucket_is_private_and_one_distribution_reads_it(made: Run) -> None:
    block = made.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert all(value is True for key, value in block.items() if key != "bucket")
    denied, allowed = statements(made.one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])
    assert denied["Effect"] == "Deny"
    assert allowed["Condition"] == {
        "StringEquals": {"aws:SourceArn": "arn:aws:cloudfront::123456789012:distribution/ISSUER"}
    }
    (origin,) = made.one("aws:cloudfront/distribution:Distribution").inputs["origins"]
    assert origin["originAccessControlId"] == "issuer-id"


@pytest.mark.parametrize(
    ("name", "service_account"),
    [
        ("ebs-csi", "kube-system:ebs-csi-controller-sa"),
        ("load-balancer-controller", "kube-system:aws-load-balancer-controller"),
        ("external-secrets", "external-secrets:external-secrets"),
        ("database-backups", "databases:database-backups"),
    ],
)
def test_a_role_is_for_one_service_account_and_audience(
    made: Run, name: str, service_account: str
) -> None:
    (trust,) = statements(made.of(ROLE)[name].inputs["assumeRolePolicy"])
    assert trust == {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"},
        "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Condition": {
            "StringEquals": {
                f"{ISSUER}:sub": f"system:serviceaccount:{service_account}",
                f"{ISSUER}:aud": "sts.amazonaws.com",
            }
        },
    }
    key = service_account.replace(":", "/")
    assert made.outputs["roles"][key] == f"arn:aws:iam::123456789012:role/prod-{name}"


def test_roles_may_what_nodes_would_where_pods_have_none(made: Run) -> None:
    granted = {
        name: json.loads(each.inputs["policy"]) for name, each in made.of(ROLE_POLICY).items()
    }
    offered = {name: json.loads(text) for name, text in made.outputs["permissions"].items()}
    assert set(granted) == {each.name for each in CONTROLLERS}
    assert granted == offered
