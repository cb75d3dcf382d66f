"""The deploy role is allowed what the program does in AWS, call by call, and nothing beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bootstrap.account import Account
from tests.bootstrap.deployment import PULUMI, Call, Deployment
from tests.bootstrap.requests import requests
from tests.bootstrap.roles import ACCOUNT, KEY, NAMES, PROD, REGION, Documents
from tests.bootstrap.simulator import Request, allowed

BOUNDARY = NAMES.policy_arn("boundary", "prod")
OURS = {"aws:ResourceTag/Project": "prod", "aws:ResourceTag/Environment": "prod"}
THEIRS = {"aws:ResourceTag/Project": "prod", "aws:ResourceTag/Environment": "staging"}
ASKED = {"aws:RequestTag/Project": "prod", "aws:RequestTag/Environment": "prod"}
STATE = f"arn:aws:s3:::{NAMES.state_bucket}"
CHANGES = {  # a node more to disk and type, one less, one of another role; other ways out
    "network": {"nat_gateways": "one", "flow_logs": "REJECT"},
    "storage": {
        "noncurrent_expire_days": 5,
        "backups_expire_days": 300,
        "logs_expire_days": 50,
    },
    "nodes": [
        {"name": "k8s-redis", "disk_gib": 50, "instance_type": "t3.large"},
        {"name": "k8s-rabbitmq", "absent": True},
        {"name": "k8s-api-my", "role": "worker"},
    ],
}


def refused(calls: list[Call], documents: list[str], account: Account) -> dict[str, str]:
    """The first request of each kind of call that the documents do not allow."""
    found: dict[str, str] = {}
    for call in calls:
        for request in requests(call, account, BOUNDARY):
            if not allowed(documents, request):
                found.setdefault(str(call), str(request))
        account.learn(call)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not PULUMI.exists(), reason="the rehearsal's pulumi is not built yet")
def test_every_call_of_a_deployment_and_of_a_preview_is_allowed(
    endpoint: str, tmp_path: Path
) -> None:
    roles = Documents(replace(PROD, image_owner="self"))
    deployment = Deployment(tmp_path / "project", "prod", endpoint)
    deployment.make()
    deployment.up()
    made = deployment.calls()
    deployment.change(**CHANGES)
    deployment.pulumi("preview", "--refresh")
    looked = deployment.calls()[len(made) :]
    deployment.up()
    deployment.pulumi("destroy", "--yes", "--skip-preview")
    calls = deployment.calls()

    operations = {f"{call.service}.{call.operation}" for call in calls}
    assert len(operations) > 150
    assert {"ec2.RunInstances", "iam.PutRolePolicy", "s3.DeleteObjects"} <= operations
    assert refused(calls, roles.deploy, Account(ACCOUNT)) == {}

    account = Account(ACCOUNT)
    for call in made:
        account.learn(call)
    assert len({call.operation for call in looked}) > 40
    assert refused(looked, roles.preview, account) == {}


ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/"
PASSED = {"iam:PassedToService": "ec2.amazonaws.com"}
RECORDS = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
ZONE = "arn:aws:route53:::hostedzone/Z1"


@pytest.mark.parametrize(
    ("granted", "denied"),
    [
        pytest.param(
            Request("ec2:TerminateInstances", f"{ARN}instance/i-1", OURS),
            [
                Request("ec2:TerminateInstances", f"{ARN}instance/i-1", THEIRS),
                Request("ec2:TerminateInstances", f"{ARN}instance/i-1"),
                Request(
                    "ec2:TerminateInstances",
                    f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1",
                    OURS,
                ),
            ],
            id="machines of others, and elsewhere",
        ),
        pytest.param(
            Request("ec2:RunInstances", f"{ARN}instance/new", ASKED),
            [
                Request("ec2:RunInstances", f"{ARN}instance/new"),
                Request("ec2:RunInstances", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/new", ASKED),
                Request("ec2:RunInstances", f"{ARN}subnet/subnet-1", THEIRS),
            ],
            id="machines without the tags, elsewhere, in others' networks",
        ),
        pytest.param(
            Request("ec2:CreateTags", f"{ARN}security-group/sg-1", ASKED),
            [
                Request("ec2:CreateTags", f"{ARN}security-group/sg-1", {**ASKED, **THEIRS}),
                Request("ec2:CreateTags", f"{ARN}vpc/vpc-1", ASKED),
                Request("ec2:DeleteTags", f"{ARN}vpc/vpc-1", {**OURS, "aws:TagKeys": ["Project"]}),
            ],
            id="taking what is others', giving away what is ours",
        ),
        pytest.param(
            Request("iam:CreateRole", f"{ROLE}prod-node", {"iam:PermissionsBoundary": BOUNDARY}),
            [
                Request("iam:CreateRole", f"{ROLE}prod-node"),
                Request(
                    "iam:CreateRole",
                    f"{ROLE}prod-node",
                    {"iam:PermissionsBoundary": NAMES.policy_arn("boundary", "staging")},
                ),
                Request("iam:CreateRole", f"{ROLE}node", {"iam:PermissionsBoundary": BOUNDARY}),
                Request("iam:PutRolePolicy", f"{ROLE}prod-node"),
                Request("iam:DeleteRolePermissionsBoundary", f"{ROLE}prod-node"),
                Request(
                    "iam:AttachRolePolicy",
                    f"{ROLE}prod-node",
                    {"iam:PermissionsBoundary": BOUNDARY},
                ),
            ],
            id="roles without the boundary",
        ),
        pytest.param(
            Request("iam:PassRole", f"{ROLE}prod-node", PASSED),
            [
                Request("iam:PassRole", f"{ROLE}staging-node", PASSED),
                Request("iam:PassRole", f"{ROLE}bootstrap/groundwork-deploy-staging", PASSED),
                Request(
                    "iam:PassRole",
                    f"{ROLE}prod-node",
                    {"iam:PassedToService": "lambda.amazonaws.com"},
                ),
            ],
            id="passing others' roles, or to others",
        ),
        pytest.param(
            Request("iam:UpdateAssumeRolePolicy", f"{ROLE}prod-node"),
            [
                Request("iam:UpdateAssumeRolePolicy", f"{ROLE}bootstrap/groundwork-deploy-staging"),
                Request("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/prod-me"),
                Request("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/prod-me"),
                Request("iam:CreatePolicyVersion", BOUNDARY),
                Request("iam:CreatePolicyVersion", NAMES.policy_arn("network", "prod"), ASKED),
                Request("iam:DeleteOpenIDConnectProvider", NAMES.issuer_arn),
                Request("sts:AssumeRole", f"{ROLE}admin"),
            ],
            id="more rights for itself or others",
        ),
        pytest.param(
            Request("s3:PutObject", f"{STATE}/.pulumi/stacks/groundwork/prod.json"),
            [
                Request("s3:PutObject", f"{STATE}/.pulumi/stacks/groundwork/staging-infra.json"),
                Request("s3:GetObject", f"{STATE}/.pulumi/stacks/groundwork/staging-infra.json"),
                Request("s3:PutObject", f"{STATE}/.pulumi/stacks/groundwork/prod-eu.json"),
                Request("s3:GetObject", f"{STATE}/.pulumi/stacks/groundwork-bootstrap/a.json"),
                Request("s3:PutObject", f"{STATE}/.pulumi/meta.yaml"),
                Request("s3:DeleteObjectVersion", f"{STATE}/.pulumi/stacks/groundwork/prod.json"),
                Request("s3:PutBucketPolicy", STATE),
                Request("s3:DeleteBucket", STATE),
            ],
            id="others' state",
        ),
        pytest.param(
            Request("s3:PutBucketPolicy", f"arn:aws:s3:::prod-logs-{ACCOUNT}"),
            [
                Request("s3:PutBucketPolicy", f"arn:aws:s3:::staging-logs-{ACCOUNT}"),
                Request("s3:PutBucketPolicy", "arn:aws:s3:::prod-logs-999999999999"),
                Request("s3:GetObject", f"arn:aws:s3:::prod-backups-{ACCOUNT}/etcd/1"),
                Request("s3:DeleteObject", f"arn:aws:s3:::prod-backups-{ACCOUNT}/etcd/1"),
            ],
            id="others' buckets, and what is in backups",
        ),
        pytest.param(
            Request("kms:Decrypt", KEY),
            [
                Request("kms:ScheduleKeyDeletion", KEY),
                Request("kms:TagResource", KEY, {**ASKED, "aws:ResourceTag/Project": "groundwork"}),
                Request("kms:CreateKey", "*", {**ASKED, "aws:RequestedRegion": "eu-west-1"}),
                Request("kms:Decrypt", f"{KEY}0", OURS),
            ],
            id="the state's key, and others'",
        ),
        pytest.param(
            Request("route53:ChangeResourceRecordSets", ZONE, {RECORDS: ["api.example.com"]}),
            [
                Request("route53:ChangeResourceRecordSets", ZONE, {RECORDS: ["api.example.org"]}),
                Request("route53:ChangeResourceRecordSets", ZONE, {RECORDS: ["badexample.com"]}),
            ],
            id="others' names",
        ),
        pytest.param(
            Request(
                "elasticloadbalancing:DeleteLoadBalancer",
                f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/prod-public/1",
            ),
            [
                Request(
                    "elasticloadbalancing:DeleteLoadBalancer",
                    f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/k8s-a/1",
                ),
            ],
            id="others' load balancers",
        ),
    ],
)
def test_it_ends_where_the_environment_ends(granted: Request, denied: list[Request]) -> None:
    """What is granted shows that the requests are asked as AWS asks them."""
    documents = Documents(PROD).deploy
    assert allowed(documents, granted), granted
    assert [str(each) for each in denied if allowed(documents, each)] == []


# Whose wildcards at the end of an action stand for reads alone
READS = ("ec2:Describe*", "elasticloadbalancing:Describe*", "s3:GetBucket*")
LONGEST, LONGEST_INLINE = 6144, 10240  # characters; "IAM and AWS STS quotas", IAM's User Guide


def test_no_policy_has_a_wildcard_for_actions_but_for_reads() -> None:
    roles = Documents(PROD)
    for text in [*roles.deploy, *roles.preview, roles.boundary]:
        for statement in json.loads(text)["Statement"]:
            assert statement["Effect"] == "Allow"
            for action in statement["Action"]:
                assert action in READS or "*" not in action, action
            if statement["Resource"] == ["*"] and "Condition" not in statement:
                assert all(_has_no_resource(action) for action in statement["Action"])


def _has_no_resource(action: str) -> bool:
    return action.split(":")[1].startswith(("Describe", "List", "GetCallerIdentity"))


def test_policies_fit_into_what_iam_takes() -> None:
    """Also with more and longer domains and stacks."""
    long = replace(
        PROD,
        name="production-of-a-long-name",
        prefix="production-of-a-long-name",
        domains=("production-of-a-long-name.internal", "production.some-company.example.com"),
        stacks=tuple(
            f"production-of-a-long-name-{each}" for each in ("infra", "cluster", "gitops")
        ),
    )
    roles = Documents(long)
    for name, text in {**roles.managed, "boundary": roles.boundary}.items():
        assert len("".join(text.split())) <= LONGEST, name
    assert len("".join(roles.deploy[-1].split())) <= LONGEST_INLINE
