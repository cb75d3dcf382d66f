"""CloudFront: origin access control and distribution."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.plugins.aws.cloud import code
from rehearsal.plugins.aws.kinds import Boolean, Input, String
from rehearsal.plugins.aws.resources import cloudfront_config
from rehearsal.plugins.aws.resources.acm import check_usable
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.resources.route53_record import CLOUDFRONT_ZONE
from rehearsal.plugins.aws.schema import AutoName, Operation, ResourceType
from rehearsal.plugins.protocol import Properties, ProviderError

_CERTIFICATE_REGION = "us-east-1"  # the one whose certificates CloudFront takes


def _cloudfront(op: Operation) -> Any:
    return op.cloud.client("cloudfront")


_CONTROL = {
    "name": "Name",
    "description": "Description",
    "originAccessControlOriginType": "OriginAccessControlOriginType",
    "signingBehavior": "SigningBehavior",
    "signingProtocol": "SigningProtocol",
}


def _control_config(op: Operation) -> dict[str, str]:
    return {theirs: op.inputs[ours] for ours, theirs in _CONTROL.items()}


def _create_control(op: Operation) -> str:
    pages = _cloudfront(op).get_paginator("list_origin_access_controls").paginate()
    names = [c["Name"] for page in pages for c in page["OriginAccessControlList"].get("Items", ())]
    if op.inputs["name"] in names:  # moto would keep both
        raise ProviderError(
            "OriginAccessControlAlreadyExists: An origin access control with the name "
            f"{op.inputs['name']} already exists"
        )
    made = _cloudfront(op).create_origin_access_control(
        OriginAccessControlConfig=_control_config(op)
    )
    return str(made["OriginAccessControl"]["Id"])


def _read_control(op: Operation) -> Properties | None:
    found = _cloudfront(op).get_origin_access_control(Id=op.id)
    config = found["OriginAccessControl"]["OriginAccessControlConfig"]
    return {
        **{ours: config.get(theirs) or None for ours, theirs in _CONTROL.items()},
        "arn": f"arn:aws:cloudfront::{op.cloud.account}:origin-access-control/{op.id}",
        "etag": found["ETag"],
    }


def _update_control(op: Operation, changed: frozenset[str]) -> None:
    etag = _cloudfront(op).get_origin_access_control(Id=op.id)["ETag"]
    _cloudfront(op).update_origin_access_control(
        Id=op.id, IfMatch=etag, OriginAccessControlConfig=_control_config(op)
    )


def _delete_control(op: Operation) -> None:
    etag = _cloudfront(op).get_origin_access_control(Id=op.id)["ETag"]
    _cloudfront(op).delete_origin_access_control(Id=op.id, IfMatch=etag)


ORIGIN_ACCESS_CONTROL = ResourceType(
    token="aws:cloudfront/originAccessControl:OriginAccessControl",
    noun="CloudFront origin access control",
    inputs={
        "name": Input(String(longest=64)),
        "description": Input(String(longest=256), default="Managed by Pulumi"),
        "originAccessControlOriginType": Input(
            String(choices=("lambda", "mediapackagev2", "mediastore", "s3")), required=True
        ),
        "signingBehavior": Input(String(choices=("always", "never", "no-override")), required=True),
        "signingProtocol": Input(String(choices=("sigv4",)), required=True),
    },
    outputs=("arn", "etag"),
    create=_create_control,
    read=_read_control,
    update=_update_control,
    delete=_delete_control,
    autoname=AutoName("name", longest=64),
    regional=False,
)


def _check_parts(op: Operation) -> None:
    """Refuses what CloudFront would refuse of the things a distribution names; moto takes any."""
    for origin in op.inputs["origins"]:
        if control := origin.get("originAccessControlId"):
            _cloudfront(op).get_origin_access_control(Id=control)
    if arn := op.inputs["viewerCertificate"].get("acmCertificateArn"):
        try:
            check_usable(
                op.cloud.in_region(_CERTIFICATE_REGION), arn, op.inputs.get("aliases") or ()
            )
        except ProviderError as error:
            raise ProviderError(f"InvalidViewerCertificate: {error}") from None
    if logs := op.inputs.get("loggingConfig"):
        _check_logs(op, cloudfront_config.bucket_name(logs["bucket"]))


def _check_logs(op: Operation, bucket: str) -> None:
    """CloudFront grants itself the right to write by the bucket's access control list."""
    s3 = op.cloud.client("s3")
    s3.head_bucket(Bucket=bucket)
    try:
        rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    except Exception as error:
        if code(error) != "OwnershipControlsNotFoundError":
            raise
        rules = []
    if not rules or rules[0]["ObjectOwnership"] == "BucketOwnerEnforced":
        raise ProviderError(
            f"InvalidArgument: the bucket for CloudFront logs, {bucket}, does not enable ACL "
            "access; give it ownership controls with BucketOwnerPreferred"
        )


