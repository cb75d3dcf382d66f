"""The rehearsal's cloud: moto's AWS APIs, the state bucket, the secrets key, the AMI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bootstrap.names import Names
from rehearsal import leftovers

ENDPOINT = "http://198.51.100.1:5000"
REGION = "ap-northeast-2"
AMI_NAME = "debian-12-amd64-rehearsal"
_ACCOUNT = "123456789012"  # moto's default account
# what the bootstrap makes: where the state lies, and its key
STATE = Names("groundwork", _ACCOUNT, REGION)

# What the AWS SDKs of every part are told. These are no secrets: moto checks none.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ENDPOINT_URL": ENDPOINT,
    "AWS_EC2_METADATA_DISABLED": "true",
    # moto's answers carry no checksums, which the SDKs would warn of each time
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}


def client(service: str, region: str = REGION) -> Any:
    """A boto3 client of the rehearsal's cloud; usable inside gw-internet alone."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"max_attempts": 3},
            s3={"addressing_style": "path"},
            proxies={},  # the person's own cannot be reached from where the cloud is
        ),
    )


def write_amis(file: Path) -> None:
    """The images that moto knows: one, the hosts' base."""
    ami = {
        "ami_id": "ami-0d1b2a3c4e5f60718",
        "name": AMI_NAME,
        "description": "Debian 12, the rehearsal's hosts",
        "owner_id": _ACCOUNT,
        "public": False,
        "virtualization_type": "hvm",
        "architecture": "x86_64",
        "state": "available",
        "platform": None,
        "image_type": "machine",
        "hypervisor": "xen",
        "root_device_name": "/dev/xvda",
        "root_device_type": "ebs",
        "sriov": "simple",
        "creation_date": "2026-01-01T00:00:00.000Z",
    }
    file.write_text(json.dumps([ami]))


def locks(stack: str) -> list[dict[str, Any]]:
    """A stack's locks: who holds them, as the engine wrote it (pid, hostname, timestamp)."""
    s3 = client("s3")
    prefix = f".pulumi/locks/organization/groundwork/{stack}/"
    found = s3.list_objects_v2(Bucket=STATE.state_bucket, Prefix=prefix).get("Contents", [])
    return [
        {
            "key": item["Key"],
            **json.loads(s3.get_object(Bucket=STATE.state_bucket, Key=item["Key"])["Body"].read()),
        }
        for item in found
    ]


def left_over() -> list[str]:
    """What still exists in the cloud beside the bootstrap's, a line each; empty after a destroy."""
    return list(leftovers.find(client, STATE))
