"""Route 53: hosted zone (public, or private to VPCs) and record."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.plugins.aws.kinds import (
    Boolean,
    Change,
    DomainName,
    Input,
    Integer,
    ListOf,
    Record,
    SetOf,
    String,
)
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import UNKNOWN, Properties, ProviderError

_VPCS = SetOf(
    Record({"vpcId": Input(String(), required=True), "vpcRegion": Input(String(), computed=True)})
)
_BUSY = ("PriorRequestNotComplete", "Throttling", "ConcurrentModification")


def _route53(op: Operation) -> Any:
    return op.cloud.client("route53")


def _synced(op: Operation, answer: Mapping[str, Any]) -> None:
    """Waits until all name servers know of a change."""
    change = answer["ChangeInfo"]
    if change["Status"] != "INSYNC":
        op.wait(
            "the change to reach all name servers",
            lambda: _route53(op).get_change(Id=change["Id"])["ChangeInfo"]["Status"] == "INSYNC",
        )


def _vpc(op: Operation, vpc: Mapping[str, Any]) -> dict[str, str]:
    return {"VPCId": vpc["vpcId"], "VPCRegion": vpc.get("vpcRegion") or op.cloud.region}


def _create_zone(op: Operation) -> str:
    vpcs = op.inputs.get("vpcs") or []
    made = _route53(op).create_hosted_zone(
        Name=op.inputs["name"],
        CallerReference=uuid.uuid4().hex,
        HostedZoneConfig={"Comment": op.inputs["comment"], "PrivateZone": bool(vpcs)},
        **({"VPC": _vpc(op, vpcs[0])} if vpcs else {}),
    )
    _synced(op, made)
    return str(made["HostedZone"]["Id"]).rpartition("/")[2]


def _settle_zone(op: Operation) -> None:
    if op.inputs.get("vpcs"):
        _associate(op)
    if op.tags:
        _retag_zone(op, op.tags, ())


def _associate(op: Operation) -> None:
    """The VPCs of the inputs see the zone, and no others do."""
    wanted = {vpc["vpcId"]: _vpc(op, vpc) for vpc in op.inputs.get("vpcs") or ()}
    now = {vpc["VPCId"]: vpc for vpc in _route53(op).get_hosted_zone(Id=op.id).get("VPCs", [])}
    for id in wanted.keys() - now.keys():  # first: a private zone must never be without a VPC
        _synced(op, _route53(op).associate_vpc_with_hosted_zone(HostedZoneId=op.id, VPC=wanted[id]))
    for id in now.keys() - wanted.keys():
        _synced(op, _route53(op).disassociate_vpc_from_hosted_zone(HostedZoneId=op.id, VPC=now[id]))


def _live_vpcs(op: Operation, found: Mapping[str, Any]) -> Any:
    live = [{"vpcId": vpc["VPCId"], "vpcRegion": vpc["VPCRegion"]} for vpc in found.get("VPCs", [])]
    kept = op.inputs.get("vpcs")
    known = [{"vpcRegion": op.cloud.region, **vpc} for vpc in kept or ()]
    same = _VPCS.compare(known, live, Change.UPDATE) is Change.NONE
    return kept if kept and same else live or None


def _read_zone(op: Operation) -> Properties | None:
    found = _route53(op).get_hosted_zone(Id=op.id)
    zone = found["HostedZone"]
    servers = (found.get("DelegationSet") or {}).get("NameServers")
    if not servers:  # a private zone tells them in its own NS record
        servers = _record_values(op, op.id, zone["Name"], "NS")
    servers = sorted(server.rstrip(".") for server in servers)
    tags = _route53(op).list_tags_for_resource(ResourceType="hostedzone", ResourceId=op.id)
    return {
        "name": zone["Name"].rstrip("."),
        "comment": zone["Config"].get("Comment"),
        "vpcs": _live_vpcs(op, found),
        "arn": f"arn:aws:route53:::hostedzone/{op.id}",
        "zoneId": op.id,
        "nameServers": servers,
        "primaryNameServer": servers[0] if servers else None,
        "tags": tag_map(tags["ResourceTagSet"]["Tags"]),
    }


def _record_values(op: Operation, zone: str, name: str, type: str) -> list[str]:
    found = _find(op, zone, name, type)
    return [record["Value"] for record in (found or {}).get("ResourceRecords", [])]


def _update_zone(op: Operation, changed: frozenset[str]) -> None:
    if "comment" in changed:
        _route53(op).update_hosted_zone_comment(Id=op.id, Comment=op.inputs["comment"])
    if "vpcs" in changed:
        _associate(op)


def _delete_zone(op: Operation) -> None:
    if op.get("forceDestroy"):
        apex = _route53(op).get_hosted_zone(Id=op.id)["HostedZone"]["Name"]
        pages = _route53(op).get_paginator("list_resource_record_sets").paginate(HostedZoneId=op.id)
        records = [record for page in pages for record in page["ResourceRecordSets"]]
        for record in records:
            if record["Name"] != apex or record["Type"] not in ("NS", "SOA"):
                _change(op, op.id, "DELETE", record)
    _synced(op, _route53(op).delete_hosted_zone(Id=op.id))


def _retag_zone(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    _route53(op).change_tags_for_resource(
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
    create=_create_zone,
    settle=_settle_zone,
    read=_read_zone,
    update=_update_zone,
    delete=_delete_zone,
    retag=_retag_zone,
    also_replaces=_public_or_private,
    regional=False,
)

_QUOTED = ("TXT", "SPF")


def _full_name(op: Operation, zone: str) -> str:
    """The record's absolute name without the last dot; the program may give it inside the zone."""
    apex = _route53(op).get_hosted_zone(Id=zone)["HostedZone"]["Name"].rstrip(".").lower()
    name = op.inputs["name"].rstrip(".").lower()
    if not name:
        return str(apex)
    return name if name == apex or name.endswith("." + apex) else f"{name}.{apex}"


