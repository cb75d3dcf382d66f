"""What keeps and what breaks the rules of policy/iam.py."""

from __future__ import annotations

import json
from typing import Any

from policy.iam import ATTACHMENT, POLICY, ROLE, ROLE_POLICY
from tests.policy.pack import Case

KEY = "aws:kms/key:Key"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
_QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"
_ISSUER = "oidc.shop.example"
_EC2 = {"Service": "ec2.amazonaws.com"}


def _document(key: str, *statements: dict[str, Any]) -> dict[str, Any]:
    return {key: json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


def _allow(action: Any = "sqs:SendMessage", resource: Any = _QUEUE, **more: Any) -> dict[str, Any]:
    return _document("policy", {"Effect": "Allow", "Action": action, "Resource": resource, **more})


def _trust(principal: Any, **more: Any) -> dict[str, Any]:
    action = "sts:AssumeRoleWithWebIdentity" if "Federated" in principal else "sts:AssumeRole"
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, **more}
    return _document("assumeRolePolicy", statement)


def _subject(operator: str, key: str, value: str) -> dict[str, Any]:
    return (
        _trust({"Federated": f"arn:aws:iam::1:oidc-provider/{_ISSUER}"})
        if not key
        else _trust(
            {"Federated": f"arn:aws:iam::1:oidc-provider/{_ISSUER}"},
            Condition={operator: {f"{_ISSUER}:{key}": value}},
        )
    )


CASES = [
    Case("iam-no-wildcard-action", POLICY, _allow(), _allow("*"), "allows * in policy"),
    Case("iam-no-wildcard-action", POLICY, _allow(["sqs:Get*"]), _allow(["*:*"]), "allows *:*"),
    Case("iam-no-wildcard-action", ROLE_POLICY, _allow(), _allow(["sqs:*"]), "allows sqs:*"),
    Case(
        "iam-no-wildcard-action",
        POLICY,
        _document("policy", {"Effect": "Deny", "Action": "*", "Resource": "*"}),
        _document("policy", {"Effect": "Allow", "NotAction": "iam:*", "Resource": _QUEUE}),
        "NotAction",
    ),
    Case(
        "iam-no-wildcard-action",
        ROLE,
        {"inlinePolicies": [_allow()]},
        {"inlinePolicies": [_allow(), _allow("s3:*")]},
        "allows s3:* in inline_policies[1]",
    ),
    Case(
        "iam-no-wildcard-resource",
        POLICY,
        _allow(["ec2:DescribeInstances", "ecr:GetAuthorizationToken"], "*"),
        _allow(["ec2:DescribeInstances", "ec2:TerminateInstances"], "*"),
        "allows ec2:TerminateInstances on every resource",
    ),
    Case(
        "iam-no-wildcard-resource",
        ROLE_POLICY,
        _allow("ec2:DeleteVolume", "*", Condition={"StringEquals": {"ec2:ResourceTag/a": "b"}}),
        _allow("s3:GetObject", ["*"]),
        "name the ARNs",
    ),
    Case(
        "iam-no-wildcard-resource",
        POLICY,
        _allow("ec2:DeleteVolume", "arn:aws:ec2:*:123456789012:volume/*"),
        _document("policy", {"Effect": "Allow", "Action": "s3:Get*", "NotResource": _QUEUE}),
        "s3:Get*",
    ),
    Case(
        "iam-no-full-access",
        ATTACHMENT,
        {"policyArn": "arn:aws:iam::123456789012:policy/shop-AdministratorAccess"},
        {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        "AWS's policy AdministratorAccess",
    ),
    Case(
        "iam-no-full-access",
        ROLE,
        {"managedPolicyArns": ["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"]},
        {"managedPolicyArns": ["arn:aws:iam::aws:policy/AmazonS3FullAccess"]},
        "AmazonS3FullAccess",
    ),
    Case(
        "no-public-principal",
        ROLE,
        _trust(_EC2),
        _trust({"AWS": "*"}),
        "lets anybody in the world in (assumeRolePolicy, Principal *)",
    ),
    Case(
        "no-public-principal",
        BUCKET_POLICY,
        _allow("s3:GetObject", f"{_QUEUE}/*", Principal={"Service": "cloudfront.amazonaws.com"}),
        _allow("s3:GetObject", f"{_QUEUE}/*", Principal="*"),
        "name the principals",
    ),
    Case(
        "no-public-principal",
        KEY,
        _allow(
            "kms:Decrypt",
            "*",
            Principal="*",
            Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
        ),
        _allow(
            "kms:Decrypt", "*", Principal="*", Condition={"Bool": {"aws:SecureTransport": "true"}}
        ),
        "aws:PrincipalOrgID",
    ),
    Case(
        "no-public-principal",
        KEY,
        _allow("kms:*", "*", Principal={"AWS": "arn:aws:iam::123456789012:root"}),
        _document(
            "policy", {"Effect": "Allow", "NotPrincipal": {"AWS": "a"}, "Action": "kms:Decrypt"}
        ),
        "anybody in the world",
    ),
    Case(
        "web-identity-names-subject",
        ROLE,
        _subject("StringEquals", "sub", "system:serviceaccount:shop:web"),
        _subject("StringEquals", "aud", "sts.amazonaws.com"),
        "StringEquals on the provider's :sub",
    ),
    Case(
        "web-identity-names-subject",
        ROLE,
        _trust(_EC2),
        _subject("StringLike", "sub", "*"),
        "every token of its identity provider",
    ),
]
