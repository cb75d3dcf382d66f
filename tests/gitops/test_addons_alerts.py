"""Alerts and dashboards: rules that Prometheus takes, alerts that fire when they should and not
before, dashboards of metrics that there are."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from rehearsal.toolchain import Toolchain
from tests.conftest import CHECKOUT
from tests.gitops.monitoring import METRICS, alerts, dashboards, groups, rules

GUIDE = CHECKOUT / "docs" / "monitoring.md"
_NOT_METRICS = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|'[^']*'")
_GROUPING = re.compile(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")
_WORD = re.compile(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)(?!\s*\(|[\w:])")
_WORDS = {"and", "or", "unless", "by", "on", "bool", "le"}


def used(expression: str) -> set[str]:
    """The metrics that a PromQL expression names."""
    bare = _GROUPING.sub(" ", _NOT_METRICS.sub(" ", expression))
    return set(_WORD.findall(bare)) - _WORDS


@pytest.mark.parametrize(
    ("expression", "metrics"),
    [
        ('sum by (code) (rate(a_total{code=~"5.."}[5m])) / 2', {"a_total"}),
        ("absent(up{job='x'} == 1) and on (instance) b:c:d > 1e9", {"up", "b:c:d"}),
        ("time() - x_seconds > 7 * 24 * 3600", {"x_seconds"}),
        ("histogram_quantile(0.99, sum by (le) (rate(y_bucket[5m])))", {"y_bucket"}),
    ],
)
def test_metrics_are_found_in_expressions(expression: str, metrics: set[str]) -> None:
    assert used(expression) == metrics


def test_rules_and_dashboards_use_metrics_that_there_are() -> None:
    known = {*METRICS, *(rule["record"] for rule in rules() if "record" in rule)}
    places = {rule.get("alert") or rule["record"]: rule["expr"] for rule in rules()}
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                places[f"{name}: {panel['title']} {target['refId']}"] = target["expr"]
    unknown = {place: used(text) - known for place, text in places.items() if used(text) - known}
    assert not unknown
    assert not set(METRICS) - {each for text in places.values() for each in used(text)}, "not used"


def test_dashboards_are_grafanas() -> None:
    found = dashboards()
    assert set(found) == {"nodes", "control-plane", "argocd", "apis"}
    assert len({each["uid"] for each in found.values()}) == len(found)
    for dashboard in found.values():
        assert dashboard["title"] and dashboard["schemaVersion"] >= 39
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids) > 3
        for panel in dashboard["panels"]:
            assert panel["title"] and panel["targets"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            grid = panel["gridPos"]
            assert grid["x"] + grid["w"] <= 24


def test_every_alert_has_a_severity_a_sentence_and_a_place_in_the_guide() -> None:
    headings = {line[4:].lower() for line in GUIDE.read_text().splitlines() if line[:4] == "### "}
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning", "none"), rule["alert"]
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"
    assert {name.lower() for name in names} == headings


@pytest.fixture(scope="module")
def rules_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups()}))
    return file


Promtool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def promtool(toolchain: Toolchain) -> Promtool:
    """Runs promtool with arguments."""
    program = toolchain.ensure(["prometheus"])["promtool"]

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_prometheus_takes_the_rules(promtool: Promtool, rules_file: Path) -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", rules_file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_dashboards_expressions(promtool: Promtool, tmp_path: Path) -> None:
    expressions = [
        target["expr"]
        for dashboard in dashboards().values()
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    file = tmp_path / "dashboards.yaml"
    made = [{"record": f"panel:{n}", "expr": text} for n, text in enumerate(expressions)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": made}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Case:
    """series: samples a minute, in promtool's words; quiet, loud: the minutes at which `alert` does
    not fire and does, None for never; where: labels of the alert, beside its severity."""

    alert: str
    series: dict[str, str]
    quiet: int | None
    loud: int | None
    where: dict[str, str] | None = None


_NODE = {"job": "node-exporter", "instance": "10.0.0.1:9100"}
_UP = 'up{job="node-exporter", instance="10.0.0.1:9100"}'
_SIZE = 'node_filesystem_size_bytes{instance="a", mountpoint="/", fstype="ext4"}'
_FREE = 'node_filesystem_avail_bytes{instance="a", mountpoint="/", fstype="ext4"}'
_DISK = {"instance": "a", "mountpoint": "/", "fstype": "ext4"}
_PVC = {"namespace": "databases", "persistentvolumeclaim": "data"}
_VOLUME = 'kubelet_volume_stats_%s_bytes{namespace="databases", persistentvolumeclaim="data"}'
_REQUESTS = 'apiserver_request_total{code="%s"}'
_ETCD = 'etcd_request_duration_seconds_bucket{job="apiserver", operation="get", le="%s"}'
_APP = 'argocd_app_info{name="auth", sync_status="%s", health_status="%s"}'
_API = 'up{job="auth-api", namespace="auth", pod="%s"}'
_CERT = 'certmanager_certificate_%s{exported_namespace="x", name="y"%s}'
_CERT_IS = {"exported_namespace": "x", "name": "y"}
_HOUR = 60

CASES = (
    Case("NodeDown", {_UP: "1x5 0x30"}, 10, 12, _NODE),
    Case("NodeDown", {_UP: "1x3 0 1x30"}, 20, None),
    Case(
        "KubeletDown",
        {'up{job="kubelet", metrics_path="/metrics", node="a"}': "0x30"},
        4,
        6,
        {"job": "kubelet", "metrics_path": "/metrics", "node": "a"},
    ),
    Case(
        "NodeNotReady",
        {'kube_node_status_condition{condition="Ready", status="true", node="a"}': "1x5 0x20"},
        9,
        12,
        {"condition": "Ready", "status": "true", "node": "a"},
    ),
    Case("NodeDiskFilling", {_SIZE: "100x60", _FREE: "50x10 10x50"}, 20, 30, _DISK),
    Case(
        "NodeMemoryLow",
        {
            'node_memory_MemTotal_bytes{instance="a"}': "100x60",
            'node_memory_MemAvailable_bytes{instance="a"}': "50x10 5x50",
        },
        20,
        30,
        {"instance": "a"},
    ),
    Case(
        "NodeCpuBusy",
        {'node_cpu_seconds_total{instance="a", mode="idle"}': "0+1x100"},  # 1 s of each 60
        25,
        45,
        {"instance": "a"},
    ),
    Case(
        "NodeClockOff",
        {'node_timex_offset_seconds{instance="a"}': "-0.2x30"},
        8,
        12,
        {"instance": "a"},
    ),
    Case(
        "VolumeFilling",
        {_VOLUME % "capacity": "100x60", _VOLUME % "available": "50x10 10x50"},
        20,
        30,
        _PVC,
    ),
    Case("KubeApiDown", {'up{job="apiserver"}': "1x5 0x10 1x10"}, 7, 9, {}),
    Case("KubeApiDown", {'up{job="apiserver", instance="a"}': "0x30", _UP: "1x30"}, 2, 5),
    Case("KubeApiErrors", {_REQUESTS % 200: "0+90x60", _REQUESTS % 500: "0+10x60"}, 5, 15, {}),
    Case("KubeApiErrors", {_REQUESTS % 200: "0+99x60", _REQUESTS % 500: "0+1x60"}, 50, None),
    Case(
        "KubeApiSlow",
        {
            'apiserver_request_duration_seconds_bucket{verb="GET", le="1"}': "0+90x60",
            'apiserver_request_duration_seconds_bucket{verb="GET", le="5"}': "0+100x60",
            'apiserver_request_duration_seconds_bucket{verb="GET", le="+Inf"}': "0+100x60",
        },
        10,
        25,
        {"verb": "GET"},
    ),
    Case(
        "EtcdSlow",
        {_ETCD % "0.5": "0+90x60", _ETCD % "1": "0+100x60", _ETCD % "+Inf": "0+100x60"},
        5,
        20,
        {"operation": "get"},
    ),
    Case(
        "EtcdErrors",
        {
            'etcd_requests_total{job="apiserver"}': "0+100x60",
            'etcd_request_errors_total{job="apiserver"}': "0+5x60",
        },
        5,
        20,
        {},
    ),
    Case(
        "EtcdLarge",
        {'apiserver_storage_size_bytes{job="apiserver"}': "1000000000x10 1800000000x30"},
        15,
        25,
        {},
    ),
    Case(
        "ClientCertificateExpires",
        {
            'apiserver_client_certificate_expiration_seconds_bucket{job="apiserver", le="86400"}': (
                "0+10x120"
            ),
            'apiserver_client_certificate_expiration_seconds_bucket{job="apiserver", le="+Inf"}': (
                "0+100x120"
            ),
            'apiserver_client_certificate_expiration_seconds_count{job="apiserver"}': "0+100x120",
        },
        30,
        80,
        {},
    ),
    Case("ArgoCdDown", {_UP: "1x30"}, 5, 12, {}),
    Case("ArgoCdDown", {_APP % ("Synced", "Healthy"): "1x30"}, 20, None),
    Case(
        "ArgoCdAppOutOfSync",
        {_APP % ("OutOfSync", "Healthy"): "1x60"},
        20,
        40,
        {"name": "auth", "sync_status": "OutOfSync", "health_status": "Healthy"},
    ),
    Case(
        "ArgoCdAppUnhealthy",
        {_APP % ("Synced", "Degraded"): "1x60"},
        5,
        15,
        {"name": "auth", "sync_status": "Synced", "health_status": "Degraded"},
    ),
    Case("ArgoCdAppUnhealthy", {_APP % ("Synced", "Progressing"): "1x60"}, 50, None),
    Case(
        "ArgoCdAppStuck",
        {_APP % ("Synced", "Progressing"): "1x120"},
        50,
        70,
        {"name": "auth", "sync_status": "Synced", "health_status": "Progressing"},
    ),
    Case(
        "ArgoCdSyncFails",
        {'argocd_app_sync_total{name="auth", phase="Failed"}': "0x10 0+1x20"},
        10,
        20,
        {"name": "auth"},
    ),
    Case(
        "ApiPodDown",
        {_API % "a": "0x30", _API % "b": "1x30"},
        3,
        7,
        {"job": "auth-api", "namespace": "auth", "pod": "a"},
    ),
    Case("ApiDown", {_API % "a": "0x30", _API % "b": "1x30"}, 20, None),
    Case(
        "ApiDown",
        {_API % "a": "0x30", _API % "b": "0x30"},
        1,
        4,
        {"job": "auth-api", "namespace": "auth"},
    ),
    Case(
        "ApiTooFewReplicas",
        {
            'kube_deployment_spec_replicas{deployment="auth-api"}': "2x60",
            'kube_deployment_status_replicas_available{deployment="auth-api"}': "1x60",
        },
        10,
        20,
        {"deployment": "auth-api"},
    ),
    Case(
        "ApiAtItsLimit",
        {
            'kube_horizontalpodautoscaler_status_current_replicas{horizontalpodautoscaler="a"}': (
                "4x60"
            ),
            'kube_horizontalpodautoscaler_spec_max_replicas{horizontalpodautoscaler="a"}': "4x60",
        },
        20,
        40,
        {"horizontalpodautoscaler": "a"},
    ),
    Case(
        "PodRestarts",
        {'kube_pod_container_status_restarts_total{namespace="auth", pod="p"}': "0x5 0+1x20"},
        5,
        20,
        {"namespace": "auth", "pod": "p"},
    ),
    Case("Watchdog", {}, None, 0, {}),
    Case(
        "TargetDown",
        {'up{job="coredns", instance="a"}': "0x30", 'up{job="auth-api"}': "0x30", _UP: "0x30"},
        8,
        12,
        {"job": "coredns", "instance": "a"},
    ),
    Case(
        "RulesFail",
        {'prometheus_rule_evaluation_failures_total{rule_group="g"}': "0+1x30"},
        3,
        10,
        {"rule_group": "g"},
    ),
    Case(
        "CertificateNotReady",
        {_CERT % ("ready_status", ', condition="False"'): "1x30"},
        10,
        20,
        {**_CERT_IS, "condition": "False"},
    ),
    Case(
        "CertificateExpires",
        {_CERT % ("expiration_timestamp_seconds", ""): "500000x120"},
        30,
        80,
        _CERT_IS,
    ),
    Case(
        "BackupMissed",
        {
            'kube_cronjob_status_last_successful_time{namespace="databases", cronjob="c"}': (
                f"0x{40 * _HOUR}"
            )
        },
        35 * _HOUR,
        37 * _HOUR,
        {"namespace": "databases", "cronjob": "c"},
    ),
)


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    loud = {case.alert for case in CASES if case.loud is not None}
    assert loud == {rule["alert"] for rule in alerts()}


def test_alerts_fire_when_they_should_and_not_before(
    promtool: Promtool, rules_file: Path, tmp_path: Path
) -> None:
    severity = {rule["alert"]: rule["labels"]["severity"] for rule in alerts()}
    tests = []
    for case in CASES:
        moments: list[dict[str, object]] = []
        if case.quiet is not None:
            moments.append({"eval_time": f"{case.quiet}m", "alertname": case.alert})
        if case.loud is not None:
            labels = {"severity": severity[case.alert], **(case.where or {})}
            wanted = [{"exp_labels": labels}]
            moments.append(
                {"eval_time": f"{case.loud}m", "alertname": case.alert, "exp_alerts": wanted}
            )
        tests.append(
            {
                "name": f"{case.alert}, {case.loud}",
                "interval": "1m",
                "input_series": [{"series": s, "values": v} for s, v in case.series.items()],
                "alert_rule_test": moments,
            }
        )
    bare = groups()  # summaries are for people: their text is not held here
    for rule in (rule for group in bare for rule in group["rules"]):
        rule.pop("annotations", None)
    plain = tmp_path / "rules.yaml"
    plain.write_text(yaml.safe_dump({"groups": bare}))
    file = tmp_path / "tests.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(plain)], "evaluation_interval": "1m", "tests": tests})
    )
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr
