"""What a change costs a month: the estimate of what will be, by that of what is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cost.errors import CostError
from cost.estimate import as_data, estimate
from cost.preview import planned
from cost.prices import read_prices
from cost.report import difference
from delivery.errors import DeliveryError
from delivery.events import Record


def expense(records: Iterable[Record]) -> Mapping[str, Any]:
    """The difference (`cost.report.difference`) that the runs make together.

    Raises DeliveryError if the estimate cannot be made.
    """
    sides: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for record in records:
        for urn, states in record.states.items():
            gone = record.steps[urn].op == "delete" if urn in record.steps else False
            for side, state in zip(sides, (states[0], None if gone else states[1]), strict=True):
                if state:
                    side.append({"op": "same", "urn": urn, "newState": state})
    try:
        prices = read_prices()
        old, new = (as_data(estimate(planned({"steps": side}), prices)) for side in sides)
        return difference(old, new)
    except CostError as error:
        raise DeliveryError(f"the cost cannot be estimated: {error}") from None
