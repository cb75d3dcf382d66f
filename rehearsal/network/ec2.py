"""Reads what EC2 holds: instances, and the plan of the VPC they are in."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from rehearsal.network.plan import (
    DefaultRoute,
    Host,
    NatGateway,
    Plan,
    PublicAddress,
    Subnet,
)
from rehearsal.network.security_groups import groups_of, read_security_groups

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import (
        FilterTypeDef,
        InstanceTypeDef,
        RouteTableTypeDef,
        RouteTypeDef,
        VpcTypeDef,
    )

# What a call raises while the cloud is away, or just went away.
AWAY = (BotoCoreError, ClientError, ResponseParserError)
_UP = ("pending", "running")
_GONE = ("shutting-down", "terminated")
_ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Instance:
    """An instance in the VPC.

    name: its tag "Name", or "". type: such as "t3.large". state: EC2's. key_name: None when it was
    launched without.
    """

    id: str
    name: str
    type: str
    state: str
    private_ip: IPv4Address
    public_ip: IPv4Address | None
    subnet: IPv4Network
    key_name: str | None

    @property
    def wanted(self) -> bool:
        """Whether a host should be up for it."""
        return self.state in _UP

    @property
    def gone(self) -> bool:
        """Whether it will never be up again."""
        return self.state in _GONE


@dataclass(frozen=True)
class Region:
    """What EC2 holds now.

    plan: None while there is no VPC. problems: one sentence for each thing that is not rehearsed.
    """

    instances: tuple[Instance, ...]
    plan: Plan | None
    problems: tuple[str, ...]


def client(service: Any, endpoint: str, region: str) -> Any:
    """A boto3 client of the rehearsal's cloud: any credentials do, and it fails fast."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(
            connect_timeout=2, read_timeout=15, retries={"total_max_attempts": 1}, proxies={}
        ),
    )


def read_region(ec2: EC2Client) -> Region:
    """Read it all. Raises one of AWAY when the cloud doesn't answer."""
    instances = [
        instance
        for page in ec2.get_paginator("describe_instances").paginate()
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
        if instance.get("VpcId") and instance.get("SubnetId")
    ]
    problems: list[str] = []
    vpc = _rehearsed_vpc(ec2, instances, problems)
    if vpc is None:
        return Region((), None, tuple(problems))
    here: list[FilterTypeDef] = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnets = {
        subnet["SubnetId"]: IPv4Network(subnet["CidrBlock"])
        for page in ec2.get_paginator("describe_subnets").paginate(Filters=here)
        for subnet in page["Subnets"]
    }
    found = [item for item in instances if item["SubnetId"] in subnets]
    up = [item for item in found if item["State"]["Name"] in _UP]
    # after the instances: a group stands before the first instance that is in it
    groups, default_group = read_security_groups(ec2, here, problems)
    plan = Plan(
        vpc=IPv4Network(vpc["CidrBlock"]),
        subnets=_subnets(ec2, here, subnets, _internet_gateways(ec2, vpc), problems),
        hosts=tuple(
            Host(
                private=IPv4Address(item["PrivateIpAddress"]),
                subnet=subnets[item["SubnetId"]],
                source_dest_check=bool(item.get("SourceDestCheck", True)),
                security_groups=groups_of(item, groups, default_group, problems),
            )
            for item in up
        ),
        public_addresses=_public_addresses(ec2, up),
        nat_gateways=_nat_gateways(ec2, subnets),
        security_groups=tuple(groups[name] for name in sorted(groups)),
    )
    return Region(
        tuple(_instance(item, subnets[item["SubnetId"]]) for item in found), plan, tuple(problems)
    )


def own_vpcs(ec2: EC2Client) -> list[VpcTypeDef]:
    """The region's VPCs, its default one apart. Only the first is rehearsed."""
    return [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc.get("IsDefault")]


def _rehearsed_vpc(
    ec2: EC2Client, instances: list[InstanceTypeDef], problems: list[str]
) -> VpcTypeDef | None:
    own = own_vpcs(ec2)
    problems += [
        f"VPC {vpc['VpcId']} is not rehearsed: one VPC a region is; delete it." for vpc in own[1:]
    ]
    rehearsed = own[0]["VpcId"] if own else None
    problems += [
        f"Instance {item['InstanceId']} gets no host: it is outside the region's own VPC; "
        "launch it there."
        for item in instances
        if item["State"]["Name"] in _UP and item["VpcId"] != rehearsed
    ]
    return own[0] if own else None