def _create(op: Operation) -> str:
    _check_parts(op)
    made = _cloudfront(op).create_distribution_with_tags(
        DistributionConfigWithTags={
            "DistributionConfig": cloudfront_config.to_aws(op.inputs, uuid.uuid4().hex),
            "Tags": {"Items": tag_list(op.tags)},
        }
    )
    return str(made["Distribution"]["Id"])


def _settle(op: Operation) -> None:
    if op.inputs["waitForDeployment"]:
        _await_deployment(op)


def _await_deployment(op: Operation) -> None:
    def deployed() -> bool:
        return bool(_cloudfront(op).get_distribution(Id=op.id)["Distribution"]["Status"] != _BUSY)

    op.wait(f"distribution {op.id} to be deployed", deployed)


_BUSY = "InProgress"


def _read(op: Operation) -> Properties | None:
    found = _cloudfront(op).get_distribution(Id=op.id)
    live, config = found["Distribution"], found["Distribution"]["DistributionConfig"]
    tags = _cloudfront(op).list_tags_for_resource(Resource=live["ARN"])["Tags"]["Items"]
    return {
        **cloudfront_config.from_aws(op, config),
        "arn": live["ARN"],
        "callerReference": config["CallerReference"],
        "domainName": live["DomainName"],
        "etag": found["ETag"],
        "hostedZoneId": CLOUDFRONT_ZONE,
        "inProgressValidationBatches": live["InProgressInvalidationBatches"],
        "lastModifiedTime": f"{live['LastModifiedTime']:%Y-%m-%d %H:%M:%S} +0000 UTC",
        "loggingV1Enabled": config["Logging"]["Enabled"],
        "status": live["Status"],
        "tags": tag_map(tags),
    }


def _update(op: Operation, changed: frozenset[str]) -> None:
    if changed == {"waitForDeployment"}:
        return
    _check_parts(op)
    live = _cloudfront(op).get_distribution_config(Id=op.id)
    reference = live["DistributionConfig"]["CallerReference"]
    _cloudfront(op).update_distribution(
        Id=op.id,
        IfMatch=live["ETag"],
        DistributionConfig=cloudfront_config.to_aws(op.inputs, reference),
    )
    _settle(op)


def _delete(op: Operation) -> None:
    """AWS deletes only a distribution that is off, and off everywhere."""
    live = _cloudfront(op).get_distribution_config(Id=op.id)
    if live["DistributionConfig"]["Enabled"]:
        _cloudfront(op).update_distribution(
            Id=op.id,
            IfMatch=live["ETag"],
            DistributionConfig=live["DistributionConfig"] | {"Enabled": False},
        )
    _await_deployment(op)
    etag = _cloudfront(op).get_distribution_config(Id=op.id)["ETag"]
    _cloudfront(op).delete_distribution(Id=op.id, IfMatch=etag)


def _arn(op: Operation) -> str:
    return f"arn:aws:cloudfront::{op.cloud.account}:distribution/{op.id}"


def _retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    if stale:
        _cloudfront(op).untag_resource(Resource=_arn(op), TagKeys={"Items": list(stale)})
    if fresh:
        _cloudfront(op).tag_resource(Resource=_arn(op), Tags={"Items": tag_list(fresh)})


DISTRIBUTION = ResourceType(
    token="aws:cloudfront/distribution:Distribution",
    noun="CloudFront distribution",
    inputs={**cloudfront_config.INPUTS, "waitForDeployment": Input(Boolean(), default=True)},
    outputs=(
        "arn",
        "callerReference",
        "domainName",
        "etag",
        "hostedZoneId",
        "inProgressValidationBatches",
        "lastModifiedTime",
        "loggingV1Enabled",
        "status",
    ),
    create=_create,
    settle=_settle,
    read=_read,
    update=_update,
    delete=_delete,
    retag=_retag,
    validate=cloudfront_config.validate,
    regional=False,
)

RESOURCE_TYPES = (ORIGIN_ACCESS_CONTROL, DISTRIBUTION)
