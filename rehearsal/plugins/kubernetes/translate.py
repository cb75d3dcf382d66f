"""Between the engine's properties and Kubernetes objects."""

from __future__ import annotations

from typing import Any

from rehearsal.plugins.protocol import Properties, Secret

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_DASHED = "x-kubernetes-"
_UNDERSCORED = "x_kubernetes_"  # how the SDKs name the schema extensions of a definition


def as_object(properties: Properties) -> dict[str, Any]:
    """The object to send; the state's own keys and empty values are left out."""
    return {key: _to(value) for key, value in properties.items() if _sent(key, value)}


def as_properties(live: dict[str, Any]) -> Properties:
    """The object for the state: no field managers, a Secret's content marked secret."""
    result: Properties = {key: _from(value) for key, value in live.items()}
    metadata = result.get("metadata")
    if isinstance(metadata, dict):
        metadata = {key: value for key, value in metadata.items() if key != "managedFields"}
        result["metadata"] = metadata
    if result.get("kind") == "Secret":
        for key in ("data", "stringData"):
            if key in result:
                result[key] = Secret(result[key])
        found = metadata.get("annotations") if isinstance(metadata, dict) else None
        if isinstance(found, dict) and isinstance(metadata, dict) and _LAST_APPLIED in found:
            metadata["annotations"] = found | {_LAST_APPLIED: Secret(found[_LAST_APPLIED])}
    return result


def names(obj: dict[str, Any]) -> bool:
    """Whether the object says what it is and how it is called."""
    metadata = obj.get("metadata")
    named = isinstance(metadata, dict) and bool(metadata.get("name"))
    return named and bool(obj.get("apiVersion")) and bool(obj.get("kind"))


def object_id(obj: dict[str, Any]) -> str:
    """`namespace/name`, or `name` of an object without a namespace."""
    metadata = obj["metadata"]
    if not isinstance(metadata, dict):
        return ""
    name, namespace = metadata.get("name", ""), metadata.get("namespace")
    return f"{namespace}/{name}" if namespace else str(name)


def _sent(key: str, value: Any) -> bool:
    return value is not None and not key.startswith("__")


def _to(value: Any) -> Any:
    if isinstance(value, dict):
        return {_dashed(key): _to(item) for key, item in value.items() if item is not None}
    return [_to(item) for item in value] if isinstance(value, list) else value


def _from(value: Any) -> Any:
    if isinstance(value, dict):
        return {_underscored(key): _from(item) for key, item in value.items()}
    return [_from(item) for item in value] if isinstance(value, list) else value


def _dashed(key: str) -> str:
    return key.replace("_", "-") if key.startswith(_UNDERSCORED) else key


def _underscored(key: str) -> str:
    return key.replace("-", "_") if key.startswith(_DASHED) else key
