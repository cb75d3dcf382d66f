"""Deploying: the roles of machines and pods, each under the environment's boundary.

Whoever can make roles can make one that may do everything, were there no boundary: so none is made
or given permissions without it, and it is never taken off. Source: "Permissions boundaries for IAM
entities" (delegating responsibility to others), IAM's User Guide.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from bootstrap.names import Names
from bootstrap.permissions.look import BUCKETS
from bootstrap.permissions.scope import Scope
from infra.pod_identity import CONTROLLERS, Reach
from infra.policies import (
    ANY,
    Statement,
    decrypt_secrets,
    document,
    ecr_pull,
    etcd_snapshots,
    secrets_of,
    session_manager,
)

BOUNDARY = "boundary"


def identity(scope: Scope, names: Names) -> Sequence[Statement]:
    """Roles and instance profiles by name; passed to machines alone. The pods' issuer is one
    behind CloudFront, so GitHub's is not among them."""
    roles = scope.global_arns("iam", f"role/{scope.prefix}-*")
    profiles = scope.global_arns("iam", f"instance-profile/{scope.prefix}-*")
    issuers = scope.global_arns("iam", "oidc-provider/*.cloudfront.net")
    boundary = names.policy_arn(BOUNDARY, scope.environment.name)
    return (
        Statement(
            (
                "iam:CreateRole",
                "iam:DeleteRolePolicy",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ),
            roles,
            {"StringEquals": {"iam:PermissionsBoundary": boundary}},
        ),
        Statement(
            (
                "iam:DeleteRole",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
            ),
            roles,
        ),
        Statement(
            ("iam:PassRole",),
            roles,
            {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
        Statement(
            (
                "iam:AddRoleToInstanceProfile",
                "iam:CreateInstanceProfile",
                "iam:DeleteInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
                "iam:TagInstanceProfile",
                "iam:UntagInstanceProfile",
            ),
            profiles,
        ),
        Statement(
            (
                "iam:AddClientIDToOpenIDConnectProvider",
                "iam:CreateOpenIDConnectProvider",
                "iam:DeleteOpenIDConnectProvider",
                "iam:RemoveClientIDFromOpenIDConnectProvider",
                "iam:TagOpenIDConnectProvider",
                "iam:UntagOpenIDConnectProvider",
                "iam:UpdateOpenIDConnectProviderThumbprint",
            ),
            issuers,
        ),
    )


def boundary(scope: Scope) -> str:
    """The most that a role of the environment can ever do: what infra/policies.py gives to any,
    in the environment's region, with its own buckets, keys and secrets."""
    place, (backups,) = scope.place, scope.buckets("backups")
    reach = Reach(place, scope.prefix, "x", backups, place.arn("kms", "key/x"))
    given = (
        ecr_pull(place),
        session_manager(),
        etcd_snapshots(reach.backups_arn, reach.key_arn),
        *(each.document(reach) for each in CONTROLLERS),
    )
    actions = {action for text in given for action in _actions(text)}
    by_service: dict[str, list[str]] = {
        service: [] for service in ("s3", "kms", "secretsmanager", "iam", "")
    }
    for action in sorted(actions):
        service = action.split(":")[0]
        by_service[service if service in by_service else ""].append(action)
    buckets = scope.buckets(*BUCKETS)
    return document(
        Statement(by_service[""], (ANY,), scope.in_region()),
        Statement(by_service["s3"], [*buckets, *(f"{each}/*" for each in buckets)]),
        Statement(by_service["kms"], scope.arns("kms", "key/*"), scope.owned),
        Statement(by_service["secretsmanager"], (secrets_of(place, scope.prefix),)),
        decrypt_secrets(place, scope.prefix),  # whose keys may be AWS's own, without tags
        Statement(by_service["iam"], scope.global_arns("iam", "role/aws-service-role/*")),
    )


def _actions(text: str) -> list[str]:
    return [action for each in json.loads(text)["Statement"] for action in each["Action"]]
