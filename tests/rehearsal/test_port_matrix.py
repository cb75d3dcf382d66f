"""The program's port matrix, as packets meet it: enough for what it names, and nothing too much."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

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
from rehearsal import network
from rehearsal.network import (
    DefaultRoute,
    Host,
    Layout,
    Permission,
    Plan,
    PublicAddress,
    SecurityGroup,
    Subnet,
)
from rehearsal.network.commands import inside
from tests.rehearsal.netns import until
from tests.rehearsal.probes import Probe, Target, probe

LAYOUT = Layout(
    prefix="tpm-",
    services=IPv4Interface("192.0.2.1/24"),
    router=IPv4Interface("192.0.2.2/24"),
)
VPC, SUBNET = IPv4Network("10.9.0.0/16"), IPv4Network("10.9.0.0/24")
RULES = matrix(
    MatrixArgs(
        argocd_node_port=30443,
        ingress_node_port=30080,
        public=True,
        control_planes=2,
        bastion=True,
        addons=True,
    )
)
PROTOCOLS = {"tcp": 6, "udp": 17}


@dataclass(frozen=True)
class Peer:
    """groups: none for those outside. public: where those outside find it, if at all."""

    address: IPv4Address
    groups: tuple[str, ...] = ()
    public: IPv4Address | None = None

    @property
    def inside(self) -> bool:
        return self.address in VPC


def _inside(last: int, *groups: str, public: int | None = None) -> Peer:
    known = IPv4Address(f"203.0.113.{public}") if public else None
    return Peer(SUBNET[last], groups, known)


PEERS = {
    "operator": Peer(IPv4Address("192.0.2.1")),
    "world": Peer(IPv4Address("192.0.2.77")),
    "control plane": _inside(10, NODE, CONTROL_PLANE, public=10),
    "second control plane": _inside(11, NODE, CONTROL_PLANE, public=11),
    "node": _inside(20, NODE, public=20),
    "second node": _inside(21, NODE),
    "load balancer": _inside(30, LOAD_BALANCER, public=30),
    "load balancer of the API": _inside(31, API_LOAD_BALANCER),
}
OPERATORS = [IPv4Network(f"{PEERS['operator'].address}/32")]
# of every rule, and beside them: etcd's and the kubelet's neighbours, what must stay closed
LISTENING = sorted(
    {(r.protocol, port) for r in RULES for port in (r.from_port - 1, r.from_port, r.to_port)}
    | {("tcp", 10257), ("tcp", 10259), ("udp", 53), ("tcp", 4789), ("tcp", 8080)}
)


@dataclass(frozen=True)
class Connection:
    """source, destination: names of PEERS."""

    source: str
    destination: str
    kind: str
    port: int

    @property
    def target(self) -> Target:
        source, destination = PEERS[self.source], PEERS[self.destination]
        address = destination.address if source.inside else destination.public
        return Target(
            str(address), self.port, self.kind, "" if source.inside else str(source.address)
        )

    @property
    def as_noted(self) -> tuple[IPv4Address, IPv4Address, str, int]:
        """As it is refused, on either side: behind the public address is the private one."""
        source, destination = PEERS[self.source], PEERS[self.destination]
        return source.address, destination.address, self.kind, self.port


ALL = [
    Connection(source, destination, kind, port)
    for source, one in PEERS.items()
    for destination, other in PEERS.items()
    if source != destination and other.inside and (one.inside or other.public)
    for kind, port in LISTENING
]


def opened_by(rule: Rule) -> set[Connection]:
    """What the matrix says that a rule is for."""
    return {
        connection
        for connection in ALL
        if rule.group in PEERS[connection.destination].groups
        and _is(connection.source, rule.peer)
        and connection.kind == rule.protocol
        and rule.from_port <= connection.port <= rule.to_port
    }


def _is(name: str, peer: str) -> bool:
    return peer == WORLD or (name == "operator" if peer == OPERATOR else peer in PEERS[name].groups)


def planned(rules: Sequence[Rule]) -> Plan:
    """Groups as `infra.security` makes them of the rules."""

    def permissions(group: str) -> Iterator[Permission]:
        for rule in rules:
            if rule.group == group:
                for peer in map(IPv4Network, cidrs(rule.peer, OPERATORS)):
                    yield _permission(rule, peer)
                if not cidrs(rule.peer, OPERATORS):
                    yield _permission(rule, f"sg-{rule.peer}")

    egress = {
        NODE: IPv4Network("0.0.0.0/0"),
        LOAD_BALANCER: VPC,
        API_LOAD_BALANCER: VPC,
    }
    return Plan(
        vpc=VPC,
        subnets=(Subnet(SUBNET, DefaultRoute.INTERNET_GATEWAY),),
        hosts=tuple(
            Host(peer.address, SUBNET, security_groups=tuple(f"sg-{each}" for each in peer.groups))
            for peer in PEERS.values()
            if peer.inside
        ),
        public_addresses=tuple(
            PublicAddress(peer.public, peer.address) for peer in PEERS.values() if peer.public
        ),
        security_groups=tuple(
            SecurityGroup(
                f"sg-{group}",
                tuple(permissions(group)),
                (Permission(egress[group]),) if group in egress else (),
            )
            for group in (NODE, CONTROL_PLANE, LOAD_BALANCER, API_LOAD_BALANCER)
        ),
    )


def _permission(rule: Rule, peer: IPv4Network | str) -> Permission:
    return Permission(peer, PROTOCOLS[rule.protocol], rule.from_port, rule.to_port)


@pytest.fixture(scope="module")
def probes() -> Iterator[dict[str, Probe]]:
    """By the names of PEERS; those inside listen on everything."""
    network.destroy(LAYOUT)
    try:
        network.create(LAYOUT)
        outside = PEERS["world"].address
        inside(LAYOUT.internet, "ip", "address", "add", f"{outside}/24", "dev", "uplink")
        with contextlib.ExitStack() as stack:
            made = {}
            for number, (name, peer) in enumerate(PEERS.items()):
                if peer.inside:
                    network.attach_host(LAYOUT, f"i-{number}", peer.address, SUBNET)
                    asking = probe(LAYOUT.host(f"i-{number}"), LISTENING)
                else:
                    asking = probe(LAYOUT.internet)
                made[name] = stack.enter_context(asking)
            yield made
    finally:
        network.destroy(LAYOUT)


def passing(probes: dict[str, Probe], expected: set[Connection]) -> set[Connection]:
    """Which of ALL connections pass. It waits for the expected ones to pass, and for every other
    one until it does, or is noted as refused."""
    for side in ("egress", "ingress"):
        inside(LAYOUT.vpc, "nft", "flush", "set", "ip", "refused", side)
    asked = {name: [each for each in ALL if each.source == name] for name in PEERS}
    for name, connections in asked.items():
        probes[name].ask(connection.target for connection in connections)
    by_source = {
        name: {connection.target: connection for connection in connections}
        for name, connections in asked.items()
    }
    passed: set[Connection] = set()

    def settled() -> bool:
        for name, targets in by_source.items():
            passed.update(targets[target] for target, error in probes[name].answers() if not error)
        noted = {
            (each.source, each.destination, each.protocol, each.port)
            for each in network.refused(LAYOUT)
        }
        refused = {each for each in ALL if each.as_noted in noted}
        return expected <= passed and passed | refused >= set(ALL)

    with contextlib.suppress(AssertionError):  # what is missing shows better in the answer
        until(settled, 60)
    return passed


def test_every_rule_opens_what_it_is_for_and_nothing_else_is_open(
    probes: dict[str, Probe],
) -> None:
    network.apply(LAYOUT, planned(RULES))
    expected = set().union(*map(opened_by, RULES))
    assert passing(probes, expected) == expected


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_without_a_rule_just_what_it_is_for_is_closed(probes: dict[str, Probe], rule: Rule) -> None:
    others = [each for each in RULES if each != rule]
    expected = set().union(*map(opened_by, others))
    assert opened_by(rule) - expected, "another rule opens the same"
    network.apply(LAYOUT, planned(others))
    assert passing(probes, expected) == expected
