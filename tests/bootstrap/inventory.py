"""All that a bootstrap leaves in an account, in words that two runs have in common."""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.config import Config

from tests.bootstrap.roles import NAMES, REGION

Inventory = dict[str, Any]


def client(service: str, endpoint: str | None = None, region: str = REGION) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )


def inventory(endpoint: str | None = None) -> Inventory:
    """Ids that AWS makes up are replaced by what they stand for."""
    s3, kms = client("s3", endpoint), client("kms", endpoint)
    keys = [each["KeyId"] for each in kms.list_keys()["Keys"]]
    found: Inventory = {
        "keys": [_key(kms, key) for key in keys],
        "aliases": {
            each["AliasName"]: each.get("TargetKeyId") in keys
            for each in kms.list_aliases()["Aliases"]
            if not each["AliasName"].startswith("alias/aws/")
        },
        "buckets": {
            each["Name"]: _bucket(s3, each["Name"]) for each in s3.list_buckets()["Buckets"]
        },
        **_iam(client("iam", endpoint)),
    }
    text = json.dumps(found, sort_keys=True, default=str)
    for number, key in enumerate(keys):
        text = text.replace(key, f"key {number}")
    plain: Inventory = json.loads(text)
    return plain


def _key(kms: Any, key: str) -> Any:
    told = kms.describe_key(KeyId=key)["KeyMetadata"]
    return {
        "description": told["Description"],
        "state": told["KeyState"],
        "rotates": kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"],
        "policy": json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]),
        "tags": {t["TagKey"]: t["TagValue"] for t in kms.list_resource_tags(KeyId=key)["Tags"]},
    }


def _bucket(s3: Any, name: str) -> Any:
    return {
        "tags": _asked(s3, "tagging", "TagSet", name),
        "versions": s3.get_bucket_versioning(Bucket=name).get("Status"),
        "encryption": _asked(s3, "encryption", "ServerSideEncryptionConfiguration", name),
        "block": _asked(s3, "public", "PublicAccessBlockConfiguration", name),
        "policy": _asked(s3, "policy", "Policy", name),
        "lifecycle": _asked(s3, "lifecycle", "Rules", name),
        "log": s3.get_bucket_logging(Bucket=name).get("LoggingEnabled"),
    }


def _asked(s3: Any, what: str, key: str, bucket: str) -> Any:
    call = {
        "encryption": s3.get_bucket_encryption,
        "lifecycle": s3.get_bucket_lifecycle_configuration,
        "policy": s3.get_bucket_policy,
        "public": s3.get_public_access_block,
        "tagging": s3.get_bucket_tagging,
    }[what]
    try:
        found = call(Bucket=bucket)[key]
    except s3.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return json.loads(found) if what == "policy" else found


def _iam(iam: Any) -> Inventory:
    roles = {
        role["RoleName"]: {
            "arn": role["Arn"],
            "trust": role["AssumeRolePolicyDocument"],
            "own": {
                name: iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)[
                    "PolicyDocument"
                ]
                for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
            },
            "managed": sorted(
                each["PolicyArn"]
                for each in iam.list_attached_role_policies(RoleName=role["RoleName"])[
                    "AttachedPolicies"
                ]
            ),
        }
        for role in iam.list_roles()["Roles"]
    }
    policies = {each["Arn"]: each for each in iam.list_policies(Scope="Local")["Policies"]}
    return {
        "roles": roles,
        "policies": {
            arn: iam.get_policy_version(PolicyArn=arn, VersionId=each["DefaultVersionId"])[
                "PolicyVersion"
            ]["Document"]
            for arn, each in policies.items()
        },
        "issuers": [
            each["Arn"]
            for each in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        ],
    }


def state_versions(endpoint: str) -> list[tuple[str, str]]:
    """Each version, and deletion, of what is in the state's bucket."""
    found = client("s3", endpoint).list_object_versions(Bucket=NAMES.state_bucket)
    return sorted(
        (each["Key"], each["VersionId"])
        for kind in ("Versions", "DeleteMarkers")
        for each in found.get(kind, ())
    )
