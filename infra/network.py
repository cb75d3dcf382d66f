"""VPC, subnets, gateways and routes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from settings.plan import NetworkPlan

ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class NetworkArgs:
    """name: prefix of the AWS names; plan: which subnet lies where."""

    name: str
    plan: NetworkPlan


@dataclass(frozen=True)
class Subnet:
    """A subnet. routed: known once its hosts reach, and can be reached from, outside."""

    id: pulumi.Output[str]
    routed: pulumi.Output[str]


@dataclass
class NetworkOutputs:
    vpc_id: pulumi.Output[str]
    public: dict[str, Subnet] = field(default_factory=dict)
    private: dict[str, Subnet] = field(default_factory=dict)


class Network(pulumi.ComponentResource):
    """One VPC; a public and a private subnet a zone; one internet and one NAT gateway."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:Network", name, None, opts)
        self._prefix = args.name
        vpc = aws.ec2.Vpc(
            "vpc",
            cidr_block=str(args.plan.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,  # a private zone is answered only with both
            tags=self._tags("vpc"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._vpc_id = vpc.id
        gateway = aws.ec2.InternetGateway(
            "internet-gateway",
            vpc_id=vpc.id,
            tags=self._tags("internet-gateway"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        public_table = self._route_table("public")
        public_route = aws.ec2.Route(
            "public-default",
            route_table_id=public_table.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        outputs = NetworkOutputs(vpc_id=vpc.id)
        for zone in args.plan.zones:
            outputs.public[zone.zone] = self._subnet(
                "public", zone.zone, str(zone.public), public_table, public_route
            )
        private_route = self._nat(outputs.public[args.plan.zones[0].zone], gateway)
        for zone in args.plan.zones:
            outputs.private[zone.zone] = self._subnet(
                "private", zone.zone, str(zone.private), self._private_table, private_route
            )
        self.outputs = outputs
        self.register_outputs({"vpc_id": vpc.id})

    def _nat(self, subnet: Subnet, gateway: aws.ec2.InternetGateway) -> aws.ec2.Route:
        """One NAT gateway, in the first zone; the private subnets' way out."""
        address = aws.ec2.Eip(
            "nat",
            domain="vpc",
            tags=self._tags("nat"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )
        nat = aws.ec2.NatGateway(
            "nat-gateway",
            allocation_id=address.id,
            subnet_id=pulumi.Output.all(subnet.id, subnet.routed).apply(lambda ids: str(ids[0])),
            tags=self._tags("nat"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._private_table = self._route_table("private")
        return aws.ec2.Route(
            "private-default",
            route_table_id=self._private_table.id,
            destination_cidr_block=ANYWHERE,
            nat_gateway_id=nat.id,
            opts=pulumi.ResourceOptions(parent=self),
        )

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
            tags=self._tags(f"{kind}-{zone}"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        association = aws.ec2.RouteTableAssociation(
            f"{kind}-{zone}",
            subnet_id=subnet.id,
            route_table_id=table.id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return Subnet(id=subnet.id, routed=pulumi.Output.concat(association.id, route.id))

    def _route_table(self, kind: str) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            kind,
            vpc_id=self._vpc_id,
            tags=self._tags(kind),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _tags(self, what: str) -> dict[str, str]:
        return {"Name": f"{self._prefix}-{what}"}
