"""What the infra layer asks of AWS, for each committed stack file."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from settings.plan import NetworkPlan
from tests.conftest import Environment
from tests.program import Resource, Run

INSTANCE = "aws:ec2/instance:Instance"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
EIP = "aws:ec2/eip:Eip"
ASSOCIATION = "aws:ec2/eipAssociation:EipAssociation"

# The resources of ours that bear a name tag; the others have names or belong to one that has.
TAGGED = (
    INSTANCE,
    EIP,
    "aws:ec2/vpc:Vpc",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/routeTable:RouteTable",
)


def ways_out(run: Run) -> dict[str, Resource]:
    """Subnet id -> the default route of the one table that the subnet is associated with."""
    associations = run.of("aws:ec2/routeTableAssociation:RouteTableAssociation").values()
    routes = {
        route.inputs["routeTableId"]: route
        for route in run.of("aws:ec2/route:Route").values()
        if route.inputs["destinationCidrBlock"] == "0.0.0.0/0"
    }
    found = {each.inputs["subnetId"]: routes[each.inputs["routeTableId"]] for each in associations}
    assert len(found) == len(associations)
    return found


def test_the_instances_are_the_node_data(environment: Environment) -> None:
    instances = environment.run.of(INSTANCE)
    assert len(instances) == 14
    assert set(instances) == {node.name for node in environment.settings.nodes}
    for node in environment.settings.nodes:
        inputs = instances[node.name].inputs
        assert inputs["instanceType"] == node.instance_type
        assert inputs["rootBlockDevice"]["volumeSize"] == node.disk_gib
        assert inputs["tags"]["Name"] == node.name


def test_instances_take_imdsv2_only_and_keep_pods_off_it(environment: Environment) -> None:
    for instance in environment.run.of(INSTANCE).values():
        options = instance.inputs["metadataOptions"]
        assert options["httpTokens"] == "required"
        assert options["httpPutResponseHopLimit"] == 1


def test_root_volumes_are_encrypted_gp3_that_go_with_the_instance(
    environment: Environment,
) -> None:
    for instance in environment.run.of(INSTANCE).values():
        volume = instance.inputs["rootBlockDevice"]
        assert (volume["volumeType"], volume["encrypted"]) == ("gp3", True)
        assert volume["deleteOnTermination"] is True
        assert "ebsBlockDevices" not in instance.inputs


def test_a_newer_image_replaces_no_running_node(environment: Environment) -> None:
    for instance in environment.run.of(INSTANCE).values():
        assert instance.ignore_changes == ("ami",)


def test_subnets_are_the_plan(environment: Environment) -> None:
    network = environment.settings.network
    plan = NetworkPlan.of(network.cidr, network.zones, network.subnet_prefix)
    wanted = {(z.zone, str(subnet)) for z in plan.zones for subnet in (z.public, z.private)}
    subnets = environment.run.of("aws:ec2/subnet:Subnet").values()
    assert {(s.inputs["availabilityZone"], s.inputs["cidrBlock"]) for s in subnets} == wanted


def test_nodes_lie_in_a_subnet_of_their_zone_and_kind(environment: Environment) -> None:
    run, settings = environment.run, environment.settings
    subnets = {f"{name}-id": each for name, each in run.of("aws:ec2/subnet:Subnet").items()}
    routes = ways_out(run)
    for node in settings.nodes:
        subnet = run.of(INSTANCE)[node.name].inputs["subnetId"]
        assert subnets[subnet].inputs["availabilityZone"] == node.zone
        way_out = routes[subnet].inputs
        assert ("gatewayId" in way_out, "natGatewayId" in way_out) == (node.public, not node.public)


def test_addresses_are_given_to_public_nodes_and_the_nat_gateway_alone(
    environment: Environment,
) -> None:
    run = environment.run
    public = {node.name for node in environment.settings.nodes if node.public}
    assert public
    assert set(run.of(EIP)) == {*public, "nat"}
    assert {each.inputs["instanceId"] for each in run.of(ASSOCIATION).values()} == {
        f"{name}-id" for name in public
    }
    for subnet in run.of("aws:ec2/subnet:Subnet").values():
        assert not subnet.inputs.get("mapPublicIpOnLaunch")
    for instance in run.of(INSTANCE).values():
        assert not instance.inputs.get("associatePublicIpAddress")


def test_nothing_comes_in_from_the_world(environment: Environment) -> None:
    operators = {str(cidr) for cidr in environment.settings.access.operator_cidrs}
    rules = environment.run.of(INGRESS)
    assert len(rules) >= 8
    for rule in rules.values():
        peers = {"cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"}
        given = peers & rule.inputs.keys()
        assert given in ({"cidrIpv4"}, {"referencedSecurityGroupId"}), rule.name
        if given == {"cidrIpv4"}:
            assert rule.inputs["cidrIpv4"] in operators
            assert IPv4Network(rule.inputs["cidrIpv4"]).prefixlen > 0
            assert rule.inputs["securityGroupId"] == "control-plane-id", rule.name
    for group in environment.run.of("aws:ec2/securityGroup:SecurityGroup").values():
        assert not {"ingress", "egress"} & group.inputs.keys()  # rules beside rules fight


def test_groups_and_rules_say_what_they_are_for(environment: Environment) -> None:
    for kind in (INGRESS, EGRESS, "aws:ec2/securityGroup:SecurityGroup"):
        for each in environment.run.of(kind).values():
            assert len(each.inputs["description"]) > 5, each.name


def test_only_the_control_plane_is_in_the_group_that_operators_reach(
    environment: Environment,
) -> None:
    for node in environment.settings.nodes:
        groups = environment.run.of(INSTANCE)[node.name].inputs["vpcSecurityGroupIds"]
        assert "node-id" in groups
        assert ("control-plane-id" in groups) == (node.role == "control-plane")


def test_the_api_endpoint_is_a_name_in_a_private_zone(environment: Environment) -> None:
    run, settings = environment.run, environment.settings
    zone = run.one("aws:route53/zone:Zone")
    assert zone.inputs["name"] == settings.dns.zone
    assert zone.inputs["vpcs"] == [{"vpcId": "vpc-id"}]
    record = run.one("aws:route53/record:Record").inputs
    master = next(node for node in run.outputs["nodes"] if node["role"] == "control-plane")
    assert (record["name"], record["type"]) == (settings.api_endpoint, "A")
    assert record["records"] == [master["private_ip"]]


def test_everything_is_tagged_and_named(environment: Environment) -> None:
    run = environment.run
    tags = run.one("pulumi:providers:aws").inputs["defaultTags"]
    assert '"ManagedBy": "pulumi"' in str(tags).replace("'", '"')
    for kind in TAGGED:
        for each in run.of(kind).values():
            assert each.inputs["tags"]["Name"], each.urn


def test_the_key_pair_is_the_public_half_without_its_comment(environment: Environment) -> None:
    key = environment.run.one("aws:ec2/keyPair:KeyPair").inputs["publicKey"]
    assert len(key.split()) == 2 and key.startswith("ssh-ed25519 ")


@pytest.mark.parametrize("kind", ["aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"])
def test_nodes_have_no_permission_that_nothing_uses(environment: Environment, kind: str) -> None:
    assert not environment.run.of(kind)
    assert "managedPolicyArns" not in environment.run.one("aws:iam/role:Role").inputs
