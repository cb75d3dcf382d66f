"""What the roles may: named actions on named resources, and of a cluster only what is its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra import policies
from infra.pod_identity import CONTROLLERS, Reach
from infra.policies import Place, Statement, document

PLACE = Place("ap-northeast-2", "123456789012")
BUCKET, KEY = "arn:aws:s3:::prod-backups", PLACE.arn("kms", "key/1")
NODES = {
    "ecr": policies.ecr_pull(PLACE),
    "session-manager": policies.session_manager(),
    "etcd": policies.etcd_snapshots(BUCKET, KEY),
}
REACH = Reach(PLACE, "prod", "vpc-1", BUCKET, KEY)
CONTROLLER = {each.name: each.document(REACH) for each in CONTROLLERS}
ALL = NODES | CONTROLLER

# Actions for which AWS knows no resource, beside those that only look ("Service Authorization
# Reference"); for Session Manager's, its guide says so.
NO_RESOURCE = {
    "acm:ListCertificates",
    "ec2:GetSecurityGroupsForVpc",
    "ecr:GetAuthorizationToken",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}


def statements(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["Statement"]
    return found


def allowing(text: str, action: str) -> list[dict[str, Any]]:
    return [each for each in statements(text) if action in each["Action"]]


@pytest.mark.parametrize("name", ALL)
def test_every_action_is_named(name: str) -> None:
    for statement in statements(ALL[name]):
        assert statement["Effect"] == "Allow"
        assert not {"NotAction", "NotResource"} & statement.keys()
        for action in statement["Action"]:
            service, verb = action.split(":")
            assert service.isalnum() or "-" in service
            assert verb.isalnum(), action


@pytest.mark.parametrize("name", ALL)
def test_every_resource_only_where_aws_knows_none(name: str) -> None:
    for statement in statements(ALL[name]):
        if "*" in statement["Resource"]:
            assert statement["Resource"] == ["*"]
            loose = set(statement["Action"]) - NO_RESOURCE
            assert all(action.split(":")[1].startswith("Describe") for action in loose), loose
        for resource in statement["Resource"]:
            assert resource == "*" or resource.startswith("arn:aws:")
            if ":ec2:" in resource or ":elasticloadbalancing:" in resource:
                assert resource.split(":")[3] == "ap-northeast-2"


def test_session_manager_is_five_actions() -> None:
    (only,) = statements(policies.session_manager())
    assert sorted(only["Action"]) == [
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ]


def test_images_are_pulled_and_never_pushed() -> None:
    actions = {action for each in statements(NODES["ecr"]) for action in each["Action"]}
    assert not [action for action in actions if "Put" in action or "Upload" in action]
    (read,) = allowing(NODES["ecr"], "ecr:BatchGetImage")
    assert read["Resource"] == ["arn:aws:ecr:ap-northeast-2:123456789012:repository/*"]


THROUGH_S3 = {"StringEquals": {"kms:ViaService": "s3.ap-northeast-2.amazonaws.com"}}


def test_snapshots_are_written_where_they_belong_and_never_deleted() -> None:
    (write,) = allowing(NODES["etcd"], "s3:PutObject")
    assert write["Resource"] == [f"{BUCKET}/etcd/*"]
    (look,) = allowing(NODES["etcd"], "s3:ListBucket")
    assert (look["Resource"], look["Condition"]) == (
        [BUCKET],
        {"StringLike": {"s3:prefix": "etcd/*"}},
    )
    (key,) = allowing(NODES["etcd"], "kms:GenerateDataKey")
    assert (key["Resource"], key["Condition"]) == ([KEY], THROUGH_S3)
    assert "Delete" not in NODES["etcd"]


def test_dumps_of_databases_are_written_where_they_belong_and_never_read() -> None:
    write, key = statements(CONTROLLER["database-backups"])
    assert write["Action"] == ["s3:PutObject"]
    assert write["Resource"] == [f"{BUCKET}/databases/*"]
    assert key["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert (key["Resource"], key["Condition"]) == ([KEY], THROUGH_S3)


def test_secrets_are_those_of_the_cluster_and_only_read() -> None:
    read, key = statements(CONTROLLER["external-secrets"])
    secrets = "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:prod/*"
    assert (read["Action"], read["Resource"]) == (["secretsmanager:GetSecretValue"], [secrets])
    assert key["Action"] == ["kms:Decrypt"]
    assert key["Condition"] == {
        "StringEquals": {"kms:ViaService": "secretsmanager.ap-northeast-2.amazonaws.com"},
        "StringLike": {"kms:EncryptionContext:SecretARN": secrets},
    }


@pytest.mark.parametrize(
    ("controller", "action"),
    [
        ("ebs-csi", "ec2:AttachVolume"),
        ("ebs-csi", "ec2:CreateSnapshot"),
        ("ebs-csi", "ec2:CreateVolume"),
        ("ebs-csi", "ec2:DeleteSnapshot"),
        ("ebs-csi", "ec2:DeleteVolume"),
        ("ebs-csi", "ec2:DetachVolume"),
        ("ebs-csi", "ec2:ModifyVolume"),
        ("load-balancer-controller", "ec2:AuthorizeSecurityGroupIngress"),
        ("load-balancer-controller", "ec2:DeleteSecurityGroup"),
        ("load-balancer-controller", "ec2:RevokeSecurityGroupIngress"),
        ("load-balancer-controller", "elasticloadbalancing:CreateLoadBalancer"),
        ("load-balancer-controller", "elasticloadbalancing:DeleteLoadBalancer"),
        ("load-balancer-controller", "elasticloadbalancing:DeleteTargetGroup"),
        ("load-balancer-controller", "elasticloadbalancing:RegisterTargets"),
        ("load-balancer-controller", "elasticloadbalancing:RemoveTags"),
    ],
)
def test_a_cluster_changes_only_what_has_its_own_tag(controller: str, action: str) -> None:
    own = {
        "kubernetes.io/cluster/prod": "owned",
        "elbv2.k8s.aws/cluster": "prod",
    }
    found = allowing(CONTROLLER[controller], action)
    assert found
    for statement in found:
        listeners = [arn for arn in statement["Resource"] if ":listener" in arn]
        if listeners:  # they have no tag; their name holds the load balancer's
            assert listeners == statement["Resource"]
            assert all("/k8s-*" in arn for arn in listeners)
            continue
        tags = {
            key.split("/", 1)[1]: value
            for key, value in statement["Condition"]["StringEquals"].items()
        }
        assert tags.items() <= own.items() and tags, statement


def test_the_load_balancer_controller_reaches_none_that_the_program_made() -> None:
    for statement in statements(CONTROLLER["load-balancer-controller"]):
        for arn in statement["Resource"]:
            if ":elasticloadbalancing:" in arn:
                assert "/k8s-" in arn


def test_no_cluster_can_give_itself_anothers_load_balancers_by_a_tag() -> None:
    text = CONTROLLER["load-balancer-controller"]
    for action in ("elasticloadbalancing:AddTags", "ec2:CreateTags"):
        for statement in allowing(text, action):
            if any("listener" in arn for arn in statement["Resource"]):
                continue
            condition = statement["Condition"]
            makes = any("CreateAction" in key for key in condition["StringEquals"])
            keeps = condition.get("Null") == {"aws:RequestTag/elbv2.k8s.aws/cluster": "true"}
            assert makes != keeps, statement


def test_a_service_linked_role_is_for_load_balancers_alone() -> None:
    (role,) = allowing(CONTROLLER["load-balancer-controller"], "iam:CreateServiceLinkedRole")
    assert role["Resource"][0].endswith("/AWSServiceRoleForElasticLoadBalancing")
    assert role["Condition"] == {
        "StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}
    }


def test_all_of_them_fit_into_one_role() -> None:
    # "IAM and AWS STS quotas": inline policies of a role, 10,240 characters without white space
    assert sum(len("".join(text.split())) for text in ALL.values()) <= 10240


def test_a_document_has_what_is_given_and_is_the_same_text_each_time() -> None:
    statement = Statement(
        ("s3:GetObject",),
        ("arn:aws:s3:::b/*",),
        {"StringEquals": {"aws:SourceAccount": ("1", "2")}},
        {"Service": "x.amazonaws.com"},
        allow=False,
    )
    assert json.loads(document(statement)) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": {"Service": "x.amazonaws.com"},
                "Action": ["s3:GetObject"],
                "Resource": ["arn:aws:s3:::b/*"],
                "Condition": {"StringEquals": {"aws:SourceAccount": ["1", "2"]}},
            }
        ],
    }
    trust = json.loads(document(Statement(("sts:AssumeRole",))))["Statement"]
    assert trust == [{"Effect": "Allow", "Action": ["sts:AssumeRole"]}]
    assert document(statement) == document(statement)
