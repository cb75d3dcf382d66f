"""The port matrix: every rule once, described, and just the ports that the cluster needs."""

from __future__ import annotations

from ipaddress import IPv4Network

from infra.ports import CONTROL_PLANE, NODE, OPERATOR, cidrs, matrix

RULES = matrix(30443)


def test_names_are_unique_and_say_what_the_rule_is() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert "control-plane-tcp-6443-from-operator" in names
    assert "node-udp-4789-from-node" in names


def test_no_two_rules_are_the_same() -> None:
    rules = {(r.group, r.peer, r.protocol, r.from_port, r.to_port) for r in RULES}
    assert len(rules) == len(RULES)


def test_every_rule_is_well_formed_and_described() -> None:
    for rule in RULES:
        assert rule.group in (NODE, CONTROL_PLANE)
        assert rule.peer in (NODE, CONTROL_PLANE, OPERATOR)
        assert rule.protocol in ("tcp", "udp")
        assert 0 < rule.from_port <= rule.to_port < 65536
        # AWS's limit and characters for a rule's description
        assert 5 < len(rule.why) <= 255
        assert all(c.isalnum() or c in " ._-:/()#,@[]+=&;{}!$*" for c in rule.why.replace("'", ""))


def test_operators_reach_the_control_plane_on_three_ports_alone() -> None:
    ports = {rule.from_port for rule in RULES if rule.peer == OPERATOR}
    assert ports == {22, 6443, 30443}
    assert {rule.group for rule in RULES if rule.peer == OPERATOR} == {CONTROL_PLANE}


def test_argo_cd_is_reached_on_the_port_of_the_settings() -> None:
    assert any(rule.from_port == 31000 for rule in matrix(31000))
    assert not any(rule.from_port == 30443 for rule in matrix(31000))


def test_what_kubernetes_and_the_pod_network_need_is_open() -> None:
    opened = {(r.group, r.peer, r.protocol, r.from_port) for r in RULES}
    assert {
        (NODE, CONTROL_PLANE, "tcp", 22),
        (NODE, CONTROL_PLANE, "tcp", 10250),
        (CONTROL_PLANE, NODE, "tcp", 6443),
        (NODE, NODE, "udp", 4789),
        (NODE, NODE, "tcp", 5473),
    } <= opened


def test_only_operators_are_cidrs() -> None:
    networks = [IPv4Network("192.0.2.0/24"), IPv4Network("198.18.0.0/15")]
    assert cidrs(OPERATOR, networks) == ("192.0.2.0/24", "198.18.0.0/15")
    assert cidrs(NODE, networks) == cidrs(CONTROL_PLANE, networks) == ()
