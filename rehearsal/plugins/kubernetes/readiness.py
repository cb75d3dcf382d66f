"""When an object counts as ready, by kind or by its `pulumi.com/waitFor` annotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rehearsal.plugins.kubernetes import object_annotations as notes

DEFAULT_SECONDS = 600.0  # the official provider's for all kinds it waits for

_Object = dict[str, Any]


@dataclass(frozen=True)
class Progress:
    """ready: done; failed: it will never be ready; status: where it stands, in a few words."""

    ready: bool
    status: str = ""
    failed: bool = False


Check = Callable[[_Object], Progress]


def check_for(obj: _Object) -> Check | None:
    """How to tell that this object is ready; None if nothing is waited for."""
    if notes.skip_await(obj):
        return None
    conditions = notes.wait_for(obj)
    if conditions:

        def all_met(live: _Object) -> Progress:
            unmet = [f"{t} (found {p.found(live)})" for t, p in conditions if not p.matches(live)]
            return Progress(not unmet, "waiting for " + ", ".join(unmet))

        return all_met
    return _CHECKS.get((obj["apiVersion"], obj["kind"]))


def unhandled(obj: _Object) -> bool:
    """True if the official provider waits for this kind and this stand-in cannot."""
    named = (obj.get("apiVersion"), obj.get("kind")) in _UNHANDLED
    return named and not notes.skip_await(obj) and not notes.wait_for(obj)


def _deployment(live: _Object) -> Progress:
    if (stale := _stale(live)) or live.get("spec", {}).get("paused"):
        return stale or Progress(True)
    status, wanted = live.get("status", {}), live.get("spec", {}).get("replicas", 1)
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", 0)
    ready = updated >= wanted and total <= updated and available >= updated
    text = f"{updated} of {wanted} replicas updated, {available} available"
    return Progress(ready, text + _problems(live, ("Progressing", "Available", "ReplicaFailure")))


def _stateful_set(live: _Object) -> Progress:
    if stale := _stale(live):
        return stale
    spec, status = live.get("spec", {}), live.get("status", {})
    wanted, present = spec.get("replicas", 1), status.get("readyReplicas", 0)
    ready = present >= wanted
    if spec.get("updateStrategy", {}).get("type") != "OnDelete":
        ready = ready and status.get("currentRevision") == status.get("updateRevision")
    return Progress(ready, f"{present} of {wanted} replicas ready")


def _daemon_set(live: _Object) -> Progress:
    if stale := _stale(live):
        return stale
    status = live.get("status", {})
    wanted, available = status.get("desiredNumberScheduled", 0), status.get("numberAvailable", 0)
    updated = status.get("updatedNumberScheduled", 0)
    on_delete = live.get("spec", {}).get("updateStrategy", {}).get("type") == "OnDelete"
    ready = available >= wanted and (on_delete or updated >= wanted)
    return Progress(ready, f"{available} of {wanted} pods available, {updated} updated")


def _job(live: _Object) -> Progress:
    status = live.get("status", {})
    for condition in status.get("conditions", ()):
        if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
            failed = condition["type"] == "Failed"
            return Progress(not failed, f"job failed: {condition.get('message', '')}", failed)
    return Progress(False, f"{status.get('active', 0)} active, {status.get('failed', 0)} failed")


def _pod(live: _Object) -> Progress:
    phase = live.get("status", {}).get("phase", "Pending")
    ready = phase == "Succeeded" or _condition(live, "Ready").get("status") == "True"
    status = f"pod is {phase}" + _problems(live, ("PodScheduled", "Ready"))
    return Progress(ready, status, failed=phase == "Failed")


def _service(live: _Object) -> Progress:
    if live.get("spec", {}).get("type") != "LoadBalancer":
        return Progress(True)
    ingress = live.get("status", {}).get("loadBalancer", {}).get("ingress")
    return Progress(bool(ingress), "no load balancer has given it an address")


_CHECKS: dict[tuple[str, str], Check] = {
    ("apps/v1", "Deployment"): _deployment,
    ("apps/v1", "StatefulSet"): _stateful_set,
    ("apps/v1", "DaemonSet"): _daemon_set,
    ("batch/v1", "Job"): _job,
    ("v1", "Pod"): _pod,
    ("v1", "Service"): _service,
}
_UNHANDLED = frozenset(
    {
        ("v1", "PersistentVolume"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "ReplicationController"),
        ("v1", "ResourceQuota"),
        ("networking.k8s.io/v1", "Ingress"),
    }
)


def _stale(live: _Object) -> Progress | None:
    generation = live.get("metadata", {}).get("generation", 0)
    if live.get("status", {}).get("observedGeneration", 0) < generation:
        return Progress(False, "its controller has not seen the change yet")
    return None


def _condition(live: _Object, kind: str) -> _Object:
    for condition in live.get("status", {}).get("conditions", ()):
        if condition.get("type") == kind:
            return dict(condition)
    return {}


def _problems(live: _Object, kinds: tuple[str, ...]) -> str:
    told = []
    for kind in kinds:
        condition = _condition(live, kind)
        bad = "True" if kind == "ReplicaFailure" else "False"
        if condition.get("status") == bad:
            told.append(f"{condition.get('reason', kind)}: {condition.get('message', '')}")
    return "".join(f"; {text}" for text in told)
