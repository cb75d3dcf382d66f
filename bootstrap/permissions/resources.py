"""Policies of what is acted on: key, buckets, and the roles' trust."""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.names import AUDIENCE, ISSUER, Names
from infra.buckets import ACCESS_PREFIX
from infra.policies import ANY, Statement, document


def key_policy(names: Names) -> str:
    """Of a key whose use the account's own policies decide. Source: "Default key policy", KMS's
    Developer Guide."""
    root = f"arn:aws:iam::{names.account}:root"
    return document(Statement(("kms:*",), (ANY,), principals={"AWS": root}))


def never_deleted(bucket: str) -> Sequence[Statement]:
    """No one deletes the bucket, or a version of what is in it; only its lifecycle does, which no
    policy holds. Undoing it begins with this policy: docs/bootstrap.md."""
    arn = f"arn:aws:s3:::{bucket}"
    return (
        Statement(("s3:DeleteBucket",), (arn,), principals={"AWS": ANY}, allow=False),
        Statement(("s3:DeleteObjectVersion",), (f"{arn}/*",), principals={"AWS": ANY}, allow=False),
    )


def access_log(names: Names) -> Sequence[Statement]:
    """S3 writes the log of the state's bucket. Source: "Enabling Amazon S3 server access logging",
    S3's User Guide."""
    return (
        Statement(
            ("s3:PutObject",),
            (f"arn:aws:s3:::{names.logs_bucket}/{ACCESS_PREFIX}*",),
            {
                "StringEquals": {"aws:SourceAccount": names.account},
                "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{names.state_bucket}"},
            },
            {"Service": "logging.s3.amazonaws.com"},
        ),
    )


def preview_trust(names: Names, repository: str, branch: str) -> str:
    """Jobs of pull requests from the repository itself, and of one branch (drift). GitHub gives
    no token to those of a fork."""
    return _trust(
        names, f"repo:{repository}:pull_request", f"repo:{repository}:ref:refs/heads/{branch}"
    )


def deploy_trust(names: Names, repository: str, environment: str) -> str:
    """Jobs that run in one environment, whose rules on GitHub say which may."""
    return _trust(names, f"repo:{repository}:environment:{environment}")


def _trust(names: Names, *subjects: str) -> str:
    """Source: "Configuring OpenID Connect in Amazon Web Services", GitHub's documentation."""
    return document(
        Statement(
            ("sts:AssumeRoleWithWebIdentity",),
            conditions={
                "StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subjects},
            },
            principals={"Federated": names.issuer_arn},
        )
    )
