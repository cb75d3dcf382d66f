"""The health rules of ours, judged by Argo CD itself from files."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops import render
from settings import load
from tests.conftest import ProjectMaker, ToolFinder

SOURCE = {"repoURL": "https://git.example/a.git", "path": "k8s", "targetRevision": "main"}
HEALTHY: dict[str, Any] = {"status": "Healthy"}
SYNCED: dict[str, Any] = {"status": "Synced", "comparedTo": {"source": SOURCE}}


def compared(**other: str) -> dict[str, Any]:
    """Synced, but to a source that differs from the spec's."""
    return {"status": "Synced", "comparedTo": {"source": {**SOURCE, **other}}}


def failed(phase: str) -> dict[str, Any]:
    """A sync that ended when a hook of this phase failed."""
    hook = {"kind": "Job", "name": "a", "syncPhase": phase, "hookPhase": "Failed"}
    done = {"kind": "Job", "name": "b", "syncPhase": "PreSync", "hookPhase": "Succeeded"}
    return {"phase": "Failed", "syncResult": {"resources": [done, hook]}}


CASES: list[tuple[str, dict[str, Any] | None, str]] = [
    ("no status", None, "Progressing"),
    ("empty status", {}, "Progressing"),
    ("no health", {"sync": SYNCED}, "Progressing"),
    ("health without a word", {"health": {}, "sync": SYNCED}, "Progressing"),
    ("progressing", {"health": {"status": "Progressing"}, "sync": SYNCED}, "Progressing"),
    ("healthy and synced", {"health": HEALTHY, "sync": SYNCED}, "Healthy"),
    ("healthy, no sync", {"health": HEALTHY}, "Progressing"),
    (
        "healthy, out of sync",
        {"health": HEALTHY, "sync": {**SYNCED, "status": "OutOfSync"}},
        "Progressing",
    ),
    (
        "healthy, sync unknown",
        {"health": HEALTHY, "sync": {**SYNCED, "status": "Unknown"}},
        "Progressing",
    ),
    ("another revision", {"health": HEALTHY, "sync": compared(targetRevision="v1")}, "Progressing"),
    ("another path", {"health": HEALTHY, "sync": compared(path="old")}, "Progressing"),
    ("another repository", {"health": HEALTHY, "sync": compared(repoURL="b")}, "Progressing"),
    ("degraded", {"health": {"status": "Degraded"}, "sync": SYNCED}, "Degraded"),
    (
        "degraded, out of sync",
        {"health": {"status": "Degraded"}, "sync": {**SYNCED, "status": "OutOfSync"}},
        "Degraded",
    ),
    (
        "hooks still run",
        {"health": HEALTHY, "sync": SYNCED, "operationState": {"phase": "Running"}},
        "Progressing",
    ),
    (
        "synced, hooks too",
        {"health": HEALTHY, "sync": SYNCED, "operationState": {"phase": "Succeeded"}},
        "Healthy",
    ),
    (
        "a PostSync hook failed",
        {"health": HEALTHY, "sync": SYNCED, "operationState": failed("PostSync")},
        "Degraded",
    ),
    (
        "a PreSync hook failed, and its commit was reverted",
        {"health": HEALTHY, "sync": SYNCED, "operationState": failed("PreSync")},
        "Healthy",
    ),
    (
        "a sync was refused, and its commit was reverted",
        {"health": HEALTHY, "sync": SYNCED, "operationState": {"phase": "Failed"}},
        "Healthy",
    ),
    (
        "a sync was refused, and the verdict is about an earlier source",
        {"health": HEALTHY, "sync": compared(path="old"), "operationState": {"phase": "Failed"}},
        "Progressing",
    ),
    (
        "a PreSync hook failed",
        {
            "health": {"status": "Missing"},
            "sync": {**SYNCED, "status": "OutOfSync"},
            "operationState": {"phase": "Error", "message": "job failed"},
        },
        "Degraded",
    ),
    ("missing", {"health": {"status": "Missing"}, "sync": SYNCED}, "Missing"),
    ("suspended", {"health": {"status": "Suspended"}, "sync": SYNCED}, "Suspended"),
]


WRITTEN = [{"type": "ResourcesUpToDate", "status": "True"}]


def application(name: str, health: str | None = "Healthy", sync: str = "Synced") -> dict[str, Any]:
    """As the ApplicationSet controller notes it."""
    verdict = {} if health is None else {"health": {"status": health}}
    return {"kind": "Application", "name": name, "status": sync, **verdict}


def after(*resources: dict[str, Any], conditions: list[dict[str, str]] = WRITTEN) -> dict[str, Any]:
    return {"conditions": conditions, "resources": list(resources)}


