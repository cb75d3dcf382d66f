"""What Check refuses before anything is done, without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.harness import Plugin

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
RELEASE = "kubernetes:helm.sh/v3:Release"
NAMED = {"metadata": {"name": "thing"}}


def _annotated(key: str, value: str) -> dict[str, Any]:
    return {"metadata": {"name": "thing", "annotations": {f"pulumi.com/{key}": value}}}


def test_version_and_kind_are_filled_in(bare_plugin: Plugin) -> None:
    inputs = bare_plugin.check(CONFIG_MAP, NAMED)
    assert (inputs["apiVersion"], inputs["kind"]) == ("v1", "ConfigMap")
    inputs = bare_plugin.check("kubernetes:argoproj.io/v1alpha1:AppProject", NAMED)
    assert (inputs["apiVersion"], inputs["kind"]) == ("argoproj.io/v1alpha1", "AppProject")


@pytest.mark.parametrize("name", [UNKNOWN, "thing"])
def test_unknowns_pass(bare_plugin: Plugin, name: object) -> None:
    news = {"metadata": {"name": name, "namespace": UNKNOWN}, "data": {"a": UNKNOWN}}
    assert bare_plugin.check(CONFIG_MAP, news)["data"] == {"a": UNKNOWN}


@pytest.mark.parametrize(
    ("type", "news", "property", "text"),
    [
        ("kubernetes:yaml/v2:ConfigFile", NAMED, "", "is not handled"),
        ("kubernetes:helm.sh/v4:Chart", NAMED, "", "is not handled"),
        ("kubernetes:core/v1:ConfigMapPatch", NAMED, "", "is not handled"),
        (CONFIG_MAP, {"metadata": {}}, "metadata.name", "is required"),
        (CONFIG_MAP, {"data": {}}, "metadata.name", "is required"),
        (CONFIG_MAP, NAMED | {"kind": "Secret"}, "kind", "the type says 'ConfigMap'"),
        (CONFIG_MAP, NAMED | {"status": {}}, "status", "is not handled"),
        ("kubernetes:networking.k8s.io/v1:Ingress", NAMED, "", "pulumi.com/skipAwait"),
        (CONFIG_MAP, _annotated("replaceUnready", "true"), "metadata.", "is not handled"),
        (CONFIG_MAP, _annotated("timeoutSeconds", "soon"), "metadata.", "number of seconds"),
        (CONFIG_MAP, _annotated("waitFor", "ready"), "metadata.", 'expected a "jsonpath="'),
        (CONFIG_MAP, _annotated("waitFor", "jsonpath=.a"), "metadata.", "brackets"),
        (CONFIG_MAP, _annotated("waitFor", "jsonpath={..a}"), "metadata.", "is not handled"),
        (CONFIG_MAP, _annotated("waitFor", "[]"), "metadata.", "at least one condition"),
        (RELEASE, {"chart": "x", "repositoryOpts": {"repo": "http://x"}, "version": "1"}, "name",
         "random suffix"),
        (RELEASE, {"name": "x", "chart": "x", "repositoryOpts": {"repo": "http://x"}}, "version",
         "latest chart"),
        (RELEASE, {"name": "x", "chart": "./x", "valueYamlFiles": []}, "valueYamlFiles",
         "is not handled"),
        (RELEASE, {"name": "x", "chart": "./x", "recreatePods": True}, "recreatePods",
         "is not handled"),
        (RELEASE, {"name": "x", "chart": "./x", "timeout": "5m"}, "timeout", "wrong type"),
        (RELEASE, {"name": "x", "chart": "./no-such-chart"}, "chart", "there is no chart at"),
    ],
)  # fmt: skip
def test_refusals(
    bare_plugin: Plugin, type: str, news: dict[str, Any], property: str, text: str
) -> None:
    _, failures = bare_plugin.check_failures(type, news)
    assert len(failures) == 1, failures
    assert failures[0][0].startswith(property) and text in failures[0][1]


def test_skip_await_and_wait_for_lift_the_refusal_to_wait(bare_plugin: Plugin) -> None:
    kind = "kubernetes:networking.k8s.io/v1:Ingress"
    bare_plugin.check(kind, _annotated("skipAwait", "true"))
    bare_plugin.check(kind, _annotated("waitFor", "jsonpath={.status.loadBalancer.ingress}"))
