"""What the infra layer asks of AWS, for each committed stack file."""

from __future__ import annotations

import json
from ipaddress import IPv4Network

from settings.plan import NetworkPlan
from tests.conftest import Environment, EnvironmentMaker
from tests.program import Resource, Run

INSTANCE = "aws:ec2/instance:Instance"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
SUBNET = "aws:ec2/subnet:Subnet"
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
    gateways = {"nat"}
    if environment.settings.network.nat_gateways == "per-zone":
        gateways = {f"nat-{zone}" for zone in environment.settings.network.zones}
    assert set(run.of(EIP)) == {*public, *gateways}
    assert {each.inputs["instanceId"] for each in run.of(ASSOCIATION).values()} == {
        f"{name}-id" for name in public
    }
    for subnet in run.of("aws:ec2/subnet:Subnet").values():
        assert not subnet.inputs.get("mapPublicIpOnLaunch")
    for instance in run.of(INSTANCE).values():
        assert not instance.inputs.get("associatePublicIpAddress")


def test_without_a_bastion_no_node_has_a_public_address(
    make_environment: EnvironmentMaker,
) -> None:
    run = make_environment(
        "prod",
        access={"bastion": None, "operator_cidrs": ["10.20.0.0/16"]},
        nodes=[{"name": "k8s-master", "public": False}],
    ).run
    assert all(name.startswith("nat-") for name in run.of(EIP)) and not run.of(ASSOCIATION)
    opened = {
        (rule.inputs["securityGroupId"], rule.inputs["fromPort"])
        for rule in run.of(INGRESS).values()
        if rule.inputs.get("cidrIpv4") == "10.20.0.0/16"
    }
    assert opened == {("node-id", 22), ("control-plane-id", 6443), ("control-plane-id", 30443)}


def test_nothing_comes_in_from_the_world(environment: Environment) -> None:
    operators = {str(cidr) for cidr in environment.settings.access.operator_cidrs}
    rules = environment.run.of(INGRESS)
    assert len(rules) >= 7
    for rule in rules.values():
        if rule.inputs["securityGroupId"] == "load-balancer-id":
            continue  # the public one is for everybody
        peers = {"cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"}
        given = peers & rule.inputs.keys()
        assert given in ({"cidrIpv4"}, {"referencedSecurityGroupId"}), rule.name
        if given == {"cidrIpv4"}:
            assert rule.inputs["cidrIpv4"] in operators
            assert IPv4Network(rule.inputs["cidrIpv4"]).prefixlen > 0
            assert rule.inputs["securityGroupId"] == "control-plane-id", rule.name
    for group in environment.run.of("aws:ec2/securityGroup:SecurityGroup").values():
        assert not {"ingress", "egress"} & group.inputs.keys()  # rules beside rules fight


def test_the_world_reaches_the_public_load_balancer_on_two_ports_alone(
    environment: Environment,
) -> None:
    open_to_all = {
        (rule.inputs["securityGroupId"], rule.inputs["fromPort"], rule.inputs["toPort"])
        for rule in environment.run.of(INGRESS).values()
        if rule.inputs.get("cidrIpv4") == "0.0.0.0/0"
    }
    public = {("load-balancer-id", 80, 80), ("load-balancer-id", 443, 443)}
    assert open_to_all == (public if environment.settings.dns.public else set())


def test_the_default_group_lets_nothing_pass(environment: Environment) -> None:
    group = environment.run.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs
    assert (group["vpcId"], group["ingress"], group["egress"]) == ("vpc-id", [], [])


def test_the_vpcs_traffic_is_logged_as_the_settings_say(environment: Environment) -> None:
    log = environment.run.one("aws:ec2/flowLog:FlowLog").inputs
    assert log["trafficType"] == environment.settings.network.flow_logs
    assert log["logDestinationType"] == "s3"
    assert log["logDestination"].endswith("-logs-123456789012/flow")


def test_every_route_table_leads_to_s3_inside_aws(environment: Environment) -> None:
    run = environment.run
    endpoint = run.one("aws:ec2/vpcEndpoint:VpcEndpoint").inputs
    assert endpoint["serviceName"] == "com.amazonaws.ap-northeast-2.s3"
    tables = {f"{name}-id" for name in run.of("aws:ec2/routeTable:RouteTable")}
    assert set(endpoint["routeTableIds"]) == tables


