"""Waits until an object is ready, by watching it."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from rehearsal.plugins import WAITING
from rehearsal.plugins.kubernetes.kubectl import Kubectl
from rehearsal.plugins.kubernetes.readiness import Check
from rehearsal.plugins.protocol import ProviderError

_WATCH_SECONDS = 60.0  # a watch is begun afresh this often, in case its connection hangs
_PAUSE_SECONDS = 1.0


class NotReady(Exception):
    """The wait ended without success. live: the object as last seen; the text says why."""

    def __init__(self, live: dict[str, Any], reason: str) -> None:
        super().__init__(reason)
        self.live = live


def wait(
    kubectl: Kubectl,
    live: dict[str, Any],
    check: Check,
    timeout: float,
    cancelled: threading.Event,
) -> dict[str, Any]:
    """The object once it is ready; stderr, which the engine reads, tells what an Application's sync
    waits for. timeout: seconds. Raises NotReady."""
    deadline = time.monotonic() + timeout
    progress, told = check(live), ""
    while not progress.ready:
        left = deadline - time.monotonic()
        if progress.failed:
            raise NotReady(live, progress.status)
        if cancelled.is_set():
            raise NotReady(live, f"the operation was cancelled while {progress.status}")
        if left <= 0:
            reason = f"not ready after {timeout:.0f} s: {progress.status}"
            raise NotReady(live, reason + _pods(kubectl, live))
        try:
            for event in kubectl.watch(live, min(left, _WATCH_SECONDS)):
                if event.type == "DELETED":
                    raise NotReady(live, "it was deleted while it was waited for")
                if event.type not in ("ADDED", "MODIFIED"):
                    break
                live = event.object
                progress = check(live)
                if (doing := _operation(live)) not in ("", told):
                    told = doing
                    print(f"{WAITING}{live['metadata']['name']}: {told}", file=sys.stderr)
                if progress.ready or progress.failed:
                    break
            else:
                cancelled.wait(min(_PAUSE_SECONDS, left))
        except ProviderError:
            cancelled.wait(min(_PAUSE_SECONDS, left))
    return live


def _operation(live: dict[str, Any]) -> str:
    """What Argo CD says of the sync that runs; "" if none does."""
    operation = live.get("status", {}).get("operationState") or {}
    return str(operation.get("message") or "") if operation.get("phase") == "Running" else ""


def _pods(kubectl: Kubectl, live: dict[str, Any]) -> str:
    """What keeps a workload's containers from running; "" if nothing can be said."""
    labels = (live.get("spec", {}).get("selector") or {}).get("matchLabels")
    if not isinstance(labels, dict) or live.get("kind") == "Service":
        return ""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    try:
        pods = kubectl.list("pods", live["metadata"].get("namespace", ""), selector)
    except ProviderError:
        return ""
    told = []
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses", ()):
            waiting = container.get("state", {}).get("waiting")
            if waiting:
                reason, message = waiting.get("reason", ""), waiting.get("message", "")
                told.append(f"pod {pod['metadata']['name']}: {reason} {message}".strip())
    return "".join(f"; {text}" for text in told[:3])
