"""What would hang or stay is told before a destroy; what is still there is told after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operations.cluster import Kubectl
from operations.teardown import Teardown, check
from tests.operations.objects import Object, application, fake_kubectl, meta

FINALIZER = {"finalizers": ["resources-finalizer.argocd.argoproj.io"]}
TRACKED = {"annotations": {"argocd.argoproj.io/tracking-id": "x"}}
PROJECT = {"kind": "AppProject", "metadata": meta("platform", "argocd")}
ROOT = application(metadata=FINALIZER)
Ask = Callable[..., Teardown]


def controller(kind: str, name: str, ready: int = 1) -> Object:
    return {
        "kind": kind,
        "metadata": meta(name, "argocd", labels={"app.kubernetes.io/name": name}),
        "spec": {},
        "status": {"readyReplicas": ready} if ready else {},
    }


CONTROLLERS = [
    controller("StatefulSet", "argocd-application-controller"),
    controller("Deployment", "argocd-applicationset-controller"),
]
RUNNING = [ROOT, PROJECT, *CONTROLLERS]


def service(metadata: Object | None = None, type: str = "LoadBalancer") -> Object:
    return {
        "kind": "Service",
        "metadata": meta("edge", "auth", **(metadata or {})),
        "spec": {"type": type},
        "status": {"loadBalancer": {"ingress": [{"hostname": "k8s-edge.elb.example"}]}},
    }


def ingress(name: str, metadata: Object | None = None) -> Object:
    return {
        "kind": "Ingress",
        "metadata": meta("edge", "auth", **(metadata or {})),
        "spec": {"ingressClassName": name},
    }


def volume(policy: str = "Delete", driver: str = "ebs.csi.aws.com") -> Object:
    return {
        "kind": "PersistentVolume",
        "metadata": meta("pvc-1"),
        "spec": {
            "persistentVolumeReclaimPolicy": policy,
            "csi": {"driver": driver, "volumeHandle": "vol-1"},
            "claimRef": {"namespace": "databases", "name": "data-postgresql-0"},
        },
    }


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    def asked(*objects: Object, **more: Any) -> Teardown:
        kubectl = fake_kubectl(tmp_path, objects, **more)
        return check(Kubectl(tmp_path / "kubeconfig", [str(kubectl)]))

    return asked


def test_a_platform_that_can_be_destroyed(ask: Ask) -> None:
    sets = {"kind": "ApplicationSet", "metadata": meta("apis", "argocd")}
    found = ask(*RUNNING, sets, service(TRACKED), ingress("alb", TRACKED), volume())
    assert found.problems == []
    assert found.there == [
        "Application root",
        "ApplicationSet apis",
        "Service auth/edge, load balancer k8s-edge.elb.example",
        "Ingress auth/edge, load balancer no address yet",
        "PersistentVolume pvc-1, volume vol-1, of databases/data-postgresql-0",
    ]


def test_nothing_is_there(ask: Ask) -> None:
    """Neither what has nothing in AWS, nor a cluster that never had Argo CD."""
    others = [service(type="ClusterIP"), ingress("nginx"), volume(driver="local")]
    lacks = ["Application", "ApplicationSet", "AppProject"]
    assert ask(*others, lacks=lacks) == Teardown([], [])
    assert ask(PROJECT, *CONTROLLERS) == Teardown([], [])


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        ([ROOT, PROJECT, CONTROLLERS[0]], "argocd-applicationset-controller does not run"),
        (
            [ROOT, PROJECT, CONTROLLERS[1], controller("Deployment", "x", ready=0)],
            "argocd-application-controller does not run",
        ),
        ([ROOT, *CONTROLLERS], "is of the AppProject platform, which is gone"),
        ([application(), PROJECT, *CONTROLLERS], "would leave all that it made"),
        (
            [
                application(
                    metadata=FINALIZER,
                    conditions=[{"type": "DeletionError", "message": "no\n permission"}],
                ),
                PROJECT,
                *CONTROLLERS,
            ],
            "cannot be deleted: no permission",
        ),
        ([*RUNNING, service()], "`kubectl -n auth delete service edge`"),
        ([ingress("alb")], "`kubectl -n auth delete ingress edge`"),
        ([volume("Retain")], "PersistentVolume pvc-1 keeps its volume when its claim goes"),
    ],
)
def test_what_would_hang_or_stay(ask: Ask, objects: list[Object], told: str) -> None:
    (problem,) = ask(*objects).problems
    assert told in problem


def test_the_text() -> None:
    assert Teardown(["a"], ["b"]).as_text() == "there: a\nproblem: b"
    assert Teardown([], []).as_text() == "there: nothing of Argo CD or AWS"
