"""The health rule for Applications, judged by Argo CD itself from files."""

from __future__ import annotations

import subprocess
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
    ("missing", {"health": {"status": "Missing"}, "sync": SYNCED}, "Missing"),
    ("suspended", {"health": {"status": "Suspended"}, "sync": SYNCED}, "Suspended"),
]


@pytest.mark.parametrize(
    ("status", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_verdict(
    tool: ToolFinder,
    make_project: ProjectMaker,
    tmp_path: Path,
    status: dict[str, Any] | None,
    expected: str,
) -> None:
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
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "a", "namespace": "argocd"},
        "spec": {"source": SOURCE},
        **({} if status is None else {"status": status}),
    }
    files = {"cm.yaml": config_map, "app.yaml": application}
    for name, document in files.items():
        (tmp_path / name).write_text(yaml.safe_dump(document))
    command = [str(tool("argocd")), "admin", "settings", "resource-overrides", "health"]
    done = subprocess.run(
        [*command, "app.yaml", "--argocd-cm-path", "cm.yaml"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"STATUS: {expected}" in done.stdout.splitlines(), done.stdout + done.stderr
