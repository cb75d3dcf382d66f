"""Bucket and key before there is a state: whatever happens in between, and whoever was there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from bootstrap import foundation, survey
from bootstrap.errors import BootstrapError
from bootstrap.foundation import Cloud
from bootstrap.names import AUDIENCE, Names
from tests.bootstrap.inventory import Inventory, client, inventory
from tests.bootstrap.roles import ACCOUNT, NAMES, REGION

_READS = ("Describe", "Get", "Head", "List")


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


class Stopping(Cloud):
    """Lets some changes through, then the run is stopped: before the next one, or once it is made
    and before its answer."""

    def __init__(self, changes: int, after: bool) -> None:
        super().__init__(REGION, None)
        self.__dict__.update(left=changes, moment="after" if after else "before")

    def _connect(self, service: str) -> Any:
        made = super()._connect(service)

        def stop(model: Any, **_: Any) -> None:
            if model.name.startswith(_READS):
                return
            if self.__dict__["left"] == 0:
                raise KeyboardInterrupt
            self.__dict__["left"] -= 1

        made.meta.events.register(f"{self.__dict__['moment']}-call.*.*", stop)
        return made


def run(cloud: Cloud) -> None:
    foundation.ensure(cloud, NAMES, foundation.survey(cloud, NAMES), lambda _: None)


_CHANGES = 8  # key, its rotation, its alias; bucket, block, versions, encryption, tags


@pytest.fixture(scope="module")
def whole() -> Inventory:
    """What a run leaves that nobody stopped."""
    with mock_aws():
        run(Stopping(_CHANGES, after=False))
        return inventory()


@pytest.mark.parametrize("changes", range(_CHANGES))
@pytest.mark.parametrize("after", [False, True], ids=["before a call", "after it"])
def test_a_run_stopped_anywhere_is_completed_by_the_next(
    whole: Inventory, changes: int, after: bool
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Stopping(changes, after))
    run(Cloud(REGION, None))
    assert inventory() == whole


def test_a_second_run_changes_nothing() -> None:
    run(Cloud(REGION, None))
    run(Stopping(0, after=False))


def anothers_account() -> None:
    other = client("sts").assume_role(
        RoleArn="arn:aws:iam::999999999999:role/x", RoleSessionName="other"
    )["Credentials"]
    theirs: Any = boto3.client(
        "s3",
        region_name=REGION,
        aws_access_key_id=other["AccessKeyId"],
        aws_secret_access_key=other["SecretAccessKey"],
        aws_session_token=other["SessionToken"],
    )
    place = {"LocationConstraint": REGION}
    theirs.create_bucket(Bucket=NAMES.state_bucket, CreateBucketConfiguration=place)


def bucket(region: str = REGION, **tags: str) -> None:
    s3 = client("s3", region=region)
    place = {"LocationConstraint": region}
    s3.create_bucket(Bucket=NAMES.state_bucket, CreateBucketConfiguration=place)
    s3.put_object(Bucket=NAMES.state_bucket, Key="x", Body=b"x")
    if tags:
        given = [{"Key": key, "Value": value} for key, value in tags.items()]
        s3.put_bucket_tagging(Bucket=NAMES.state_bucket, Tagging={"TagSet": given})


def key(state: str = "Enabled", **tags: str) -> None:
    kms = client("kms")
    given = [{"TagKey": name, "TagValue": value} for name, value in tags.items()]
    made = kms.create_key(Tags=given)["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=NAMES.key_alias, TargetKeyId=made)
    if state == "Disabled":
        kms.disable_key(KeyId=made)


OURS = {"Project": "groundwork", "ManagedBy": "pulumi"}


@pytest.mark.parametrize(
    ("before", "says"),
    [
        (anothers_account, "belongs to another account; choose another --name"),
        (bucket, "belongs to somebody else: it has not the tags Project=groundwork"),
        (lambda: bucket(Project="another"), "belongs to somebody else"),
        (lambda: bucket("eu-west-1", **OURS), "is in eu-west-1, not ap-northeast-2"),
        (key, "alias/groundwork-secrets in ap-northeast-2 is somebody else's key"),
        (lambda: key("Disabled", **OURS), "is Disabled: no secret can be read"),
    ],
)
def test_what_is_somebody_elses_is_not_taken(before: Callable[[], None], says: str) -> None:
    before()
    there = inventory()
    with pytest.raises(BootstrapError) as refusal:
        run(Cloud(REGION, None))
    assert says in str(refusal.value) and "\n" not in str(refusal.value)
    if before is not anothers_account:
        assert inventory() == there


def test_an_empty_bucket_of_the_account_without_tags_is_one_that_a_stopped_run_made() -> None:
    client("s3").create_bucket(
        Bucket=NAMES.state_bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    run(Cloud(REGION, None))
    assert inventory()["buckets"][NAMES.state_bucket]["versions"] == "Enabled"


def test_a_first_region_needs_no_name() -> None:
    names = Names("groundwork", ACCOUNT, "us-east-1")
    cloud = Cloud("us-east-1", None)
    foundation.ensure(cloud, names, foundation.survey(cloud, names), lambda _: None)
    assert foundation.bucket_region(cloud, names.state_bucket) == "us-east-1"
    assert foundation.survey(cloud, names).complete(names)


def test_an_issuer_for_other_audiences_is_refused() -> None:
    iam = client("iam")
    iam.create_open_id_connect_provider(
        Url="https://token.actions.githubusercontent.com",
        ClientIDList=["another"],
        ThumbprintList=["1" * 40],
    )
    with pytest.raises(BootstrapError, match=f"not for {AUDIENCE}; add that audience: aws iam"):
        survey.issuer(Cloud(REGION, None), NAMES)
