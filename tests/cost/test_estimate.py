"""What resources cost: known, unknown, of a region without prices, and by use alone."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from cost.charges import BY_USE, FREE, PRICED, UNKNOWN
from cost.estimate import Estimate, as_data, estimate
from cost.preview import Planned
from cost.prices import read_prices
from tests.conftest import Environment

PRICES = read_prices()
SEOUL = "ap-northeast-2"
DISK = {"volumeType": "gp3", "volumeSize": 40}


def of(kind: str, inputs: dict[str, Any], region: str | None = SEOUL) -> Estimate:
    return estimate([Planned("infra", kind, "one", region, inputs)], PRICES)


INSTANCE = "aws:ec2/instance:Instance"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
PUBLIC = {"subnets": [UNKNOWN, UNKNOWN]}

KNOWN: list[tuple[str, dict[str, Any], str]] = [
    (INSTANCE, {"instanceType": "t3.small", "rootBlockDevice": DISK}, "22.628"),
    (INSTANCE, {"instanceType": "m5.large", "rootBlockDevice": DISK}, "89.788"),
    (
        INSTANCE,
        {
            "instanceType": "t3.small",
            "associatePublicIpAddress": True,
            "rootBlockDevice": {**DISK, "iops": 3000, "throughput": 125},
            "ebsBlockDevices": [{"deviceName": "/dev/sdf", "volumeType": "gp2", "volumeSize": 10}],
        },
        "27.418",
    ),
    ("aws:ebs/volume:Volume", {"type": "gp3", "size": 100}, "9.12"),
    ("aws:ec2/eip:Eip", {"domain": "vpc"}, "3.65"),
    ("aws:ec2/natGateway:NatGateway", {"allocationId": UNKNOWN}, "43.07"),
    ("aws:ec2/vpcEndpoint:VpcEndpoint", {"vpcEndpointType": "Gateway"}, "0"),
    ("aws:kms/key:Key", {}, "1"),
    (BALANCER, {"loadBalancerType": "application", "internal": False, **PUBLIC}, "23.725"),
    (BALANCER, {"loadBalancerType": "network", "internal": True, **PUBLIC}, "16.425"),
    ("aws:route53/zone:Zone", {"name": "example.com"}, "0.5"),
    ("aws:ec2/vpc:Vpc", {}, "0"),
    ("command:remote:Command", {}, "0"),
    ("kubernetes:core/v1:Namespace", {}, "0"),
    ("groundwork:infra:Infra", {}, "0"),
]


@pytest.mark.parametrize(("kind", "inputs", "monthly"), KNOWN)
def test_what_is_known_is_priced(kind: str, inputs: dict[str, Any], monthly: str) -> None:
    found = of(kind, inputs)
    assert found.gaps == ()
    assert found.total == Decimal(monthly)


def test_regions_have_prices_of_their_own() -> None:
    inputs = {"instanceType": "t3.small", "rootBlockDevice": DISK}
    assert of(INSTANCE, inputs, "us-east-1").total == Decimal("18.384")


GAPS: list[tuple[str, dict[str, Any], str | None, str]] = [
    (INSTANCE, {"instanceType": "x9.huge", "rootBlockDevice": DISK}, SEOUL, "instance x9.huge"),
    (INSTANCE, {"instanceType": UNKNOWN, "rootBlockDevice": DISK}, SEOUL, "not known yet"),
    (
        INSTANCE,
        {"instanceType": "t3.small", "tenancy": "dedicated", "rootBlockDevice": DISK},
        SEOUL,
        "tenancy dedicated",
    ),
    (
        INSTANCE,
        {"instanceType": "t3.small", "instanceMarketOptions": {}, "rootBlockDevice": {}},
        SEOUL,
        "left to the image",
    ),
    (
        INSTANCE,
        {"instanceType": "t3.small", "rootBlockDevice": {**DISK, "iops": 9000}},
        SEOUL,
        "root volume: iops",
    ),
    ("aws:ebs/volume:Volume", {"type": "io2", "size": 10}, SEOUL, "volume, io2, 10 GiB"),
    ("aws:ebs/volume:Volume", {"type": "gp3", "size": UNKNOWN}, SEOUL, "not known yet"),
    ("aws:ec2/natGateway:NatGateway", {}, "us-west-2", "no prices of region us-west-2"),
    ("aws:ec2/natGateway:NatGateway", {}, None, "does not say in which region"),
    ("aws:ec2/vpcEndpoint:VpcEndpoint", {"vpcEndpointType": "Interface"}, SEOUL, "Interface"),
    (BALANCER, {"loadBalancerType": "gateway", "internal": True}, SEOUL, "gateway load balancer"),
    (BALANCER, {"subnets": UNKNOWN}, SEOUL, "subnets are not known yet"),
    ("aws:rds/instance:Instance", {}, SEOUL, "this type is not known"),
    ("gcp:compute/instance:Instance", {}, SEOUL, "this type is not known"),
]


@pytest.mark.parametrize(("kind", "inputs", "region", "told"), GAPS)
def test_what_is_unknown_is_said_and_not_guessed(
    kind: str, inputs: dict[str, Any], region: str | None, told: str
) -> None:
    found = of(kind, inputs, region)
    (gap,) = (as_data(found)["unknown"])[-1:]
    assert told in f"{gap['what']}: {gap['reason']}"
    assert as_data(found)["complete"] is False


def test_an_unknown_instance_hides_no_known_volume() -> None:
    found = of(INSTANCE, {"instanceType": "x9.huge", "rootBlockDevice": DISK})
    assert found.total == Decimal("3.648")


def test_by_layer_and_service_and_the_sum_of_them() -> None:
    data = as_data(
        estimate(
            [
                Planned("infra", "aws:ec2/eip:Eip", "b", SEOUL, {}),
                Planned("infra", "aws:ec2/eip:Eip", "a", SEOUL, {}),
                Planned("infra", "aws:kms/key:Key", "k", SEOUL, {}),
                Planned("other", "aws:route53/zone:Zone", "z", None, {}),
                Planned("infra", "aws:s3/bucket:Bucket", "s", SEOUL, {}),
            ],
            PRICES,
        )
    )
    assert data["layers"] == {
        "infra": {"monthly": 8.3, "services": {"KMS": 1.0, "VPC": 7.3}},
        "other": {"monthly": 0.5, "services": {"Route 53": 0.5}},
    }
    assert (data["monthly"], data["complete"]) == (8.8, True)
    assert [line["name"] for line in data["resources"]] == ["k", "a", "b", "z"]
    assert data["not_included"][0] == "S3: storage and requests"
    assert any("data transfer" in line for line in data["not_included"])


def test_the_keys_are_a_promise() -> None:
    data = json.loads(json.dumps(as_data(of("aws:ec2/eip:Eip", {}))))
    assert list(data) == [
        *("version", "currency", "prices_date", "hours_per_month", "monthly", "complete"),
        *("layers", "resources", "unknown", "not_included"),
    ]
    (line,) = data["resources"]
    assert line == {
        "layer": "infra",
        "type": "aws:ec2/eip:Eip",
        "name": "one",
        "region": SEOUL,
        "service": "VPC",
        "part": "public IPv4",
        "what": "public IPv4 address",
        "quantity": 730.0,
        "unit": "hour",
        "unit_price": 0.005,
        "monthly": 3.65,
    }


def test_no_type_of_the_program_is_unknown(environment: Environment) -> None:
    """Nor any instance type of its environments."""
    region = environment.settings.aws.region
    made = [
        Planned("infra", each.type, each.name, region, each.inputs)
        for each in environment.run.resources
    ]
    found = estimate(made, PRICES)
    assert found.gaps == ()
    instances = [line for line in found.lines if line.found.part == "instance"]
    assert len(instances) == len(environment.settings.nodes)


def test_no_type_is_of_two_kinds() -> None:
    assert not PRICED.keys() & (BY_USE.keys() | FREE)
    assert not BY_USE.keys() & FREE
