"""Whether a cluster can be destroyed so that nothing hangs and nothing stays in AWS.

The order is ApplicationSets, the root app and its children, Argo CD, the machines, the VPC: each
step needs the one before to be over, and the first two need Argo CD and its AppProjects to work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from operations.cluster import ARGOCD, Kubectl, Object

_FINALIZER = "resources-finalizer.argocd.argoproj.io"
TRACKED = "argocd.argoproj.io/tracking-id"
_EBS = "ebs.csi.aws.com"
_NAME = "app.kubernetes.io/name"
_CONTROLLERS = ("argocd-application-controller", "argocd-applicationset-controller")


@dataclass(frozen=True)
class Teardown:
    """there: what is to go before the machines, a line each; problems: what would hang or stay,
    each with what to do."""

    there: Sequence[str]
    problems: Sequence[str]

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def as_text(self) -> str:
        lines = [f"there: {line}" for line in self.there] or ["there: nothing of Argo CD or AWS"]
        return "\n".join([*lines, *(f"problem: {line}" for line in self.problems)])


def check(kubectl: Kubectl) -> Teardown:
    """Asks the cluster; changes nothing. Raises OperationsError if it does not answer."""
    place = f"--namespace={ARGOCD}"
    apps = kubectl.get(
        "applications.argoproj.io,applicationsets.argoproj.io,appprojects.argoproj.io", place
    )
    made = kubectl.get("services,ingresses,persistentvolumes", "--all-namespaces")
    controllers = kubectl.get("statefulsets,deployments", place) if apps else []
    applications = [item for item in apps if item["kind"] == "Application"]
    made = [item for item in made if _in_aws(item)]
    return Teardown(
        there=[
            *(_named(item) for item in apps if item["kind"] != "AppProject"),
            *(f"{_named(item)}, {_in_aws(item)}" for item in made),
        ],
        problems=[
            *(_not_running(controllers) if applications else ()),
            *_stuck(applications, {_name(a) for a in apps if a["kind"] == "AppProject"}),
            *_left(made),
        ],
    )


def _not_running(controllers: Sequence[Object]) -> Iterator[str]:
    for name in _CONTROLLERS:
        found = [c for c in controllers if c["metadata"].get("labels", {}).get(_NAME) == name]
        if not any(c.get("status", {}).get("readyReplicas") for c in found):
            yield (
                f"{name} does not run, and Applications are deleted by it alone; "
                f"see `kubectl -n {ARGOCD} get pods`"
            )


def _stuck(applications: Sequence[Object], projects: set[str]) -> Iterator[str]:
    for item in applications:
        name, project = _name(item), item["spec"]["project"]
        if project not in projects:
            yield (
                f"{_named(item)} is of the AppProject {project}, which is gone: Argo CD will not "
                "delete it; make the AppProject again"
            )
        if _FINALIZER not in item["metadata"].get("finalizers", ()):
            yield (
                f"{_named(item)} would leave all that it made: it has no finalizer; "
                f"`kubectl -n {ARGOCD} patch application {name} --type=merge "
                f'-p \'{{"metadata": {{"finalizers": ["{_FINALIZER}"]}}}}\'`'
            )
        for condition in item.get("status", {}).get("conditions", ()):
            if condition["type"] == "DeletionError":
                yield f"{_named(item)} cannot be deleted: {' '.join(condition['message'].split())}"


def _left(made: Sequence[Object]) -> Iterator[str]:
    for item in made:
        if item["kind"] == "PersistentVolume":
            if item["spec"].get("persistentVolumeReclaimPolicy") == "Retain":
                yield (
                    f"{_named(item)} keeps its volume when its claim goes; copy what you need, "
                    f"then `kubectl patch pv {_name(item)} "
                    '-p \'{"spec": {"persistentVolumeReclaimPolicy": "Delete"}}\'`'
                )
        elif TRACKED not in item["metadata"].get("annotations", {}):
            place = item["metadata"]["namespace"]
            yield (
                f"{_named(item)} is no Application's, so its load balancer stays; "
                f"`kubectl -n {place} delete {item['kind'].lower()} {_name(item)}`"
            )


def _in_aws(item: Object) -> str:
    """What stands behind an object in AWS; "" if nothing does."""
    spec, status = item["spec"], item.get("status", {})
    if item["kind"] == "PersistentVolume":
        csi, claim = spec.get("csi", {}), spec.get("claimRef", {})
        if csi.get("driver") != _EBS:
            return ""
        used = f"{claim['namespace']}/{claim['name']}" if claim else "nobody"
        return f"volume {csi['volumeHandle']}, of {used}"
    addresses = status.get("loadBalancer", {}).get("ingress", [])
    behind = next((a.get("hostname") or a.get("ip", "") for a in addresses), "no address yet")
    balanced = spec.get("type") == "LoadBalancer" or spec.get("ingressClassName") == "alb"
    return f"load balancer {behind}" if balanced else ""


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _named(item: Object) -> str:
    namespace = item["metadata"].get("namespace", "")
    place = f"{namespace}/" if namespace and namespace != ARGOCD else ""
    return f"{item['kind']} {place}{_name(item)}"
