"""What a cluster says of its nodes and Applications, and whether all is well."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from operations.cluster import Kubectl
from operations.errors import OperationsError
from operations.status import ApplicationSetStatus, ApplicationStatus, NodeStatus, Status, read
from tests.operations.objects import (
    Object,
    application,
    deployment,
    fake_kubectl,
    meta,
    node,
    pod,
    resource,
)

NODE = NodeStatus(
    "k8s-master", True, "api,control-plane", "ap-northeast-2a", "v1.34.4", "10.0.1.5", ""
)
APPLICATION = ApplicationStatus("root", None, "Synced", "Healthy", "0123456789abcdef", True, "")
WAVE = "argocd.argoproj.io/sync-wave"
TRACKED = {"argocd.argoproj.io/tracking-id": "root:argoproj.io/Application:argocd/x"}
Ask = Callable[..., Status]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Reads the status of a cluster that holds just these objects."""

    def asked(*objects: Object, **more: Any) -> Status:
        kubectl = fake_kubectl(tmp_path, objects, **more)
        return read(Kubectl(tmp_path / "kubeconfig", [str(kubectl)]))

    return asked


def test_a_cluster_that_is_well_is_asked_once(ask: Ask, tmp_path: Path) -> None:
    found = ask(node(labels={"workload": "x"}), application())
    assert found == Status([NODE], [APPLICATION], [])
    assert found.well
    assert len((tmp_path / "asked").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("ready", "reason"),
    [("False", "no CNI config"), ("Unknown", "no CNI config"), (None, "no condition yet")],
)
def test_a_node_that_is_not_ready_says_why(ask: Ask, ready: str | None, reason: str) -> None:
    found = ask(node(ready), application())
    assert [(n.ready, n.reason) for n in found.nodes] == [(False, reason)]
    assert not found.well


def test_a_node_tells_its_zone_by_label_and_that_it_is_cordoned(ask: Ask) -> None:
    labels = {"topology.kubernetes.io/zone": "ap-northeast-2c"}
    found = ask(node(labels=labels, unschedulable=True), application())
    assert [(n.zone, n.reason) for n in found.nodes] == [("ap-northeast-2c", "cordoned")]
    assert ask(node(providerID="kind://x"), application()).nodes[0].zone == ""


def failing(phase: str) -> Object:
    """An operation of which a hook of this sync phase failed."""
    job = {"kind": "Job", "name": "auth-job", "syncPhase": phase, "hookPhase": "Failed"}
    done = {"kind": "Service", "name": "auth-api", "syncPhase": "Sync", "status": "Synced"}
    job["message"] = "Job has reached\n the specified backoff limit"
    return {"phase": "Failed", "message": "a hook failed", "syncResult": {"resources": [done, job]}}


BACKOFF = "Job auth-job: Job has reached the specified backoff limit; a hook failed"


@pytest.mark.parametrize(
    ("unwell", "reason"),
    [
        ({"sync": "Unknown", "conditions": [{"message": "cannot\n render"}]}, "cannot render"),
        (
            {
                "sync": "Unknown",
                "conditions": [
                    {
                        "message": "Failed to load target state: failed to generate manifest for "
                        "source 1 of 1: rpc error: code = Unknown desc = `kustomize build` failed"
                    }
                ],
            },
            "`kustomize build` failed",
        ),
        ({"sync": "OutOfSync", "operationState": failing("PreSync")}, BACKOFF),
        ({"operationState": failing("PostSync")}, BACKOFF),
        ({"operationState": {"phase": "Running", "message": "waiting"}}, "waiting"),
        (  # the condition repeats the operation
            {
                "sync": "OutOfSync",
                "conditions": [{"message": "Failed last sync attempt: no such kind"}],
                "operationState": {"phase": "Error", "message": "no such kind"},
            },
            "Failed last sync attempt: no such kind",
        ),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, "is being deleted"),
        (
            {
                "sync": "OutOfSync",
                "resources": [resource("Service", "a", "OutOfSync")] * 2,
            },
            "Service a and 1 more not as in git",
        ),
        (
            {
                "health": "Degraded",
                "resources": [
                    {**resource("Ingress", "a"), "health": {"status": "Healthy", "message": "x"}},
                    {**resource("Ingress", "b"), "health": {"status": "Degraded", "message": "y"}},
                ],
            },
            "Ingress b: y",
        ),
    ],
)
def test_an_application_that_is_not_well_says_why(ask: Ask, unwell: Object, reason: str) -> None:
    found = ask(node(), application(**unwell))
    assert [(a.well, a.reason) for a in found.applications] == [(False, reason)]
    assert not found.well


