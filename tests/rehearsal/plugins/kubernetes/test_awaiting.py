"""What is said while an Application is waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from rehearsal.plugins.kubernetes.awaiting import wait
from rehearsal.plugins.kubernetes.kubectl import Event, Kubectl
from rehearsal.plugins.kubernetes.readiness import Progress


def application(message: str, phase: str = "Running", health: str = "Missing") -> dict[str, Any]:
    operation = {"phase": phase, "message": message}
    status = {"health": {"status": health}, "operationState": operation}
    return {"kind": "Application", "metadata": {"name": "root"}, "status": status}


class Watched:
    """A kubectl whose watch sees these states one after the other."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self._states = states

    def watch(self, obj: dict[str, Any], timeout: float) -> Iterator[Event]:
        for state in self._states:
            yield Event("MODIFIED", state)


def healthy(live: dict[str, Any]) -> Progress:
    return Progress(live["status"]["health"]["status"] == "Healthy", "waiting for its health")


def test_each_thing_that_a_sync_waits_for_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    done = application("successfully synced", "Succeeded", "Healthy")
    kubectl = Watched(
        application("waiting for addons"),
        application("waiting for addons"),
        application("waiting for databases"),
        application("failed", "Failed"),
        done,
    )
    begun = application("")
    found = wait(cast(Kubectl, kubectl), begun, healthy, 60, threading.Event())
    assert found == done
    assert capsys.readouterr().err.splitlines() == [
        "progress: root: waiting for addons",
        "progress: root: waiting for databases",
    ]
