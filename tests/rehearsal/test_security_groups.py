"""Security groups as packets meet them: who gets through, who does not, and who is told of it."""

from __future__ import annotations

import contextlib
import errno
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from rehearsal import network
from rehearsal.errors import RehearsalError
from rehearsal.network import (
    DefaultRoute,
    Host,
    Layout,
    NatGateway,
    Permission,
    Plan,
    PublicAddress,
    Refusal,
    SecurityGroup,
    Subnet,
)
from rehearsal.network.commands import inside
from tests.rehearsal.netns import ask, server, until
from tests.rehearsal.probes import Probe, Target, probe

LAYOUT = Layout(
    prefix="tsg-",
    services=IPv4Interface("192.0.2.1/24"),
    router=IPv4Interface("192.0.2.2/24"),
)
PUBLIC, PRIVATE = IPv4Network("10.9.0.0/24"), IPv4Network("10.9.1.0/24")
WEB, APP, DB, JOB = (IPv4Address(a) for a in ("10.9.0.5", "10.9.0.6", "10.9.1.5", "10.9.1.6"))
EIP_WEB, EIP_APP, NAT = (IPv4Address(f"203.0.113.{n}") for n in (5, 6, 9))
IDS = {WEB: "i-0a", APP: "i-0b", DB: "i-0c", JOB: "i-0d"}
OPERATOR, STRANGER = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.77")
PLAN = Plan(
    vpc=IPv4Network("10.9.0.0/16"),
    subnets=(
        Subnet(PUBLIC, DefaultRoute.INTERNET_GATEWAY),
        Subnet(PRIVATE, DefaultRoute.NAT_GATEWAY, "nat-1"),
    ),
    public_addresses=(PublicAddress(EIP_WEB, WEB), PublicAddress(EIP_APP, APP)),
    nat_gateways=(NatGateway("nat-1", PUBLIC, NAT),),
)
TCP, UDP, ICMP = 6, 17, 1
ANYWHERE = IPv4Network("0.0.0.0/0")
ALL = (Permission(ANYWHERE),)
PORTS = [(kind, port) for kind in ("tcp", "udp") for port in (7000, 7001, 7002)]


def group(name: str, *ingress: Permission, egress: Sequence[Permission] = ALL) -> SecurityGroup:
    return SecurityGroup(name, tuple(ingress), tuple(egress))


def planned(groups: Sequence[SecurityGroup], members: Mapping[IPv4Address, str]) -> Plan:
    """members: the names of a host's groups."""
    hosts = tuple(
        Host(
            private,
            PUBLIC if private in PUBLIC else PRIVATE,
            security_groups=tuple(members.get(private, "").split()),
        )
        for private in IDS
    )
    return replace(PLAN, hosts=hosts, security_groups=tuple(groups))


def cidr(text: object) -> IPv4Network:
    return IPv4Network(str(text))


class TestCompile:
    groups = (
        group("sg-1", Permission("sg-2", TCP, 22, 22), Permission(PUBLIC), Permission("sg-1")),
        group("sg-2", Permission(ANYWHERE, ICMP, 8, -1)),
    )

    def many(self, count: int) -> Plan:
        subnet = IPv4Network("10.9.16.0/20")
        names = [("sg-1",), ("sg-2", "sg-1")]
        hosts = (Host(subnet[n + 10], subnet, True, names[n % 2]) for n in range(count))
        return replace(
            PLAN, subnets=(Subnet(subnet),), hosts=tuple(hosts), security_groups=self.groups
        )

    def test_equal_plans_in_another_order_compile_to_equal_rules(self) -> None:
        plan = self.many(6)
        turned = replace(
            plan,
            hosts=tuple(
                replace(host, security_groups=host.security_groups[::-1])
                for host in plan.hosts[::-1]
            ),
            security_groups=tuple(
                replace(each, ingress=each.ingress[::-1]) for each in plan.security_groups[::-1]
            ),
        )
        assert network.compile_ruleset(LAYOUT, turned) == network.compile_ruleset(LAYOUT, plan)

    def test_more_hosts_are_more_elements_but_no_more_rules(self) -> None:
        few, many = (
            network.compile_ruleset(LAYOUT, self.many(count)).splitlines() for count in (14, 500)
        )
        assert len(few) == len(many)

    def test_a_group_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(RehearsalError, match="Security group sg-9 of a host is not in"):
            network.compile_ruleset(LAYOUT, planned(self.groups, {WEB: "sg-1 sg-9"}))


