"""Route 53: record set, of values or an alias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rehearsal.plugins.aws.kinds import (
    Boolean,
    DomainName,
    Input,
    Integer,
    ListOf,
    Record,
    SetOf,
    String,
)
from rehearsal.plugins.aws.resources.route53_common import (
    change_record,
    client,
    find_record,
    plain,
    record_values,
)
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import UNKNOWN, Properties, ProviderError

CLOUDFRONT_ZONE = "Z2FDTNDATAQYW2"  # of all distributions (AliasTarget, Route 53's API reference)
_CLOUDFRONT_NAME = ".cloudfront.net"
_BALANCER_NAME = ".elb.amazonaws.com"
_QUOTED = ("TXT", "SPF")


def _parts(id: str) -> tuple[str, str, str]:
    """Zone, absolute name and type of a record's id."""
    zone, _, rest = id.partition("_")
    name, _, type = rest.rpartition("_")
    return zone, name, type


def _apex(op: Operation, zone: str) -> str:
    return plain(client(op).get_hosted_zone(Id=zone)["HostedZone"]["Name"])


def _full_name(op: Operation, apex: str) -> str:
    """The record's absolute name without the last dot; the program may give it inside the zone."""
    name = op.inputs["name"].rstrip(".").lower()
    if not name:
        return apex
    return name if name == apex or name.endswith("." + apex) else f"{name}.{apex}"


def _record_set(op: Operation, name: str) -> dict[str, Any]:
    inputs = op.inputs
    record: dict[str, Any] = {"Name": name, "Type": inputs["type"]}
    if inputs.get("aliases"):
        alias = inputs["aliases"][0]
        _check_alias(op, alias)
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


def _check_alias(op: Operation, alias: Mapping[str, Any]) -> None:
    """Refuses a target that Route 53 would refuse; moto takes any."""
    zone, type = op.inputs["zoneId"], op.inputs["type"]
    target, name = alias["zoneId"], plain(alias["name"])
    tried = (
        f"InvalidChangeBatch: Tried to create an alias that targets {name}., "
        f"type {type} in zone {target}, but"
    )
    if target == zone:
        apex = _apex(op, zone)
        if name != apex and not name.endswith("." + apex):
            raise ProviderError(f"{tried} that name does not lie within the target zone")
        if not find_record(client(op), zone, name, type):
            raise ProviderError(f"{tried} that target was not found")
    elif name.endswith(_CLOUDFRONT_NAME):
        if alias["evaluateTargetHealth"]:
            raise ProviderError(
                "InvalidInput: EvaluateTargetHealth cannot be true for an alias to a distribution"
            )
        if target != CLOUDFRONT_ZONE:
            raise ProviderError(f"{tried} the zone of distributions is {CLOUDFRONT_ZONE}")
    elif name.endswith(_BALANCER_NAME):
        pages = op.cloud.client("elbv2").get_paginator("describe_load_balancers").paginate()
        zones = [
            balancer["CanonicalHostedZoneId"]
            for page in pages
            for balancer in page["LoadBalancers"]
            if plain(balancer["DNSName"]) == name
        ]
        if zones and target not in zones:
            raise ProviderError(f"{tried} that load balancer's zone is {zones[0]}")
    else:
        raise ProviderError(
            f"alias to {name} in zone {target}: this stand-in knows aliases to records of "
            "the same zone, to load balancers and to distributions"
        )


def _create(op: Operation) -> str:
    zone, type = op.inputs["zoneId"], op.inputs["type"]
    name = _full_name(op, _apex(op, zone))
    over = op.inputs.get("allowOverwrite")
    if not over and find_record(client(op), zone, name, type):  # moto would keep both
        raise ProviderError(
            f"InvalidChangeBatch: Tried to create resource record set [name='{name}.', "
            f"type='{type}'] but it already exists"
        )
    change_record(op, zone, "UPSERT" if over else "CREATE", _record_set(op, name))
    return f"{zone}_{name}_{type}"


def _read(op: Operation) -> Properties | None:
    zone, name, type = _parts(op.id)
    record = find_record(client(op), zone, name, type)
    if record is None:
        return None
    values = record_values(record)
    if type in _QUOTED:
        values = [value[1:-1] if value[:1] == '"' else value for value in values]
    target = record.get("AliasTarget")
    alias = (
        {
            "name": plain(target["DNSName"]),
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


def _update(op: Operation, changed: frozenset[str]) -> None:
    if changed - {"allowOverwrite"}:
        zone, name, _ = _parts(op.id)
        change_record(op, zone, "UPSERT", _record_set(op, name))


def _delete(op: Operation) -> None:
    zone, name, type = _parts(op.id)
    if record := find_record(client(op), zone, name, type):  # AWS deletes what is told exactly
        change_record(op, zone, "DELETE", record)


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    plain_ones = [key for key in ("ttl", "records") if key in inputs]
    if "aliases" in inputs:
        refusals: list[tuple[str, str]] = []
        refusals += [(key, "cannot be set together with aliases") for key in plain_ones]
        aliases = inputs["aliases"]
        if aliases is not UNKNOWN and len(aliases) != 1:
            refusals.append(("aliases", f"must be one, not {len(aliases)}"))
        return refusals
    if len(plain_ones) < 2:
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
    create=_create,
    read=_read,
    update=_update,
    delete=_delete,
    validate=_validate,
    regional=False,
    delete_before_replace=True,  # a CNAME stands beside nothing else of its name
)

RESOURCE_TYPES = (RECORD,)
