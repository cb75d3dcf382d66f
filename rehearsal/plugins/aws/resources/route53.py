"""Route 53: hosted zone, public or private to VPCs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.plugins.aws.cloud import Cloud
from rehearsal.plugins.aws.kinds import Boolean, Change, DomainName, Input, Record, SetOf, String
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.resources.route53_common import (
    change_record,
    client,
    find_record,
    plain,
    record_values,
    synced,
)
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import Properties, ProviderError

_VPCS = SetOf(
    Record({"vpcId": Input(String(), required=True), "vpcRegion": Input(String(), computed=True)})
)


def _vpc(op: Operation, vpc: Mapping[str, Any]) -> dict[str, str]:
    return {"VPCId": vpc["vpcId"], "VPCRegion": vpc.get("vpcRegion") or op.cloud.region}


def _create(op: Operation) -> str:
    vpcs = op.inputs.get("vpcs") or []
    made = client(op).create_hosted_zone(
        Name=op.inputs["name"],
        CallerReference=uuid.uuid4().hex,
        HostedZoneConfig={"Comment": op.inputs["comment"], "PrivateZone": bool(vpcs)},
        **({"VPC": _vpc(op, vpcs[0])} if vpcs else {}),
    )
    synced(op, made)
    return str(made["HostedZone"]["Id"]).rpartition("/")[2]


def _settle(op: Operation) -> None:
    if op.inputs.get("vpcs"):
        _associate(op)
    if op.tags:
        _retag(op, op.tags, ())


def _associate(op: Operation) -> None:
    """The VPCs of the inputs see the zone, and no others do."""
    route53 = client(op)
    wanted = {vpc["vpcId"]: _vpc(op, vpc) for vpc in op.inputs.get("vpcs") or ()}
    now = {vpc["VPCId"]: vpc for vpc in route53.get_hosted_zone(Id=op.id).get("VPCs", [])}
    for id in wanted.keys() - now.keys():  # first: a private zone must never be without a VPC
        synced(op, route53.associate_vpc_with_hosted_zone(HostedZoneId=op.id, VPC=wanted[id]))
    for id in now.keys() - wanted.keys():
        synced(op, route53.disassociate_vpc_from_hosted_zone(HostedZoneId=op.id, VPC=now[id]))


def _live_vpcs(op: Operation, found: Mapping[str, Any]) -> Any:
    live = [{"vpcId": vpc["VPCId"], "vpcRegion": vpc["VPCRegion"]} for vpc in found.get("VPCs", [])]
    kept = op.inputs.get("vpcs")
    known = [{"vpcRegion": op.cloud.region, **vpc} for vpc in kept or ()]
    same = _VPCS.compare(known, live, Change.UPDATE) is Change.NONE
    return kept if kept and same else live or None


def _servers(route53: Any, found: Mapping[str, Any]) -> list[str]:
    """The zone's name servers. found: as `get_hosted_zone` gives it."""
    servers = (found.get("DelegationSet") or {}).get("NameServers")
    if not servers:  # a private zone tells them in its own NS record
        zone = found["HostedZone"]
        servers = record_values(find_record(route53, zone["Id"], zone["Name"], "NS"))
    return sorted(server.rstrip(".") for server in servers)


def _tags(route53: Any, id: str) -> dict[str, str]:
    answer = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=id)
    return tag_map(answer["ResourceTagSet"]["Tags"])


def _read(op: Operation) -> Properties | None:
    found = client(op).get_hosted_zone(Id=op.id)
    zone, servers = found["HostedZone"], _servers(client(op), found)
    return {
        "name": zone["Name"].rstrip("."),
        "comment": zone["Config"].get("Comment"),
        "vpcs": _live_vpcs(op, found),
        "arn": f"arn:aws:route53:::hostedzone/{op.id}",
        "zoneId": op.id,
        "nameServers": servers,
        "primaryNameServer": servers[0] if servers else None,
        "tags": _tags(client(op), op.id),
    }


