"""S3: the lives of a bucket's settings and objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.aws.conftest import DEFAULT_TAGS, Aws
from tests.rehearsal.plugins.aws.made import BUCKET, Made, make, unique
from tests.rehearsal.plugins.aws.storage import (
    BLOCK,
    ENCRYPTION,
    EXPIRE,
    KEY_ARN,
    LIFECYCLE,
    LOGGING,
    OBJECT,
    OWNERSHIP,
    POLICY,
    VERSIONING,
    encryption,
    policy_of,
)
from tests.rehearsal.plugins.harness import Plugin, PluginError


def _bucket(plugin: Plugin, **inputs: Any) -> Made:
    return make(plugin, BUCKET, bucket=unique("bucket"), **inputs)


@pytest.mark.parametrize(
    ("token", "inputs", "changed", "alike"),
    [
        (
            VERSIONING,
            {"versioningConfiguration": {"status": "Enabled"}},
            {"versioningConfiguration": {"status": "Suspended"}},
            {},
        ),
        (
            ENCRYPTION,
            {"rules": encryption(sseAlgorithm="AES256")},
            {
                "rules": [
                    {
                        **encryption(sseAlgorithm="aws:kms", kmsMasterKeyId=KEY_ARN)[0],
                        "bucketKeyEnabled": True,
                    }
                ]
            },
            {"rules": [{**encryption(sseAlgorithm="AES256")[0], "bucketKeyEnabled": False}]},
        ),
        (
            OWNERSHIP,
            {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
            {"rule": {"objectOwnership": "BucketOwnerPreferred"}},
            {},
        ),
        (
            BLOCK,
            {"blockPublicAcls": True, "blockPublicPolicy": True},
            {"ignorePublicAcls": True, "restrictPublicBuckets": True},
            {"restrictPublicBuckets": False},
        ),
        (
            LIFECYCLE,
            {"rules": [{**EXPIRE, "filter": {"prefix": ""}}]},
            {
                "rules": [
                    {
                        **EXPIRE,
                        "filter": {"and": {"prefix": "logs/", "tags": {"a": "b"}}},
                        "transitions": [
                            {"days": 30, "storageClass": "STANDARD_IA"},
                            {"days": 60, "storageClass": "GLACIER"},
                        ],
                        "noncurrentVersionTransitions": [
                            {
                                "noncurrentDays": 30,
                                "newerNoncurrentVersions": 2,
                                "storageClass": "GLACIER_IR",
                            }
                        ],
                    },
                    {
                        "id": "b",
                        "status": "Disabled",
                        "filter": {"prefix": "x/"},
                        "expiration": {"expiredObjectDeleteMarker": True},
                        "noncurrentVersionExpiration": {"noncurrentDays": 7},
                        "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                    },
                    {
                        "id": "c",
                        "status": "Enabled",
                        "filter": {"tag": {"key": "a", "value": "b"}},
                        "expiration": {"date": "2030-01-01T00:00:00Z"},
                    },
                ]
            },
            {"rules": [EXPIRE]},
        ),
    ],
)
def test_settings_live(
    plugin: Plugin,
    token: str,
    inputs: dict[str, Any],
    changed: dict[str, Any],
    alike: dict[str, Any],
) -> None:
    bucket = _bucket(plugin)
    made = make(plugin, token, bucket=bucket.id, **inputs)
    assert made.id == bucket.id
    assert not made.diff(**alike).changes
    made.update(**changed)
    for key in changed:
        assert made.outputs.get(key) == made.inputs.get(key)
        assert made.imported()[key] == made.inputs[key]
    assert made.diff(bucket="another-one").replaces == ["bucket"]
    if token == VERSIONING:  # has no other end
        plugin.delete(token, made.id, made.inputs, made.outputs)
        found = plugin.read(token, made.id).inputs["versioningConfiguration"]
        assert found == {"status": "Suspended"}
    else:
        made.delete()
    bucket.delete()
    with pytest.raises(PluginError, match=r"^creating S3 bucket .*: NoSuchBucket: "):
        plugin.create(token, made.inputs)


def test_what_was_set_by_hand_is_drift(aws: Aws, plugin: Plugin) -> None:
    bucket, s3 = _bucket(plugin), aws.client("s3")
    lifecycle = make(plugin, LIFECYCLE, bucket=bucket.id, rules=[EXPIRE])
    live = s3.get_bucket_lifecycle_configuration(Bucket=bucket.id)["Rules"]
    live[0] |= {"Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Expiration": {"Days": 7}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket.id, LifecycleConfiguration={"Rules": live})
    (rule,) = lifecycle.refresh()["rules"]
    assert rule["filter"] == {"tag": {"key": "a", "value": "b"}}
    assert rule["expiration"] == {"days": 7}

    policy = make(plugin, POLICY, bucket=bucket.id, policy=policy_of(f"arn:aws:s3:::{bucket.id}/*"))
    s3.delete_bucket_policy(Bucket=bucket.id)
    assert policy.refresh() == {"": None}
    bucket.delete()


def test_policy_lives(aws: Aws, plugin: Plugin) -> None:
    bucket = _bucket(plugin)
    resource = f"arn:aws:s3:::{bucket.id}/*"
    policy = make(plugin, POLICY, bucket=bucket.id, policy=policy_of(resource))
    spaced = json.dumps(json.loads(policy_of(resource)), indent=2)
    assert not policy.diff(policy=spaced).changes  # the same document
    policy.update(policy=policy_of(resource, Action="s3:GetObject"))
    found = aws.client("s3").get_bucket_policy(Bucket=bucket.id)["Policy"]
    assert json.loads(found)["Statement"][0]["Action"] == "s3:GetObject"
    assert json.loads(policy.imported()["policy"]) == json.loads(policy.inputs["policy"])
    policy.delete()
    bucket.delete()


def test_policy_that_aws_would_refuse(plugin: Plugin) -> None:
    bucket = _bucket(plugin)
    arn = f"arn:aws:s3:::{bucket.id}"
    with pytest.raises(PluginError, match=r"MalformedPolicy: Policy has invalid resource: arn:"):
        make(plugin, POLICY, bucket=bucket.id, policy=policy_of("arn:aws:s3:::other/*"))
    public = policy_of(f"{arn}/*", Principal="*")
    with pytest.raises(PluginError, match=r"AccessDenied: public policies are prevented"):
        make(plugin, POLICY, bucket=bucket.id, policy=public)  # a new bucket is closed
    open = make(plugin, BLOCK, bucket=bucket.id, restrictPublicBuckets=True)
    policy = make(plugin, POLICY, bucket=bucket.id, policy=public)
    open.update(blockPublicPolicy=True)
    for confined in (
        {"Effect": "Deny"},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}},
    ):
        policy.update(policy=policy_of(f"{arn}/*", **{"Principal": {"AWS": "*"}, **confined}))
    for everybody in (
        {"Bool": {"aws:SecureTransport": "true"}},
        {"StringLike": {"aws:SourceArn": "*"}},
    ):
        news = policy.inputs | {
            "policy": policy_of(f"{arn}/*", Principal={"AWS": ["*"]}, Condition=everybody)
        }
        with pytest.raises(PluginError, match=r"AccessDenied: public policies are prevented"):
            plugin.update(POLICY, policy.id, policy.inputs, policy.outputs, news)
    for made in (policy, open, bucket):
        made.delete()


def test_logging_lives_where_the_log_may_be_written(aws: Aws, plugin: Plugin) -> None:
    bucket, logs = _bucket(plugin), _bucket(plugin, forceDestroy=True)
    wanted = {"bucket": bucket.id, "targetBucket": logs.id, "targetPrefix": "s3/bucket/"}
    refused = r"^creating S3 bucket logging: InvalidTargetBucketForLogging: .* does not allow"
    with pytest.raises(PluginError, match=refused):
        make(plugin, LOGGING, **wanted)
    policy = make(
        plugin, POLICY, bucket=logs.id, policy=policy_of(f"arn:aws:s3:::{logs.id}/other/*")
    )
    with pytest.raises(PluginError, match=refused):
        make(plugin, LOGGING, **wanted)
    policy.update(policy=policy_of(f"arn:aws:s3:::{logs.id}/s3/*"))
    logging = make(plugin, LOGGING, **wanted)
    found = aws.client("s3").get_bucket_logging(Bucket=bucket.id)["LoggingEnabled"]
    assert found == {"TargetBucket": logs.id, "TargetPrefix": "s3/bucket/"}
    logging.update(targetPrefix="s3/elsewhere/")
    assert logging.imported()["targetBucket"] == logs.id
    for made in (logging, policy, logs):
        made.delete()
    with pytest.raises(PluginError, match=f"the target bucket {logs.id} does not exist"):
        make(plugin, LOGGING, **wanted)
    bucket.delete()


def test_object_lives(aws: Aws, plugin: Plugin) -> None:
    bucket, s3 = _bucket(plugin), aws.client("s3")
    make(plugin, VERSIONING, bucket=bucket.id, versioningConfiguration={"status": "Enabled"})
    make(
        plugin,
        ENCRYPTION,
        bucket=bucket.id,
        rules=encryption(sseAlgorithm="aws:kms", kmsMasterKeyId=KEY_ARN),
    )
    text = make(
        plugin,
        OBJECT,
        bucket=bucket.id,
        key="a/keys.json",
        content='{"ü": 1}',
        contentType="application/json",
        tags={"a": "b c"},
    )
    make(plugin, OBJECT, bucket=bucket.id, key="a/keys.json.bak", content="")
    assert text.id == f"{bucket.id}/a/keys.json"
    assert text.outputs["arn"] == f"arn:aws:s3:::{text.id}"
    assert text.outputs["serverSideEncryption"] == "aws:kms"  # the bucket's
    assert text.outputs["tagsAll"] == {"a": "b c", **DEFAULT_TAGS}
    first = text.outputs["versionId"]
    text.update(tags={"c": "d"})
    assert text.outputs["versionId"] == first
    text.update(content="{}", cacheControl="max-age=60")
    assert text.outputs["versionId"] != first
    live = s3.get_object(Bucket=bucket.id, Key="a/keys.json")
    assert (live["Body"].read(), live["CacheControl"]) == (b"{}", "max-age=60")
    assert text.outputs["tagsAll"] == {"c": "d", **DEFAULT_TAGS}
    imported = text.imported()
    assert (imported["key"], imported["contentType"]) == ("a/keys.json", "application/json")
    assert text.diff(key="b").replaces == ["key"]
    news = plugin.check(OBJECT, text.inputs | {"content": UNKNOWN}, text.inputs)
    planned = plugin.update(OBJECT, text.id, text.inputs, text.outputs, news, preview=True)
    assert planned["versionId"] is UNKNOWN and planned["arn"] == text.outputs["arn"]

    text.delete()
    left = s3.list_object_versions(Bucket=bucket.id)
    assert "DeleteMarkers" not in left
    assert [version["Key"] for version in left["Versions"]] == ["a/keys.json.bak"]
    bucket.update(forceDestroy=True)
    bucket.delete()


def test_object_of_too_many_tags_is_not_made(aws: Aws, plugin: Plugin) -> None:
    bucket = _bucket(plugin)
    wanted = {"bucket": bucket.id, "key": "a", "content": "a"}
    ten = {f"tag{index}": "x" for index in range(10)}
    with pytest.raises(PluginError, match=r"Object tags cannot be greater than 10; .* have 11"):
        make(plugin, OBJECT, **wanted, tags=ten)
    assert "Contents" not in aws.client("s3").list_objects_v2(Bucket=bucket.id)
    bucket.delete()


def test_bucket_goes_with_versions_and_markers_if_told_to(aws: Aws, plugin: Plugin) -> None:
    bucket, s3 = _bucket(plugin), aws.client("s3")
    make(plugin, VERSIONING, bucket=bucket.id, versioningConfiguration={"status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=bucket.id, Key="k", Body=body)
    s3.delete_object(Bucket=bucket.id, Key="k")
    with pytest.raises(PluginError, match=r"^deleting S3 bucket .*BucketNotEmpty"):
        plugin.delete(BUCKET, bucket.id, bucket.inputs, bucket.outputs)
    bucket.update(forceDestroy=True)
    bucket.delete()


def test_bucket_and_its_settings_in_another_region(aws: Aws, plugin: Plugin) -> None:
    there = {"bucket": unique("bucket"), "region": "us-east-1"}
    bucket = make(plugin, BUCKET, **there)
    assert bucket.outputs["bucketRegion"] == "us-east-1"
    block = make(plugin, BLOCK, **there, blockPublicAcls=True)
    found = plugin.read(BLOCK, f"{bucket.id}@us-east-1")
    assert found.inputs["blockPublicAcls"] is True and found.outputs["region"] == "us-east-1"
    block.delete()
    bucket.delete()
