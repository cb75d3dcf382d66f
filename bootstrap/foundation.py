"""What the state cannot do without: its bucket and the key of its secrets, made by boto3.

Each step looks at what is there, so it may be run again after any interruption. Nothing that is
somebody else's is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bootstrap.errors import BootstrapError
from bootstrap.names import Names
from bootstrap.permissions.resources import key_policy

DESCRIPTION = "Secrets and state of Pulumi stacks"
PURPOSE = "state"
_CLOSED = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_FIRST_REGION = "us-east-1"  # the one that must not be named, and is told as None

Report = Callable[[str], None]


@dataclass(frozen=True)
class Cloud:
    """AWS as boto3 sees it: credentials as of AWS's own tools. endpoint_url: None for AWS."""

    region: str | None
    endpoint_url: str | None
    _clients: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def client(self, service: str) -> Any:
        """Made once: making one takes longer than most calls."""
        if service not in self._clients:
            self._clients[service] = self._connect(service)
        return self._clients[service]

    def _connect(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=self.region or _FIRST_REGION,
            endpoint_url=self.endpoint_url,
            config=Config(
                connect_timeout=10,
                retries={"mode": "standard", "total_max_attempts": 3},
                s3={"addressing_style": "path" if self.endpoint_url else "auto"},
            ),
        )


def words(error: Exception) -> str:
    """An error of AWS, or of the way to it, on one line."""
    if isinstance(error, ClientError):
        told = error.response["Error"]
        text = f"{error.operation_name}: {told.get('Code')}: {told.get('Message', '')}"
    else:
        text = str(error)
    return " ".join(text.split())


def account(cloud: Cloud) -> str:
    """The 12 digits of the account that the credentials are of. Raises BootstrapError."""
    try:
        return str(cloud.client("sts").get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        raise BootstrapError(
            f"AWS does not say whose account this is ({words(error)}); give credentials where "
            "AWS's own tools look for them, such as AWS_PROFILE"
        ) from None


def bucket_region(cloud: Cloud, bucket: str) -> str | None:
    """The region of a bucket of this account, None if it has none of that name."""
    s3 = cloud.client("s3")
    pages = s3.get_paginator("list_buckets").paginate(Prefix=bucket)
    # only the caller's own are listed, whoever else has one of this name
    if bucket not in {each["Name"] for page in pages for each in page["Buckets"]}:
        return None
    return s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] or _FIRST_REGION


@dataclass(frozen=True)
class Found:
    """What is there of ours. buckets: those that exist, and whether their tags stand, which are put
    last; key_id: of the key; alias: whether it stands. A run may have been stopped anywhere."""

    buckets: Mapping[str, bool]
    key_id: str | None
    alias: bool

    def complete(self, names: Names) -> bool:
        """Whether state can lie here, with secrets."""
        return self.alias and self.buckets.get(names.state_bucket, False)


def survey(cloud: Cloud, names: Names) -> Found:
    """Looks, and changes nothing. Raises BootstrapError at what is somebody else's."""
    s3, kms = cloud.client("s3"), cloud.client("kms")
    tagged = {
        bucket: _tagged(cloud, s3, names, bucket)
        for bucket in (names.state_bucket, names.logs_bucket)
    }
    buckets = {bucket: done for bucket, done in tagged.items() if done is not None}
    key_id = _of_alias(kms, names)
    if key_id is not None:
        return Found(buckets, key_id, True)
    return Found(buckets, _orphan(kms, names), False)