def _update(op: Operation, changed: frozenset[str]) -> None:
    if "comment" in changed:
        client(op).update_hosted_zone_comment(Id=op.id, Comment=op.inputs["comment"])
    if "vpcs" in changed:
        _associate(op)


def _delete(op: Operation) -> None:
    route53 = client(op)
    if op.get("forceDestroy"):
        apex = route53.get_hosted_zone(Id=op.id)["HostedZone"]["Name"]
        pages = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=op.id)
        records = [record for page in pages for record in page["ResourceRecordSets"]]
        for record in records:
            if record["Name"] != apex or record["Type"] not in ("NS", "SOA"):
                change_record(op, op.id, "DELETE", record)
    synced(op, route53.delete_hosted_zone(Id=op.id))


def _retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    client(op).change_tags_for_resource(
        ResourceType="hostedzone",
        ResourceId=op.id,
        **({"AddTags": tag_list(fresh)} if fresh else {}),
        **({"RemoveTagKeys": list(stale)} if stale else {}),
    )


def _public_or_private(changed: Any, olds: Properties, news: Properties) -> list[str]:
    """A zone is public or private for life."""
    return ["vpcs"] if "vpcs" in changed and not (olds.get("vpcs") and news.get("vpcs")) else []


ZONE = ResourceType(
    token="aws:route53/zone:Zone",
    noun="Route 53 hosted zone",
    inputs={
        "name": Input(DomainName(longest=1024), required=True, force_new=True),
        "comment": Input(String(longest=256), default="Managed by Pulumi"),
        "vpcs": Input(_VPCS),
        "forceDestroy": Input(Boolean(), default=False),
    },
    outputs=("arn", "zoneId", "nameServers", "primaryNameServer"),
    create=_create,
    settle=_settle,
    read=_read,
    update=_update,
    delete=_delete,
    retag=_retag,
    also_replaces=_public_or_private,
    regional=False,
)

_GET_ZONE = "aws:route53/getZone:getZone"


def get_zone(cloud: Cloud, args: Properties) -> Properties:
    """The function getZone: one zone, by id, or by name among the public or the private ones."""
    given = {key: value for key, value in args.items() if value is not None}
    for key in sorted(given.keys() - {"zoneId", "name", "privateZone"}):
        raise ProviderError(f"{_GET_ZONE}: argument '{key}' is not handled by this stand-in")
    if ("zoneId" in given) == ("name" in given):
        raise ProviderError(f"{_GET_ZONE}: either zoneId or name is needed")
    route53 = cloud.client("route53")
    id = given.get("zoneId") or _named(route53, given["name"], bool(given.get("privateZone")))
    found = route53.get_hosted_zone(Id=id)
    zone, servers = found["HostedZone"], _servers(route53, found)
    id = str(zone["Id"]).rpartition("/")[2]
    return {
        "id": id,
        "zoneId": id,
        "arn": f"arn:aws:route53:::hostedzone/{id}",
        "name": zone["Name"].rstrip("."),
        "comment": zone["Config"].get("Comment"),
        "callerReference": zone["CallerReference"],
        "privateZone": bool(zone["Config"].get("PrivateZone")),
        "resourceRecordSetCount": zone["ResourceRecordSetCount"],
        "nameServers": servers,
        "primaryNameServer": servers[0] if servers else None,
        "tags": _tags(route53, id),
    }


def _named(route53: Any, name: str, private: bool) -> str:
    pages = route53.get_paginator("list_hosted_zones").paginate()
    ids = [
        str(zone["Id"])
        for page in pages
        for zone in page["HostedZones"]
        if plain(zone["Name"]) == plain(name) and bool(zone["Config"].get("PrivateZone")) == private
    ]
    if len(ids) == 1:
        return ids[0]
    kind = "private" if private else "public"
    count = "no" if not ids else str(len(ids))
    raise ProviderError(f"{_GET_ZONE}: {count} {kind} hosted zones of {name}; name one by zoneId")


RESOURCE_TYPES = (ZONE,)
