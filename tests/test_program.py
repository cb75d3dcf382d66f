"""The whole program under mocks: outputs, secrets, refusals, and what one line changes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from contract import Contract
from tests.conftest import Environment, EnvironmentMaker
from tests.program import COMMAND, Resource, Run, Secret, copy_project, in_the_clear, plain, run

TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")  # kubeadm's bootstrap tokens

Key = tuple[str, str]

NEW_NODE = {
    "name": "k8s-worker-batch",
    "role": "worker",
    "instance_type": "t3.medium",
    "zone": "ap-northeast-2a",
}


def by_key(made: Run) -> dict[Key, Resource]:
    """(type, name) -> resource; a graph has no two of one key."""
    found = {(each.type, each.name): each for each in made.resources}
    assert len(found) == len(made.resources)
    return found


def changed(before: Run, after: Run) -> set[Key]:
    """What both have, and with other inputs."""
    old, new = by_key(before), by_key(after)
    return {key for key in old.keys() & new.keys() if old[key].inputs != new[key].inputs}


def test_the_program_ends_well(environment: Environment) -> None:
    assert environment.run.error is None
    assert len(environment.run.of("aws:ec2/instance:Instance")) == 14
    assert len(environment.run.of(COMMAND)) > 14
    assert environment.run.one("kubernetes:helm.sh/v3:Release")


def test_a_preview_registers_what_an_update_does(
    environment: Environment, make_environment: EnvironmentMaker
) -> None:
    preview = make_environment(environment.name, preview=True).run
    assert preview.error is None
    assert by_key(preview).keys() == by_key(environment.run).keys()


def test_the_outputs_are_the_contract(environment: Environment) -> None:
    outputs = environment.run.outputs
    promised = {name for name, field in Contract.model_fields.items() if field.is_required()}
    assert promised <= set(outputs) <= set(Contract.model_fields)
    assert ("cdn_url" in outputs) == (environment.settings.dns.public is not None)
    contract = Contract.model_validate(plain(outputs))
    assert [node.name for node in contract.nodes] == [
        node.name for node in environment.settings.nodes
    ]
    assert set(contract.public_subnet_ids) == set(environment.settings.network.zones)
    assert set(contract.private_subnet_ids) == set(environment.settings.network.zones)
    assert contract.api_endpoint == environment.settings.api_endpoint


def test_the_kubeconfig_is_the_one_secret_output(environment: Environment) -> None:
    outputs = environment.run.outputs
    assert {name for name, value in outputs.items() if isinstance(value, Secret)} == {"kubeconfig"}
    assert "CLIENT-KEY-OF-THE-ADMIN" in outputs["kubeconfig"].value
    assert "CLIENT-KEY" not in "".join(in_the_clear(outputs))


def test_no_secret_is_given_to_a_resource_in_the_clear(
    environment: Environment, key_pair: Path
) -> None:
    lines = [line for line in key_pair.read_text().splitlines() if "-----" not in line]
    for each in environment.run.resources:
        text = "\n".join(in_the_clear(each.inputs))
        assert not any(line in text for line in lines), each.urn
        assert "CLIENT-KEY-OF-THE-ADMIN" not in text, each.urn
        assert not TOKEN.search(text), each.urn
    provider = environment.run.one("pulumi:providers:kubernetes")
    assert isinstance(provider.inputs["kubeconfig"], Secret)


def test_every_custom_resource_has_a_provider_of_its_layer_or_none_to_choose(
    environment: Environment,
) -> None:
    made = environment.run
    for kind in ("aws", "kubernetes"):
        provider = made.one(f"pulumi:providers:{kind}")
        for each in made.resources:
            if each.type.startswith(f"{kind}:"):
                assert each.provider.startswith(f"{provider.urn}::"), each.urn


def test_one_line_is_one_node(prod: Environment, make_environment: EnvironmentMaker) -> None:
    after = make_environment("prod", nodes=[NEW_NODE]).run
    name = NEW_NODE["name"]
    new = by_key(after).keys() - by_key(prod.run).keys()
    assert new == {
        ("groundwork:infra:NodeInstance", name),
        ("aws:ec2/instance:Instance", name),
        (COMMAND, f"prepare-{name}"),
        (COMMAND, f"member-{name}"),
        *(  # a worker is one more target of the load balancer
            ("aws:lb/targetGroupAttachment:TargetGroupAttachment", f"{group}-{name}")
            for group in ("ingress", "argocd")
        ),
    }
    assert by_key(prod.run).keys() <= by_key(after).keys()
    assert changed(prod.run, after) == set()


def test_a_public_node_has_its_address_besides(
    prod: Environment, make_environment: EnvironmentMaker
) -> None:
    after = make_environment("prod", nodes=[{**NEW_NODE, "public": True}]).run
    new = {kind for kind, _ in by_key(after).keys() - by_key(prod.run).keys()}
    assert {"aws:ec2/eip:Eip", "aws:ec2/eipAssociation:EipAssociation"} <= new
    connection: dict[str, Any] = plain(after.of(COMMAND)["prepare-k8s-worker-batch"].inputs)
    assert "proxy" not in connection["connection"]


def test_a_node_taken_away_takes_only_its_own(
    prod: Environment, make_environment: EnvironmentMaker
) -> None:
    after = make_environment("prod", nodes=[{"name": "k8s-redis", "absent": True}]).run
    gone = by_key(prod.run).keys() - by_key(after).keys()
    assert {name.removeprefix("prepare-").removeprefix("member-") for _, name in gone} == {
        "k8s-redis"
    }
    assert changed(prod.run, after) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"labels": {"tier": "cache"}}, {(COMMAND, "member-k8s-redis")}),
        ({"taints": []}, {(COMMAND, "member-k8s-redis")}),
        ({"instance_type": "t3.large"}, {("aws:ec2/instance:Instance", "k8s-redis")}),
        ({"disk_gib": 50}, {("aws:ec2/instance:Instance", "k8s-redis")}),
    ],
)
def test_a_nodes_data_changes_only_what_is_made_of_it(
    prod: Environment,
    make_environment: EnvironmentMaker,
    change: dict[str, object],
    expected: set[Key],
) -> None:
    after = make_environment("prod", nodes=[{"name": "k8s-redis", **change}]).run
    assert changed(prod.run, after) == expected
    member = (COMMAND, "member-k8s-redis")
    for made in (prod.run, after):  # or the node would leave and join again
        assert by_key(made)[member].inputs["triggers"] == ["k8s-redis-id"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cluster": {"pod_cidr": "10.0.0.0/17"}}, "overlaps"),
        ({"nodes": [{"name": "k8s-redis", "instance_type": "t3.huge"}]}, "unknown instance type"),
        ({"ssh": {"private_key_file": "/nowhere/key"}}, "cannot be read"),
        ({"colour": "green"}, "unknown key"),
        ({"access": {"operator_cidrs": ["0.0.0.0/0"]}}, "to the world"),
    ],
)
def test_refused_settings_register_no_resource(
    tmp_path: Path, key_pair: Path, changes: dict[str, Any], reason: str
) -> None:
    made = run(copy_project(tmp_path, "prod", key_pair, **changes), "prod")
    assert made.error is not None and reason in made.error
    assert made.error.startswith("RunError: 1 setting refused; nothing was changed:")
    assert (made.resources, made.calls, made.outputs) == ((), (), {})


def test_a_stack_without_a_file_registers_no_resource(tmp_path: Path, key_pair: Path) -> None:
    made = run(copy_project(tmp_path, "prod", key_pair), "prd")
    assert made.error is not None and "environments here: prod" in made.error
    assert (made.resources, made.calls, made.outputs) == ((), (), {})
