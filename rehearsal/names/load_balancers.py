"""Names of network load balancers, which answer with the addresses of their targets.

A client that asks for such a name is led straight to a target: there is no balancing, no health
check and no port of the load balancer's own. What that would make wrong is a problem instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rehearsal.names.zones import Record, Zone, plain

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

_PASSED_ON = ("TCP", "UDP", "TCP_UDP")


@dataclass(frozen=True)
class BalancerNames:
    """zones: one a load balancer, of its own name alone, and private if it is internal.

    problems: one sentence for each load balancer whose name has no address, and why.
    """

    zones: tuple[Zone, ...] = ()
    problems: tuple[str, ...] = ()


class _NotRehearsedError(Exception):
    """In a few words, for the end of a sentence."""


def read_load_balancers(ec2: EC2Client, elb: Any) -> BalancerNames:
    """Read it from the cloud. Raises one of AWAY when it doesn't answer."""
    zones, problems = [], []
    for page in elb.get_paginator("describe_load_balancers").paginate():
        for balancer in page["LoadBalancers"]:
            if balancer["Type"] != "network":
                continue
            name, internal = plain(balancer["DNSName"]), balancer["Scheme"] == "internal"
            addresses: tuple[str, ...] = ()
            try:
                addresses = _addresses(ec2, _targets(elb, balancer), internal)
            except _NotRehearsedError as error:
                problems.append(f"{name} has no address: {error}")
            records = (Record("A", values=addresses),) if addresses else ()
            zones.append(Zone(name, {name: records}, private=internal))
    return BalancerNames(tuple(zones), tuple(problems))


def _targets(elb: Any, balancer: Mapping[str, Any]) -> frozenset[str]:
    """Instance ids. One name has the same addresses at each port, so its listeners must agree."""
    found: set[frozenset[str]] = set()
    for page in elb.get_paginator("describe_listeners").paginate(
        LoadBalancerArn=balancer["LoadBalancerArn"]
    ):
        for listener in page["Listeners"]:
            port = listener["Port"]
            if listener["Protocol"] not in _PASSED_ON:
                reason = f"its listener of port {port} ends {listener['Protocol']}"
                raise _NotRehearsedError(f"{reason}, which nothing does here")
            for group in _groups(listener["DefaultActions"]):
                found.add(_registered(elb, group, port))
    if len(found) > 1:
        raise _NotRehearsedError("its listeners lead to different targets")
    return next(iter(found), frozenset())


def _groups(actions: Iterable[Mapping[str, Any]]) -> set[str]:
    """The target groups that a listener leads to, in either way of saying so."""
    groups = {action["TargetGroupArn"] for action in actions if "TargetGroupArn" in action}
    for action in actions:
        for group in action.get("ForwardConfig", {}).get("TargetGroups", ()):
            groups.add(group["TargetGroupArn"])
    return groups


def _registered(elb: Any, group: str, port: int) -> frozenset[str]:
    (told,) = elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
    if told["TargetType"] != "instance":
        reason = f"the targets of {told['TargetGroupName']} are of type {told['TargetType']}"
        raise _NotRehearsedError(f"{reason}, and only instances are rehearsed")
    registered = frozenset[str]()
    for each in elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]:
        target = each["Target"]
        if target["Port"] != port:
            reason = f"port {port} would have to become {target['Port']} on the way to a target"
            raise _NotRehearsedError(f"{reason}; listen on the targets' own port")
        registered |= {target["Id"]}
    return registered


def _addresses(ec2: EC2Client, targets: frozenset[str], internal: bool) -> tuple[str, ...]:
    """Of those that run: inside the VPC, or on the internet if that is where the name is for."""
    key = "PrivateIpAddress" if internal else "PublicIpAddress"
    if not targets:
        return ()
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": "instance-id", "Values": sorted(targets)},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
    )
    found = (
        instance.get(key)
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    )
    return tuple(sorted(address for address in found if isinstance(address, str)))