def _tagged(cloud: Cloud, s3: Any, names: Names, bucket: str) -> bool | None:
    """Whether a bucket of ours has its tags, None without a bucket. One that nobody has put
    anything on or in is taken for ours."""
    region = bucket_region(cloud, bucket)
    if region is None:
        return None
    if region != names.region:
        raise BootstrapError(
            f"bucket {bucket} is in {region}, not {names.region}: run this with --region {region}"
        )
    try:
        tags = {t["Key"]: t["Value"] for t in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchTagSet":
            raise
        tags = {}
    if ours(tags, names):
        return True
    if not tags and not _holds_something(s3, bucket):
        return False
    raise BootstrapError(
        f"bucket {bucket} belongs to somebody else: it has not the tags Project={names.prefix}, "
        "ManagedBy=pulumi; choose another --name, or put them on it if it is yours"
    )


def ours(tags: Mapping[str, str], names: Names) -> bool:
    """Whether tags say that something is of this bootstrap."""
    return all(tags.get(key) == names.tags[key] for key in ("Project", "ManagedBy"))


def _holds_something(s3: Any, bucket: str) -> bool:
    found = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
    return bool(found.get("Versions") or found.get("DeleteMarkers"))


def _key_tags(kms: Any, key_id: str) -> dict[str, str]:
    found = kms.list_resource_tags(KeyId=key_id)["Tags"]
    return {tag["TagKey"]: tag["TagValue"] for tag in found}


def _of_alias(kms: Any, names: Names) -> str | None:
    """The id of the alias's key, None without an alias."""
    try:
        key = kms.describe_key(KeyId=names.key_alias)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        return None
    if not ours(_key_tags(kms, key["KeyId"]), names):
        raise BootstrapError(
            f"{names.key_alias} in {names.region} is somebody else's key: it has not the tags "
            f"Project={names.prefix}, ManagedBy=pulumi; choose another --name"
        )
    if key["KeyState"] != "Enabled":
        raise BootstrapError(
            f"the key of {names.key_alias} in {names.region} is {key['KeyState']}: no secret can "
            "be read; cancel its deletion or enable it first"
        )
    return str(key["KeyId"])


def _orphan(kms: Any, names: Names) -> str | None:
    """A key of ours without an alias: a run was stopped between the two."""
    for page in kms.get_paginator("list_keys").paginate():
        for each in page["Keys"]:
            key_id = str(each["KeyId"])
            try:
                key = kms.describe_key(KeyId=key_id)["KeyMetadata"]
                if key["Description"] != DESCRIPTION or key["KeyState"] != "Enabled":
                    continue
                if ours(_key_tags(kms, key_id), names):
                    return key_id
            except ClientError as error:
                # a key whose policy keeps us from looking at it is not ours
                if error.response["Error"]["Code"] != "AccessDeniedException":
                    raise
    return None


def ensure(cloud: Cloud, names: Names, found: Found, report: Report) -> Found:
    """Makes what `survey` did not find of key and bucket, closed before any state is in it."""
    key_id = found.key_id or _make_key(cloud, names, report)
    if not found.alias:
        kms = cloud.client("kms")
        kms.enable_key_rotation(KeyId=key_id)
        kms.create_alias(AliasName=names.key_alias, TargetKeyId=key_id)
    if names.state_bucket not in found.buckets:
        _make_bucket(cloud, names, report)
    if not found.buckets.get(names.state_bucket):
        _guard(cloud, names, key_id)
    return Found({**found.buckets, names.state_bucket: True}, key_id, True)


def _make_key(cloud: Cloud, names: Names, report: Report) -> str:
    report(f"making the key {names.key_alias} in {names.region}")
    tags = [{"TagKey": key, "TagValue": value} for key, value in names.tags.items()]
    made = cloud.client("kms").create_key(
        Description=DESCRIPTION,
        KeyUsage="ENCRYPT_DECRYPT",
        Policy=key_policy(names),
        Tags=tags,
    )
    return str(made["KeyMetadata"]["KeyId"])


def _make_bucket(cloud: Cloud, names: Names, report: Report) -> None:
    report(f"making bucket {names.state_bucket}")
    place = {"LocationConstraint": names.region}
    try:
        cloud.client("s3").create_bucket(
            Bucket=names.state_bucket,
            **({} if names.region == _FIRST_REGION else {"CreateBucketConfiguration": place}),
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyExists":
            raise
        raise BootstrapError(
            f"bucket {names.state_bucket} belongs to another account; choose another --name"
        ) from None


def _guard(cloud: Cloud, names: Names, key_id: str) -> None:
    """What must hold before the first byte of state; the program keeps it so from then on. The
    tags come last: by them a bucket counts as done."""
    s3, bucket = cloud.client("s3"), names.state_bucket
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(_CLOSED, True)
    )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    arn = f"arn:aws:kms:{names.region}:{names.account}:key/{key_id}"
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    tags = {**names.tags, "Purpose": PURPOSE}
    s3.put_bucket_tagging(
        Bucket=bucket, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags.items()]}
    )
