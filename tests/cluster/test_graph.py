"""The commands of the cluster layer: how they connect, in which order, and what deletes run."""

from __future__ import annotations

from typing import Any

from cluster import render
from tests.cluster.test_render import inner
from tests.conftest import Environment, EnvironmentMaker
from tests.program import COMMAND, Resource, Run, Secret, plain

# operators inside: no public address, nor anybody who comes in by one
WITHOUT_BASTION: dict[str, Any] = {
    "access": {"bastion": None, "operator_cidrs": ["10.20.0.0/16"]},
    "nodes": [{"name": "k8s-master", "public": False}],
}


def commands(environment: Environment) -> dict[str, Resource]:
    return environment.run.of(COMMAND)


def connection(command: Resource) -> dict[str, Any]:
    return plain(command.inputs["connection"])  # type: ignore[no-any-return]


def named(run: Run, kind: str, name: str) -> str:
    return run.of(kind)[name].urn


def members(environment: Environment) -> list[str]:
    return [n.name for n in environment.settings.nodes if n.role != "control-plane"]


def test_there_are_just_the_commands_that_the_design_names(environment: Environment) -> None:
    names = members(environment)
    assert set(commands(environment)) == {
        *("join-key", "init", "cni", "labels", "jwks", "prepare-k8s-master"),
        *(f"prepare-{name}" for name in names),
        *(f"member-{name}" for name in names),
    }


def test_the_providers_traps_are_disarmed(environment: Environment) -> None:
    for command in commands(environment).values():
        assert command.inputs["logging"] == "none", command.name
        assert command.inputs["addPreviousOutputInEnv"] is False, command.name
        # an update that is not set runs `create` again, and sshd refuses an environment
        assert command.inputs["update"] == command.inputs["create"], command.name
        assert "environment" not in command.inputs, command.name


def test_a_command_runs_anew_on_another_machine_alone(environment: Environment) -> None:
    for name, command in commands(environment).items():
        node = name.removeprefix("prepare-").removeprefix("member-")
        machine = node if node.startswith("k8s-") else "k8s-master"
        assert command.inputs["triggers"] == [f"{machine}-id"]


def test_private_hosts_are_reached_by_way_of_the_bastion(environment: Environment) -> None:
    bastion = environment.run.outputs["bastion_address"]
    addresses = {n["name"]: n["private_ip"] for n in environment.run.outputs["nodes"]}
    for name in members(environment):
        to = connection(commands(environment)[f"prepare-{name}"])
        assert to["host"] == addresses[name]
        assert to["proxy"]["host"] == bastion
    for name in ("prepare-k8s-master", "init", "cni", "labels", "jwks", "join-key"):
        to = connection(commands(environment)[name])
        assert to["host"] == bastion and "proxy" not in to


MASTERS = [
    {
        "name": name,
        "role": "control-plane",
        "instance_type": "t3.large",
        "zone": "ap-northeast-2c",
    }
    for name in ("k8s-master-2", "k8s-master-3")
]


def test_without_a_bastion_every_host_is_reached_inside_the_vpc(
    make_environment: EnvironmentMaker,
) -> None:
    environment = make_environment("prod", **WITHOUT_BASTION)
    run, made = environment.run, commands(environment)
    assert "bastion_address" not in run.outputs
    addresses = {n["name"]: n["private_ip"] for n in run.outputs["nodes"]}
    for node in environment.settings.nodes:
        to = connection(made[f"prepare-{node.name}"])
        assert to["host"] == addresses[node.name] and "proxy" not in to
    master = addresses["k8s-master"]
    assert connection(made["init"])["host"] == master
    assert run.outputs["api_server"] == f"https://{master}:6443"
    assert run.outputs["argocd_url"] == f"https://{master}:30443"
    assert f"server: https://{master}:6443" in plain(run.outputs["kubeconfig"])


def test_another_control_plane_may_be_the_bastion(make_environment: EnvironmentMaker) -> None:
    second = {**MASTERS[0], "public": True}
    first = {"name": "k8s-master", "public": False}
    environment = make_environment(
        "prod", access={"bastion": "k8s-master-2"}, nodes=[first, second, MASTERS[1]]
    )
    outputs = environment.run.outputs
    to = connection(commands(environment)["init"])
    assert to["proxy"]["host"] == outputs["bastion_address"]
    assert outputs["api_server"] == f"https://{outputs['bastion_address']}:6443"


def test_each_hop_waits_long_enough_for_a_machine_to_boot(environment: Environment) -> None:
    for command in commands(environment).values():
        to = connection(command)
        for hop in (to, to.get("proxy", to)):
            assert hop["user"] == environment.settings.ssh.user
            assert hop["dialErrorLimit"] * hop["perDialTimeout"] >= 300


def test_the_connection_with_its_key_is_a_secret(environment: Environment) -> None:
    for command in commands(environment).values():
        assert isinstance(command.inputs["connection"], Secret), command.name
        assert "OPENSSH PRIVATE KEY" in connection(command)["privateKey"]