def _record_set(op: Operation, name: str) -> dict[str, Any]:
    inputs = op.inputs
    record: dict[str, Any] = {"Name": name, "Type": inputs["type"]}
    if inputs.get("aliases"):
        alias = inputs["aliases"][0]
        return record | {
            "AliasTarget": {
                "DNSName": alias["name"],
                "HostedZoneId": alias["zoneId"],
                "EvaluateTargetHealth": alias["evaluateTargetHealth"],
            }
        }
    values = inputs["records"]
    if inputs["type"] in _QUOTED:
        values = [f'"{value}"' for value in values]
    return record | {"TTL": inputs["ttl"], "ResourceRecords": [{"Value": v} for v in values]}


def _change(op: Operation, zone: str, action: str, record: Mapping[str, Any]) -> None:
    batch = {
        "Comment": "Managed by Pulumi",
        "Changes": [{"Action": action, "ResourceRecordSet": record}],
    }
    answer = op.cloud.retry(
        _BUSY,
        lambda: _route53(op).change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch),
        op.deadline,
    )
    _synced(op, answer)


def _find(op: Operation, zone: str, name: str, type: str) -> Properties | None:
    """The live record set of exactly this name and type."""
    answer = _route53(op).list_resource_record_sets(
        HostedZoneId=zone, StartRecordName=name, StartRecordType=type, MaxItems="1"
    )
    for record in answer["ResourceRecordSets"]:
        same = _plain(record["Name"]) == _plain(name) and record["Type"] == type
        if same:
            found: Properties = record
            return found
    return None


def _plain(name: str) -> str:
    return name.replace("\\052", "*").rstrip(".").lower()


def _create_record(op: Operation) -> str:
    zone, type = op.inputs["zoneId"], op.inputs["type"]
    name = _full_name(op, zone)
    over = op.inputs.get("allowOverwrite")
    if not over and _find(op, zone, name, type):  # moto would keep both
        raise ProviderError(
            f"InvalidChangeBatch: Tried to create resource record set [name='{name}.', "
            f"type='{type}'] but it already exists"
        )
    _change(op, zone, "UPSERT" if over else "CREATE", _record_set(op, name))
    return f"{zone}_{name}_{type}"


def _read_record(op: Operation) -> Properties | None:
    zone, _, rest = op.id.partition("_")
    name, _, type = rest.rpartition("_")
    record = _find(op, zone, name, type)
    if record is None:
        return None
    values = [item["Value"] for item in record.get("ResourceRecords", [])]
    if type in _QUOTED:
        values = [value[1:-1] if value[:1] == '"' else value for value in values]
    target = record.get("AliasTarget")
    alias = (
        {
            "name": _plain(target["DNSName"]),
            "zoneId": target["HostedZoneId"],
            "evaluateTargetHealth": target["EvaluateTargetHealth"],
        }
        if target
        else None
    )
    return {
        "zoneId": zone,
        "name": op.get("name") or name,
        "type": type,
        "ttl": record.get("TTL"),
        "records": values or None,
        "aliases": [alias] if alias else None,
        "fqdn": name,
    }


def _update_record(op: Operation, changed: frozenset[str]) -> None:
    if changed - {"allowOverwrite"}:
        zone, _, rest = op.id.partition("_")
        _change(op, zone, "UPSERT", _record_set(op, rest.rpartition("_")[0]))


def _delete_record(op: Operation) -> None:
    zone, _, rest = op.id.partition("_")
    name, _, type = rest.rpartition("_")
    if record := _find(op, zone, name, type):  # AWS deletes only what is told exactly
        _change(op, zone, "DELETE", record)


def _validate_record(inputs: Properties) -> list[tuple[str, str]]:
    plain = [key for key in ("ttl", "records") if key in inputs]
    if "aliases" in inputs:
        refusals: list[tuple[str, str]] = []
        refusals += [(key, "cannot be set together with aliases") for key in plain]
        aliases = inputs["aliases"]
        if aliases is not UNKNOWN and len(aliases) != 1:
            refusals.append(("aliases", f"must be one, not {len(aliases)}"))
        return refusals
    if len(plain) < 2:
        return [("records", "and ttl, or else aliases, are needed")]
    return []


RECORD = ResourceType(
    token="aws:route53/record:Record",
    noun="Route 53 record",
    inputs={
        "zoneId": Input(String(), required=True, force_new=True),
        "name": Input(DomainName(), required=True, force_new=True),
        "type": Input(
            String(
                choices=("A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SPF", "SRV", "TXT")
            ),
            required=True,
            force_new=True,
        ),
        "ttl": Input(Integer(0, 2147483647)),
        "records": Input(SetOf(String())),
        "aliases": Input(
            ListOf(
                Record(
                    {
                        "name": Input(DomainName(), required=True),
                        "zoneId": Input(String(), required=True),
                        "evaluateTargetHealth": Input(Boolean(), required=True),
                    }
                )
            )
        ),
        "allowOverwrite": Input(Boolean(), computed=True),
    },
    outputs=("fqdn",),
    create=_create_record,
    read=_read_record,
    update=_update_record,
    delete=_delete_record,
    validate=_validate_record,
    regional=False,
    delete_before_replace=True,  # a CNAME stands beside nothing else of its name
)

RESOURCE_TYPES = (ZONE, RECORD)
