"""What the add-ons do for the platform.

Scenarios for a rehearsal that runs; each leaves it as it was. `SCENARIOS` has them in order.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import yaml

from rehearsal.addons import not_rehearsed
from rehearsal.engine import STACK
from tests.gitops.monitoring import METRICS, METRICS_FILE, alerts
from tests.gitops.test_tree import DOMAINS
from tests.rehearsal.running import (
    PATHS,
    asked,
    booted,
    kubectl,
    names,
    nodes,
    operator,
    ssh,
    until,
)

_PATIENCE_S = 300
_PROMETHEUS = (
    "/api/v1/namespaces/monitoring/services/kube-prometheus-stack-prometheus:9090/proxy/api/v1"
)
_CERTIFICATE = """
apiVersion: v1
kind: Namespace
metadata: {name: certificates}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: own, namespace: certificates}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: own, namespace: certificates}
spec:
  secretName: own
  dnsNames: [own.certificates.svc]
  issuerRef: {name: own, kind: Issuer}
"""


def prometheus(path: str) -> Any:
    """What Prometheus' API answers, through its Service."""
    answer = json.loads(operator("kubectl", "get", "--raw", f"{_PROMETHEUS}/{path}"))
    assert answer["status"] == "success", answer
    return answer["data"]


def query(expression: str) -> list[dict[str, Any]]:
    """The samples of an instant query."""
    found: list[dict[str, Any]] = prometheus(f"query?query={quote(expression)}")["result"]
    return found


def the_enabled_addons_are_there_and_no_other() -> None:
    table = PATHS.checkout / "gitops/tree/addons/apps/addons.yaml"
    every = {each["name"] for each in yaml.safe_load(table.read_text())["addons"]}
    left_out = {
        line.partition(":")[0] for line in not_rehearsed(PATHS.checkout, STACK, installed=True)
    }
    found = names("applications.argoproj.io", "-n", "argocd")
    assert every & found == every - left_out
    assert {"cert-manager", "metrics-server", "kube-prometheus-stack"} <= found


def kubectl_top_answers_for_every_node() -> None:
    def known() -> bool:
        done = asked("kubectl", "top", "nodes", "--no-headers")
        return done.returncode == 0 and {
            line.split()[0] for line in done.stdout.splitlines() if "<unknown>" not in line
        } == set(nodes())

    until("metrics-server knows all nodes", known, _PATIENCE_S)


def kubelets_serve_by_the_clusters_authority() -> None:
    """The API server's own look at kubelets checks nothing, so metrics-server's is the proof: it is
    not told to trust whoever answers."""
    (container,) = kubectl("get", "deployment", "metrics-server", "-n", "kube-system")["spec"][
        "template"
    ]["spec"]["containers"]
    assert "--kubelet-insecure-tls" not in container["args"]
    requests = kubectl("get", "csr")["items"]
    serving = [r for r in requests if r["spec"]["signerName"] == "kubernetes.io/kubelet-serving"]
    for each in serving:
        conditions = {c["type"] for c in each["status"].get("conditions", [])}
        assert conditions == {"Approved"}, each["metadata"]["name"]


def a_kubelets_renewal_is_approved_on_the_control_plane() -> None:
    """By what the timer runs; the first ones were by the joins."""
    address = booted("k8s-master")["private_ip"]
    look = (
        f"sudo openssl s_client -connect {address}:10250 -verify_return_error "
        "-CAfile /etc/kubernetes/pki/ca.crt </dev/null >/dev/null 2>&1 && echo well || echo not"
    )
    assert ssh(look) == "well\n"
    assert ssh("systemctl is-active groundwork-approve.timer") == "active\n"
    ssh("sudo sh -c 'rm /var/lib/kubelet/pki/kubelet-server-* && systemctl restart kubelet'")
    until("the kubelet has no certificate", lambda: ssh(look) == "not\n")
    approve = "sudo systemctl start groundwork-approve.service"
    until("the kubelet has another certificate", lambda: ssh(f"{approve}; {look}") == "well\n")


def a_certificate_becomes_ready() -> None:
    file = PATHS.run / "certificate.yaml"
    file.write_text(_CERTIFICATE)
    try:
        operator("kubectl", "apply", "-f", str(file))
        wait = ["--for=condition=Ready", "certificate/own", "--timeout=120s"]
        operator("kubectl", "wait", "-n", "certificates", *wait)
        secret = kubectl("get", "secret", "own", "-n", "certificates")["data"]
        assert base64.b64decode(secret["tls.crt"]).startswith(b"-----BEGIN CERTIFICATE-----")
    finally:
        operator("kubectl", "delete", "-f", str(file), "--ignore-not-found", "--wait")
        file.unlink()