def _instance(item: InstanceTypeDef, subnet: IPv4Network) -> Instance:
    tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
    public = item.get("PublicIpAddress")
    return Instance(
        id=item["InstanceId"],
        name=tags.get("Name", ""),
        type=item["InstanceType"],
        state=item["State"]["Name"],
        private_ip=IPv4Address(item["PrivateIpAddress"]),
        public_ip=IPv4Address(public) if public else None,
        subnet=subnet,
        key_name=item.get("KeyName"),
    )


def _internet_gateways(ec2: EC2Client, vpc: VpcTypeDef) -> set[str]:
    """Ids of those that are attached to the VPC."""
    attached: list[FilterTypeDef] = [{"Name": "attachment.vpc-id", "Values": [vpc["VpcId"]]}]
    return {
        gateway["InternetGatewayId"]
        for page in ec2.get_paginator("describe_internet_gateways").paginate(Filters=attached)
        for gateway in page["InternetGateways"]
    }


def _subnets(
    ec2: EC2Client,
    here: list[FilterTypeDef],
    subnets: dict[str, IPv4Network],
    internet_gateways: set[str],
    problems: list[str],
) -> tuple[Subnet, ...]:
    """Each subnet with the default route of its own route table, or of the VPC's main one."""
    tables = ec2.describe_route_tables(Filters=here)["RouteTables"]
    main: RouteTableTypeDef | None = None
    own: dict[str, RouteTableTypeDef] = {}
    for table in tables:
        for association in table["Associations"]:
            if association.get("Main"):
                main = table
            elif "SubnetId" in association:
                own[association["SubnetId"]] = table
    for table in tables:
        problems += _unknown_routes(table)
    return tuple(
        _with_default(cidr, own.get(subnet, main), internet_gateways)
        for subnet, cidr in sorted(subnets.items(), key=lambda pair: pair[1])
    )


def _with_default(
    cidr: IPv4Network, table: RouteTableTypeDef | None, internet_gateways: set[str]
) -> Subnet:
    """A default route to a gateway that is gone is EC2's "blackhole": it leads nowhere.

    moto goes on calling it active. A NAT gateway that is gone is in no plan.
    """
    for route in table["Routes"] if table else ():
        if route.get("DestinationCidrBlock") == _ANYWHERE and route.get("State") != "blackhole":
            if route.get("GatewayId") in internet_gateways:
                return Subnet(cidr, DefaultRoute.INTERNET_GATEWAY)
            if "NatGatewayId" in route:
                return Subnet(cidr, DefaultRoute.NAT_GATEWAY, route["NatGatewayId"])
    return Subnet(cidr)


def _unknown_routes(table: RouteTableTypeDef) -> list[str]:
    return [
        f"The route to {to} in {table['RouteTableId']} is not rehearsed: only default routes to an "
        "internet or NAT gateway are, and gateway endpoints' are left out."
        for route in table["Routes"]
        if (to := _unknown_destination(route))
    ]


def _unknown_destination(route: RouteTypeDef) -> str | None:
    """Where a route leads that is not rehearsed; None for one that is.

    A gateway endpoint is another way to a service that can be reached without it, too: nothing of
    it would show in a rehearsal.
    """
    gateway = route.get("GatewayId", "")
    if gateway == "local" or gateway.startswith("vpce-"):
        return None
    to = route.get("DestinationCidrBlock")
    if to == _ANYWHERE and (gateway.startswith("igw-") or "NatGatewayId" in route):
        return None
    return (
        to or route.get("DestinationIpv6CidrBlock") or route.get("DestinationPrefixListId") or "?"
    )


def _public_addresses(ec2: EC2Client, up: list[InstanceTypeDef]) -> tuple[PublicAddress, ...]:
    """Elastic and launch-time addresses of the instances that are up.

    Only of those: moto leaves an address associated with an instance that was terminated.
    """
    pairs = {
        item["PrivateIpAddress"]: item["PublicIpAddress"]
        for item in up
        if item.get("PublicIpAddress")
    }
    ids = {item["InstanceId"] for item in up}
    for address in ec2.describe_addresses()["Addresses"]:
        if address.get("InstanceId") in ids:
            pairs[address["PrivateIpAddress"]] = address["PublicIp"]
    return tuple(
        PublicAddress(IPv4Address(public), IPv4Address(private))
        for private, public in sorted(pairs.items())
    )


def _nat_gateways(ec2: EC2Client, subnets: dict[str, IPv4Network]) -> tuple[NatGateway, ...]:
    return tuple(
        NatGateway(gateway["NatGatewayId"], subnets[gateway["SubnetId"]], IPv4Address(public))
        for page in ec2.get_paginator("describe_nat_gateways").paginate()
        for gateway in page["NatGateways"]
        if gateway["State"] == "available" and gateway["SubnetId"] in subnets
        for public in [gateway["NatGatewayAddresses"][0].get("PublicIp")]
        if public
    )