def test_kubeadms_configuration_comes_by_stdin_and_admin_conf_is_secret(
    environment: Environment,
) -> None:
    for name, command in commands(environment).items():
        assert ("stdin" in command.inputs) == (name == "init")
        assert ("stdout" in command.secret_outputs) == (name == "init")
    stdin = plain(commands(environment)["init"].inputs["stdin"])
    assert f"controlPlaneEndpoint: {environment.settings.api_endpoint}:6443" in stdin


def test_members_run_on_the_control_plane_and_leave_from_there(environment: Environment) -> None:
    master = connection(commands(environment)["init"])
    for name in members(environment):
        member = commands(environment)[f"member-{name}"]
        assert connection(member) == master  # a delete uses the connection of its create
        node = next(node for node in environment.settings.nodes if node.name == name)
        assert member.inputs["delete"] == render.leave(node, None)
        assert member.delete_before_replace
        assert member.deleted_with == commands(environment)["cni"].urn
    others = {n for n, c in commands(environment).items() if "delete" in c.inputs}
    assert others == {f"member-{name}" for name in members(environment)}


def test_a_member_waits_for_the_network_and_its_own_host_alone(environment: Environment) -> None:
    run, made = environment.run, commands(environment)
    for name in members(environment):
        needs = run.needs(made[f"member-{name}"])
        assert {made["cni"].urn, made[f"prepare-{name}"].urn, made["init"].urn} <= needs
        others = {n for n in made if n.startswith(("member-", "prepare-"))}
        others -= {f"member-{name}", f"prepare-{name}", "prepare-k8s-master"}
        assert not {made[n].urn for n in others} & needs


def test_the_control_plane_is_made_in_order(environment: Environment) -> None:
    made = commands(environment)
    for later, earlier in (("init", "prepare-k8s-master"), ("cni", "init"), ("labels", "cni")):
        assert made[earlier].urn in made[later].dependencies
    record = environment.run.of("aws:route53/record:Record")["api"]
    assert record.urn in environment.run.needs(made["init"])


def test_a_host_is_prepared_when_it_can_be_reached_and_can_reach_out(
    environment: Environment,
) -> None:
    run, made = environment.run, commands(environment)
    rules = run.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").values()
    bastion = named(run, "aws:ec2/eipAssociation:EipAssociation", "k8s-master")
    for node in environment.settings.nodes:
        needs = run.needs(made[f"prepare-{node.name}"])
        assert named(run, "aws:ec2/instance:Instance", node.name) in needs
        assert {rule.urn for rule in rules} <= needs
        way_out = "public-default" if node.public else "private-default"
        if not node.public and environment.settings.network.nat_gateways == "per-zone":
            way_out += f"-{node.zone}"
        assert named(run, "aws:ec2/route:Route", way_out) in needs
        assert bastion in needs


def test_the_scripts_get_the_nodes_own_data(environment: Environment) -> None:
    addresses = {n["name"]: n["private_ip"] for n in environment.run.outputs["nodes"]}
    for node in environment.settings.nodes:
        if node.role == "control-plane":
            continue
        script = commands(environment)[f"member-{node.name}"].inputs["create"]
        assert script == render.member(
            render.MemberArgs(
                node,
                addresses[node.name],
                f"ssh-ed25519 AAAAprepare-{node.name}",
                environment.settings.ssh.user,
                f"{environment.settings.api_endpoint}:6443",
                f"aws:///{node.zone}/{node.name}-id",
            )
        )


def test_further_control_planes_join_one_by_one_before_nothing_else_waits(
    make_environment: EnvironmentMaker,
) -> None:
    names = [str(master["name"]) for master in MASTERS]
    environment = make_environment("dev", nodes=MASTERS)
    run, made = environment.run, commands(environment)
    second, third = (made[f"member-{name}"] for name in names)
    ahead = run.needs(made["init"])  # or the endpoint's name would lead nowhere
    for kind in ("aws:lb/listener:Listener", "aws:lb/targetGroupAttachment:TargetGroupAttachment"):
        assert {each.urn for each in run.of(kind).values()} <= ahead
    assert made["cni"].urn in run.needs(second)
    assert second.urn in third.dependencies  # etcd takes one new member at a time
    assert not {second.urn, third.urn} & run.needs(made["member-k8s-redis"])
    for name, member in zip(names, (second, third), strict=True):
        node = next(node for node in environment.settings.nodes if node.name == name)
        assert "FIRST_CONTROL_PLANE='k8s-master'" in inner(member.inputs["create"])
        assert member.inputs["delete"] == render.leave(node, "k8s-master")
        assert connection(member) == connection(made["init"])


def test_pods_get_an_issuer_that_aws_can_ask(environment: Environment) -> None:
    run, made = environment.run, commands(environment)
    provider = run.one("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
    stdin = plain(made["init"].inputs["stdin"])
    assert f"value: {provider.inputs['url']}\n" in stdin
    keys = run.of("aws:s3/bucketObjectv2:BucketObjectv2")["keys"]
    assert made["jwks"].urn in keys.dependencies


def test_without_roles_for_pods_the_cluster_is_its_own_issuer(
    make_environment: EnvironmentMaker,
) -> None:
    environment = make_environment(
        "dev", identity={"pods": False}, instances={"metadata_hop_limit": 2}
    )
    assert "jwks" not in commands(environment)
    assert "service-account-issuer" not in plain(commands(environment)["init"].inputs["stdin"])
