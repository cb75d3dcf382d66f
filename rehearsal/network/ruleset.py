"""Plan -> nftables rules of the VPC's router. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from rehearsal.errors import RehearsalError
from rehearsal.network.filters import compile_filters
from rehearsal.network.layout import Layout, link_name
from rehearsal.network.plan import DefaultRoute, Host, Plan, Subnet
from rehearsal.network.refusals import RECORD

TABLE = "vpc"


@dataclass(frozen=True)
class Translation:
    """inbound: public -> private, for hosts that the internet can reach.
    outbound: private -> the public address its packets carry outside the VPC."""

    inbound: Mapping[IPv4Address, IPv4Address]
    outbound: Mapping[IPv4Address, IPv4Address]


def translate(layout: Layout, plan: Plan) -> Translation:
    """Who is translated to what. Raises RehearsalError for a plan that contradicts itself."""
    _check_public(layout, plan)
    subnets = {subnet.cidr: subnet for subnet in plan.subnets}
    public = {address.private: address.public for address in plan.public_addresses}
    gateways = {
        gateway.id: gateway.public
        for gateway in plan.nat_gateways
        if gateway.subnet in subnets
        and subnets[gateway.subnet].default is DefaultRoute.INTERNET_GATEWAY
    }
    inbound: dict[IPv4Address, IPv4Address] = {}
    outbound: dict[IPv4Address, IPv4Address] = {}
    for host in plan.hosts:
        subnet = _subnet_of(host, subnets)
        if subnet.default is DefaultRoute.INTERNET_GATEWAY and host.private in public:
            inbound[public[host.private]] = host.private
            outbound[host.private] = public[host.private]
        elif subnet.default is DefaultRoute.NAT_GATEWAY and subnet.nat_gateway in gateways:
            outbound[host.private] = gateways[subnet.nat_gateway]
    return Translation(inbound, outbound)


def compile_ruleset(layout: Layout, plan: Plan) -> str:
    """The whole table as text for `nft -f`, which replaces the one before in one step.

    What it refuses is noted in a table that outlives it. Raises RehearsalError for a plan that
    contradicts itself.
    """
    translation = translate(layout, plan)
    links = sorted(plan.hosts, key=lambda host: host.private)
    checked = [f'"{link_name(host.private)}" . {host.private}' for host in links]
    unchecked = [f'"{link_name(host.private)}"' for host in links if not host.source_dest_check]
    resolver = plan.resolver
    redirect = f"dnat to {layout.services.ip}:{layout.resolver_port}"
    return f"""\
table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
\tmap inbound {{
\t\ttype ipv4_addr : ipv4_addr
{_elements(f"{key} : {value}" for key, value in sorted(translation.inbound.items()))}\t}}
\tmap outbound {{
\t\ttype ipv4_addr : ipv4_addr
{_elements(f"{key} : {value}" for key, value in sorted(translation.outbound.items()))}\t}}
\tset has_way_out {{
\t\ttype ipv4_addr
{_elements(str(key) for key in sorted(translation.outbound))}\t}}
\tset own_address {{
\t\ttype ifname . ipv4_addr
{_elements(checked)}\t}}
\tset any_address {{
\t\ttype ifname
{_elements(unchecked)}\t}}

\tchain prerouting {{
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tiifname "v*" ip daddr {resolver} udp dport 53 {redirect}
\t\tiifname "v*" ip daddr {resolver} tcp dport 53 {redirect}
\t\tdnat to ip daddr map @inbound
\t}}

\tchain postrouting {{
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t\tct status dnat ct original ip daddr {resolver} snat to {layout.router.ip}
\t\toifname "uplink" snat to ip saddr map @outbound
\t\toifname "v*" ct status dnat snat to ip saddr map @outbound comment "host to public address"
\t}}

\tchain forward {{
\t\ttype filter hook forward priority filter; policy drop;
\t\tiifname "v*" iifname != @any_address iifname . ip saddr != @own_address drop
\t\tct state invalid drop
\t\tct state established,related accept
\t\toifname "uplink" ct original ip daddr {resolver} accept
\t\tiifname "v*" oifname "uplink" ip saddr @has_way_out accept
\t\tiifname "v*" oifname "v*" ct status dnat ip saddr != @has_way_out drop
\t\tiifname "v*" oifname "v*" accept
\t\tiifname "uplink" oifname "v*" ct status dnat accept
\t}}

{compile_filters(plan)}}}
{RECORD}"""


def _elements(elements: Iterable[str]) -> str:
    listed = ", ".join(elements)
    return f"\t\telements = {{ {listed} }}\n" if listed else ""


def _subnet_of(host: Host, subnets: Mapping[IPv4Network, Subnet]) -> Subnet:
    subnet = subnets.get(host.subnet)
    if subnet is None or host.private not in subnet.cidr:
        raise RehearsalError(
            f"Host {host.private} is in no subnet of the plan ({host.subnet} is named); "
            "describe its subnet too."
        )
    return subnet


def _check_public(layout: Layout, plan: Plan) -> None:
    owners: dict[IPv4Address, str] = {}
    for public, owner in [
        *((address.public, str(address.private)) for address in plan.public_addresses),
        *((gateway.public, gateway.id) for gateway in plan.nat_gateways),
    ]:
        if public.is_loopback or public in layout.services.network or public in plan.vpc:
            raise RehearsalError(
                f"Public address {public} of {owner} can't be routed: it is a loopback address, "
                "the VPC's or the services'; allocate another."
            )
        if owners.setdefault(public, owner) != owner:
            raise RehearsalError(
                f"Public address {public} belongs to both {owners[public]} and {owner}; "
                "give each its own."
            )
