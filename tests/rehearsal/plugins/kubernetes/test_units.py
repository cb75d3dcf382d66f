"""The pure parts: JSONPath, readiness, drift, replacement, names in a rendered chart."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from rehearsal.plugins.kubernetes import drift, jsonpath, readiness, rendered, replacing
from rehearsal.plugins.kubernetes.ownership import created_by
from rehearsal.plugins.kubernetes.release_inputs import check, parse
from rehearsal.plugins.protocol import UNKNOWN

OBJECT = {
    "status": {
        "phase": "Running",
        "replicas": 2,
        "conditions": [
            {"type": "Synced", "status": "False"},
            {"type": "Ready", "status": "True"},
        ],
        "loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]},
    }
}


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ("{.status.phase}=Running", True),
        ("{.status.phase}=Pending", False),
        ("{$.status.phase}", True),
        ("{.status.replicas}=2", True),
        ("{.status['phase']}=Running", True),
        ("{.status.nothing}", False),
        ("{.status.loadBalancer.ingress[0].ip}", True),
        ("{.status.loadBalancer.ingress[1].ip}", False),
        ("{.status.loadBalancer.ingress}", True),
        ('{.status.conditions[?(@.type=="Ready")].status}=True', True),
        ('{.status.conditions[?@.type == "Synced"].status}=True', False),
        ('{.status.conditions[?(@.type!="Ready")].status}=False', True),
        ("{.status.conditions[*].type}=Synced", True),
    ],
)
def test_jsonpath(expression: str, matches: bool) -> None:
    assert jsonpath.parse(expression).matches(OBJECT) is matches


@pytest.mark.parametrize("expression", [".a", "{.a", "{.a}x", "{.a}=", "{..a}", "{}"])
def test_jsonpath_refuses(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        jsonpath.parse(expression)


def _live(version: str, kind: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "x", "generation": 2},
        "spec": spec,
        "status": {"observedGeneration": 2} | status,
    }


@pytest.mark.parametrize(
    ("live", "ready", "failed"),
    [
        (_live("apps/v1", "Deployment", {"replicas": 0}, {}), True, False),
        (_live("apps/v1", "Deployment", {"replicas": 0}, {"observedGeneration": 1}), False, False),
        (
            _live(
                "apps/v1",
                "Deployment",
                {"replicas": 1},
                {"replicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
            ),
            False,
            False,
        ),
        (
            _live(
                "apps/v1",
                "Deployment",
                {"replicas": 1},
                {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
            ),
            True,
            False,
        ),
        (
            _live(
                "apps/v1",
                "StatefulSet",
                {"replicas": 1},
                {"readyReplicas": 1, "currentRevision": "a", "updateRevision": "b"},
            ),
            False,
            False,
        ),
        (
            _live(
                "apps/v1",
                "DaemonSet",
                {},
                {"desiredNumberScheduled": 2, "numberAvailable": 2, "updatedNumberScheduled": 2},
            ),
            True,
            False,
        ),
        (_live("batch/v1", "Job", {}, {"active": 1}), False, False),
        (
            _live("batch/v1", "Job", {}, {"conditions": [{"type": "Failed", "status": "True"}]}),
            False,
            True,
        ),
        (_live("v1", "Service", {"type": "ClusterIP"}, {}), True, False),
        (_live("v1", "Service", {"type": "LoadBalancer"}, {}), False, False),
        (_live("v1", "Pod", {}, {"phase": "Failed"}), False, True),
    ],
)
def test_readiness(live: dict[str, Any], ready: bool, failed: bool) -> None:
    ready_check = readiness.check_for(live)
    assert ready_check is not None
    progress = ready_check(live)
    assert (progress.ready, progress.failed) == (ready, failed)


def test_drift_keeps_what_the_api_rewrote() -> None:
    written = {"spec": {"cpu": "1000m", "list": [{"name": "a"}]}}
    before = {"spec": {"cpu": "1", "list": [{"name": "a", "defaulted": 1}], "more": 2}}
    assert drift.refreshed(written, before, before) == written
    live = {"spec": {"cpu": "2", "list": [{"name": "b", "defaulted": 1}], "more": 3}}
    assert drift.refreshed(written, before, live) == {"spec": {"cpu": "2", "list": [{"name": "b"}]}}


def test_drift_shows_what_was_removed() -> None:
    written = {"data": {"a": "1", "b": "2"}}
    assert drift.refreshed(written, written, {"data": {"a": "1"}}) == {"data": {"a": "1"}}


def test_drift_of_a_secret_written_as_text() -> None:
    def live(text: str) -> dict[str, Any]:
        return {"kind": "Secret", "data": {"key": base64.b64encode(text.encode()).decode()}}

    written = {"kind": "Secret", "stringData": {"key": "old"}}
    assert drift.refreshed(written, live("old"), live("old")) == written
    changed = drift.refreshed(written, live("old"), live("new"))
    assert changed == {"kind": "Secret", "stringData": {"key": "new"}}


def _inputs(version: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}} | more


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        (
            _inputs("v1", "ConfigMap", data={"a": "1"}),
            _inputs("v1", "ConfigMap", data={"a": "2"}),
            ["data"],
        ),
        (
            _inputs("apps/v1", "Deployment", spec={"selector": {"a": "1"}, "replicas": 1}),
            _inputs("apps/v1", "Deployment", spec={"selector": {"a": "1"}, "replicas": 2}),
            [],
        ),
        (
            _inputs("apps/v1", "Deployment", spec={"selector": {"a": "1"}}),
            _inputs("apps/v1", "Deployment", spec={"selector": UNKNOWN}),
            ["spec.selector"],
        ),
        (
            _inputs("v1", "Namespace"),
            _inputs("v1", "Namespace", metadata={"name": "y"}),
            ["metadata.name"],
        ),
        (
            _inputs("v1", "Namespace"),
            _inputs("v1", "Namespace", metadata={"name": "x", "labels": {"a": "b"}}),
            [],
        ),
    ],
)
def test_replacement(old: dict[str, Any], new: dict[str, Any], paths: list[str]) -> None:
    assert replacing.replaces(old, new) == paths


def test_names_in_a_rendered_chart() -> None:
    manifest = """---
# Source: tiny/templates/a.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  labels:
    name: not-this
  name: "one"
data:
  kind: nothing
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: two
  namespace: apps
---
{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "three"}}
---
"""
    assert rendered.resource_names(manifest) == {
        "ConfigMap/v1": ["one", "three"],
        "Deployment.apps/apps/v1": ["apps/two"],
    }


def test_only_the_creator_counts_as_such() -> None:
    def live(manager: str, operation: str) -> dict[str, Any]:
        return {"metadata": {"managedFields": [{"manager": manager, "operation": operation}]}}

    assert created_by(live("me", "Update"), "me")
    assert not created_by(live("me", "Apply"), "me")
    assert not created_by(live("other", "Update"), "me")


def test_release_defaults_and_redaction() -> None:
    inputs, failures = check(
        "t",
        {
            "name": "x",
            "chart": "./x",
            "values": {"admin": {"password": "hunter2"}, "image": "web:1", "none": None},
        },
        "apps",
    )
    assert failures == []
    assert (inputs["namespace"], inputs["timeout"]) == ("apps", 300)
    release = parse(inputs)
    assert release.values == {"admin": {"password": "hunter2"}, "image": "web:1"}
    assert release.redact("bad web:1: hunter2") == "bad web:1: [secret]"
