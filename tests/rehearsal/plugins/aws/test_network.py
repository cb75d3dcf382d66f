"""VPC, subnet, gateways, addresses, routes."""

from __future__ import annotations

import pytest

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.aws.conftest import AMI, DEFAULT_TAGS, REGION, Aws
from tests.rehearsal.plugins.aws.made import (
    EIP,
    EIP_ASSOCIATION,
    GATEWAY,
    INSTANCE,
    NAT,
    ROUTE,
    SUBNET,
    TABLE,
    TABLE_ASSOCIATION,
    VPC,
    make,
    make_subnet,
)
from tests.rehearsal.plugins.harness import Plugin, PluginError


def test_vpc_lives(aws: Aws, plugin: Plugin) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16", tags={"Name": "main"})

    assert vpc.id.startswith("vpc-")
    assert vpc.outputs["arn"] == f"arn:aws:ec2:{REGION}:123456789012:vpc/{vpc.id}"
    assert vpc.outputs["ownerId"] == "123456789012"
    assert vpc.outputs["region"] == REGION
    assert vpc.outputs["mainRouteTableId"].startswith("rtb-")
    assert vpc.outputs["defaultSecurityGroupId"].startswith("sg-")
    assert vpc.outputs["defaultNetworkAclId"].startswith("acl-")
    assert vpc.outputs["enableDnsSupport"] is True
    assert vpc.outputs["tagsAll"] == {"Name": "main", **DEFAULT_TAGS}

    vpc.update(enableDnsHostnames=True)
    names = aws.ec2.describe_vpc_attribute(VpcId=vpc.id, Attribute="enableDnsHostnames")
    assert names["EnableDnsHostnames"]["Value"] is True

    assert vpc.diff(cidrBlock="10.1.0.0/16").replaces == ["cidrBlock"]
    assert vpc.imported()["cidrBlock"] == "10.0.0.0/16"
    vpc.delete()
    assert not [v for v in aws.ec2.describe_vpcs()["Vpcs"] if v["VpcId"] == vpc.id]


def test_preview_knows_inputs_and_nothing_else(plugin: Plugin) -> None:
    inputs = plugin.check(VPC, {"cidrBlock": "10.0.0.0/16", "tags": {"Name": "main"}})
    id, outputs = plugin.create(VPC, inputs, preview=True)
    assert id == ""
    assert outputs["cidrBlock"] == "10.0.0.0/16"
    assert outputs["tagsAll"] == {"Name": "main", **DEFAULT_TAGS}
    for late in ("arn", "ownerId", "mainRouteTableId", "defaultSecurityGroupId"):
        assert outputs[late] is UNKNOWN
    assert outputs["enableDnsHostnames"] is UNKNOWN

    subnet = plugin.check(SUBNET, {"vpcId": UNKNOWN, "cidrBlock": "10.0.1.0/24"})
    assert plugin.create(SUBNET, subnet, preview=True)[1]["vpcId"] is UNKNOWN


def test_unknown_of_a_replacing_input_asks_for_a_replacement(plugin: Plugin) -> None:
    vpc, subnet = make_subnet(plugin)
    diff = subnet.diff(vpcId=UNKNOWN)
    assert diff.replaces == ["vpcId"]
    subnet.delete()
    vpc.delete()


def test_subnet_lives(aws: Aws, plugin: Plugin) -> None:
    vpc, subnet = make_subnet(plugin, availabilityZone=f"{REGION}b", mapPublicIpOnLaunch=True)
    live = aws.ec2.describe_subnets(SubnetIds=[subnet.id])["Subnets"][0]
    assert live["AvailabilityZone"] == f"{REGION}b" and live["MapPublicIpOnLaunch"]
    assert subnet.outputs["availabilityZoneId"] == live["AvailabilityZoneId"]

    subnet.update(mapPublicIpOnLaunch=False)
    assert not subnet.diff(availabilityZone=None).changes  # AWS chose it: no difference
    assert subnet.diff(availabilityZone=f"{REGION}c").replaces == ["availabilityZone"]

    with pytest.raises(PluginError, match=r"^creating EC2 subnet: InvalidSubnet.Conflict: "):
        make(plugin, SUBNET, vpcId=vpc.id, cidrBlock="10.0.1.0/24")
    with pytest.raises(PluginError, match=r"^creating EC2 subnet: InvalidVpcID.NotFound: "):
        make(plugin, SUBNET, vpcId="vpc-00000000000000000", cidrBlock="10.0.1.0/24")
    subnet.delete()
    vpc.delete()