@dataclass
class Wired:
    """All hosts, and the operator's side; each listens on PORTS."""

    probes: dict[IPv4Address, Probe]

    def apply(self, plan: Plan) -> None:
        network.apply(LAYOUT, plan)
        for side in ("egress", "ingress"):
            inside(LAYOUT.vpc, "nft", "flush", "set", "ip", "refused", side)

    def reaches(self, source: IPv4Address, target: Target) -> bool:
        """Whether it answers, if not by a refusal that is noted."""
        before, deadline = network.refused(LAYOUT), time.monotonic() + 60
        self.probes[source].ask([target])
        while network.refused(LAYOUT) == before:
            if answers := self.probes[source].answers(0.1):
                return answers == [(target, 0)]
            assert time.monotonic() < deadline, f"{target} neither answers nor is it refused"
        self.probes[source].ask([])  # or it would go on trying
        return False


@pytest.fixture(scope="module")
def wired() -> Iterator[Wired]:
    network.destroy(LAYOUT)
    try:
        network.create(LAYOUT)
        inside(LAYOUT.internet, "ip", "address", "add", f"{STRANGER}/24", "dev", "uplink")
        for private, name in IDS.items():
            network.attach_host(LAYOUT, name, private, PUBLIC if private in PUBLIC else PRIVATE)
        with contextlib.ExitStack() as stack:
            probes = {
                private: stack.enter_context(probe(LAYOUT.host(name), PORTS))
                for private, name in IDS.items()
            }
            probes[OPERATOR] = stack.enter_context(probe(LAYOUT.internet, PORTS))
            yield Wired(probes)
    finally:
        network.destroy(LAYOUT)


@dataclass(frozen=True)
class Case:
    """groups, members: as `planned` takes them. passes: who reaches whom. refused: who does not,
    on which side that is noted, and under which addresses."""

    name: str
    groups: Sequence[SecurityGroup]
    members: Mapping[IPv4Address, str]
    passes: Sequence[tuple[IPv4Address, Target]] = ()
    refused: Sequence[tuple[IPv4Address, Target, str, object, object]] = field(default=())


def to(address: object, port: int = 7000, kind: str = "tcp", source: object = "") -> Target:
    return Target(str(address), port, kind, str(source))


