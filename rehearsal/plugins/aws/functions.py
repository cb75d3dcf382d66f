"""The provider's functions (data sources)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.plugins.aws.cloud import Cloud
from rehearsal.plugins.aws.resources.ec2_common import tag_map
from rehearsal.plugins.aws.resources.route53 import get_zone
from rehearsal.plugins.protocol import Properties, ProviderError


def _known(token: str, args: Properties, *names: str) -> Properties:
    """The arguments that were given; refuses those this stand-in does not act on."""
    given = {key: value for key, value in args.items() if value is not None}
    for key in sorted(given.keys() - set(names)):
        raise ProviderError(f"{token}: argument '{key}' is not handled by this stand-in")
    return given


def _filters(given: Properties) -> list[dict[str, Any]]:
    return [{"Name": f["name"], "Values": list(f["values"])} for f in given.get("filters") or ()]


def _get_ami(cloud: Cloud, args: Properties) -> Properties:
    token = "aws:ec2/getAmi:getAmi"
    names = ("filters", "mostRecent", "nameRegex", "owners", "region", "includeDeprecated")
    given = _known(token, args, *names, "allowUnsafeFilter")
    cloud = cloud.in_region(given.get("region"))
    asked: dict[str, Any] = {"Filters": _filters(given)}
    if given.get("owners"):
        asked["Owners"] = list(given["owners"])
    images = cloud.client("ec2").describe_images(**asked)["Images"]
    if pattern := given.get("nameRegex"):
        images = [image for image in images if re.search(pattern, image.get("Name", ""))]
    if not images:
        raise ProviderError("no AMI matches; loosen owners, filters or nameRegex")
    if len(images) > 1 and not given.get("mostRecent"):
        raise ProviderError(f"{len(images)} AMIs match; narrow the search or set mostRecent")
    image = max(images, key=lambda each: each.get("CreationDate", ""))
    return {
        **_image(cloud, image),
        "region": cloud.region,
        **given,
    }


def _image(cloud: Cloud, image: Mapping[str, Any]) -> Properties:
    mappings = image.get("BlockDeviceMappings") or []
    root = image.get("RootDeviceName")
    ebs: Mapping[str, Any] = next(
        (m.get("Ebs", {}) for m in mappings if m["DeviceName"] == root), {}
    )
    id = image["ImageId"]
    return {
        "id": id,
        "imageId": id,
        "arn": f"arn:aws:ec2:{cloud.region}::image/{id}",
        "name": image.get("Name"),
        "description": image.get("Description"),
        "architecture": image.get("Architecture"),
        "creationDate": image.get("CreationDate"),
        "ownerId": image.get("OwnerId"),
        "imageLocation": image.get("ImageLocation"),
        "imageType": image.get("ImageType"),
        "hypervisor": image.get("Hypervisor"),
        "platform": image.get("Platform"),
        "public": image.get("Public", False),
        "rootDeviceName": root,
        "rootDeviceType": image.get("RootDeviceType"),
        "rootSnapshotId": ebs.get("SnapshotId"),
        "state": image.get("State"),
        "virtualizationType": image.get("VirtualizationType"),
        "enaSupport": image.get("EnaSupport", False),
        "blockDeviceMappings": [
            {
                "deviceName": mapping["DeviceName"],
                "noDevice": "",
                "virtualName": "",
                "ebs": {
                    "snapshot_id": str(mapping.get("Ebs", {}).get("SnapshotId", "")),
                    "volume_size": str(mapping.get("Ebs", {}).get("VolumeSize", "")),
                    "volume_type": str(mapping.get("Ebs", {}).get("VolumeType", "")),
                },
            }
            for mapping in mappings
        ],
        "productCodes": [],
        "tags": tag_map(image.get("Tags")),
    }


def _get_availability_zones(cloud: Cloud, args: Properties) -> Properties:
    token = "aws:index/getAvailabilityZones:getAvailabilityZones"
    names = ("state", "filters", "excludeNames", "excludeZoneIds", "allAvailabilityZones")
    given = _known(token, args, *names, "region")
    cloud = cloud.in_region(given.get("region"))
    filters = _filters(given)
    if state := given.get("state"):
        filters.append({"Name": "state", "Values": [state]})
    asked: dict[str, Any] = {"Filters": filters} if filters else {}
    asked["AllAvailabilityZones"] = bool(given.get("allAvailabilityZones"))
    zones = cloud.client("ec2").describe_availability_zones(**asked)["AvailabilityZones"]
    zones = sorted(
        (
            zone
            for zone in zones
            if zone["ZoneName"] not in (given.get("excludeNames") or ())
            and zone["ZoneId"] not in (given.get("excludeZoneIds") or ())
        ),
        key=lambda zone: str(zone["ZoneName"]),
    )
    return {
        **given,
        "id": cloud.region,
        "region": cloud.region,
        "names": [zone["ZoneName"] for zone in zones],
        "zoneIds": [zone["ZoneId"] for zone in zones],
        "groupNames": sorted({zone.get("GroupName") or cloud.region for zone in zones}),
    }


def _get_caller_identity(cloud: Cloud, args: Properties) -> Properties:
    _known("aws:index/getCallerIdentity:getCallerIdentity", args)
    caller = cloud.client("sts").get_caller_identity()
    account = caller["Account"]
    return {"id": account, "accountId": account, "arn": caller["Arn"], "userId": caller["UserId"]}


def _get_region(cloud: Cloud, args: Properties) -> Properties:
    given = _known("aws:index/getRegion:getRegion", args, "region")
    region = cloud.in_region(given.get("region")).region
    return {
        "id": region,
        "name": region,
        "region": region,
        "description": region,
        "endpoint": f"ec2.{region}.amazonaws.com",
    }


def _get_partition(cloud: Cloud, args: Properties) -> Properties:
    _known("aws:index/getPartition:getPartition", args)
    partition, suffix = cloud.partition
    return {
        "id": partition,
        "partition": partition,
        "dnsSuffix": suffix,
        "reverseDnsPrefix": ".".join(reversed(suffix.split("."))),
    }


FUNCTIONS: dict[str, Callable[[Cloud, Properties], Properties]] = {
    "aws:ec2/getAmi:getAmi": _get_ami,
    "aws:index/getAvailabilityZones:getAvailabilityZones": _get_availability_zones,
    "aws:index/getCallerIdentity:getCallerIdentity": _get_caller_identity,
    "aws:index/getPartition:getPartition": _get_partition,
    "aws:index/getRegion:getRegion": _get_region,
    "aws:route53/getZone:getZone": get_zone,
}
