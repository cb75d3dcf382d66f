"""Security groups -> nftables: their members, and a chain for the rules of each. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, collapse_addresses

from rehearsal.errors import RehearsalError
from rehearsal.network.layout import link_name
from rehearsal.network.plan import Permission, Plan
from rehearsal.network.refusals import REFUSED_MARK

_PORTS = {6: "tcp", 17: "udp"}
_ICMP = 1
_LINK_LOCAL = "169.254.0.0/16"
_PEER = {"egress": "daddr", "ingress": "saddr"}


def compile_filters(plan: Plan) -> str:
    """The part of the router's table that knows the groups: two hooks, and what they look into.

    Maps `egress` and `ingress`: a host's link -> the chain that accepts what its groups let pass,
    and returns for the rest. Raises RehearsalError for a host of a group that is not in the plan.
    """
    groups = {group.id: group for group in plan.security_groups}
    combinations = _combinations(plan)
    used = sorted({group for combination in combinations for group in combination})
    for name in used:
        if name not in groups:
            raise RehearsalError(
                f"Security group {name} of a host is not in the plan; describe it too."
            )
    permissions = {
        "egress": {name: groups[name].egress for name in used},
        "ingress": {name: groups[name].ingress for name in used},
    }
    return "".join(
        [
            *_members(plan, permissions),
            *(
                part
                for side, by_group in permissions.items()
                for part in _side(side, by_group, combinations)
            ),
            _hooks(plan),
        ]
    )


def _hooks(plan: Plan) -> str:
    """EC2 filters at an instance's interface: what leaves a host before its destination is
    translated, what comes to one after its source is. Only a connection's first packets are looked
    at, so those that stand go on when a rule is removed.
    """
    return f"""\
\tchain leaving {{
\t\ttype filter hook prerouting priority mangle; policy accept;
\t\tiifname != "v*" accept
\t\tct state != new accept
\t\tip daddr {{ {plan.resolver}, {_LINK_LOCAL} }} accept comment "EC2 filters neither"
\t\tiifname vmap @egress
\t\tmeta mark set {REFUSED_MARK}
\t}}

\tchain arriving {{
\t\ttype filter hook postrouting priority srcnat + 10; policy accept;
\t\toifname != "v*" accept
\t\tct state != new accept
\t\toifname vmap @ingress
\t\tmeta mark set {REFUSED_MARK}
\t}}
"""


def _combinations(plan: Plan) -> dict[tuple[str, ...], list[str]]:
    """The links of the hosts, by the groups that they have; both in a stable order."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for host in sorted(plan.hosts, key=lambda host: host.private):
        found[tuple(sorted(set(host.security_groups)))].append(link_name(host.private))
    return dict(sorted(found.items()))


def _members(
    plan: Plan, permissions: Mapping[str, Mapping[str, Sequence[Permission]]]
) -> Iterator[str]:
    """A set of private addresses for each group that a rule refers to.

    Public addresses are not in it: EC2 does not match them by a group either.
    """
    referred = {
        permission.peer
        for by_group in permissions.values()
        for rules in by_group.values()
        for permission in rules
        if isinstance(permission.peer, str)
    }
    for name in sorted(referred):
        addresses = sorted(host.private for host in plan.hosts if name in host.security_groups)
        listed = ", ".join(map(str, addresses))
        elements = f"\t\telements = {{ {listed} }}\n" if listed else ""
        yield f"\tset members.{name} {{\n\t\ttype ipv4_addr\n{elements}\t}}\n\n"


def _side(
    side: str,
    by_group: Mapping[str, Sequence[Permission]],
    combinations: Mapping[tuple[str, ...], Sequence[str]],
) -> Iterator[str]:
    for name, permissions in by_group.items():
        yield _chain(f"{side}.{name}", _rules(permissions, _PEER[side]))
    elements = []
    for number, (names, links) in enumerate(combinations.items()):
        if not names:
            continue
        chain = f"{side}.{names[0]}"
        if len(names) > 1:
            chain = f"{side}.{number}"
            yield _chain(chain, [f"jump {side}.{name}" for name in names])
        elements += [f'"{link}" : jump {chain}' for link in links]
    listed = f"\t\telements = {{ {', '.join(elements)} }}\n" if elements else ""
    yield f"\tmap {side} {{\n\t\ttype ifname : verdict\n{listed}\t}}\n\n"


def _chain(name: str, lines: Sequence[str]) -> str:
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"\tchain {name} {{\n{body}\t}}\n\n"


def _rules(permissions: Sequence[Permission], address: str) -> list[str]:
    """The rules of one group in one direction: one for all CIDRs and one for each group, of each
    traffic that they are about."""
    networks: dict[str, list[IPv4Network]] = defaultdict(list)
    groups: dict[str, set[str]] = defaultdict(set)
    for permission in permissions:
        traffic = _traffic(permission)
        if isinstance(permission.peer, str):
            groups[traffic].add(permission.peer)
        else:
            networks[traffic].append(permission.peer)
    lines = []
    for traffic in sorted(networks.keys() | groups.keys()):
        if traffic in networks:
            lines.append(f"{_within(networks[traffic], address)}{traffic}accept")
        lines += [
            f"ip {address} @members.{name} {traffic}accept" for name in sorted(groups[traffic])
        ]
    return lines


def _within(networks: Sequence[IPv4Network], address: str) -> str:
    """Overlapping CIDRs are one: nftables takes no overlaps in a set."""
    merged = list(collapse_addresses(networks))
    if merged[0].prefixlen == 0:
        return ""
    return f"ip {address} {{ {', '.join(map(str, merged))} }} "


def _traffic(permission: Permission) -> str:
    protocol, first, last = permission.protocol, permission.first, permission.last
    if protocol is None:
        return ""
    if protocol in _PORTS:
        return f"{_PORTS[protocol]} dport {first}{f'-{last}' if last != first else ''} "
    if protocol == _ICMP and first >= 0:
        return f"icmp type {first} {f'icmp code {last} ' if last >= 0 else ''}"
    return f"ip protocol {protocol} "
