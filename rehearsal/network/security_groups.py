"""Reads EC2's security groups: what each of their rules lets pass."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from rehearsal.network.plan import Permission, SecurityGroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import (
        FilterTypeDef,
        InstanceTypeDef,
        IpPermissionOutputTypeDef,
        SecurityGroupTypeDef,
    )

_ALL = "-1"
_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17}
_ICMP, _WITH_PORTS = 1, (6, 17)


def read_security_groups(
    ec2: EC2Client, here: Sequence[FilterTypeDef], problems: list[str]
) -> tuple[dict[str, SecurityGroup], str | None]:
    """A VPC's groups by id, and the id of its default one, whose name cannot be changed.

    here: the VPC's filter. problems: gets a sentence for each rule that is not rehearsed.
    """
    described = [
        group
        for page in ec2.get_paginator("describe_security_groups").paginate(Filters=here)
        for group in page["SecurityGroups"]
    ]
    default = next((group["GroupId"] for group in described if group["GroupName"] == "default"), "")
    return {group["GroupId"]: _group(group, problems) for group in described}, default or None


def groups_of(
    instance: InstanceTypeDef,
    known: Mapping[str, SecurityGroup],
    default: str | None,
    problems: list[str],
) -> tuple[str, ...]:
    """Ids of an instance's groups, sorted; the VPC's default group when it has none of its own."""
    interfaces = instance.get("NetworkInterfaces", ())
    # The instance's own list follows every change in moto; the interface's keeps what it was
    # launched with, and has that alone until the first change.
    groups = instance.get("SecurityGroups") or (interfaces[0]["Groups"] if interfaces else ())
    ids = {group["GroupId"] for group in groups}
    if not ids and default is not None:
        ids = {default}
    problems += [
        f"Instance {instance['InstanceId']} is of security group {gone}, which is deleted: nothing "
        "passes by it; give the instance another."
        for gone in sorted(ids - known.keys())
    ]
    return tuple(sorted(ids & known.keys()))


def _group(group: SecurityGroupTypeDef, problems: list[str]) -> SecurityGroup:
    name = group["GroupId"]
    return SecurityGroup(
        id=name,
        ingress=_permissions(name, group["IpPermissions"], problems),
        egress=_permissions(name, group["IpPermissionsEgress"], problems),
    )


def _permissions(
    group: str, described: Sequence[IpPermissionOutputTypeDef], problems: list[str]
) -> tuple[Permission, ...]:
    permissions: list[Permission] = []
    for entry in described:
        problems += (
            f"Security group {group}'s rule for {peer} is not rehearsed: rules for IPv4 CIDRs and "
            "groups are."
            for peer in _other_peers(entry)
        )
        peers: list[IPv4Network | str] = [
            *(IPv4Network(each["CidrIp"], strict=False) for each in entry.get("IpRanges", ())),
            *(each["GroupId"] for each in entry.get("UserIdGroupPairs", ())),
        ]
        if not peers:
            continue
        protocol = entry["IpProtocol"]
        first, last = entry.get("FromPort", -1), entry.get("ToPort", -1)
        number = _NUMBERS.get(protocol) or (int(protocol) if protocol.isdigit() else None)
        if (number is None and protocol != _ALL) or not _sound(number, first, last):
            problems.append(
                f"Security group {group}'s rule of protocol {protocol}, ports {first} to {last}, "
                "is not rehearsed: EC2 knows none like it."
            )
            continue
        permissions += (Permission(peer, number, first, last) for peer in peers)
    return tuple(permissions)


def _other_peers(entry: IpPermissionOutputTypeDef) -> Iterator[str]:
    yield from (f"prefix list {each['PrefixListId']}" for each in entry.get("PrefixListIds", ()))
    yield from (each["CidrIpv6"] for each in entry.get("Ipv6Ranges", ()))


def _sound(number: int | None, first: int, last: int) -> bool:
    if number in _WITH_PORTS:
        return 0 <= first <= last <= 65535
    if number == _ICMP:
        return (0 <= first <= 255 and -1 <= last <= 255) or first == last == -1
    return number is None or number <= 255
