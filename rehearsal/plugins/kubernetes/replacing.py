"""Which changes replace an object: the official provider's table, by path.

A field that is immutable in the API and not listed here is an update that the API refuses, as it is
with the official provider (a DaemonSet's selector, for one).
"""

from __future__ import annotations

from typing import Any

_IDENTITY = ("apiVersion", "kind", "metadata.name", "metadata.namespace")
_JOB = ("spec.completions", "spec.parallelism", "spec.selector", "spec.template")
_POD_UPDATES = frozenset({"activeDeadlineSeconds", "tolerations"})

_PATHS: dict[tuple[str, str], tuple[str, ...]] = {
    ("v1", "ConfigMap"): ("data", "binaryData"),
    ("v1", "Secret"): ("data", "stringData", "type"),
    ("v1", "Service"): ("spec.clusterIP",),
    ("v1", "PersistentVolumeClaim"): ("spec",),
    ("v1", "ResourceQuota"): ("spec.scopes",),
    ("apps/v1", "Deployment"): ("spec.selector",),
    ("apps/v1", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch/v1", "Job"): _JOB,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io/v1", "StorageClass"): ("parameters", "provisioner"),
}


def replaces(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Paths whose change asks for a new object. old, new: inputs; UNKNOWN differs from all."""
    paths = _IDENTITY + _PATHS.get((str(new.get("apiVersion")), str(new.get("kind"))), ())
    found = [path for path in paths if _at(old, path) != _at(new, path)]
    if (new.get("apiVersion"), new.get("kind")) == ("v1", "Pod"):
        found += _pod_replaces(old.get("spec") or {}, new.get("spec") or {})
    return found


def _pod_replaces(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    return [f"spec.{key}" for key in sorted(changed - _POD_UPDATES)]


def _at(obj: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(obj, dict):
            return obj  # an UNKNOWN parent
        obj = obj.get(key)
    return obj
