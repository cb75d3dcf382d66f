"""EC2: VPC, subnet, internet gateway."""

from __future__ import annotations

from rehearsal.plugins.aws.kinds import Boolean, Cidr, Input, String
from rehearsal.plugins.aws.resources.ec2_common import (
    delete_when_free,
    filters,
    retag,
    tag_map,
    tagged,
)
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import Properties

_DNS = {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"}


def _create_vpc(op: Operation) -> str:
    vpc = op.ec2.create_vpc(
        CidrBlock=op.inputs["cidrBlock"],
        InstanceTenancy=op.inputs["instanceTenancy"],
        **tagged("vpc", op.tags),
    )
    return str(vpc["Vpc"]["VpcId"])


def _settle_vpc(op: Operation) -> None:
    op.wait("its state available", lambda: _vpc(op)["State"] == "available")
    _update_vpc(op, frozenset(key for key in _DNS if key in op.inputs))


def _update_vpc(op: Operation, changed: frozenset[str]) -> None:
    for key in _DNS.keys() & changed:  # AWS takes one attribute a call
        value = {"Value": bool(op.inputs.get(key))}
        op.ec2.modify_vpc_attribute(VpcId=op.id, **{_DNS[key]: value})


def _vpc(op: Operation) -> Properties:
    vpc: Properties = op.ec2.describe_vpcs(VpcIds=[op.id])["Vpcs"][0]
    return vpc


def _read_vpc(op: Operation) -> Properties | None:
    vpc, ec2 = _vpc(op), op.ec2
    attributes = {
        key: ec2.describe_vpc_attribute(VpcId=op.id, Attribute=key)[name]["Value"]
        for key, name in _DNS.items()
    }
    here = filters(vpc_id=op.id)
    main = [*here, {"Name": "association.main", "Values": ["true"]}]
    tables = ec2.describe_route_tables(Filters=main)["RouteTables"]
    table = tables[0]["RouteTableId"] if tables else None
    lists = ec2.describe_network_acls(Filters=here)["NetworkAcls"]
    named = [*here, *filters(group_name="default")]
    groups = ec2.describe_security_groups(Filters=named)["SecurityGroups"]
    return {
        "cidrBlock": vpc["CidrBlock"],
        "instanceTenancy": vpc["InstanceTenancy"],
        **attributes,
        "arn": op.cloud.arn("ec2", f"vpc/{op.id}"),
        "ownerId": vpc["OwnerId"],
        "dhcpOptionsId": vpc.get("DhcpOptionsId"),
        "mainRouteTableId": table,
        "defaultRouteTableId": table,
        "defaultNetworkAclId": next((a["NetworkAclId"] for a in lists if a["IsDefault"]), None),
        "defaultSecurityGroupId": groups[0]["GroupId"] if groups else None,
        "tags": tag_map(vpc.get("Tags")),
    }


def _delete_vpc(op: Operation) -> None:
    delete_when_free(op, lambda: op.ec2.delete_vpc(VpcId=op.id))


VPC = ResourceType(
    token="aws:ec2/vpc:Vpc",
    noun="EC2 VPC",
    inputs={
        "cidrBlock": Input(Cidr(), required=True, force_new=True),
        "instanceTenancy": Input(
            String(choices=("default", "dedicated")), force_new=True, default="default"
        ),
        "enableDnsSupport": Input(Boolean(), default=True),
        "enableDnsHostnames": Input(Boolean(), computed=True),
    },
    outputs=(
        "arn",
        "ownerId",
        "dhcpOptionsId",
        "mainRouteTableId",
        "defaultRouteTableId",
        "defaultNetworkAclId",
        "defaultSecurityGroupId",
    ),
    create=_create_vpc,
    settle=_settle_vpc,
    read=_read_vpc,
    update=_update_vpc,
    delete=_delete_vpc,
    retag=retag,
)


def _create_subnet(op: Operation) -> str:
    zone = {
        "AvailabilityZone": op.inputs.get("availabilityZone"),
        "AvailabilityZoneId": op.inputs.get("availabilityZoneId"),
    }
    subnet = op.ec2.create_subnet(
        VpcId=op.inputs["vpcId"],
        CidrBlock=op.inputs["cidrBlock"],
        **{key: value for key, value in zone.items() if value},
        **tagged("subnet", op.tags),
    )
    return str(subnet["Subnet"]["SubnetId"])


def _settle_subnet(op: Operation) -> None:
    op.wait("its state available", lambda: _subnet(op)["State"] == "available")
    if op.inputs["mapPublicIpOnLaunch"]:
        _update_subnet(op, frozenset({"mapPublicIpOnLaunch"}))


def _update_subnet(op: Operation, changed: frozenset[str]) -> None:
    value = {"Value": op.inputs["mapPublicIpOnLaunch"]}
    op.ec2.modify_subnet_attribute(SubnetId=op.id, MapPublicIpOnLaunch=value)


def _subnet(op: Operation) -> Properties:
    subnet: Properties = op.ec2.describe_subnets(SubnetIds=[op.id])["Subnets"][0]
    return subnet


def _read_subnet(op: Operation) -> Properties | None:
    subnet = _subnet(op)
    return {
        "vpcId": subnet["VpcId"],
        "cidrBlock": subnet["CidrBlock"],
        "availabilityZone": subnet["AvailabilityZone"],
        "availabilityZoneId": subnet["AvailabilityZoneId"],
        "mapPublicIpOnLaunch": subnet["MapPublicIpOnLaunch"],
        "arn": subnet["SubnetArn"],
        "ownerId": subnet["OwnerId"],
        "tags": tag_map(subnet.get("Tags")),
    }


def _delete_subnet(op: Operation) -> None:
    delete_when_free(op, lambda: op.ec2.delete_subnet(SubnetId=op.id))


def _validate_subnet(inputs: Properties) -> list[tuple[str, str]]:
    if "availabilityZone" in inputs and "availabilityZoneId" in inputs:
        return [("availabilityZoneId", "cannot be set together with availabilityZone")]
    return []


SUBNET = ResourceType(
    token="aws:ec2/subnet:Subnet",
    noun="EC2 subnet",
    inputs={
        "vpcId": Input(String(), required=True, force_new=True),
        "cidrBlock": Input(Cidr(), required=True, force_new=True),
        "availabilityZone": Input(String(), force_new=True, computed=True),
        "availabilityZoneId": Input(String(), force_new=True, computed=True),
        "mapPublicIpOnLaunch": Input(Boolean(), default=False),
    },
    outputs=("arn", "ownerId"),
    create=_create_subnet,
    settle=_settle_subnet,
    read=_read_subnet,
    update=_update_subnet,
    delete=_delete_subnet,
    retag=retag,
    validate=_validate_subnet,
)


def _create_gateway(op: Operation) -> str:
    made = op.ec2.create_internet_gateway(**tagged("internet-gateway", op.tags))
    return str(made["InternetGateway"]["InternetGatewayId"])


def _attach_gateway(op: Operation) -> None:
    """Attached to the VPC that the inputs name, and to no other."""
    wanted, now = op.inputs.get("vpcId"), _gateway_vpc(op)
    if now and now != wanted:
        _detach_gateway(op, now)
    if wanted and now != wanted:
        op.ec2.attach_internet_gateway(InternetGatewayId=op.id, VpcId=wanted)


def _detach_gateway(op: Operation, vpc: str) -> None:
    delete_when_free(op, lambda: op.ec2.detach_internet_gateway(InternetGatewayId=op.id, VpcId=vpc))


def _gateway(op: Operation) -> Properties:
    found = op.ec2.describe_internet_gateways(InternetGatewayIds=[op.id])["InternetGateways"]
    gateway: Properties = found[0]
    return gateway


def _gateway_vpc(op: Operation) -> str | None:
    attachments = _gateway(op).get("Attachments") or [{}]
    vpc: str | None = attachments[0].get("VpcId")
    return vpc


def _read_gateway(op: Operation) -> Properties | None:
    gateway = _gateway(op)
    attachments = gateway.get("Attachments") or [{}]
    return {
        "vpcId": attachments[0].get("VpcId"),
        "arn": op.cloud.arn("ec2", f"internet-gateway/{op.id}"),
        "ownerId": gateway.get("OwnerId") or op.cloud.account,
        "tags": tag_map(gateway.get("Tags")),
    }


def _delete_gateway(op: Operation) -> None:
    if vpc := _gateway_vpc(op):
        _detach_gateway(op, vpc)
    delete_when_free(op, lambda: op.ec2.delete_internet_gateway(InternetGatewayId=op.id))


INTERNET_GATEWAY = ResourceType(
    token="aws:ec2/internetGateway:InternetGateway",
    noun="EC2 internet gateway",
    inputs={"vpcId": Input(String(), computed=True)},
    outputs=("arn", "ownerId"),
    create=_create_gateway,
    settle=_attach_gateway,
    read=_read_gateway,
    update=lambda op, changed: _attach_gateway(op),
    delete=_delete_gateway,
    retag=retag,
)

RESOURCE_TYPES = (VPC, SUBNET, INTERNET_GATEWAY)
