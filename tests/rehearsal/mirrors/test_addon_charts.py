"""The add-ons' charts in the repository: upstream's own, and ours with upstream's keys."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal.mirrors.addon_charts import STACK, STACK_VERSION, build_addon_charts, sources
from rehearsal.paths import Paths
from rehearsal.toolchain import Toolchain

ARCHIVES = {
    "cert-manager-v1.21.2.tgz",
    f"{STACK}-{STACK_VERSION}.tgz",
    "metrics-server-3.13.1.tgz",
}
Template = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def helm(toolchain: Toolchain) -> Path:
    return toolchain.ensure(["helm"])["helm"]


@pytest.fixture(scope="module")
def folders(toolchain: Toolchain) -> dict[str, Path]:
    return sources(toolchain)


@pytest.fixture(scope="module")
def charts(helm: Path, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A repository of its own, in which there were others before."""
    folder = tmp_path_factory.mktemp("charts")
    paths = Paths(run=folder / "run", cache=folder)
    paths.charts.mkdir(parents=True)
    for name in ("argo-cd-1.0.0.tgz", "metrics-server-1.0.0.tgz"):
        with tarfile.open(paths.charts / name, "w:gz") as archive:
            chart = folder / "Chart.yaml"
            version, package = name[:-4].rsplit("-", 1)[1], name[:-4].rsplit("-", 1)[0]
            chart.write_text(f"apiVersion: v2\nname: {package}\nversion: {version}\n")
            archive.add(chart, f"{package}/Chart.yaml")
    build_addon_charts(paths, folders, lambda _: None, helm=helm)
    return paths


