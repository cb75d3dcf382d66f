"""Reads the zones from the cloud's Route 53, and the names of its load balancers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from rehearsal.names.load_balancers import read_load_balancers
from rehearsal.names.zones import TTL_S, Known, Record, Zone, plain
from rehearsal.network.ec2 import AWAY, own_vpcs

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_route53.client import Route53Client


def read_known(ec2: EC2Client, route53: Route53Client, elb: Any) -> Known:
    """Read it from the cloud. Raises one of AWAY when it doesn't answer.

    A private zone counts where AWS answers it: in a VPC it is associated with, that has both
    DNS support and DNS host names.
    """
    vpcs = own_vpcs(ec2)[:1]
    resolving = {vpc["VpcId"] for vpc in vpcs if _resolves_private_zones(ec2, vpc["VpcId"])}
    zones = []
    for page in route53.get_paginator("list_hosted_zones").paginate():
        for zone in page["HostedZones"]:
            private = bool(zone["Config"].get("PrivateZone"))
            if private:
                associated = route53.get_hosted_zone(Id=zone["Id"])["VPCs"]
                if resolving.isdisjoint(vpc["VPCId"] for vpc in associated):
                    continue
            zones.append(Zone(plain(zone["Name"]), _read_records(route53, zone["Id"]), private))
    balancers = read_load_balancers(ec2, elb)
    return Known(
        (*zones, *balancers.zones),
        IPv4Network(vpcs[0]["CidrBlock"]) if vpcs else None,
        balancers.problems,
    )


def _resolves_private_zones(ec2: EC2Client, vpc_id: str) -> bool:
    support = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute="enableDnsSupport")
    names = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute="enableDnsHostnames")
    return bool(support["EnableDnsSupport"].get("Value")) and bool(
        names["EnableDnsHostnames"].get("Value")
    )


def _read_records(route53: Route53Client, zone_id: str) -> dict[str, list[Record]]:
    records: dict[str, list[Record]] = {}
    for page in route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone_id):
        for found in page["ResourceRecordSets"]:
            if found["Type"] == "SOA":
                continue  # answered by `_soa`; moto's own text is no rdata
            alias = found.get("AliasTarget")
            records.setdefault(plain(found["Name"]), []).append(
                Record(
                    type=found["Type"],
                    ttl=int(found.get("TTL", TTL_S)),
                    values=tuple(item["Value"] for item in found.get("ResourceRecords", ())),
                    alias=plain(alias["DNSName"]) if alias else None,
                )
            )
    return records


class Cache:
    """Reads again when asked, once what it has is older than `age_s` seconds.

    While the cloud is away it answers what it knew last; None when it never knew. What is not
    rehearsed goes to stderr, once.
    """

    def __init__(self, read: Callable[[], Known], age_s: float = 1.0) -> None:
        self._read, self._age_s = read, age_s
        self._lock = threading.Lock()
        self._known: Known | None = None
        self._next = 0.0
        self._away = False

    def __call__(self) -> Known | None:
        with self._lock:
            if time.monotonic() >= self._next:
                try:
                    known = self._read()
                    for problem in known.problems:
                        if self._known is None or problem not in self._known.problems:
                            print(f"names: {problem}", file=sys.stderr)
                    self._known, self._away = known, False
                except AWAY as error:
                    if not self._away:
                        print(f"names: the cloud doesn't answer: {error}", file=sys.stderr)
                    self._away = True
                self._next = time.monotonic() + self._age_s
            return self._known
