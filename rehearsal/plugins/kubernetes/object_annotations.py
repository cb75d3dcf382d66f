"""The `pulumi.com/…` annotations of an object, as the official provider documents them."""

from __future__ import annotations

import json
from typing import Any

from rehearsal.plugins.kubernetes import jsonpath
from rehearsal.plugins.protocol import UNKNOWN, Failure

_PREFIX = "pulumi.com/"
_SKIP_AWAIT = "pulumi.com/skipAwait"
_WAIT_FOR = "pulumi.com/waitFor"
_TIMEOUT = "pulumi.com/timeoutSeconds"
_PATCH_FORCE = "pulumi.com/patchForce"
_DELETION = "pulumi.com/deletionPropagationPolicy"
_HANDLED = frozenset({_SKIP_AWAIT, _WAIT_FOR, _TIMEOUT, _PATCH_FORCE, _DELETION})


def check(obj: dict[str, Any]) -> list[Failure]:
    """Refuses annotations for Pulumi that would be ignored or cannot be read."""
    failures = []
    for key, value in sorted(_all(obj).items()):
        if not key.startswith(_PREFIX) or value is UNKNOWN:
            continue
        path = f"metadata.annotations[{key}]"
        if key not in _HANDLED:
            failures.append(Failure(path, f"annotation '{key}' is not handled by this stand-in"))
        elif not isinstance(value, str):
            failures.append(Failure(path, f"annotation '{key}' must be a string"))
        elif key == _TIMEOUT and not value.isdigit():
            failures.append(Failure(path, f"annotation '{key}' must be a number of seconds"))
        elif key == _WAIT_FOR:
            try:
                wait_for(obj)
            except ValueError as error:
                failures.append(Failure(path, f"annotation '{key}': {error}"))
    return failures


def skip_await(obj: dict[str, Any]) -> bool:
    """Do not wait until the object is ready."""
    return _is_true(obj, _SKIP_AWAIT)


def patch_force(obj: dict[str, Any]) -> bool:
    """Take fields over that other field managers own."""
    return _is_true(obj, _PATCH_FORCE)


def timeout(obj: dict[str, Any], custom: float, default: float) -> float:
    """Seconds to wait: the program's custom timeout, else the annotation, else the default."""
    text = _all(obj).get(_TIMEOUT)
    return custom or (float(text) if isinstance(text, str) and text.isdigit() else default)


def cascade(obj: dict[str, Any]) -> str:
    """kubectl's word for how dependents are deleted."""
    policy = str(_all(obj).get(_DELETION, "")).lower()
    return policy if policy in ("orphan", "background") else "foreground"


def wait_for(obj: dict[str, Any]) -> list[tuple[str, jsonpath.JsonPath]]:
    """(as written, parsed) of each condition, empty if none. Raises ValueError.

    One `jsonpath={…}[=value]` or `condition=Type[=Status]`, or a JSON array of them.
    """
    text = _all(obj).get(_WAIT_FOR)
    if not isinstance(text, str) or not text:
        return []
    try:
        listed = json.loads(text)
    except ValueError:
        listed = [text]
    if not isinstance(listed, list) or not listed:
        raise ValueError("at least one condition must be specified")
    return [(str(item), _condition(str(item))) for item in listed]


def _condition(text: str) -> jsonpath.JsonPath:
    kind, _, rest = text.partition("=")
    if kind == "jsonpath" and rest:
        return jsonpath.parse(rest)
    if kind == "condition" and rest:
        name, _, status = rest.partition("=")
        path = f'{{.status.conditions[?(@.type=="{name}")].status}}'
        return jsonpath.parse(f"{path}={status or 'True'}")
    raise ValueError(f'expected a "jsonpath=" or "condition=" prefix, got "{text}"')


def _is_true(obj: dict[str, Any], key: str) -> bool:
    return _all(obj).get(key) == "true"


def _all(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = obj.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}