def test_each_zone_goes_out_by_its_own_nat_gateway(
    make_environment: EnvironmentMaker,
) -> None:
    for kind, gateways in (("one", 1), ("per-zone", 2)):
        run = make_environment("prod", network={"nat_gateways": kind}).run
        made = run.of("aws:ec2/natGateway:NatGateway")
        assert len(made) == gateways
        zone_of = {f"{n}-id": s.inputs["availabilityZone"] for n, s in run.of(SUBNET).items()}
        for subnet, route in ways_out(run).items():
            if kind == "one" or "natGatewayId" not in route.inputs:
                continue
            gateway = made[route.inputs["natGatewayId"].removesuffix("-id")]
            assert zone_of[gateway.inputs["subnetId"]] == zone_of[subnet]


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
    zone = run.of("aws:route53/zone:Zone")["private"]
    assert zone.inputs["name"] == settings.dns.zone
    assert zone.inputs["vpcs"] == [{"vpcId": "vpc-id"}]
    record = run.of("aws:route53/record:Record")["api"].inputs
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


def actions(policy: Resource) -> set[str]:
    statements = json.loads(policy.inputs["policy"])["Statement"]
    return {action for each in statements for action in each["Action"]}


def test_nodes_may_do_what_runs_on_them_needs_alone(environment: Environment) -> None:
    run = environment.run
    policies = run.of("aws:iam/rolePolicy:RolePolicy")
    allowed = {
        kind: set[str]().union(
            *(actions(each) for each in policies.values() if each.inputs["role"].endswith(kind))
        )
        for kind in ("-node", "-control-plane")
    }
    assert {action.split(":")[0] for action in allowed["-node"]} == {"ecr", "ssm", "ssmmessages"}
    more = allowed["-control-plane"] - allowed["-node"]
    assert {action.split(":")[0] for action in more} == {"s3", "kms"}
    assert not any(action.startswith(("s3:Delete", "iam:", "sts:")) for action in more)
    for role in run.of("aws:iam/role:Role").values():
        assert "managedPolicyArns" not in role.inputs and "inlinePolicies" not in role.inputs


def test_each_node_has_the_profile_of_its_kind(environment: Environment) -> None:
    for node in environment.settings.nodes:
        kind = "control-plane" if node.role == "control-plane" else "node"
        profile = environment.run.of(INSTANCE)[node.name].inputs["iamInstanceProfile"]
        assert profile == f"{environment.settings.name}-{kind}"


def test_session_manager_is_a_choice(make_environment: EnvironmentMaker) -> None:
    run = make_environment("dev", access={"session_manager": False}).run
    assert not any("session" in name for name in run.of("aws:iam/rolePolicy:RolePolicy"))


def test_without_roles_for_pods_the_nodes_carry_the_controllers_permissions(
    make_environment: EnvironmentMaker,
) -> None:
    run = make_environment("dev", identity={"pods": False}, instances={"metadata_hop_limit": 2}).run
    assert "ec2:CreateVolume" in actions(run.of("aws:iam/rolePolicy:RolePolicy")["node-ebs-csi"])
    assert not run.of("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
    for instance in run.of(INSTANCE).values():
        assert instance.inputs["metadataOptions"]["httpPutResponseHopLimit"] == 2


def test_several_control_planes_stand_behind_one_endpoint(
    make_environment: EnvironmentMaker,
) -> None:
    master = {"role": "control-plane", "instance_type": "t3.large", "zone": "ap-northeast-2c"}
    names = ("k8s-master-2", "k8s-master-3")
    run = make_environment("dev", nodes=[{"name": name, **master} for name in names]).run
    attached = run.of("aws:lb/targetGroupAttachment:TargetGroupAttachment").values()
    assert {each.inputs["targetId"] for each in attached} == {
        f"{name}-id" for name in ("k8s-master", *names)
    }
    record = run.of("aws:route53/record:Record")["api"]
    (alias,) = record.inputs["aliases"]
    assert alias["name"].startswith("dev-kube-api.elb.")
    assert "records" not in record.inputs
