"""The command with the real engine against the rehearsal's cloud."""

from __future__ import annotations

import os
import signal

import pytest

from tests.bootstrap.conftest import Command
from tests.bootstrap.deployment import PULUMI
from tests.bootstrap.inventory import client, inventory, state_versions
from tests.bootstrap.roles import ACCOUNT, NAMES, REGION

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PULUMI.exists(), reason="the rehearsal's pulumi is not built yet"),
]
FIRST = ("--region", REGION, "--repository", "example/platform", "--environment", "prod")
BOTH = (*FIRST, "--environment", "staging")


def test_an_account_is_made_ready_and_stays_so(command: Command) -> None:
    planned = command.run(*BOTH, "--preview")
    assert set(planned["changes"]) == {"create"}
    assert inventory(command.endpoint)["buckets"] == {}

    first = command.run(*BOTH)
    assert first["changes"] == {"create": planned["changes"]["create"] - 3, "import": 3}
    assert first["backend_url"].startswith(f"s3://{NAMES.state_bucket}?region={REGION}")
    assert first["secrets_provider"] == f"awskms://{NAMES.key_alias}?region={REGION}"
    made = inventory(command.endpoint)
    own = first["environments"].values()
    assert {role["arn"] for role in made["roles"].values()} == {
        first["preview_role_arn"],
        *(each["deploy_role_arn"] for each in own),
    }
    assert {each["permissions_boundary"] for each in own} <= set(made["policies"])
    assert made["issuers"] == [NAMES.issuer_arn]
    bucket = made["buckets"][NAMES.state_bucket]
    assert bucket["versions"] == "Enabled" and all(bucket["block"].values())
    assert bucket["log"]["TargetBucket"] == NAMES.logs_bucket
    (rule,) = bucket["encryption"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    denied = [each for each in bucket["policy"]["Statement"] if each["Effect"] == "Deny"]
    assert {action for each in denied for action in each["Action"]} == {
        "s3:*",
        "s3:DeleteBucket",
        "s3:DeleteObjectVersion",
    }
    (key,) = made["keys"]
    assert key["rotates"] and made["aliases"] == {NAMES.key_alias: True}

    second = command.run()  # what was given is as it was
    assert second == {**first, "changes": {}}
    assert inventory(command.endpoint) == made

    before = state_versions(command.endpoint)
    s3 = client("s3", command.endpoint)
    s3.put_bucket_versioning(
        Bucket=NAMES.logs_bucket, VersioningConfiguration={"Status": "Suspended"}
    )
    assert command.run("--preview")["changes"] == {"update": 1}  # changed by hand
    assert state_versions(command.endpoint) == before  # a preview writes no state, nor a lock

    less = command.run("--remove-environment", "staging")
    assert set(less["environments"]) == {"prod"}
    assert less["changes"]["update"] == 1 and set(less["changes"]) == {"delete", "update"}
    left = inventory(command.endpoint)
    assert left["buckets"] == made["buckets"]
    assert set(made["roles"]) - set(left["roles"]) == {NAMES.deploy_role("staging")}
    assert not [arn for arn in left["policies"] if arn.endswith("-staging")]


def test_a_run_that_was_killed_is_completed_by_the_next(command: Command) -> None:
    """In the middle of the engine's work: its lock stays, and what AWS has and no state knows."""
    process = command.start(*FIRST)
    assert process.stderr
    if not any("create Role" in line for line in process.stderr):
        pytest.fail("it never came to the roles")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    command.run(*FIRST)
    made = inventory(command.endpoint)
    assert command.run()["changes"] == {}
    assert inventory(command.endpoint) == made
    assert len(made["keys"]) == 1 and len(made["roles"]) == 2
    assert set(made["buckets"]) == {NAMES.state_bucket, NAMES.logs_bucket}


def test_an_account_that_knows_github_already(command: Command) -> None:
    """An account has one issuer of a name: somebody else's is used, and left as it is."""
    iam = client("iam", command.endpoint)
    iam.create_open_id_connect_provider(
        Url="https://token.actions.githubusercontent.com",
        ClientIDList=["sts.amazonaws.com"],
        ThumbprintList=["1" * 40],
        Tags=[{"Key": "Project", "Value": "another"}],
    )
    before = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=NAMES.issuer_arn)
    command.run(*FIRST)
    after = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=NAMES.issuer_arn)
    del before["ResponseMetadata"], after["ResponseMetadata"]
    assert after == before
    assert len(inventory(command.endpoint)["roles"]) == 2


def test_without_a_repository_there_are_no_roles(command: Command) -> None:
    found = command.run("--region", REGION)
    assert found["preview_role_arn"] is None and found["environments"] == {}
    made = inventory(command.endpoint)
    assert made["roles"] == {} and made["issuers"] == []
    assert found["account"] == ACCOUNT and len(made["buckets"]) == 2
