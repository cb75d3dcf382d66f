"""Why an object in the cluster is unhealthy, read from the object and its pods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operations.cluster import Object

# What `kubectl get` is asked for, besides the pods that these are made of.
KINDS = "deployments,statefulsets,daemonsets,jobs,persistentvolumeclaims,pods"

_STARTING = ("PodInitializing", "ContainerCreating")


class Troubles:
    """What is wrong with objects of KINDS, and with Applications and ApplicationSets.

    objects: of KINDS, in every namespace; told: what is known of others, by kind and name.
    """

    def __init__(self, objects: Sequence[Object], told: dict[tuple[str, str], str]) -> None:
        self._told = told
        self._objects = {
            (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o
            for o in objects
        }
        self._pods = [o for o in objects if o["kind"] == "Pod"]

    def __call__(self, kind: str, namespace: str, name: str) -> str:
        """The first trouble, in one line; "" if there is none, or nothing is known."""
        if (kind, name) in self._told:
            return self._told[kind, name]
        found = self._objects.get((kind, namespace, name))
        return next(self._of(found), "") if found else ""

    def _of(self, item: Object) -> Iterator[str]:
        status = item.get("status", {})
        match item["kind"]:
            case "Deployment" | "StatefulSet" | "DaemonSet":
                if _rolled_out(item):
                    return
                for pod in self._pods_of(item):
                    if said := of_pod(pod):
                        yield f"pod {pod['metadata']['name']}: {said}"
                for condition in status.get("conditions", []):
                    failure = condition["type"] == "ReplicaFailure"
                    if condition["status"] == str(failure):
                        yield condition.get("message", condition["type"])
                yield "is being rolled out"
            case "Job":
                for condition in status.get("conditions", []):
                    if condition["type"] == "Failed" and condition["status"] == "True":
                        yield condition.get("message", "failed")
            case "PersistentVolumeClaim":
                if status.get("phase") != "Bound":
                    yield f"is {status.get('phase', 'Pending')}, not Bound"
            case "Pod":
                if said := of_pod(item):
                    yield said

    def _pods_of(self, workload: Object) -> Iterator[Object]:
        wanted = workload["spec"]["selector"].get("matchLabels", {}).items()
        namespace = workload["metadata"]["namespace"]
        for pod in self._pods:
            labels = pod["metadata"].get("labels", {})
            if pod["metadata"]["namespace"] == namespace and wanted <= labels.items():
                yield pod


def of_pod(pod: Object) -> str:
    """Why a pod does not serve: it has no node, or a container that does not start or run."""
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return ""
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return " ".join(condition.get("message", "has no node").split())
    containers = [
        *status.get("initContainerStatuses", []),
        *status.get("containerStatuses", []),
    ]
    for container in containers:
        state = container.get("state", {})
        waiting, ended = state.get("waiting", {}), state.get("terminated", {})
        if waiting and waiting.get("reason") not in _STARTING:
            told = (waiting.get("reason", "waiting"), waiting.get("message", ""))
            return ": ".join(filter(None, (" ".join(text.split()) for text in told)))
        if ended and ended.get("exitCode", 0) != 0:
            return f"{container['name']} ended with exit code {ended['exitCode']}"
    for container in status.get("containerStatuses", []):
        if not container.get("ready"):
            return f"{container['name']} is not ready"
    return ""


def _rolled_out(workload: Object) -> bool:
    """As Argo CD's own rule: the present generation, updated and available everywhere."""
    status, spec = workload.get("status", {}), workload["spec"]
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        counts = ("updatedNumberScheduled", "numberAvailable")
    else:
        wanted = spec.get("replicas", 1)
        ready = "availableReplicas" if workload["kind"] == "Deployment" else "readyReplicas"
        counts = ("updatedReplicas", ready)
    return all(int(status.get(count, 0)) >= wanted for count in counts)