CLIENT = group("sg-c")  # may ask anybody, and is asked by nobody
CASES = [
    Case(
        "by CIDR and port",
        [CLIENT, group("sg-s", Permission(PUBLIC, TCP, 7000, 7001))],
        {WEB: "sg-c", JOB: "sg-c", DB: "sg-s"},
        [(WEB, to(DB)), (WEB, to(DB, 7001))],
        [
            (WEB, to(DB, 7002), "ingress", WEB, DB),
            (WEB, to(DB, 7000, "udp"), "ingress", WEB, DB),
            (JOB, to(DB), "ingress", JOB, DB),
            (DB, to(WEB), "ingress", DB, WEB),
        ],
    ),
    Case(
        "by overlapping CIDRs",
        [
            CLIENT,
            group(
                "sg-s",
                Permission(cidr("10.9.0.0/16"), UDP, 7000, 7000),
                Permission(PUBLIC, UDP, 7000, 7000),
                Permission(cidr(f"{JOB}/32"), UDP, 6000, 7001),
            ),
        ],
        {WEB: "sg-c", JOB: "sg-c", DB: "sg-s"},
        [(WEB, to(DB, 7000, "udp")), (JOB, to(DB, 7001, "udp"))],
        [(WEB, to(DB, 7001, "udp"), "ingress", WEB, DB)],
    ),
    Case(
        "by a group and by itself",
        [
            CLIENT,
            group("sg-s", Permission("sg-c", TCP, 7000, 7000), Permission("sg-s", UDP, 1, 7001)),
        ],
        {WEB: "sg-c", APP: "sg-s", DB: "sg-s"},
        [(WEB, to(DB)), (APP, to(DB, 7001, "udp"))],
        [(APP, to(DB), "ingress", APP, DB), (WEB, to(DB, 7001, "udp"), "ingress", WEB, DB)],
    ),
    Case(
        "a group is not met under public addresses",
        [
            group("sg-c", Permission("sg-c")),
            group("sg-s", Permission("sg-c"), egress=[Permission("sg-c")]),
        ],
        {WEB: "sg-c", APP: "sg-s", JOB: "sg-c"},
        [(WEB, to(APP)), (JOB, to(APP))],
        [
            (WEB, to(EIP_APP), "ingress", EIP_WEB, APP),
            (JOB, to(EIP_APP), "ingress", NAT, APP),
            (APP, to(EIP_WEB), "egress", APP, EIP_WEB),
        ],
    ),
    Case(
        "a CIDR is met under public addresses",
        [
            group("sg-c", egress=[Permission(cidr(f"{EIP_APP}/32"), TCP, 7000, 7000)]),
            group("sg-s", Permission(cidr(f"{EIP_WEB}/32"), TCP, 7000, 7000)),
        ],
        {WEB: "sg-c", APP: "sg-s"},
        [(WEB, to(EIP_APP))],
        [(WEB, to(APP), "egress", WEB, APP), (APP, to(EIP_WEB), "ingress", EIP_APP, WEB)],
    ),
    Case(
        "from outside",
        [group("sg-s", Permission(cidr(f"{OPERATOR}/32"), TCP, 7000, 7000))],
        {WEB: "sg-s"},
        [(OPERATOR, to(EIP_WEB))],
        [
            (OPERATOR, to(EIP_WEB, 7001), "ingress", OPERATOR, WEB),
            (OPERATOR, to(EIP_WEB, source=STRANGER), "ingress", STRANGER, WEB),
        ],
    ),
    Case(
        "both sides must let it pass",
        [
            group("sg-c", *ALL, egress=[Permission(PRIVATE, TCP, 7000, 7000)]),
            group("sg-s", Permission(ANYWHERE, TCP, 7000, 7001), egress=()),
        ],
        {WEB: "sg-c", DB: "sg-s", JOB: "sg-s"},
        [(WEB, to(DB))],
        [
            (WEB, to(DB, 7001), "egress", WEB, DB),
            (WEB, to(OPERATOR), "egress", WEB, OPERATOR),
            (DB, to(WEB), "egress", DB, WEB),
            (DB, to(JOB), "egress", DB, JOB),
        ],
    ),
    Case(
        "several groups are a union",
        [
            CLIENT,
            group("sg-1", Permission("sg-c", TCP, 7000, 7000), egress=()),
            group("sg-2", Permission("sg-c", TCP, 7001, 7001), egress=[Permission("sg-1")]),
        ],
        {WEB: "sg-c", DB: "sg-1 sg-2", JOB: "sg-1", APP: "sg-2 sg-c"},
        [(WEB, to(DB)), (WEB, to(DB, 7001)), (WEB, to(JOB)), (APP, to(OPERATOR))],
        [
            (WEB, to(JOB, 7001), "ingress", WEB, JOB),
            (DB, to(OPERATOR), "egress", DB, OPERATOR),
        ],
    ),
    Case(
        "no group",
        [CLIENT],
        {WEB: "sg-c"},
        [(WEB, to(OPERATOR))],
        [(WEB, to(DB), "ingress", WEB, DB), (DB, to(WEB), "egress", DB, WEB)],
    ),
    Case(
        "ICMP by type",
        [
            CLIENT,
            group("sg-s", Permission(ANYWHERE, ICMP, 8, 0)),
            group("sg-t", Permission(ANYWHERE, ICMP, 13, -1), Permission(ANYWHERE, TCP, 0, 65535)),
        ],
        {WEB: "sg-c", DB: "sg-s", JOB: "sg-t"},
        [(WEB, to(DB, 0, "icmp")), (WEB, to(JOB))],
        [(WEB, to(JOB, 0, "icmp"), "ingress", WEB, JOB), (WEB, to(DB), "ingress", WEB, DB)],
    ),
    Case(
        "all ICMP, all protocols, another protocol",
        [
            CLIENT,
            group("sg-i", Permission(ANYWHERE, ICMP)),
            group("sg-a", Permission(cidr(f"{WEB}/32"))),
            group("sg-e", Permission(ANYWHERE, 50)),
        ],
        {WEB: "sg-c", APP: "sg-e", DB: "sg-i", JOB: "sg-a"},
        [
            (WEB, to(DB, 0, "icmp")),
            *((WEB, to(JOB, port, kind)) for kind, port in [*PORTS, ("icmp", 0)]),
        ],
        [(WEB, to(APP), "ingress", WEB, APP), (DB, to(JOB), "ingress", DB, JOB)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_passes_and_what_is_refused(wired: Wired, case: Case) -> None:
    wired.apply(planned(case.groups, case.members))
    for source, target in case.passes:
        assert wired.reaches(source, target), (source, target)
    assert network.refused(LAYOUT) == ()
    for source, target, *_ in case.refused:
        assert not wired.reaches(source, target), (source, target)
    noted = {replace(each, packets=0) for each in network.refused(LAYOUT)}
    assert noted == {
        Refusal(
            side, IPv4Address(str(seen)), IPv4Address(str(at)), target.kind, target.port, packets=0
        )
        for _, target, side, seen, at in case.refused
    }


def test_the_resolver_is_never_filtered(wired: Wired) -> None:
    wired.apply(planned([group("sg-n", egress=())], {DB: "sg-n"}))
    for kind in ("udp", "tcp"):
        with server(LAYOUT.internet, str(OPERATOR), LAYOUT.resolver_port, kind):
            for host in (DB, JOB):
                answer = ask(LAYOUT.host(IDS[host]), str(PLAN.resolver), 53, kind, timeout_s=20)
                assert answer == str(LAYOUT.router.ip)
    assert network.refused(LAYOUT) == ()


def test_errors_of_what_passes_come_back(wired: Wired) -> None:
    wired.apply(planned([CLIENT, group("sg-s", *ALL)], {WEB: "sg-c", DB: "sg-s"}))
    wired.probes[WEB].ask([to(DB, 9999, "udp")])
    assert wired.probes[WEB].answers(30) == [(to(DB, 9999, "udp"), errno.ECONNREFUSED)]


def test_a_removed_rule_stops_new_connections_and_no_others(wired: Wired) -> None:
    opened = [CLIENT, group("sg-s", Permission("sg-c", TCP, 8000, 8000))]
    members = {WEB: "sg-c", DB: "sg-s"}
    wired.apply(planned(opened, members))
    program = (
        "import socket\n"
        f"c = socket.create_connection(('{DB}', 8000), 30)\n"
        "while True:\n"
        "    c.sendall(b'x'); print(c.recv(99).decode().strip(), flush=True); input()\n"
    )
    with server(LAYOUT.host(IDS[DB]), str(DB), 8000):
        command = ["nsenter", f"--net=/run/netns/{LAYOUT.host(IDS[WEB])}", sys.executable]
        with subprocess.Popen(
            [*command, "-IS", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as connected:
            try:
                assert connected.stdin and connected.stdout
                assert connected.stdout.readline().decode().strip() == str(WEB)
                wired.apply(planned([CLIENT, group("sg-s", egress=())], members))
                assert not wired.reaches(WEB, to(DB, 8000))
                for _ in range(2):
                    connected.stdin.write(b"\n")
                    connected.stdin.flush()
                    assert connected.stdout.readline().decode().strip() == str(WEB)
                wired.apply(planned(opened, members))
                assert wired.reaches(WEB, to(DB, 8000))
            finally:
                connected.kill()


def test_refusals_are_counted_and_outlive_a_change_of_the_rules(wired: Wired) -> None:
    wired.apply(planned([CLIENT], {WEB: "sg-c"}))
    assert not wired.reaches(WEB, to(DB))
    (first,) = network.refused(LAYOUT)
    assert (first.side, first.port) == ("ingress", 7000) and first.packets >= 1
    network.apply(LAYOUT, planned([CLIENT], {WEB: "sg-c", JOB: "sg-c"}))
    wired.probes[WEB].ask([to(DB)])
    until(lambda: network.refused(LAYOUT)[0].packets > first.packets)


def test_nothing_is_refused_before_there_are_rules() -> None:
    layout = replace(LAYOUT, prefix="tsh-")
    try:
        network.create(layout)
        assert network.refused(layout) == ()
    finally:
        network.destroy(layout)
