"""The port matrix: every rule once, described, and just the ports that the cluster needs."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from infra.ports import (
    API_LOAD_BALANCER,
    CONTROL_PLANE,
    LOAD_BALANCER,
    NODE,
    OPERATOR,
    WORLD,
    MatrixArgs,
    Rule,
    cidrs,
    matrix,
)

ARGS = MatrixArgs(
    argocd_node_port=30443,
    ingress_node_port=30080,
    public=False,
    control_planes=1,
    bastion=True,
    addons=False,
)
PUBLIC, HIGHLY_AVAILABLE = replace(ARGS, public=True), replace(ARGS, control_planes=3)
MEASURED, INSIDE = replace(ARGS, addons=True), replace(ARGS, bastion=False)
ALL = replace(ARGS, public=True, control_planes=3, addons=True)


def opened(rules: tuple[Rule, ...]) -> set[tuple[str, str, str, int, int]]:
    return {(r.group, r.peer, r.protocol, r.from_port, r.to_port) for r in rules}


@pytest.mark.parametrize("args", [ARGS, PUBLIC, HIGHLY_AVAILABLE, MEASURED, ALL, INSIDE])
def test_every_rule_is_there_once_well_formed_and_described(args: MatrixArgs) -> None:
    rules = matrix(args)
    assert len({rule.name for rule in rules}) == len(opened(rules)) == len(rules)
    for rule in rules:
        assert rule.group in (NODE, CONTROL_PLANE, LOAD_BALANCER, API_LOAD_BALANCER)
        assert rule.protocol in ("tcp", "udp")
        assert 0 < rule.from_port <= rule.to_port < 65536
        # AWS's limit and characters for a rule's description
        assert 5 < len(rule.why) <= 255
        assert all(c.isalnum() or c in " ._-:/()#,@[]+=&;{}!$*" for c in rule.why)


def test_names_say_what_the_rule_is() -> None:
    names = {rule.name for rule in matrix(ALL)}
    assert {"control-plane-tcp-6443-from-operator", "node-udp-4789-from-node"} <= names
    assert "control-plane-tcp-2379-2380-from-control-plane" in names


def test_one_control_plane_without_a_public_side_opens_seven_rules() -> None:
    assert opened(matrix(ARGS)) == {
        (CONTROL_PLANE, OPERATOR, "tcp", 22, 22),
        (CONTROL_PLANE, OPERATOR, "tcp", 6443, 6443),
        (CONTROL_PLANE, OPERATOR, "tcp", 30443, 30443),
        (NODE, CONTROL_PLANE, "tcp", 22, 22),
        (CONTROL_PLANE, NODE, "tcp", 6443, 6443),
        (NODE, CONTROL_PLANE, "tcp", 10250, 10250),
        (NODE, NODE, "udp", 4789, 4789),
    }


def test_without_a_bastion_operators_reach_ssh_on_every_node() -> None:
    assert opened(matrix(INSIDE)) ^ opened(matrix(ARGS)) == {
        (CONTROL_PLANE, OPERATOR, "tcp", 22, 22),
        (NODE, OPERATOR, "tcp", 22, 22),
    }
    assert not any("bastion" in rule.why for rule in matrix(INSIDE))


def test_the_world_reaches_a_load_balancer_alone_and_it_the_node_ports() -> None:
    assert opened(matrix(PUBLIC)) - opened(matrix(ARGS)) == {
        (LOAD_BALANCER, WORLD, "tcp", 80, 80),
        (LOAD_BALANCER, WORLD, "tcp", 443, 443),
        (NODE, LOAD_BALANCER, "tcp", 30080, 30080),
        (NODE, LOAD_BALANCER, "tcp", 30443, 30443),
    }


def test_several_control_planes_share_etcd_and_an_endpoint() -> None:
    assert opened(matrix(HIGHLY_AVAILABLE)) - opened(matrix(ARGS)) == {
        (API_LOAD_BALANCER, NODE, "tcp", 6443, 6443),
        (CONTROL_PLANE, API_LOAD_BALANCER, "tcp", 6443, 6443),
        (CONTROL_PLANE, CONTROL_PLANE, "tcp", 2379, 2380),
    }


def test_where_metrics_are_read_every_node_may_be_the_reader() -> None:
    assert opened(matrix(MEASURED)) ^ opened(matrix(ARGS)) == {
        (NODE, CONTROL_PLANE, "tcp", 10250, 10250),
        (NODE, NODE, "tcp", 10250, 10250),
        (NODE, NODE, "tcp", 9100, 9100),
    }


def test_node_ports_are_those_of_the_settings() -> None:
    rules = matrix(replace(PUBLIC, argocd_node_port=31000, ingress_node_port=31001))
    ports = {rule.from_port for rule in rules if rule.from_port >= 30000}
    assert ports == {31000, 31001}


def test_only_operators_and_the_world_are_cidrs() -> None:
    networks = [IPv4Network("192.0.2.0/24"), IPv4Network("198.18.0.0/15")]
    assert cidrs(OPERATOR, networks) == ("192.0.2.0/24", "198.18.0.0/15")
    assert cidrs(WORLD, networks) == ("0.0.0.0/0",)
    for group in (NODE, CONTROL_PLANE, LOAD_BALANCER, API_LOAD_BALANCER):
        assert cidrs(group, networks) == ()
