"""The resources of a preview, as `pulumi preview --json --show-sames` tells them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cost.charges import UNKNOWN
from cost.errors import CostError

_COMMAND = "pulumi preview --json --show-sames"
_LAYER = re.compile(r"groundwork:(\w+):")
# no resource will be there by these, or it is not the stack's own
_PASSING = ("delete", "discard", "read", "remove", "forget")


@dataclass(frozen=True)
class Planned:
    """A resource that will be there. layer: of the program, `other` outside its layers; region:
    None if the preview does not tell it; inputs: camelCase, as the provider gets them."""

    layer: str
    type: str
    name: str
    region: str | None
    inputs: Mapping[str, Any]


def planned(preview: object) -> list[Planned]:
    """What the environment will hold. Raises CostError if the preview does not tell all of it."""
    if not isinstance(preview, Mapping) or not isinstance(preview.get("steps"), list):
        raise CostError(f"this is no preview: make one by `{_COMMAND}`")
    try:
        return list(_resources(preview))
    except (KeyError, TypeError, AttributeError) as error:
        told = f"{type(error).__name__}: {error}"
        raise CostError(f"this preview is of a form that is not known ({told})") from None


def _resources(preview: Mapping[str, Any]) -> Iterator[Planned]:
    states: dict[str, Mapping[str, Any]] = {}
    same = 0
    for step in preview["steps"]:
        same += step["op"] == "same"
        if not step["op"].startswith(_PASSING) and step.get("newState"):
            states[step["urn"]] = step["newState"]
    left_out = (preview.get("changeSummary") or {}).get("same", 0) - same
    if left_out > 0:
        raise CostError(f"{left_out} unchanged resources are not in it; make it by `{_COMMAND}`")
    default = (preview.get("config") or {}).get("aws:region")
    for urn, state in states.items():
        yield _planned(urn, state, states, default)


def _planned(
    urn: str, state: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]], default: Any
) -> Planned:
    inputs = state.get("inputs") or {}
    provider = states.get((state.get("provider") or "").rpartition("::")[0], {})
    candidates = (inputs.get("region"), (provider.get("inputs") or {}).get("region"), default)
    return Planned(
        layer=_layer(urn),
        type=state["type"],
        name=urn.rpartition("::")[2],
        region=next(_known(candidates), None),
        inputs=inputs,
    )


def _known(candidates: Iterable[Any]) -> Iterator[str]:
    return (each for each in candidates if isinstance(each, str) and each and each != UNKNOWN)


def _layer(urn: str) -> str:
    """The layer whose component is the outermost above the resource."""
    found = _LAYER.search(urn.split("::")[2]) if urn.count("::") >= 3 else None
    return found[1] if found else "other"