@pytest.mark.parametrize("operation", [failing("PreSync"), {"phase": "Succeeded"}])
def test_an_operation_that_is_over_is_no_reason(ask: Ask, operation: Object) -> None:
    """What failed before anything was applied was put right otherwise, if git and cluster agree."""
    found = ask(node(), application(operationState=operation))
    assert found.applications == [APPLICATION]


def test_an_application_that_argo_cd_has_not_looked_at_yet(ask: Ask) -> None:
    found = ask(node(), {"kind": "Application", "metadata": meta("root", "argocd")})
    assert asdict(found.applications[0]) == asdict(APPLICATION) | {
        "sync": "Unknown",
        "health": "Unknown",
        "revision": "",
        "well": False,
        "reason": "Argo CD has not looked at it yet",
    }


def waiting(reason: str, message: str) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "api", "ready": False, "state": state}]}


UNSCHEDULED = {"type": "PodScheduled", "status": "False", "message": "0/14 nodes are\n available"}


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        (
            [deployment(), pod(**waiting("ImagePullBackOff", "no such tag"))],
            "Deployment auth-api: pod auth-api-x: ImagePullBackOff: no such tag",
        ),
        (
            [deployment(), pod(conditions=[UNSCHEDULED])],
            "Deployment auth-api: pod auth-api-x: 0/14 nodes are available",
        ),
        (  # another domain's pod is no trouble of this one
            [deployment(), pod(domain="my", **waiting("ImagePullBackOff", "no such tag"))],
            "Deployment auth-api: too few",
        ),
        (
            [deployment(), pod(**waiting("ContainerCreating", ""))],
            "Deployment auth-api: pod auth-api-x: api is not ready",
        ),
        ([deployment(available=2), pod(**waiting("Error", ""))], ""),
    ],
)
def test_the_first_unhealthy_object_is_named_with_its_trouble(
    ask: Ask, objects: list[Object], reason: str
) -> None:
    """Argo CD 3 does not write the health of objects into the Application."""
    resources = [resource("Service", "auth-api"), resource("Deployment", "auth-api")]
    found = ask(node(), application(health="Degraded", resources=resources), *objects)
    assert [a.reason for a in found.applications] == [reason]


def test_waves_come_in_order_and_a_set_gives_its_own(ask: Ask) -> None:
    made = {"ownerReferences": [{"uid": "uid-apis"}]}
    found = ask(
        node(),
        application(name="auth", metadata=made),
        application(name="workers", metadata={"annotations": {WAVE: "2"}}),
        application(name="infrastructure", metadata={"annotations": TRACKED}),
        application(
            health="Degraded",
            resources=[resource("ApplicationSet", "apis"), resource("Application", "unwell")],
        ),
        application("OutOfSync", "Missing", name="unwell", metadata=made),
        {
            "kind": "ApplicationSet",
            "metadata": meta("apis", "argocd", annotations={WAVE: "3"}),
            "status": {"conditions": [{"type": "ResourcesUpToDate", "status": "True"}]},
        },
    )
    assert [(a.name, a.wave) for a in found.applications] == [
        ("root", None),
        ("infrastructure", 0),
        ("workers", 2),
        ("auth", 3),
        ("unwell", 3),
    ]
    assert found.applications[0].reason == "ApplicationSet apis: unwell is not well"
    assert found.application_sets == [ApplicationSetStatus("apis", 3, 2, "")]


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ([{"type": "ErrorOccurred", "status": "True", "message": "no\n key"}], "no key"),
        ([], "its Applications are not written yet"),
    ],
)
def test_an_application_set_that_is_not_well_says_why(
    ask: Ask, conditions: list[Object], reason: str
) -> None:
    unwell = {
        "kind": "ApplicationSet",
        "metadata": meta("apis", "argocd"),
        "status": {"conditions": conditions},
    }
    found = ask(node(), application(), unwell)
    assert [s.reason for s in found.application_sets] == [reason]
    assert not found.well


