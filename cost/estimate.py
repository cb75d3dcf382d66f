"""A monthly estimate: what stands still costs, by layer, service and resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cost.charges import BY_USE, Book, Charge, Gap, charges
from cost.preview import Planned
from cost.prices import Prices

NOT_INCLUDED = (
    "data transfer, and data through NAT gateways, load balancers and endpoints",
    "what the cluster's own controllers make: volumes and load balancers",
    "taxes, discounts, support, CPU credits beyond a T instance's own",
)
# providers whose resources AWS does not bill
_ELSEWHERE = ("pulumi:", "groundwork:", "command:", "kubernetes:")


@dataclass(frozen=True)
class Line:
    """A charge, or a gap, of one resource."""

    layer: str
    type: str
    name: str
    region: str | None
    found: Charge | Gap


@dataclass(frozen=True)
class Estimate:
    """lines: in the order of layer, service and resource. by_use: what is not estimated, as its
    cost is all in its use."""

    lines: tuple[Line, ...]
    by_use: tuple[str, ...]
    prices: Prices

    @property
    def gaps(self) -> tuple[Line, ...]:
        """What is unknown; then the total is only a lower bound."""
        return tuple(line for line in self.lines if isinstance(line.found, Gap))

    @property
    def total(self) -> Decimal:
        """USD a month, not rounded."""
        return sum(self.services().values(), Decimal(0))

    def services(self) -> dict[tuple[str, str], Decimal]:
        """USD a month by (layer, service)."""
        sums: dict[tuple[str, str], Decimal] = {}
        for line in self.lines:
            if isinstance(line.found, Charge):
                key = (line.layer, line.found.service)
                sums[key] = sums.get(key, Decimal(0)) + line.found.monthly
        return sums


def estimate(resources: Iterable[Planned], prices: Prices) -> Estimate:
    """What `resources` cost a month at `prices`, without any use of them."""
    lines: list[Line] = []
    by_use: set[str] = set()
    for each in resources:
        if each.type.startswith(_ELSEWHERE):
            continue
        if each.type in BY_USE:
            by_use.add(BY_USE[each.type])
        for found in charges(each.type, each.inputs, Book(prices, each.region)):
            lines.append(Line(each.layer, each.type, each.name, each.region, found))
    lines.sort(key=lambda line: (line.layer, line.found.service, line.name, line.found.part))
    return Estimate(tuple(lines), tuple(sorted(by_use)), prices)


def as_data(estimated: Estimate) -> dict[str, Any]:
    """The estimate for machines; the keys are a promise. Amounts are USD, rounded to cents."""
    layers: dict[str, dict[str, Any]] = {}
    for (layer, service), amount in estimated.services().items():
        own = layers.setdefault(layer, {"monthly": Decimal(0), "services": {}})
        own["monthly"] += amount
        own["services"][service] = cents(amount)
    for own in layers.values():
        own["monthly"] = cents(own["monthly"])
    return {
        "version": 1,
        "currency": estimated.prices.currency,
        "prices_date": estimated.prices.date.isoformat(),
        "hours_per_month": estimated.prices.hours_per_month,
        "monthly": cents(estimated.total),
        "complete": not estimated.gaps,
        "layers": layers,
        "resources": [
            {**_resource(line), **_charge(line.found)}
            for line in estimated.lines
            if isinstance(line.found, Charge)
        ],
        "unknown": [
            {**_resource(line), "reason": line.found.reason}
            for line in estimated.lines
            if isinstance(line.found, Gap)
        ],
        "not_included": [*estimated.by_use, *NOT_INCLUDED],
    }


def _resource(line: Line) -> Mapping[str, Any]:
    return {
        "layer": line.layer,
        "type": line.type,
        "name": line.name,
        "region": line.region,
        "service": line.found.service,
        "part": line.found.part,
        "what": line.found.what,
    }


def _charge(charge: Charge) -> Mapping[str, Any]:
    return {
        "quantity": float(charge.quantity),
        "unit": charge.unit,
        "unit_price": float(charge.price),
        "monthly": cents(charge.monthly),
    }


def cents(amount: Decimal) -> float:
    """Rounded to two digits."""
    return float(round(amount, 2))
