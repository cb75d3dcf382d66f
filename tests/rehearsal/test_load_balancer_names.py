"""Names of network load balancers: their targets' addresses, or none and why."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from rehearsal.names.load_balancers import read_load_balancers
from rehearsal.names.zones import Known, View, mirror_zone
from rehearsal.network.ec2 import client
from tests.rehearsal.moto_server import moto_server

MIRRORS = mirror_zone(IPv4Address("192.0.2.1"))
REGION = "eu-central-1"


class Balanced:
    """A VPC with two instances, one of them with a public address, and load balancers over them."""

    def __init__(self, ec2: Any, elb: Any) -> None:
        self.ec2, self.elb = ec2, elb
        self.vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.8.0.0/24")
        self.subnet = subnet["Subnet"]["SubnetId"]
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        launch = {"ImageId": image, "SubnetId": self.subnet, "MinCount": 1, "MaxCount": 1}
        self.ids = [
            ec2.run_instances(PrivateIpAddress=address, **launch)["Instances"][0]["InstanceId"]
            for address in ("10.8.0.10", "10.8.0.11")
        ]
        address = ec2.allocate_address(Domain="vpc")
        ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=self.ids[0])
        self.public = address["PublicIp"]

    def make(self, name: str, scheme: str = "internal", kind: str = "network") -> str:
        """A load balancer's ARN."""
        made = self.elb.create_load_balancer(
            Name=name, Type=kind, Scheme=scheme, Subnets=[self.subnet]
        )
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    def listen(self, balancer: str, port: int, to: int, *targets: str, **more: str) -> None:
        protocol, kind = more.get("protocol", "TCP"), more.get("kind", "instance")
        group = self.elb.create_target_group(
            Name=f"to-{to}-{len(self.elb.describe_target_groups()['TargetGroups'])}",
            **{"Protocol": "TCP", "Port": to, "VpcId": self.vpc, "TargetType": kind},
        )["TargetGroups"][0]["TargetGroupArn"]
        if targets:
            self.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": t} for t in targets])
        self.elb.create_listener(
            LoadBalancerArn=balancer,
            **{"Port": port, "Protocol": protocol},
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )

    def addresses(self, name: str, vpc: bool) -> list[str]:
        """What the name of a load balancer answers in a view."""
        zones = read_load_balancers(self.ec2, self.elb).zones
        view = View(lambda: Known(zones, IPv4Network("10.8.0.0/16")), vpc, MIRRORS, REGION)
        answer = view.answer(f"{name}-1.{REGION}.elb.amazonaws.com", "A")
        return [str(rr.rdata) for rr in answer.records]


@pytest.fixture(scope="module")
def balanced() -> Iterator[Balanced]:
    with moto_server() as endpoint:
        yield Balanced(client("ec2", endpoint, REGION), client("elbv2", endpoint, REGION))


def test_the_name_is_its_targets_that_run(balanced: Balanced) -> None:
    internal = balanced.make("inside")
    assert balanced.addresses("inside", vpc=True) == []
    balanced.listen(internal, 6443, 6443, *balanced.ids)
    assert balanced.addresses("inside", vpc=True) == ["10.8.0.10", "10.8.0.11"]
    assert balanced.addresses("inside", vpc=False) == []
    balanced.ec2.stop_instances(InstanceIds=[balanced.ids[1]])
    assert balanced.addresses("inside", vpc=True) == ["10.8.0.10"]
    balanced.ec2.start_instances(InstanceIds=[balanced.ids[1]])


def test_one_for_the_internet_has_the_public_addresses_alone(balanced: Balanced) -> None:
    balanced.listen(balanced.make("outside", "internet-facing"), 443, 443, *balanced.ids)
    for vpc in (True, False):
        assert balanced.addresses("outside", vpc) == [balanced.public]


def test_one_of_http_has_none(balanced: Balanced) -> None:
    balanced.make("pages", kind="application")
    found = read_load_balancers(balanced.ec2, balanced.elb)
    assert not any(zone.origin.startswith("pages-") for zone in found.zones)


def test_what_a_target_could_not_stand_for_has_no_address_but_a_reason(
    balanced: Balanced,
) -> None:
    first, second = balanced.ids
    balanced.listen(balanced.make("ports"), 443, 6443, first)
    balanced.listen(balanced.make("tls"), 443, 443, first, protocol="TLS")
    balanced.listen(balanced.make("by-address"), 443, 443, "10.8.0.10", kind="ip")
    differing = balanced.make("differing")
    balanced.listen(differing, 443, 443, first)
    balanced.listen(differing, 6443, 6443, second)
    problems = read_load_balancers(balanced.ec2, balanced.elb).problems
    reasons = {
        "ports": "port 443 would have to become 6443",
        "tls": "its listener of port 443 ends TLS",
        "by-address": "are of type ip, and only instances are rehearsed",
        "differing": "its listeners lead to different targets",
    }
    assert len(problems) == len(reasons)
    for name, reason in reasons.items():
        (said,) = (problem for problem in problems if problem.startswith(f"{name}-1."))
        assert "has no address" in said and reason in said
        assert balanced.addresses(name, vpc=True) == []