def a_certificate_that_asks_for_nothing_is_refused() -> None:
    """By cert-manager's webhook, whose own certificate the injector made known."""
    file = PATHS.run / "certificate.yaml"
    broken = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "empty", "namespace": "default"},
        "spec": {"secretName": "empty", "issuerRef": {"name": "own"}},
    }
    file.write_text(yaml.safe_dump(broken))
    done = asked("kubectl", "apply", "-f", str(file))
    file.unlink()
    assert done.returncode != 0 and "webhook.cert-manager.io" in done.stderr, done.stderr


def prometheus_scrapes_all_its_targets() -> None:
    def down() -> list[str]:
        found = prometheus("targets?state=active")["activeTargets"]
        return [
            f"{t['labels']['job']} {t['scrapeUrl']}: {t['lastError'] or t['health']}"
            for t in found
            if t["health"] != "up"
        ]

    until("all targets answer", lambda: not down(), _PATIENCE_S)

    def jobs() -> dict[str, int]:
        return {s["metric"]["job"]: int(s["value"][1]) for s in query("count by (job) (up)")}

    # The operator looks every three minutes which kubelets there are, and nodes come and go.
    # Of each there are its own metrics, its containers' and its probes'.
    until("every node is scraped", lambda: jobs().get("node-exporter") == len(nodes()), _PATIENCE_S)
    until("every kubelet is", lambda: jobs().get("kubelet") == 3 * len(nodes()), 2 * _PATIENCE_S)
    apis = {f"{domain}-api" for domain in DOMAINS}
    until("every API is", lambda: apis <= set(jobs()), _PATIENCE_S)
    assert {"apiserver", "coredns", "application-controller", "cert-manager"} <= set(jobs())


def there_are_metrics_of_nodes_and_argo_cd() -> None:
    assert len(query("instance:node_memory_utilisation:ratio")) == len(nodes())
    applications = names("applications.argoproj.io", "-n", "argocd")
    until(
        "Argo CD tells of every Application",
        lambda: {s["metric"]["name"] for s in query("argocd_app_info")} >= applications,
        _PATIENCE_S,
    )


def metrics_that_rules_and_dashboards_use_are_there() -> None:
    """The list by which they are tested as files is of what exporters really have."""
    names = set(prometheus("label/__name__/values"))
    always = {name for name, source in METRICS.items() if source == "always"}
    assert always <= names, f"not there, and in {METRICS_FILE}: {sorted(always - names)}"


def every_alert_is_loaded_and_those_of_the_moment_fire() -> None:
    groups = prometheus("rules?type=alert")["groups"]
    loaded = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(loaded) == {rule["alert"] for rule in alerts()}
    assert all(rule["health"] == "ok" for rule in loaded.values())
    assert loaded["Watchdog"]["state"] == "firing"
    answer = operator(
        "kubectl",
        "get",
        "--raw",
        "/api/v1/namespaces/monitoring/services/kube-prometheus-stack-alertmanager:9093"
        "/proxy/api/v2/alerts",
    )
    assert "Watchdog" in {each["labels"]["alertname"] for each in json.loads(answer)}


def prometheus_keeps_its_data_on_a_volume() -> None:
    claims = kubectl("get", "persistentvolumeclaims", "-n", "monitoring")["items"]
    assert claims and {claim["status"]["phase"] for claim in claims} == {"Bound"}


SCENARIOS: tuple[Callable[[], None], ...] = (
    the_enabled_addons_are_there_and_no_other,
    kubectl_top_answers_for_every_node,
    kubelets_serve_by_the_clusters_authority,
    a_kubelets_renewal_is_approved_on_the_control_plane,
    a_certificate_becomes_ready,
    a_certificate_that_asks_for_nothing_is_refused,
    prometheus_scrapes_all_its_targets,
    there_are_metrics_of_nodes_and_argo_cd,
    metrics_that_rules_and_dashboards_use_are_there,
    every_alert_is_loaded_and_those_of_the_moment_fire,
    prometheus_keeps_its_data_on_a_volume,
)
