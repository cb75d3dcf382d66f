"""The preview role looks, and changes nothing: no operation of AWS's that is not a look."""

from __future__ import annotations

from collections.abc import Iterator

import botocore.session
import pytest

from rehearsal.plugins.aws.arguments import SERVICES
from tests.bootstrap.roles import ACCOUNT, KEY, NAMES, PROD, Documents
from tests.bootstrap.simulator import Request, allowed, mentions

# Of IAM; where it is not botocore's own name
_PREFIXES = {"elbv2": "elasticloadbalancing"}
_LOOKS = ("Describe", "Get", "Head", "List")
STATE = f"arn:aws:s3:::{NAMES.state_bucket}"


def _writes() -> Iterator[str]:
    """The actions of every operation that is not a look, of the program's services and of those
    through which rights or secrets could be got at."""
    session = botocore.session.get_session()
    for service in (*SERVICES, "logs", "secretsmanager", "ssm", "lambda", "dynamodb"):
        for name in session.get_service_model(service).operation_names:
            if not name.startswith(_LOOKS):
                yield f"{_PREFIXES.get(service, service)}:{name}"


def test_it_is_denied_every_write() -> None:
    """For whatever resource, and under whatever condition."""
    writes = set(_writes())
    assert len(writes) > 900
    documents = Documents(PROD).preview
    granted = {action for action in writes if mentions(documents, action)}
    assert granted == {"kms:Decrypt"}  # which reads: secrets, and the state itself


def test_actions_that_are_no_operations_either() -> None:
    """IAM has names of its own for some."""
    documents = Documents(PROD).preview
    for action in (
        "iam:PassRole",
        "s3:DeleteObjectVersion",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:PutBucketPublicAccessBlock",
        "logs:CreateLogDelivery",
        "cloudfront:TagResource",
    ):
        assert not mentions(documents, action), action


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request("s3:GetObject", f"{STATE}/.pulumi/meta.yaml"), True),
        (Request("s3:GetObject", f"{STATE}/.pulumi/stacks/groundwork/staging-infra.json"), True),
        (Request("s3:GetObject", f"{STATE}/.pulumi/stacks/groundwork-bootstrap/a.json"), False),
        (Request("s3:GetObject", f"{STATE}/.pulumi/history/groundwork/prod/1.json"), False),
        (Request("s3:ListBucket", STATE), True),
        (Request("s3:PutObject", f"{STATE}/.pulumi/locks/organization/groundwork/prod/1"), False),
        (Request("kms:Decrypt", KEY), True),
        (Request("kms:Encrypt", KEY), False),
        (Request("s3:GetObject", f"arn:aws:s3:::prod-backups-{ACCOUNT}/etcd/1"), False),
        (Request("s3:GetObject", f"arn:aws:s3:::prod-logs-{ACCOUNT}/alb/1"), False),
        (Request("s3:GetBucketPolicy", "arn:aws:s3:::somebody-elses"), False),
        (Request("ssm:GetParameter"), False),
        (Request("secretsmanager:GetSecretValue"), False),
        (Request("ec2:GetPasswordData"), False),
    ],
    ids=str,
)
def test_what_it_reads(request_: Request, expected: bool) -> None:
    assert allowed(Documents(PROD).preview, request_) is expected
