"""The compiled rules as text, and the network as its hosts and the operator see it."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

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
    SecurityGroup,
    Subnet,
    commands,
    namespaces,
)
from rehearsal.network.commands import inside, ip_json
from tests.rehearsal.netns import PORT, ask, server, until

LAYOUT = Layout(
    prefix="tn-",
    services=IPv4Interface("192.0.2.1/24"),
    router=IPv4Interface("192.0.2.2/24"),
)
PUBLIC, PRIVATE, CLOSED = (IPv4Network(f"10.9.{n}.0/24") for n in (0, 1, 2))
BASTION, WEB, DB, DB2, SEALED = (
    IPv4Address(a) for a in ("10.9.0.5", "10.9.0.6", "10.9.1.5", "10.9.1.6", "10.9.2.5")
)
EIP, EIP2, NAT = (IPv4Address(f"203.0.113.{n}") for n in (5, 6, 9))
IDS = {BASTION: "i-0a", WEB: "i-0b", DB: "i-0c", DB2: "i-0d", SEALED: "i-0e"}
SUBNETS = {BASTION: PUBLIC, WEB: PUBLIC, DB: PRIVATE, DB2: PRIVATE, SEALED: CLOSED}
ANYBODY = (Permission(IPv4Network("0.0.0.0/0")),)
OPEN = SecurityGroup("sg-0", ingress=ANYBODY, egress=ANYBODY)
PLAN = Plan(
    vpc=IPv4Network("10.9.0.0/16"),
    subnets=(
        Subnet(PUBLIC, DefaultRoute.INTERNET_GATEWAY),
        Subnet(PRIVATE, DefaultRoute.NAT_GATEWAY, "nat-1"),
        Subnet(CLOSED),
    ),
    hosts=tuple(
        Host(private, subnet, security_groups=(OPEN.id,)) for private, subnet in SUBNETS.items()
    ),
    public_addresses=(PublicAddress(EIP, BASTION), PublicAddress(EIP2, WEB)),
    nat_gateways=(NatGateway("nat-1", PUBLIC, NAT),),
    security_groups=(OPEN,),
)
SERVICES = str(LAYOUT.services.ip)
UNREACHABLE = f"OSError {errno.ENETUNREACH}"
TIMEOUT = "TimeoutError None"


def ns(private: IPv4Address) -> str:
    return LAYOUT.host(IDS[private])


class TestCompile:
    def rules(self, plan: Plan) -> str:
        return network.compile_ruleset(LAYOUT, plan)

    def test_equal_plans_in_another_order_compile_to_equal_rules(self) -> None:
        turned = replace(PLAN, hosts=PLAN.hosts[::-1], public_addresses=PLAN.public_addresses[::-1])
        assert self.rules(turned) == self.rules(PLAN)

    def test_translations(self) -> None:
        rules = self.rules(PLAN)
        assert f"elements = {{ {EIP} : {BASTION}, {EIP2} : {WEB} }}" in rules
        assert (
            f"elements = {{ {BASTION} : {EIP}, {WEB} : {EIP2}, {DB} : {NAT}, {DB2} : {NAT} }}"
            in rules
        )
        assert f"elements = {{ {BASTION}, {WEB}, {DB}, {DB2} }}" in rules

    def test_public_address_without_internet_route_is_not_translated(self) -> None:
        rules = self.rules(replace(PLAN, subnets=(Subnet(PUBLIC), *PLAN.subnets[1:])))
        assert str(EIP) not in rules

    def test_nat_gateway_in_a_subnet_without_internet_route_leads_nowhere(self) -> None:
        rules = self.rules(replace(PLAN, nat_gateways=(NatGateway("nat-1", CLOSED, NAT),)))
        assert str(NAT) not in rules

    def test_nothing_but_the_vpc(self) -> None:
        rules = self.rules(Plan(vpc=PLAN.vpc))
        assert "elements" not in rules
        assert rules.count("dnat to 192.0.2.1:5353") == 2

    def test_sources_are_checked_unless_the_instance_says_otherwise(self) -> None:
        router = replace(PLAN.hosts[0], source_dest_check=False)
        rules = self.rules(replace(PLAN, hosts=(router, *PLAN.hosts[1:])))
        assert re.search(r'any_address \{\n.*\n\s+elements = \{ "v0a090005" \}', rules)

    @pytest.mark.parametrize("address", ["127.3.2.1", "192.0.2.77", "10.9.8.7"])
    def test_refuses_public_addresses_that_can_not_be_routed(self, address: str) -> None:
        plan = replace(PLAN, public_addresses=(PublicAddress(IPv4Address(address), BASTION),))
        with pytest.raises(RehearsalError, match="can't be routed: it is"):
            self.rules(plan)

    def test_refuses_one_public_address_for_two(self) -> None:
        plan = replace(PLAN, nat_gateways=(NatGateway("nat-1", PUBLIC, EIP),))
        with pytest.raises(RehearsalError, match="belongs to both"):
            self.rules(plan)

    def test_refuses_a_host_in_no_subnet(self) -> None:
        with pytest.raises(RehearsalError, match="is in no subnet"):
            self.rules(replace(PLAN, subnets=PLAN.subnets[1:]))


@pytest.fixture(scope="module")
def net() -> Iterator[Layout]:
    network.destroy(LAYOUT)
    try:
        network.create(LAYOUT)
        for private, name in IDS.items():
            network.attach_host(LAYOUT, name, private, SUBNETS[private])
        network.apply(LAYOUT, PLAN)
        yield LAYOUT
    finally:
        network.destroy(LAYOUT)


@pytest.fixture
def plan(net: Layout) -> Iterator[Plan]:
    yield PLAN
    network.apply(net, PLAN)


@pytest.mark.usefixtures("net")
class TestReach:
    def test_operator_reaches_a_public_address_one_to_one(self) -> None:
        with server(ns(BASTION), str(BASTION)):
            assert ask(LAYOUT.internet, str(EIP)) == SERVICES

    def test_operator_reaches_no_private_address(self) -> None:
        with server(ns(DB), str(DB)):
            assert ask(LAYOUT.internet, str(DB)) == UNREACHABLE

    def test_not_even_with_a_route_of_its_own(self) -> None:
        route = ("dev", "uplink", "via", str(LAYOUT.router.ip))
        inside(LAYOUT.internet, "ip", "route", "add", f"{BASTION}/32", *route)
        try:
            with server(ns(BASTION), str(BASTION)):
                assert ask(LAYOUT.internet, str(BASTION)) == TIMEOUT
        finally:
            inside(LAYOUT.internet, "ip", "route", "delete", f"{BASTION}/32")

    def test_unknown_public_addresses_are_unreachable_at_once(self) -> None:
        assert ask(LAYOUT.internet, "203.0.113.77", timeout_s=20) == UNREACHABLE
        assert ask(ns(BASTION), "8.8.8.8", timeout_s=20) == UNREACHABLE

    def test_public_host_goes_out_by_its_own_address(self) -> None:
        with server(LAYOUT.internet, SERVICES):
            assert ask(ns(BASTION), SERVICES) == str(EIP)

    def test_private_host_goes_out_by_the_nat_gateway(self) -> None:
        with server(LAYOUT.internet, SERVICES):
            assert ask(ns(DB), SERVICES) == str(NAT)
            assert ask(ns(DB2), SERVICES) == str(NAT)

    def test_nobody_comes_in_by_the_nat_gateway(self) -> None:
        with server(ns(DB), str(DB)):
            assert ask(LAYOUT.internet, str(NAT), timeout_s=20).startswith("OSError")

    def test_host_without_a_route_stays_inside(self) -> None:
        with server(LAYOUT.internet, SERVICES), server(ns(DB), str(DB)):
            assert ask(ns(SEALED), SERVICES) == TIMEOUT
            assert ask(ns(SEALED), str(DB)) == str(SEALED)

    def test_hosts_of_one_subnet_talk_through_the_router(self) -> None:
        def crossed() -> int:
            known = inside(
                LAYOUT.vpc, "conntrack", "-L", "-p", "tcp", "-s", str(DB), "-d", str(DB2)
            )
            return len(known.splitlines())

        before = crossed()
        with server(ns(DB2), str(DB2)):
            assert ask(ns(DB), str(DB2)) == str(DB)
        assert crossed() == before + 1

    def test_host_reaches_the_public_address_of_another_and_of_itself(self) -> None:
        with server(ns(WEB), str(WEB)):
            assert ask(ns(BASTION), str(EIP2)) == str(EIP)
            assert ask(ns(DB), str(EIP2)) == str(NAT)
            assert ask(ns(WEB), str(EIP2)) == str(EIP2)
            assert ask(ns(SEALED), str(EIP2)) == TIMEOUT

    @pytest.mark.parametrize("kind", ["udp", "tcp"])
    def test_every_host_asks_the_resolver(self, kind: str) -> None:
        with server(LAYOUT.internet, SERVICES, LAYOUT.resolver_port, kind):
            for private in (BASTION, DB, SEALED):
                assert ask(ns(private), "10.9.0.2", 53, kind) == str(LAYOUT.router.ip)

    def test_a_forged_source_is_dropped(self) -> None:
        inside(ns(DB), "ip", "address", "add", "10.9.1.99/32", "dev", "eth0")
        try:
            with server(ns(WEB), str(WEB), kind="udp"):
                program = (
                    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
                    f"s.bind(('10.9.1.99', 0)); s.settimeout(1); s.sendto(b'x', ('{WEB}', {PORT}))"
                )
                inside(ns(DB), sys.executable, "-c", program)
                assert not re.search(
                    r"src=10\.9\.1\.99", inside(LAYOUT.vpc, "conntrack", "-L", "-p", "udp")
                )
                assert ask(ns(DB), str(WEB), kind="udp") == str(DB)
        finally:
            inside(ns(DB), "ip", "address", "delete", "10.9.1.99/32", "dev", "eth0")

    def test_big_packets_inside_the_vpc_and_smaller_ones_outside(self) -> None:
        assert ip_json(ns(DB), "link", "show", "eth0")[0]["mtu"] == 9001
        with server(ns(DB2), str(DB2), kind="udp"):
            assert ask(ns(DB), str(DB2), kind="udp", size=8900) == str(DB)
        with server(LAYOUT.internet, SERVICES):
            assert ask(ns(DB), SERVICES, size=60000, timeout_s=5) == str(NAT)

    def test_an_overlay_of_vxlan_works_between_hosts(self) -> None:
        hosts = {DB: "192.168.7.1", BASTION: "192.168.7.2"}
        try:
            for private, other in ((DB, BASTION), (BASTION, DB)):
                batch = (
                    f"link add pods type vxlan id 7 dstport 4789 dev eth0 remote {other}\n"
                    f"address add {hosts[private]}/24 dev pods\nlink set pods up\n"
                )
                subprocess.run(
                    ["ip", "-n", ns(private), "-batch", "-"], input=batch, text=True, check=True
                )
            with server(ns(BASTION), hosts[BASTION]):
                answer = ask(ns(DB), hosts[BASTION], size=60000, timeout_s=5)
                assert answer == hosts[DB]
        finally:
            for private in hosts:
                inside(ns(private), "ip", "link", "delete", "pods", allowed=(0, 1))

    def test_there_is_no_ipv6(self) -> None:
        for namespace in (LAYOUT.internet, LAYOUT.vpc, ns(DB)):
            assert inside(namespace, "ip", "-6", "address") == ""

    def test_only_the_router_forwards(self) -> None:
        forwarding = [
            inside(namespace, "cat", "/proc/sys/net/ipv4/ip_forward").strip()
            for namespace in (LAYOUT.internet, LAYOUT.vpc, ns(DB))
        ]
        assert forwarding == ["0", "1", "0"]


class TestChange:
    def test_a_moved_address_leads_to_the_new_host_and_old_connections_end(
        self, net: Layout, plan: Plan
    ) -> None:
        program = (
            "import socket\n"
            f"c = socket.create_connection(('{EIP}', {PORT}), 5)\n"
            "c.sendall(b'x'); print(c.recv(99).decode(), flush=True)\n"
            "input(); c.settimeout(1); c.sendall(b'x')\n"
            "try: print(c.recv(99).decode() or 'closed')\n"
            "except OSError as e: print(type(e).__name__)\n"
        )
        with server(ns(BASTION), str(BASTION)), server(ns(WEB), str(WEB)):
            process = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{net.internet}", sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                assert process.stdout is not None
                assert process.stdout.readline().strip() == SERVICES
                network.apply(net, replace(plan, public_addresses=(PublicAddress(EIP, WEB),)))
                out, _ = process.communicate("\n", timeout=20)
            finally:
                process.kill()
            assert out.strip() in ("ConnectionResetError", "TimeoutError", "closed")
            assert ask(net.internet, str(EIP)) == SERVICES
            assert ask(net.internet, str(EIP2), timeout_s=20) == UNREACHABLE

    def test_a_removed_route_closes_the_way_out(self, net: Layout, plan: Plan) -> None:
        with server(net.internet, SERVICES):
            assert ask(ns(DB), SERVICES) == str(NAT)
            closed = (plan.subnets[0], Subnet(PRIVATE), plan.subnets[2])
            network.apply(net, replace(plan, subnets=closed))
            assert ask(ns(DB), SERVICES) == TIMEOUT

    def test_without_source_check_a_host_may_route_for_others(
        self, net: Layout, plan: Plan
    ) -> None:
        hosts = tuple(replace(host, source_dest_check=host.private != DB) for host in plan.hosts)
        network.apply(net, replace(plan, hosts=hosts))
        inside(ns(DB), "ip", "address", "add", "10.9.1.99/32", "dev", "eth0")
        try:
            program = (
                "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
                f"s.bind(('10.9.1.99', 0)); s.sendto(b'x', ('{WEB}', {PORT}))"
            )
            with server(ns(WEB), str(WEB), kind="udp"):
                inside(ns(DB), sys.executable, "-c", program)
                assert "10.9.1.99" in inside(net.vpc, "conntrack", "-L", "-p", "udp")
        finally:
            inside(ns(DB), "ip", "address", "delete", "10.9.1.99/32", "dev", "eth0")


class TestLife:
    """A layout of its own, made and removed in each test."""

    layout = replace(LAYOUT, prefix="tnl-")
    address, subnet = IPv4Address("10.9.0.5"), PUBLIC

    @pytest.fixture(autouse=True)
    def clean(self) -> Iterator[None]:
        network.destroy(self.layout)
        yield
        network.destroy(self.layout)

    def works(self) -> bool:
        plan = replace(PLAN, hosts=PLAN.hosts[:1], public_addresses=PLAN.public_addresses[:1])
        network.apply(self.layout, plan)
        with server(self.layout.host("i-0a"), str(self.address)):
            return ask(self.layout.internet, str(EIP)) == SERVICES

    def links(self) -> list[tuple[str, str]]:
        links = ip_json(self.layout.vpc, "link", "show")
        return [(link["ifname"], link["address"]) for link in links]

    def make(self) -> None:
        network.create(self.layout)
        assert network.attach_host(self.layout, "i-0a", self.address, self.subnet) == "tnl-i-0a"

    def test_again_changes_nothing(self) -> None:
        self.make()
        before = self.links()
        self.make()
        assert self.links() == before
        assert self.works()

    def test_the_operators_commands_ask_the_rehearsals_names(self) -> None:
        self.make()
        text = subprocess.run(
            ["ip", "netns", "exec", self.layout.internet, "cat", "/etc/resolv.conf"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert text == f"nameserver {SERVICES}\n"

    def test_an_empty_file_instead_of_a_namespace_is_replaced(self) -> None:
        self.make()
        network.detach_host(self.layout, "i-0a")
        Path("/run/netns/tnl-i-0a").touch()
        self.make()
        assert self.works()

    def test_a_namespace_without_links_is_completed(self) -> None:
        subprocess.run(["ip", "netns", "add", "tnl-vpc"], check=True)
        subprocess.run(["ip", "netns", "add", "tnl-i-0a"], check=True)
        self.make()
        assert self.works()

    def test_a_link_to_another_hosts_namespace_is_redone(self) -> None:
        self.make()
        network.attach_host(self.layout, "i-0b", self.address, self.subnet)
        assert not ip_json(self.layout.host("i-0a"), "link", "show", "eth0")
        self.make()
        assert self.works()

    def test_a_new_router_is_linked_again(self) -> None:
        self.make()
        subprocess.run(["ip", "netns", "delete", "tnl-vpc"], check=True)
        until(lambda: not ip_json(self.layout.internet, "link", "show", "uplink"))
        self.make()
        assert self.works()

    def test_whichever_command_is_the_last_one_before_an_end_the_next_run_completes_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, done, left = commands.run, 0, 0

        def mortal(*argv: str, **more: Any) -> str:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return run(*argv, **more)

        while True:
            left = done
            with monkeypatch.context() as patch:
                for module in (commands, namespaces):
                    patch.setattr(module, "run", mortal)
                try:
                    self.make()
                except KeyboardInterrupt:
                    done += 1
                else:
                    break
            self.make()
            assert self.works()
            network.destroy(self.layout)
        assert done > 10

    def test_a_host_keeps_its_own_settings_when_attached_again(self) -> None:
        self.make()
        inside("tnl-i-0a", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        self.make()
        assert inside("tnl-i-0a", "cat", "/proc/sys/net/ipv4/ip_forward") == "1\n"

    def test_detach_removes_namespace_and_link_even_while_in_use(self) -> None:
        self.make()
        with server("tnl-i-0a", str(self.address)):
            network.detach_host(self.layout, "i-0a")
            network.detach_host(self.layout, "i-0a")
            assert not Path("/run/netns/tnl-i-0a").exists()
            assert not ip_json(self.layout.vpc, "link", "show", "v0a090005")

    def test_destroy_leaves_nothing_and_tells_who_stays(self) -> None:
        self.make()
        Path("/run/netns/tnl-i-0f").touch()
        with (
            server("tnl-i-0a", str(self.address)),
            pytest.raises(
                RehearsalError, match=r"1 processes still live in .* \(tnl-i-0a\); end them"
            ),
        ):
            network.destroy(self.layout)
        assert not list(Path("/run/netns").glob("tnl-*"))
        assert not Path("/etc/netns/tnl-internet").exists()
        network.destroy(self.layout)

    def test_other_prefixes_stay(self) -> None:
        other = replace(LAYOUT, prefix="tnl-x-")
        network.create(other)
        try:
            self.make()
            network.destroy(self.layout)
            assert ip_json(other.internet, "link", "show", "uplink")
        finally:
            network.destroy(other)
