"""What security groups have refused: noted by the router, and read from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address

from rehearsal.network.commands import inside
from rehearsal.network.layout import Layout

TABLE = "refused"
# Set on a packet by the router's table where no group lets it pass.
REFUSED_MARK = "0x1"
_SIDES = ("egress", "ingress")


def _hook(chain: str, side: str, hook: str) -> str:
    """Notes and drops. The drop is a rule of its own: it holds when the set is full, too."""
    note = f"{REFUSED_MARK} update @{side} {{ ip saddr . ip daddr . meta l4proto"
    return f"""\
\tchain {chain} {{
\t\ttype filter hook {hook}; policy accept;
\t\tmeta l4proto {{ tcp, udp }} meta mark {note} . th dport }}
\t\tmeta l4proto != {{ tcp, udp }} meta mark {note} . 0 }}
\t\tmeta mark {REFUSED_MARK} drop
\t}}
"""


def _set(side: str) -> str:
    return f"""\
\tset {side} {{
\t\ttype ipv4_addr . ipv4_addr . inet_proto . inet_service
\t\tsize 8192
\t\tflags dynamic,timeout
\t\tcounter
\t\ttimeout 1h
\t}}
"""


# A table of its own, so that what is noted outlives the router's table, which is replaced as a
# whole; its rules are written anew each time, right behind those that set the mark.
RECORD = f"""\
table ip {TABLE} {{
{"".join(map(_set, _SIDES))}\
\tchain leaving {{ }}
\tchain arriving {{ }}
}}
delete chain ip {TABLE} leaving
delete chain ip {TABLE} arriving
table ip {TABLE} {{
{_hook("leaving", "egress", "prerouting priority mangle + 1")}\
{_hook("arriving", "ingress", "postrouting priority srcnat + 11")}\
}}
"""


@dataclass(frozen=True, order=True)
class Refusal:
    """New connections that no rule let pass, in the last hour.

    side: "egress" of the source's groups, or "ingress" of the destination's. Addresses are as EC2
    shows them to that side: the other's public address where it came or went by one.
    protocol: such as "tcp". port: the destination's; 0 for protocols without. packets: how many.
    """

    side: str
    source: IPv4Address
    destination: IPv4Address
    protocol: str
    port: int
    packets: int


def refused(layout: Layout) -> tuple[Refusal, ...]:
    """What the router of a layout noted, sorted; nothing before the first `apply`."""
    listing = inside(layout.vpc, "nft", "-j", "list", "ruleset")
    found = []
    for entry in json.loads(listing)["nftables"]:
        noted = entry.get("set", {})
        if noted.get("table") == TABLE:
            for element in noted.get("elem", ()):
                source, destination, protocol, port = element["elem"]["val"]["concat"]
                found.append(
                    Refusal(
                        noted["name"],
                        IPv4Address(source),
                        IPv4Address(destination),
                        str(protocol),
                        int(port),
                        int(element["elem"]["counter"]["packets"]),
                    )
                )
    return tuple(sorted(found))