@pytest.mark.parametrize("lacks", [["Application", "ApplicationSet"], ["ApplicationSet"]])
def test_a_cluster_without_argo_cd_has_no_applications(ask: Ask, lacks: list[str]) -> None:
    found = ask(node(), lacks=lacks)
    assert found.nodes == [NODE]
    assert found.applications == []
    assert not found.well


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("Unable to connect\n  to the server: EOF\n", "Unable to connect to the server: EOF"),
        (" ", "no answer"),
    ],
)
def test_a_cluster_that_does_not_answer(ask: Ask, error: str, told: str) -> None:
    with pytest.raises(OperationsError) as raised:
        ask(error=error)
    assert str(raised.value) == f"the cluster does not answer ({told})"


def test_no_kubectl(tmp_path: Path) -> None:
    with pytest.raises(OperationsError, match="is not on PATH; install it"):
        read(Kubectl(tmp_path, [str(tmp_path / "kubectl")]))


MADE = ApplicationSetStatus("apis", 3, 7, "")


@pytest.mark.parametrize(
    ("nodes", "applications", "sets", "well"),
    [
        ([NODE], [APPLICATION], [MADE], True),
        ([NODE, replace(NODE, ready=False)], [APPLICATION], [], False),
        ([NODE], [APPLICATION, replace(APPLICATION, well=False)], [], False),
        ([NODE], [APPLICATION], [replace(MADE, reason="no")], False),
        ([], [APPLICATION], [], False),
        ([NODE], [], [], False),
        ([], [], [], False),
    ],
)
def test_it_is_well_when_all_is_and_there_is_something(
    nodes: list[NodeStatus],
    applications: list[ApplicationStatus],
    sets: list[ApplicationSetStatus],
    well: bool,
) -> None:
    found = Status(nodes, applications, sets)
    assert found.well is well
    assert json.loads(found.as_json())["well"] is well


def test_the_table() -> None:
    unready = NodeStatus("k8s-worker-long", False, "", "", "v1.34.4", "", "no CNI config")
    unwell = replace(
        APPLICATION, name="auth", wave=3, sync="OutOfSync", health="Missing", reason="x" * 300
    )
    found = Status([NODE, unready], [APPLICATION, unwell], [replace(MADE, reason="why")])
    assert found.as_table().splitlines() == [
        "NODE             READY  ROLES              ZONE             VERSION  ADDRESS",
        "k8s-master       yes    api,control-plane  ap-northeast-2a  v1.34.4  10.0.1.5",
        "k8s-worker-long  NO                                         v1.34.4            "
        "no CNI config",
        "",
        "APPLICATION  WAVE  SYNC       HEALTH   REVISION",
        "root         -     Synced     Healthy  01234567",
        f"auth         3     OutOfSync  Missing  01234567  {'x' * 240}",
        "",
        "APPLICATIONSET  WAVE  APPLICATIONS",
        "apis            3     7             why",
    ]


def test_the_table_of_nothing() -> None:
    assert Status([], []).as_table().splitlines() == [
        "NODE  READY  ROLES  ZONE  VERSION  ADDRESS",
        "",
        "APPLICATION  WAVE  SYNC  HEALTH  REVISION",
    ]


def test_the_json_is_whole() -> None:
    assert json.loads(Status([NODE], [APPLICATION], [MADE]).as_json()) == {
        "well": True,
        "nodes": [asdict(NODE)],
        "applications": [asdict(APPLICATION)],
        "application_sets": [asdict(MADE)],
    }