@pytest.fixture
def template(helm: Path, charts: Paths) -> Template:
    """Renders our own chart with values."""

    def run(values: dict[str, Any], release: str = STACK) -> subprocess.CompletedProcess[str]:
        chart = charts.charts / f"{STACK}-{STACK_VERSION}.tgz"
        return subprocess.run(
            [helm, "template", release, chart, "--namespace", "monitoring", "--values", "-"],
            input=yaml.safe_dump(values),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def objects(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    found = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


TAG = {"prometheus": {"prometheusSpec": {"image": {"tag": "v3.10.0"}}}}


def test_the_repository_has_these_charts_and_keeps_others(charts: Paths) -> None:
    there = {file.name for file in charts.charts.glob("*.tgz")}
    assert there == ARCHIVES | {"argo-cd-1.0.0.tgz"}
    index = yaml.safe_load((charts.charts / "index.yaml").read_text())["entries"]
    named = {url for each in index.values() for entry in each for url in entry["urls"]}
    assert named == there
    assert index["cert-manager"][0]["appVersion"] == "v1.21.2"


def test_a_second_build_does_nothing(charts: Paths, folders: dict[str, Path], helm: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in charts.charts.iterdir()}
    said: list[str] = []
    build_addon_charts(charts, folders, said.append, helm=helm)
    assert not said
    files = {file: file.stat().st_mtime_ns for file in charts.charts.iterdir()}
    assert {f: t for f, t in files.items() if f.name != ".lock"} == {
        f: t for f, t in before.items() if f.name != ".lock"
    }


def test_what_is_missing_is_made_again(charts: Paths, folders: dict[str, Path], helm: Path) -> None:
    (charts.charts / "metrics-server-3.13.1.tgz").unlink()
    build_addon_charts(charts, folders, lambda _: None, helm=helm)
    assert {file.name for file in charts.charts.glob("*.tgz")} == ARCHIVES | {"argo-cd-1.0.0.tgz"}


@pytest.mark.parametrize(
    "values",
    [
        {"prometheus": {"prometheusSpec": {"image": {"tag": "v3"}, "shards": 2}}},
        {"prometheus": {"prometheusSpec": {"image": {"tag": ""}}}},
        {"thanosRuler": {"enabled": False}, **TAG},
        {"grafana": {"enabled": True}, **TAG},
        {"kubeEtcd": {"enabled": True}, **TAG},
        {"prometheusOperator": {"tls": {"enabled": True}}, **TAG},
        {"defaultRules": {"create": True}, **TAG},
    ],
    ids=lambda values: next(iter(values)),
)
def test_what_the_chart_does_not_implement_is_refused(
    template: Template, values: dict[str, Any]
) -> None:
    done = template(values)
    assert done.returncode != 0 and "schema" in done.stderr


def test_another_release_name_is_refused(template: Template) -> None:
    done = template(TAG, release="monitoring")
    assert done.returncode != 0 and "name it kube-prometheus-stack" in done.stderr


def test_what_is_switched_off_may_have_values(template: Template) -> None:
    found = objects(template({"grafana": {"enabled": False, "admin": {"a": "b"}}, **TAG}))
    assert not [name for _, name in found if "grafana" in name]


def test_the_operator_may_what_its_module_says(
    template: Template, folders: dict[str, Path]
) -> None:
    found = objects(template(TAG))
    rbac = folders[STACK] / "example/rbac"
    for name, file in (
        ("operator", "prometheus-operator/prometheus-operator-cluster-role.yaml"),
        ("prometheus", "prometheus/prometheus-cluster-role.yaml"),
    ):
        upstream = yaml.safe_load((rbac / file).read_text())["rules"]
        assert found["ClusterRole", f"{STACK}-{name}"]["rules"] == upstream


def test_values_are_put_in(template: Template) -> None:
    claim = {"volumeClaimTemplate": {"spec": {"storageClassName": "gp3"}}}
    node = {"role": "monitoring"}
    spec = {
        "image": {"tag": "v3.10.0"},
        "retention": "15d",
        "retentionSize": "1GB",
        "storageSpec": claim,
        "nodeSelector": node,
        "externalLabels": {"cluster": "ours"},
        "ruleSelectorNilUsesHelmValues": False,
    }
    reloader = {"resources": {"requests": {"cpu": "5m", "memory": "24Mi"}}}
    found = objects(
        template(
            {
                "prometheus": {"prometheusSpec": spec},
                "prometheusOperator": {"prometheusConfigReloader": reloader, "nodeSelector": node},
                "alertmanager": {"enabled": False},
                "prometheus-node-exporter": {"resources": reloader["resources"]},
            }
        )
    )
    made = found["Prometheus", f"{STACK}-prometheus"]["spec"]
    assert made["image"] == "quay.io/prometheus/prometheus:v3.10.0"
    assert (made["retention"], made["retentionSize"]) == ("15d", "1GB")
    assert made["storage"] == claim and made["nodeSelector"] == node
    assert made["externalLabels"] == {"cluster": "ours"}
    assert made["ruleSelector"] == {} != made["serviceMonitorSelector"]
    assert "alerting" not in made and not [kind for kind, _ in found if kind == "Alertmanager"]
    pod = found["Deployment", f"{STACK}-operator"]["spec"]["template"]["spec"]
    arguments = pod["containers"][0]["args"]
    assert "--config-reloader-memory-request=24Mi" in arguments
    assert not [each for each in arguments if "limit" in each]
    assert pod["nodeSelector"] == node
    exporter = found["DaemonSet", f"{STACK}-prometheus-node-exporter"]["spec"]["template"]["spec"]
    assert (
        exporter["hostNetwork"] and exporter["containers"][0]["resources"] == reloader["resources"]
    )


def test_services_select_the_pods_that_are_made(template: Template) -> None:
    found = objects(template(TAG))
    pods = [
        each["spec"]["template"]["metadata"]["labels"].items()
        for (kind, _), each in found.items()
        if kind in ("Deployment", "DaemonSet")
    ]
    for (kind, name), each in found.items():
        if kind == "ServiceMonitor" and ("operator" in name or "exporter" in name):
            chosen = [
                service
                for (other, _), service in found.items()
                if other == "Service"
                and each["spec"]["selector"]["matchLabels"].items()
                <= service["metadata"]["labels"].items()
            ]
            (service,) = chosen
            selected = service["spec"]["selector"].items()
            assert [labels for labels in pods if selected <= labels]