def test_vpc_in_use_is_not_deleted(aws: Aws, plugin: Plugin) -> None:
    vpc, subnet = make_subnet(plugin)
    with pytest.raises(PluginError, match=r"^deleting EC2 VPC \(vpc-\w+\): DependencyViolation"):
        plugin.delete(VPC, vpc.id, vpc.inputs, vpc.outputs, timeout=0.5)
    subnet.delete()
    vpc.delete()


def test_internet_gateway_is_attached_and_moved(aws: Aws, plugin: Plugin) -> None:
    first = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    second = make(plugin, VPC, cidrBlock="10.1.0.0/16")
    gateway = make(plugin, GATEWAY, vpcId=first.id, tags={"Name": "door"})
    gateway.update(vpcId=second.id)
    live = aws.ec2.describe_internet_gateways(InternetGatewayIds=[gateway.id])
    assert [a["VpcId"] for a in live["InternetGateways"][0]["Attachments"]] == [second.id]

    aws.ec2.detach_internet_gateway(InternetGatewayId=gateway.id, VpcId=second.id)
    assert gateway.refresh() == {"vpcId": None}
    gateway.update(vpcId=second.id)
    for made in (gateway, first, second):
        made.delete()


def test_nat_gateway_lives_with_its_address(aws: Aws, plugin: Plugin) -> None:
    vpc, subnet = make_subnet(plugin)
    address = make(plugin, EIP, domain="vpc")
    nat = make(plugin, NAT, subnetId=subnet.id, allocationId=address.id, tags={"Name": "out"})
    assert nat.outputs["publicIp"] == address.outputs["publicIp"]
    assert nat.outputs["privateIp"] and nat.outputs["networkInterfaceId"].startswith("eni-")

    assert address.refresh() == {}  # outputs alone: the program gave none of it
    assert address.outputs["networkInterface"] == nat.outputs["networkInterfaceId"]
    assert not address.diff().changes

    diff = nat.diff(subnetId="subnet-other")
    assert diff.replaces == ["subnetId"] and diff.delete_before_replace
    nat.update(tags={"Name": "way-out"})

    nat.delete()
    interface = nat.outputs["networkInterfaceId"]
    interfaces = aws.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert interface not in [each["NetworkInterfaceId"] for each in interfaces]
    address.delete()
    subnet.delete()
    vpc.delete()


def test_every_zone_may_have_its_own_nat_gateway(plugin: Plugin) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    made, ways = [vpc], set()
    for number, zone in enumerate("abc"):
        subnet = make(
            plugin,
            SUBNET,
            vpcId=vpc.id,
            cidrBlock=f"10.0.{number}.0/24",
            availabilityZone=f"{REGION}{zone}",
        )
        address = make(plugin, EIP, domain="vpc")
        nat = make(plugin, NAT, subnetId=subnet.id, allocationId=address.id)
        table = make(plugin, TABLE, vpcId=vpc.id)
        out = {"destinationCidrBlock": "0.0.0.0/0", "natGatewayId": nat.id}
        route = make(plugin, ROUTE, routeTableId=table.id, **out)
        assert (nat.outputs["subnetId"], route.outputs["natGatewayId"]) == (subnet.id, nat.id)
        ways.add(nat.outputs["publicIp"])
        made += [subnet, address, nat, table, route]
    assert len(ways) == 3
    for each in reversed(made):
        each.delete()


