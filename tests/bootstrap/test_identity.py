"""Who may take a role, and how far the roles that the program makes can ever go."""

from __future__ import annotations

import json

import pytest

from bootstrap.names import AUDIENCE, ISSUER
from bootstrap.permissions.resources import deploy_trust, preview_trust
from infra import policies
from infra.pod_identity import CONTROLLERS, Reach
from tests.bootstrap.roles import ACCOUNT, KEY, NAMES, PROD, REGION, Documents
from tests.bootstrap.simulator import Request, allowed, assumable

REPOSITORY = "example/platform"
IDS = "example@1234/platform@56789"
PREVIEW = preview_trust(NAMES, REPOSITORY, "main")
DEPLOY = deploy_trust(NAMES, REPOSITORY, "prod")


@pytest.mark.parametrize(
    ("trust", "subject", "expected"),
    [
        (PREVIEW, "repo:example/platform:pull_request", True),
        (PREVIEW, "repo:example/platform:ref:refs/heads/main", True),
        (PREVIEW, "repo:example/platform:ref:refs/heads/other", False),
        (PREVIEW, "repo:example/platform:environment:prod", False),
        (PREVIEW, "repo:example/platform2:pull_request", False),
        (PREVIEW, "repo:other/platform:pull_request", False),
        (DEPLOY, "repo:example/platform:environment:prod", True),
        (DEPLOY, "repo:example/platform:environment:prod2", False),
        (DEPLOY, "repo:example/platform:environment:staging", False),
        (DEPLOY, "repo:example/platform:pull_request", False),
        (DEPLOY, "repo:example/platform:ref:refs/heads/main", False),
        (DEPLOY, "repo:example@1234/platform@56789:environment:prod", False),
        (deploy_trust(NAMES, IDS, "prod"), f"repo:{IDS}:environment:prod", True),
        (deploy_trust(NAMES, IDS, "prod"), "repo:example/platform:environment:prod", False),
    ],
)
def test_a_role_is_for_some_jobs_of_one_repository(
    trust: str, subject: str, expected: bool
) -> None:
    claims = {f"{ISSUER}:sub": subject, f"{ISSUER}:aud": AUDIENCE}
    assert assumable(trust, claims) is expected
    assert not assumable(trust, {**claims, f"{ISSUER}:aud": "somebody-else"})
    (statement,) = json.loads(trust)["Statement"]
    assert statement["Principal"] == {"Federated": NAMES.issuer_arn}
    assert statement["Action"] == ["sts:AssumeRoleWithWebIdentity"]


def test_the_boundary_leaves_roles_all_that_the_program_gives_them() -> None:
    place = policies.Place(REGION, ACCOUNT)
    backups, key = f"arn:aws:s3:::prod-backups-{ACCOUNT}", place.arn("kms", "key/1")
    reach = Reach(place, "prod", "vpc-1", backups, key)
    given = [
        policies.ecr_pull(place),
        policies.session_manager(),
        policies.etcd_snapshots(backups, key),
        *(each.document(reach) for each in CONTROLLERS),
    ]
    boundary = Documents(PROD).boundary
    context = {
        "aws:RequestedRegion": REGION,
        "aws:ResourceTag/Project": "prod",
        "aws:ResourceTag/Environment": "prod",
    }
    actions = set()
    for text in given:
        for statement in json.loads(text)["Statement"]:
            for action in statement["Action"]:
                actions.add(action)
                for resource in statement["Resource"]:
                    request = Request(action, resource, context)
                    assert allowed([boundary], request), request
    assert len(actions) > 80


SECRETS = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret"
BY_SECRETS_MANAGER = {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}


def decrypting(secret: str) -> Request:
    """With a key that has no tags, such as AWS's own."""
    context = {**BY_SECRETS_MANAGER, "kms:EncryptionContext:SecretARN": f"{SECRETS}:{secret}"}
    return Request("kms:Decrypt", KEY, context)


def test_secrets_may_be_encrypted_with_a_key_of_aws() -> None:
    assert allowed([Documents(PROD).boundary], decrypting("prod/databases/redis-AbCdEf"))


@pytest.mark.parametrize(
    "request_",
    [
        Request("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/prod-x"),
        Request("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/admin"),
        Request("s3:GetObject", f"arn:aws:s3:::{NAMES.state_bucket}/.pulumi/stacks/a"),
        Request("s3:GetObject", f"arn:aws:s3:::staging-backups-{ACCOUNT}/etcd/1"),
        Request("kms:Decrypt", KEY, {"aws:ResourceTag/Project": "groundwork"}),
        Request("kms:Decrypt", KEY, BY_SECRETS_MANAGER),
        decrypting("staging/databases/redis-AbCdEf"),
        Request("secretsmanager:GetSecretValue", f"{SECRETS}:staging/databases/redis-AbCdEf"),
        Request("secretsmanager:PutSecretValue", f"{SECRETS}:prod/databases/redis-AbCdEf"),
        Request("ec2:RunInstances", "*", {"aws:RequestedRegion": REGION}),
        Request("ec2:DeleteVolume", "*", {"aws:RequestedRegion": "eu-west-1"}),
    ],
    ids=str,
)
def test_a_role_that_says_it_may_do_everything_may_not(request_: Request) -> None:
    everything = json.dumps({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    assert allowed([everything], request_)
    assert not allowed([everything], request_, boundary=Documents(PROD).boundary)
