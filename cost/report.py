"""The estimate, and the difference of two, for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cost.errors import CostError

Data = Mapping[str, Any]
_KEYS = ("version", "monthly", "complete", "resources", "unknown")


def text(data: Data) -> str:
    """An estimate's data as lines for people."""
    lines = [f"cost a month: {_total(data)}"]
    for layer, own in data["layers"].items():
        lines.append(f"  {layer:<26}{own['monthly']:>10.2f}")
        for service, amount in own["services"].items():
            lines.append(f"    {service:<24}{amount:>10.2f}")
    lines += [_unknown(gap) for gap in data["unknown"]]
    lines += [f"  not included: {each}" for each in data["not_included"]]
    lines.append(
        f"  list prices as written down on {data['prices_date']}, on-demand Linux, "
        f"{data['hours_per_month']} hours a month: cost/prices.yaml"
    )
    return "\n".join(lines)


def difference(old: Data, new: Data) -> dict[str, Any]:
    """What a change costs. changes: by resource and part, the dearest first. A side that is not
    there is null; so is the delta where one side's cost is unknown."""
    before, after = _parts(check(old)), _parts(check(new))
    changes = [
        _change(before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    changes.sort(key=lambda change: -abs(change["delta"] or 0))
    return {
        "version": 1,
        "currency": new["currency"],
        "old": old["monthly"],
        "new": new["monthly"],
        "delta": _minus(new["monthly"], old["monthly"]),
        "complete": old["complete"] and new["complete"],
        "changes": changes,
        "unknown": new["unknown"],
    }


def difference_text(data: Data) -> str:
    """A difference's data as lines for people."""
    doubt = "" if data["complete"] else ", as far as it is known"
    lines = [
        f"cost a month: {data['old']:.2f} -> {data['new']:.2f} {data['currency']} "
        f"({data['delta']:+.2f}{doubt})"
    ]
    for change in data["changes"]:
        delta = "unknown" if change["delta"] is None else f"{change['delta']:+.2f}"
        sides = f"{_side(change['old'])} -> {_side(change['new'])}"
        lines.append(f"  {delta:>10}  {change['name']}: {sides}")
    lines += [_unknown(gap) for gap in data["unknown"]]
    return "\n".join(lines)


def check(data: object) -> Data:
    """Raises CostError if `data` is not an estimate of this version."""
    if not isinstance(data, Mapping) or any(key not in data for key in _KEYS):
        raise CostError("this is no estimate: make one by `python -m cost --json <preview.json>`")
    if data["version"] != 1:
        raise CostError(f"this estimate is of version {data['version']}, not 1; make it anew")
    return data


def _total(data: Data) -> str:
    bound = "" if data["complete"] else "at least "
    return f"{bound}{data['monthly']:.2f} {data['currency']}"


def _unknown(gap: Data) -> str:
    return f"  unknown: {gap['name']}: {gap['what']}: {gap['reason']}"


_Part = tuple[str, ...]


def _parts(data: Data) -> dict[_Part, dict[str, Any]]:
    """Every part that costs something, or may; `monthly` is None where it is unknown."""
    found: dict[_Part, dict[str, Any]] = {}
    for line in (*data["resources"], *data["unknown"]):
        own = {key: line[key] for key in ("layer", "type", "name", "part", "what")}
        found[tuple(own.values())[:4]] = {**own, "monthly": line.get("monthly")}
    return found


def _change(old: Data | None, new: Data | None) -> dict[str, Any]:
    either = new or old or {}
    sides = [side and {"what": side["what"], "monthly": side["monthly"]} for side in (old, new)]
    amounts = [side["monthly"] if side else 0.0 for side in (old, new)]
    return {
        **{key: either[key] for key in ("layer", "type", "name", "part")},
        "old": sides[0],
        "new": sides[1],
        "delta": None if None in amounts else _minus(amounts[1], amounts[0]),
    }


def _minus(first: float, second: float) -> float:
    """In decimals: 0.3 - 0.1 is 0.2."""
    return float(Decimal(str(first)) - Decimal(str(second)))


def _side(side: Data | None) -> str:
    if side is None:
        return "nothing"
    amount = "unknown" if side["monthly"] is None else f"{side['monthly']:.2f}"
    return f"{side['what']} {amount}"
