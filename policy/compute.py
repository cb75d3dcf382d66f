"""Instances and their volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pulumi_policy import ResourceValidationArgs

from policy.rules import Findings, resource_rule

INSTANCE = "aws:ec2/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
VOLUME = "aws:ebs/volume:Volume"
DEFAULT_ENCRYPTION = "aws:ebs/encryptionByDefault:EncryptionByDefault"


def _metadata(resource: ResourceValidationArgs) -> Findings:
    options = resource.props.get("metadataOptions") or {}
    if options.get("httpEndpoint") != "disabled" and options.get("httpTokens") != "required":
        yield (
            "answers metadata requests without a session token (IMDSv1): "
            'set metadata_options.http_tokens to "required".'
        )


def _encryption(resource: ResourceValidationArgs) -> Findings:
    if resource.resource_type == DEFAULT_ENCRYPTION:
        if resource.props.get("enabled") is False:
            yield "switches the account's encryption of new volumes off: set enabled to True."
        return
    for what, volume in _volumes(resource):
        if volume.get("encrypted") not in (True, "true"):
            yield f"leaves {what} unencrypted: set {what}.encrypted to True."


def _volumes(resource: ResourceValidationArgs) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each volume by the property that describes it. An instance always has a root volume, and
    the image's own settings, which hold where the program says nothing, encrypt none."""
    props = resource.props
    if resource.resource_type == VOLUME:
        yield "the volume", props
    elif resource.resource_type == INSTANCE:
        yield "root_block_device", props.get("rootBlockDevice") or {}
        for index, device in enumerate(props.get("ebsBlockDevices") or ()):
            yield f"ebs_block_devices[{index}]", device
    else:
        for index, mapping in enumerate(props.get("blockDeviceMappings") or ()):
            if ebs := mapping.get("ebs"):
                yield f"block_device_mappings[{index}].ebs", ebs


def _public_address(resource: ResourceValidationArgs) -> Findings:
    fix = "leave it out, and give a node that must be reached an Elastic IP"
    if resource.props.get("associatePublicIpAddress") is True:
        yield f"gets a public address at launch: associate_public_ip_address is True; {fix}."
    for index, interface in enumerate(resource.props.get("networkInterfaces") or ()):
        if interface.get("associatePublicIpAddress") in (True, "true"):
            yield (
                f"gets a public address at launch: network_interfaces[{index}]"
                f".associate_public_ip_address is True; {fix}."
            )


RULES = [
    resource_rule(
        "imds-v2",
        "Instance metadata is answered to session tokens alone",
        (INSTANCE, TEMPLATE),
        _metadata,
        checkov=("CKV_AWS_79",),
    ),
    resource_rule(
        "volumes-encrypted",
        "Every volume is encrypted",
        (INSTANCE, TEMPLATE, VOLUME, DEFAULT_ENCRYPTION),
        _encryption,
        checkov=("CKV_AWS_3", "CKV_AWS_8", "CKV_AWS_106"),
    ),
    resource_rule(
        "no-public-address-at-launch",
        "An instance has a public address only as an Elastic IP of its own",
        (INSTANCE, TEMPLATE),
        _public_address,
        checkov=("CKV_AWS_88",),
    ),
]
