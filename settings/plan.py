"""The network plan: which subnet lies where. Pure arithmetic over `ipaddress`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network


class PlanError(ValueError):
    """The subnets asked for do not fit."""


@dataclass(frozen=True)
class ZoneSubnets:
    """One availability zone and its two subnets."""

    zone: str
    public: IPv4Network
    private: IPv4Network


@dataclass(frozen=True)
class NetworkPlan:
    """A VPC cut into equal subnets: public ones from its start, private ones from its middle.

    A zone's subnets depend on its place in the list alone, so adding a zone moves no other.
    """

    cidr: IPv4Network
    zones: tuple[ZoneSubnets, ...]

    @classmethod
    def of(cls, cidr: IPv4Network, zones: Sequence[str], prefix: int) -> NetworkPlan:
        """Raises PlanError when the VPC has no room for two subnets of /prefix a zone."""
        half = 2 ** max(prefix - cidr.prefixlen - 1, 0)
        if prefix <= cidr.prefixlen or len(zones) > half:
            raise PlanError(f"/{prefix} subnets for {len(zones)} zones do not fit into {cidr}")
        subnets = list(cidr.subnets(new_prefix=prefix))
        return cls(
            cidr=cidr,
            zones=tuple(
                ZoneSubnets(zone, subnets[index], subnets[half + index])
                for index, zone in enumerate(zones)
            ),
        )