def test_address_is_public_and_associated(aws: Aws, plugin: Plugin) -> None:
    vpc, subnet = make_subnet(plugin)
    instance = make(
        plugin,
        INSTANCE,
        ami=AMI,
        instanceType="t3.micro",
        subnetId=subnet.id,
        associatePublicIpAddress=False,
    )
    address = make(plugin, EIP)
    assert not address.outputs["publicIp"].startswith("127.")
    dashed = address.outputs["publicIp"].replace(".", "-")
    assert address.outputs["publicDns"] == f"ec2-{dashed}.{REGION}.compute.amazonaws.com"

    tie = make(plugin, EIP_ASSOCIATION, allocationId=address.id, instanceId=instance.id)
    assert tie.id.startswith("eipassoc-")
    assert tie.outputs["publicIp"] == address.outputs["publicIp"]
    assert tie.outputs["privateIpAddress"] == instance.outputs["privateIp"]
    assert instance.refresh() == {} and not instance.diff().changes
    assert instance.outputs["publicIp"] == address.outputs["publicIp"]
    diff = tie.diff(instanceId="i-0000")
    assert diff.replaces == ["instanceId"] and diff.delete_before_replace

    other = make(plugin, INSTANCE, ami=AMI, instanceType="t3.micro", subnetId=subnet.id)
    with pytest.raises(PluginError, match=r"Resource\.AlreadyAssociated"):
        make(plugin, EIP_ASSOCIATION, allocationId=address.id, instanceId=other.id)

    aws.ec2.disassociate_address(AssociationId=tie.id)
    assert tie.refresh() == {"": None}
    for made in (tie, address, instance, other, subnet, vpc):
        made.delete()


def test_address_given_to_an_instance(aws: Aws, plugin: Plugin) -> None:
    vpc, subnet = make_subnet(plugin)
    first = make(plugin, INSTANCE, ami=AMI, instanceType="t3.micro", subnetId=subnet.id)
    second = make(plugin, INSTANCE, ami=AMI, instanceType="t3.micro", subnetId=subnet.id)
    address = make(plugin, EIP, instance=first.id)
    assert address.outputs["privateIp"] == first.outputs["privateIp"]
    address.update(instance=second.id)
    assert address.outputs["privateIp"] == second.outputs["privateIp"]
    for made in (address, first, second, subnet, vpc):
        made.delete()


def test_routes(aws: Aws, plugin: Plugin) -> None:
    vpc, subnet = make_subnet(plugin)
    gateway = make(plugin, GATEWAY, vpcId=vpc.id)
    address = make(plugin, EIP)
    nat = make(plugin, NAT, subnetId=subnet.id, allocationId=address.id)
    table = make(plugin, TABLE, vpcId=vpc.id, tags={"Name": "public"})
    route = make(
        plugin,
        ROUTE,
        routeTableId=table.id,
        destinationCidrBlock="0.0.0.0/0",
        gatewayId=gateway.id,
    )
    assert route.outputs["state"] == "active" and route.outputs["origin"] == "CreateRoute"
    with pytest.raises(PluginError, match="RouteAlreadyExists"):
        make(
            plugin,
            ROUTE,
            routeTableId=table.id,
            destinationCidrBlock="0.0.0.0/0",
            gatewayId=gateway.id,
        )
    route.update(gatewayId=None, natGatewayId=nat.id)
    assert route.diff(destinationCidrBlock="10.9.0.0/16").replaces == ["destinationCidrBlock"]
    found = plugin.read(ROUTE, f"{table.id}_0.0.0.0/0")
    assert found.inputs["natGatewayId"] == nat.id
    aws.ec2.delete_route(RouteTableId=table.id, DestinationCidrBlock="0.0.0.0/0")
    assert route.refresh() == {"": None}
    for made in (route, table, nat, address, gateway, subnet, vpc):
        made.delete()


def test_route_table_association_follows_its_table(aws: Aws, plugin: Plugin) -> None:
    vpc, subnet = make_subnet(plugin)
    first, second = make(plugin, TABLE, vpcId=vpc.id), make(plugin, TABLE, vpcId=vpc.id)
    tie = make(plugin, TABLE_ASSOCIATION, subnetId=subnet.id, routeTableId=first.id)
    with pytest.raises(PluginError, match=r"Resource\.AlreadyAssociated"):
        make(plugin, TABLE_ASSOCIATION, subnetId=subnet.id, routeTableId=second.id)
    tie.update(routeTableId=second.id)  # gets another id from AWS, keeps its own in the state
    tables = aws.ec2.describe_route_tables(RouteTableIds=[second.id])["RouteTables"]
    assert [a["SubnetId"] for a in tables[0]["Associations"]] == [subnet.id]
    for made in (tie, first, second, subnet, vpc):
        made.delete()
