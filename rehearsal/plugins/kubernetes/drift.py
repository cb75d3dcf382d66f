"""What a refresh reports: the inputs as they would have to be to give the live object.

The API adds defaults and rewrites values (`1000m` becomes `1`), so an input stays as it was written
unless the live value differs from the live value of last time.
"""

from __future__ import annotations

import base64
from typing import Any

_SERVER_SET = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
_MISSING = object()


def refreshed(
    inputs: dict[str, Any], before: dict[str, Any], live: dict[str, Any]
) -> dict[str, Any]:
    """`inputs` with what changed in the cluster since `before`, the live object of last time."""
    result = _merge(inputs, _readable(before), _readable(live))
    assert isinstance(result, dict)
    return result


def imported(live: dict[str, Any]) -> dict[str, Any]:
    """Inputs for a live object that no program has described yet."""
    inputs = {key: value for key, value in live.items() if key != "status"}
    inputs["metadata"] = {
        key: value for key, value in live.get("metadata", {}).items() if key not in _SERVER_SET
    }
    return inputs


def _readable(obj: dict[str, Any]) -> dict[str, Any]:
    """A Secret's `stringData` is write-only: it is compared by what `data` holds."""
    if obj.get("kind") != "Secret" or "data" not in obj:
        return obj
    return obj | {"stringData": {key: _plain(value) for key, value in obj["data"].items()}}


def _plain(encoded: str) -> str:
    return base64.b64decode(encoded).decode("utf-8", "replace")


def _merge(written: Any, before: Any, live: Any) -> Any:
    if live is _MISSING:
        return _MISSING if before is not _MISSING else written
    if isinstance(written, dict) and isinstance(live, dict):
        old = before if isinstance(before, dict) else {}
        merged = {
            key: _merge(value, old.get(key, _MISSING), live.get(key, _MISSING))
            for key, value in written.items()
        }
        return {key: value for key, value in merged.items() if value is not _MISSING}
    if isinstance(written, list) and isinstance(live, list) and len(written) == len(live):
        known = before if isinstance(before, list) and len(before) == len(live) else None
        return [
            _merge(value, known[i] if known is not None else _MISSING, live[i])
            for i, value in enumerate(written)
        ]
    return written if live == before else live
