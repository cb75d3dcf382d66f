"""Brings the router, and the internet's routes to it, to what a plan says."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

from rehearsal.network.commands import inside, ip_batch, ip_json
from rehearsal.network.layout import Layout
from rehearsal.network.namespaces import UPLINK
from rehearsal.network.plan import Plan
from rehearsal.network.ruleset import TABLE, Translation, compile_ruleset, translate

# Marks the internet's routes that are ours to remove (any number that no routing daemon uses).
_PROTOCOL = "117"


def apply(layout: Layout, plan: Plan) -> None:
    """Load the plan's rules in one step, then the routes to its public addresses.

    Connections over a translation that is gone are cut, as EC2 does. Idempotent; `create` has run.
    """
    rules = compile_ruleset(layout, plan)
    before, after = _loaded(layout), translate(layout, plan)
    inside(layout.vpc, "nft", "-f", "-", stdin=rules)
    _cut(layout, before, after)
    _answer_for_resolver(layout, plan)
    _route(layout, plan)


def _loaded(layout: Layout) -> Translation:
    """The translation that the router works by now."""
    maps: dict[str, dict[IPv4Address, IPv4Address]] = {"inbound": {}, "outbound": {}}
    listing = json.loads(inside(layout.vpc, "nft", "-j", "list", "ruleset"))
    for entry in listing["nftables"]:
        named = entry.get("map", {})
        if named.get("table") == TABLE and named.get("name") in maps:
            maps[named["name"]] = {
                IPv4Address(key): IPv4Address(value) for key, value in named.get("elem", ())
            }
    return Translation(maps["inbound"], maps["outbound"])


def _cut(layout: Layout, before: Translation, after: Translation) -> None:
    """Forget connections that were translated in a way that no longer holds."""
    for public, private in before.inbound.items():
        if after.inbound.get(public) != private:
            _forget(layout, "--orig-dst", str(public))
    for private, public in before.outbound.items():
        if after.outbound.get(private) != public:
            _forget(layout, "--orig-src", str(private), "--reply-dst", str(public))


def _forget(layout: Layout, *which: str) -> None:
    inside(layout.vpc, "conntrack", "-D", *which, allowed=(0, 1))  # 1: there was none


def _answer_for_resolver(layout: Layout, plan: Plan) -> None:
    """The router's own address too: hosts in the VPC's first subnet ask for it by ARP."""
    wanted = f"{plan.resolver}/32"
    present = {
        f"{address['local']}/{address['prefixlen']}"
        for link in ip_json(layout.vpc, "address", "show", "dev", "lo", "scope", "global")
        for address in link["addr_info"]
        if address  # `ip` leaves an empty object for each that it doesn't show
    }
    lines = [f"address delete {address} dev lo" for address in present - {wanted}]
    if wanted not in present:
        lines.append(f"address add {wanted} dev lo")
    if lines:
        ip_batch(layout.vpc, *lines)


def _route(layout: Layout, plan: Plan) -> None:
    wanted = {str(address) for address in plan.routed}
    present = {
        str(route["dst"]) for route in ip_json(layout.internet, "route", "show", "proto", _PROTOCOL)
    }
    lines = [f"route delete {address}/32 proto {_PROTOCOL}" for address in present - wanted]
    lines += [
        f"route replace {address}/32 via {layout.router.ip} dev {UPLINK} proto {_PROTOCOL}"
        for address in wanted - present
    ]
    if lines:
        ip_batch(layout.internet, *lines)
