"""The buckets and their key: what guards each, and who may write logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra.policies import Place
from infra.storage import Storage, StorageArgs, key_policy, log_delivery
from settings.models import Storage as Retention
from tests.infra.component import run, statements
from tests.program import Resource, Run

PLACE = Place("ap-northeast-2", "123456789012")
RETENTION = Retention(noncurrent_expire_days=30, backups_expire_days=365, logs_expire_days=90)
LOGS = "prod-logs-123456789012"


def guard(kind: str) -> str:
    return f"aws:s3/bucket{kind}:Bucket{kind}"


def storage() -> None:
    made = Storage(
        "storage", StorageArgs("prod", PLACE, RETENTION, assets=True), pulumi.ResourceOptions()
    ).outputs
    pulumi.export("flow_logs", made.flow_logs)
    # as whoever serves the assets finds them
    assert made.assets is not None
    pulumi.export("assets", made.assets.id)


def storage_without_cdn() -> None:
    made = Storage(
        "storage", StorageArgs("prod", PLACE, RETENTION, assets=False), pulumi.ResourceOptions()
    ).outputs
    assert made.assets is None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("storage"), storage)


def about(made: Run, kind: str, name: str) -> Resource:
    return made.of(guard(kind))[name]


@pytest.mark.parametrize("name", ["assets", "backups", "logs"])
def test_every_bucket_has_all_its_guards(made: Run, name: str) -> None:
    bucket = made.of("aws:s3/bucket:Bucket")[name]
    assert bucket.inputs["bucket"] == f"prod-{name}-123456789012"
    assert bucket.inputs["tags"] == {"Purpose": name}
    for kind in (
        "PublicAccessBlock",
        "OwnershipControls",
        "Versioning",
        "ServerSideEncryptionConfiguration",
        "LifecycleConfiguration",
    ):
        assert about(made, kind, name).inputs["bucket"] == f"{name}-id"
    blocks = about(made, "PublicAccessBlock", name).inputs
    assert [value for key, value in blocks.items() if key != "bucket"] == [True] * 4
    versioning = about(made, "Versioning", name).inputs["versioningConfiguration"]
    assert versioning == {"status": "Enabled"}


@pytest.mark.parametrize("name", ["backups", "logs"])
def test_nothing_comes_without_tls(made: Run, name: str) -> None:
    policy = about(made, "Policy", name).inputs
    assert policy["bucket"] == f"{name}-id"
    arn = f"arn:aws:s3:::prod-{name}-123456789012"
    denied = [each for each in statements(policy["policy"]) if each["Effect"] == "Deny"]
    assert denied == [
        {
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": ["s3:*"],
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


def test_the_policy_of_assets_is_left_to_who_serves_them(made: Run) -> None:
    assert "assets" not in made.of(guard("Policy"))


def test_a_bucket_is_known_only_when_its_guards_stand(made: Run) -> None:
    logging = about(made, "Logging", "backups")
    assert logging.inputs["targetBucket"] == "logs-id"
    ahead = made.needs(logging)
    for kind in (
        "PublicAccessBlock",
        "OwnershipControls",
        "Versioning",
        "ServerSideEncryptionConfiguration",
        "Policy",
    ):
        assert about(made, kind, "logs").urn in ahead, kind


def test_data_is_encrypted_by_the_key_and_logs_by_what_aws_can_write_with(made: Run) -> None:
    kind = "ServerSideEncryptionConfiguration"
    default = "applyServerSideEncryptionByDefault"
    for name in ("assets", "backups"):
        (rule,) = about(made, kind, name).inputs["rules"]
        assert rule == {
            default: {
                "sseAlgorithm": "aws:kms",
                "kmsMasterKeyId": "arn:aws:kms:ap-northeast-2:123456789012:key/data",
            },
            "bucketKeyEnabled": True,
        }
    (rule,) = about(made, kind, "logs").inputs["rules"]
    assert rule == {default: {"sseAlgorithm": "AES256"}}


def test_access_is_logged_but_not_the_logs_own(made: Run) -> None:
    logged = made.of(guard("Logging"))
    assert set(logged) == {"assets", "backups"}
    prefixes = {each.inputs["targetPrefix"] for each in logged.values()}
    assert prefixes == {"s3/assets/", "s3/backups/"}


def test_ages_are_the_settings(made: Run) -> None:
    kind = "LifecycleConfiguration"
    for name, expiration in {
        "assets": {"expiredObjectDeleteMarker": True},
        "backups": {"days": 365},
        "logs": {"days": 90},
    }.items():
        (rule,) = about(made, kind, name).inputs["rules"]
        assert (rule["status"], rule["filter"]) == ("Enabled", {"prefix": ""})
        assert rule["expiration"] == expiration
        assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
        assert rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"] > 0


def test_a_destroy_takes_no_data_with_it(made: Run) -> None:
    buckets = made.of("aws:s3/bucket:Bucket")
    taken = {name for name, each in buckets.items() if each.inputs["forceDestroy"]}
    assert taken == {"logs"}


def test_acls_are_only_where_cloudfront_needs_them(made: Run) -> None:
    owners = {
        name: each.inputs["rule"]["objectOwnership"]
        for name, each in made.of(guard("OwnershipControls")).items()
    }
    assert owners == {
        "assets": "BucketOwnerEnforced",
        "backups": "BucketOwnerEnforced",
        "logs": "BucketOwnerPreferred",
    }


def test_the_key_rotates_and_has_a_name(made: Run) -> None:
    key, alias = made.one("aws:kms/key:Key").inputs, made.one("aws:kms/alias:Alias").inputs
    assert key["enableKeyRotation"] is True
    assert (alias["name"], alias["targetKeyId"]) == ("alias/prod-data", "data")


def test_the_key_is_the_accounts_and_cloudfront_only_reads() -> None:
    account, cloudfront = statements(key_policy(PLACE))
    assert account["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert cloudfront["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert cloudfront["Action"] == ["kms:Decrypt"]
    assert cloudfront["Condition"] == {
        "ArnLike": {"aws:SourceArn": "arn:aws:cloudfront::123456789012:distribution/*"}
    }


def test_each_delivery_writes_into_its_own_folder_for_this_account_alone(made: Run) -> None:
    text = about(made, "Policy", "logs").inputs["policy"]
    allowed = [each for each in statements(text) if each["Effect"] == "Allow"]
    assert len(allowed) == len(log_delivery(PLACE, "prod", LOGS))
    writes = {
        each["Principal"]["Service"]: each["Resource"]
        for each in allowed
        if each["Action"] == ["s3:PutObject"]
    }
    arn = f"arn:aws:s3:::{LOGS}"
    assert writes == {
        "logdelivery.elasticloadbalancing.amazonaws.com": [f"{arn}/alb/AWSLogs/123456789012/*"],
        "delivery.logs.amazonaws.com": [f"{arn}/flow/AWSLogs/123456789012/*"],
        "logging.s3.amazonaws.com": [f"{arn}/s3/*"],
    }
    for statement in allowed:
        source: Any = statement["Condition"]["ArnLike"]["aws:SourceArn"]
        assert "123456789012" in source, json.dumps(statement)
    assert made.outputs["flow_logs"] == f"{arn}/flow"


def test_without_a_cdn_there_is_no_bucket_for_it(tmp_path: Path) -> None:
    buckets = run(tmp_path, storage_without_cdn).of("aws:s3/bucket:Bucket")
    assert set(buckets) == {"backups", "logs"}
