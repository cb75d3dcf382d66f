"""Objects as the kube API tells them, and a kubectl that answers with them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Object = dict[str, Any]

_PLURALS = {
    "Application": "applications.argoproj.io",
    "ApplicationSet": "applicationsets.argoproj.io",
    "AppProject": "appprojects.argoproj.io",
    "Ingress": "ingresses",
}
# answers `kubectl --kubeconfig=… --request-timeout=… get <types> … -o json` from a file beside it,
# in which `delete <type> <name> …` marks an object as the API does one that has a finalizer
_KUBECTL = """#!{python}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
with (folder / "asked").open("a") as asked:
    print(*sys.argv[1:], file=asked)
assert sys.argv[1] == f"--kubeconfig={{folder / 'kubeconfig'}}", sys.argv
if (folder / "error").exists():
    raise SystemExit((folder / "error").read_text())
objects = json.loads((folder / "objects").read_text())
if sys.argv[3] == "delete":
    assert sys.argv[-2:] == ["--ignore-not-found", "--wait=false"], sys.argv
    for item in objects[sys.argv[4]]:
        if item["metadata"]["name"] == sys.argv[5]:
            item["metadata"]["deletionTimestamp"] = "2026-11-21T09:00:00Z"
    (folder / "objects").write_text(json.dumps(objects))
    raise SystemExit
assert sys.argv[3] == "get" and sys.argv[-2:] == ["-o", "json"], sys.argv
found = []
for type in sys.argv[4].split(","):
    if type not in objects:
        raise SystemExit(f'error: the server doesn\\'t have a resource type "{{type}}"')
    found += objects[type]
print(json.dumps({{"items": found}}))
"""


def fake_kubectl(
    folder: Path, objects: Sequence[Object], lacks: Sequence[str] = (), error: str | None = None
) -> Path:
    """A kubectl in `folder` for its file `kubeconfig`. lacks: kinds that the cluster has not;
    error: what it says instead of answering."""
    answers: dict[str, list[Object]] = {_plural(k): [] for k in _KINDS if k not in lacks}
    for item in objects:
        answers[_plural(item["kind"])].append(item)
    (folder / "objects").write_text(json.dumps(answers))
    if error is not None:
        (folder / "error").write_text(error)
    kubectl = folder / "kubectl"
    kubectl.write_text(_KUBECTL.format(python=sys.executable))
    kubectl.chmod(0o755)
    return kubectl


def meta(name: str, namespace: str = "", **more: Any) -> Object:
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, "uid": f"uid-{name}", **place, **more}


def node(ready: str | None = "True", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    conditions = [{"type": "MemoryPressure", "status": "False", "message": "all is well"}]
    if ready is not None:
        conditions.append({"type": "Ready", "status": ready, "message": "no CNI config"})
    prefix = "node-role.kubernetes.io/"
    own = {f"{prefix}control-plane": "", f"{prefix}api": "", **(labels or {})}
    return {
        "kind": "Node",
        "metadata": meta("k8s-master", labels=own),
        "spec": {"providerID": "aws:///ap-northeast-2a/i-0123", **spec},
        "status": {
            "conditions": conditions,
            "addresses": [
                {"type": "Hostname", "address": "k8s-master"},
                {"type": "InternalIP", "address": "10.0.1.5"},
            ],
            "nodeInfo": {"kubeletVersion": "v1.34.4"},
        },
    }


def application(
    sync: str = "Synced",
    health: str = "Healthy",
    name: str = "root",
    metadata: Object | None = None,
    **status: Any,
) -> Object:
    return {
        "kind": "Application",
        "metadata": meta(name, "argocd", **(metadata or {})),
        "spec": {"project": "platform"},
        "status": {
            "sync": {"status": sync, "revision": "0123456789abcdef"},
            "health": {"status": health},
            **status,
        },
    }


def resource(kind: str, name: str, status: str = "Synced", namespace: str = "auth") -> Object:
    """An entry of an Application's status.resources."""
    return {"kind": kind, "name": name, "namespace": namespace, "status": status}


def deployment(name: str = "auth-api", available: int = 0) -> Object:
    return {
        "kind": "Deployment",
        "metadata": meta(name, "auth", generation=2),
        "spec": {"replicas": 2, "selector": {"matchLabels": {"domain": "auth"}}},
        "status": {
            "observedGeneration": 2,
            "updatedReplicas": 2,
            "availableReplicas": available,
            "conditions": [
                {"type": "Available", "status": "False", "message": "too few"},
                {"type": "ReplicaFailure", "status": "False", "message": "no failure"},
            ],
        },
    }


def pod(name: str = "auth-api-x", domain: str = "auth", **status: Any) -> Object:
    return {
        "kind": "Pod",
        "metadata": meta(name, "auth", labels={"domain": domain, "pod-template-hash": "x"}),
        "status": {"phase": "Pending", **status},
    }


_KINDS = (
    *_PLURALS,
    *("Node", "Deployment", "StatefulSet", "DaemonSet", "Job", "PersistentVolumeClaim", "Pod"),
    *("Service", "PersistentVolume"),
)


def _plural(kind: str) -> str:
    return _PLURALS.get(kind, f"{kind.lower()}s")
