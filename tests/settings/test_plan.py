"""The network plan: no subnet overlaps, and a new zone moves no old one."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import pytest

from settings.plan import NetworkPlan, PlanError

VPC = IPv4Network("10.0.0.0/16")


def test_subnets_lie_apart_inside_the_vpc() -> None:
    plan = NetworkPlan.of(VPC, ["a", "b", "c"], 20)
    subnets = [s for zone in plan.zones for s in (zone.public, zone.private)]
    assert all(s.subnet_of(VPC) for s in subnets)
    assert not any(one.overlaps(other) for one, other in combinations(subnets, 2))


def test_a_new_zone_moves_no_other() -> None:
    assert (
        NetworkPlan.of(VPC, ["a", "b", "c"], 20).zones[:2]
        == NetworkPlan.of(VPC, ["a", "b"], 20).zones
    )


def test_subnets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PlanError, match="do not fit"):
        NetworkPlan.of(VPC, ["a", "b", "c"], 18)
