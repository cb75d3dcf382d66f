"""VPC, subnets, gateways and routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from infra.order import after
from settings.plan import NetworkPlan

ANYWHERE = "0.0.0.0/0"
# By these tags the AWS Load Balancer Controller finds the subnets it may use.
_LOAD_BALANCER_ROLES = {
    "public": "kubernetes.io/role/elb",
    "private": "kubernetes.io/role/internal-elb",
}


@dataclass(frozen=True)
class NetworkArgs:
    """name: prefix of the AWS names; plan: which subnet lies where; region: for the names of
    AWS's services; nat_gateways: one for all zones, or one in each."""

    name: str
    plan: NetworkPlan
    region: str
    nat_gateways: Literal["one", "per-zone"]


@dataclass(frozen=True)
class Subnet:
    """A subnet. routed: known once its hosts reach, and can be reached from, outside."""

    id: pulumi.Output[str]
    routed: pulumi.Output[str]


@dataclass(frozen=True)
class NetworkOutputs:
    """The subnets by zone."""

    vpc_id: pulumi.Output[str]
    public: Mapping[str, Subnet]
    private: Mapping[str, Subnet]


class Network(pulumi.ComponentResource):
    """One VPC; a public and a private subnet a zone; an internet gateway, NAT gateways, and a way
    to S3 that passes neither."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:Network", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            "vpc",
            cidr_block=str(args.plan.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,  # a private zone is answered only with both
            tags=self._tags("vpc"),
            opts=self._child,
        )
        self._vpc_id = vpc.id
        self._close_default_group()
        gateway = aws.ec2.InternetGateway(
            "internet-gateway",
            vpc_id=vpc.id,
            tags=self._tags("internet-gateway"),
            opts=self._child,
        )
        public, public_table = self._public(gateway)
        private, private_tables = self._private(gateway, public)
        aws.ec2.VpcEndpoint(
            "s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in (public_table, *private_tables)],
            tags=self._tags("s3"),
            opts=self._child,
        )
        self.outputs = NetworkOutputs(vpc_id=vpc.id, public=public, private=private)
        self.register_outputs({"vpc_id": vpc.id})

    def _close_default_group(self) -> None:
        """Whatever is launched without a group of its own gets this one: it lets nothing pass."""
        aws.ec2.DefaultSecurityGroup(
            "default",
            vpc_id=self._vpc_id,
            ingress=[],
            egress=[],
            tags=self._tags("default-closed"),
            opts=self._child,
        )

    def _public(
        self, gateway: aws.ec2.InternetGateway
    ) -> tuple[dict[str, Subnet], aws.ec2.RouteTable]:
        table = self._route_table("public")
        route = aws.ec2.Route(
            "public-default",
            route_table_id=table.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=self._child,
        )
        return {
            zone.zone: self._subnet("public", zone.zone, str(zone.public), table, route)
            for zone in self._args.plan.zones
        }, table

    def _private(
        self, gateway: aws.ec2.InternetGateway, public: Mapping[str, Subnet]
    ) -> tuple[dict[str, Subnet], list[aws.ec2.RouteTable]]:
        """Private subnets and their way out: by one NAT gateway, or by one in their own zone."""
        zones = self._args.plan.zones
        suffixes = [f"-{zone.zone}" for zone in zones]
        if self._args.nat_gateways == "one":
            suffixes = [""]
        ways = [
            self._nat(suffix, public[zone.zone], gateway)
            for suffix, zone in zip(suffixes, zones, strict=False)
        ]
        subnets = {
            zone.zone: self._subnet(
                "private", zone.zone, str(zone.private), *ways[min(index, len(ways) - 1)]
            )
            for index, zone in enumerate(zones)
        }
        return subnets, [table for table, _ in ways]

    def _nat(
        self, suffix: str, subnet: Subnet, gateway: aws.ec2.InternetGateway
    ) -> tuple[aws.ec2.RouteTable, aws.ec2.Route]:
        """A NAT gateway in a public subnet, and a table whose default route leads to it."""
        address = aws.ec2.Eip(
            f"nat{suffix}",
            domain="vpc",
            tags=self._tags(f"nat{suffix}"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )
        nat = aws.ec2.NatGateway(
            f"nat-gateway{suffix}",
            allocation_id=address.id,
            subnet_id=after(subnet.id, subnet.routed),
            tags=self._tags(f"nat{suffix}"),
            opts=self._child,
        )
        table = self._route_table(f"private{suffix}")
        route = aws.ec2.Route(
            f"private-default{suffix}",
            route_table_id=table.id,
            destination_cidr_block=ANYWHERE,
            nat_gateway_id=nat.id,
            opts=self._child,
        )
        return table, route

    def _subnet(
        self,
        kind: str,
        zone: str,
        cidr: str,
        table: aws.ec2.RouteTable,
        route: aws.ec2.Route,
    ) -> Subnet:
        subnet = aws.ec2.Subnet(
            f"{kind}-{zone}",
            vpc_id=self._vpc_id,
            availability_zone=zone,
            cidr_block=cidr,
            tags={**self._tags(f"{kind}-{zone}"), _LOAD_BALANCER_ROLES[kind]: "1"},
            opts=self._child,
        )
        association = aws.ec2.RouteTableAssociation(
            f"{kind}-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=self._child
        )
        return Subnet(id=subnet.id, routed=pulumi.Output.concat(association.id, route.id))

    def _route_table(self, kind: str) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            kind, vpc_id=self._vpc_id, tags=self._tags(kind), opts=self._child
        )

    def _tags(self, what: str) -> dict[str, str]:
        return {"Name": f"{self._args.name}-{what}"}