SETS: list[tuple[str, dict[str, Any] | None, str]] = [
    ("no status", None, "Progressing"),
    ("written, and nothing else", after(), "Progressing"),
    ("all are well", after(application("a"), application("b")), "Healthy"),
    ("one is not there yet", after(application("a")), "Progressing"),
    ("one has no verdict", after(application("a"), application("b", None)), "Progressing"),
    ("one goes on", after(application("a", "Progressing"), application("b")), "Progressing"),
    ("one is missing", after(application("a"), application("b", "Missing")), "Progressing"),
    (
        "one is out of sync",
        after(application("a", sync="OutOfSync"), application("b")),
        "Progressing",
    ),
    (
        "one is degraded, another goes on",
        after(application("a", "Progressing"), application("b", "Degraded")),
        "Degraded",
    ),
    (
        "an error",
        after(
            application("a"),
            application("b"),
            conditions=[
                *WRITTEN,
                {"type": "ErrorOccurred", "status": "True", "message": "no such project"},
            ],
        ),
        "Degraded",
    ),
    (
        "not written",
        after(
            application("a"),
            application("b"),
            conditions=[{"type": "ResourcesUpToDate", "status": "False"}],
        ),
        "Progressing",
    ),
]


Judge = Callable[[dict[str, Any]], str]


@pytest.fixture
def judge(tool: ToolFinder, make_project: ProjectMaker, tmp_path: Path) -> Judge:
    """Argo CD's verdict on an object, by the chart's values."""
    values = render.chart_values(load(make_project(), "test").gitops)
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "argocd-cm",
            "namespace": "argocd",
            "labels": {"app.kubernetes.io/part-of": "argocd"},
        },
        "data": values["configs"]["cm"],
    }
    (tmp_path / "cm.yaml").write_text(yaml.safe_dump(config_map))

    def verdict(judged: dict[str, Any]) -> str:
        (tmp_path / "object.yaml").write_text(yaml.safe_dump(judged))
        command = [str(tool("argocd")), "admin", "settings", "resource-overrides", "health"]
        done = subprocess.run(
            [*command, "object.yaml", "--argocd-cm-path", "cm.yaml"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        (found,) = re.findall(r"^STATUS: (\w+)$", done.stdout, re.M)
        return str(found)

    return verdict


def made(kind: str, spec: dict[str, Any], status: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "a", "namespace": "argocd"},
        "spec": spec,
        **({} if status is None else {"status": status}),
    }


@pytest.mark.parametrize(
    ("status", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_verdict_on_an_application(
    judge: Judge, status: dict[str, Any] | None, expected: str
) -> None:
    assert judge(made("Application", {"source": SOURCE}, status)) == expected


@pytest.mark.parametrize(
    ("status", "expected"), [case[1:] for case in SETS], ids=[case[0] for case in SETS]
)
def test_the_verdict_on_an_applicationset(
    judge: Judge, status: dict[str, Any] | None, expected: str
) -> None:
    elements = [{"domain": "a"}, {"domain": "b"}]
    spec = {"generators": [{"list": {"elements": elements}}]}
    assert judge(made("ApplicationSet", spec, status)) == expected


def conditions_are(**conditions: str) -> dict[str, Any]:
    return {"conditions": [{"type": t, "status": s, "message": "m"} for t, s in conditions.items()]}


@pytest.mark.parametrize("kind", ["Alertmanager", "Prometheus"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, "Progressing"),
        (conditions_are(Available="False", Reconciled="True"), "Progressing"),
        (conditions_are(Available="True", Reconciled="True"), "Healthy"),
        (conditions_are(Available="True", Reconciled="False"), "Degraded"),
    ],
)
def test_the_verdict_on_what_the_prometheus_operator_runs(
    judge: Judge, kind: str, status: dict[str, Any] | None, expected: str
) -> None:
    judged = {**made(kind, {}, status), "apiVersion": "monitoring.coreos.com/v1"}
    assert judge(judged) == expected


NAMED = {"NamesAccepted": "True"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, "Progressing"),
        (conditions_are(**NAMED, Established="False"), "Progressing"),
        (conditions_are(**NAMED, Established="True"), "Healthy"),
        (conditions_are(NamesAccepted="False", Established="False"), "Degraded"),
        (conditions_are(**NAMED, Established="True", NonStructuralSchema="True"), "Degraded"),
    ],
)
def test_the_verdict_on_a_kind_that_is_being_defined(
    judge: Judge, status: dict[str, Any], expected: str
) -> None:
    judged = {
        **made("CustomResourceDefinition", {}, status),
        "apiVersion": "apiextensions.k8s.io/v1",
    }
    assert judge(judged) == expected
    judged["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert judge(judged) == "Progressing"


def test_what_cannot_be_counted_does_not_pass_for_healthy(judge: Judge) -> None:
    spec = {"generators": [{"git": {"directories": [{"path": "*"}]}}]}
    assert judge(made("ApplicationSet", spec, after(application("a")))) == "Unknown"
