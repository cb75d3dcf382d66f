"""Field managers: who made an object, and taking its fields over for server-side apply.

An object is made by a POST, so its fields belong to an `Update` entry of the resource's manager.
A later apply would conflict with that entry and could never remove a field: its entry is first
turned into an `Apply` entry of the same name, as the official provider does.
"""

from __future__ import annotations

from typing import Any

from rehearsal.plugins.kubernetes.kubectl import Kubectl, KubectlError

_ATTEMPTS = 4  # a controller may write the object in between


def created_by(live: dict[str, Any], manager: str) -> bool:
    """True if `manager` made the object and has applied nothing to it since."""
    return any(_is_update(entry, manager) for entry in _entries(live))


def take(kubectl: Kubectl, live: dict[str, Any], manager: str) -> None:
    """Turns the fields that `manager` created into fields it applies. live: with managedFields."""
    for attempt in range(_ATTEMPTS):
        if not created_by(live, manager):
            return
        version = live["metadata"]["resourceVersion"]
        merged = _merged(_entries(live), manager)
        try:
            kubectl.patch(
                live,
                manager,
                [
                    {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                    {"op": "replace", "path": "/metadata/managedFields", "value": merged},
                ],
            )
            return
        except KubectlError:
            now = kubectl.get(live, managed_fields=True)
            unchanged = now is None or now["metadata"]["resourceVersion"] == version
            if now is None or unchanged or attempt == _ATTEMPTS - 1:
                raise
            live = now


def _merged(entries: list[dict[str, Any]], manager: str) -> list[dict[str, Any]]:
    kept = [e for e in entries if not _is_update(e, manager) and not _is_apply(e, manager)]
    own = [e for e in entries if _is_update(e, manager) or _is_apply(e, manager)]
    fields: dict[str, Any] = {}
    for entry in own:
        fields = _union(fields, entry.get("fieldsV1", {}))
    return [*kept, own[0] | {"operation": "Apply", "fieldsV1": fields}]


def _union(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    return left | {key: _union(left.get(key, {}), value) for key, value in right.items()}


def _entries(live: dict[str, Any]) -> list[dict[str, Any]]:
    return list(live.get("metadata", {}).get("managedFields") or ())


def _is_update(entry: dict[str, Any], manager: str) -> bool:
    return _is_own(entry, manager) and entry.get("operation") == "Update"


def _is_apply(entry: dict[str, Any], manager: str) -> bool:
    return _is_own(entry, manager) and entry.get("operation") == "Apply"


def _is_own(entry: dict[str, Any], manager: str) -> bool:
    return entry.get("manager") == manager and not entry.get("subresource")
