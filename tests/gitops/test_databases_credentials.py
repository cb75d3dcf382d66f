"""The databases' credentials: from a store or made in the cluster, and never in a manifest."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ToolFinder
from tests.gitops.databases_chart import CHART, DATABASES, ENVIRONMENTS, Chart, render


@pytest.fixture(scope="module")
def charts(tool: ToolFinder) -> dict[str, Chart]:
    return {name: Chart(render(tool, name)) for name in ENVIRONMENTS}


@pytest.fixture(params=ENVIRONMENTS)
def chart(request: pytest.FixtureRequest, charts: dict[str, Chart]) -> Chart:
    return charts[request.param]


def test_no_credential_is_in_a_manifest(chart: Chart) -> None:
    assert not chart.of("Secret")
    for _, container in chart.containers():
        for variable in container.get("env", []):
            if re.search(r"PASS(?!WORD_FILE)|AUTH|SECRET|KEY", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"], variable
    assert not re.search(r"(?i)password\s*[:=]\s*[\"']?[A-Za-z0-9+/_-]{8,}", chart.text)


def secrets_read(chart: Chart) -> set[tuple[str, str]]:
    """Name and key of each Secret that a database's pod reads."""
    found = set()
    for name, pod in chart.pods():
        if name not in DATABASES:
            continue
        for volume in pod["volumes"]:
            sources = [volume, *volume.get("projected", {}).get("sources", [])]
            for secret in (s["secret"] for s in sources if "secret" in s):
                secret_name = secret.get("secretName") or secret["name"]
                found |= {(secret_name, item["key"]) for item in secret["items"]}
        for variable in (v for c in pod["containers"] for v in c.get("env", [])):
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                found.add((reference["name"], reference["key"]))
    return found


def test_external_secrets_make_what_is_read(charts: dict[str, Chart]) -> None:
    chart = charts["production"]
    made = {
        (each["spec"]["target"]["name"], key)
        for each in chart.of("ExternalSecret").values()
        for key in each["spec"]["target"]["template"]["data"]
    }
    assert secrets_read(chart) <= made
    assert not chart.of("Job") and not chart.of("Role")
    for name, each in chart.of("ExternalSecret").items():
        assert each["apiVersion"] == "external-secrets.io/v1"
        assert each["spec"]["secretStoreRef"]["kind"] == "ClusterSecretStore"
        key = each["spec"]["dataFrom"][0]["extract"]["key"]
        assert key == f"databases/{name.removesuffix('-credentials')}"


SERVER = """#!/bin/sh
# Stands in for curl: keeps what it is sent, and answers as the API server.
while [ $# -gt 0 ]; do
  case $1 in https://*) url=$1 ;; esac
  shift
done
cat > "$OUT/body"
name=$(sed -E 's/.*"name": "([^"]+)".*/\\1/' "$OUT/body")
if [ -e "$OUT/$name" ]; then
  printf 409
else
  mv "$OUT/body" "$OUT/$name"
  printf "$STATUS"
fi
echo "$url" >> "$OUT/urls"
"""


def generate(folder: Path, status: str = "201") -> subprocess.CompletedProcess[str]:
    """Runs the script that makes Secrets, beside a service account's files."""
    script = (CHART / "files/generate-credentials.sh").read_text()
    account = folder / "account"
    for name, text in {"account/namespace": "databases", "account/token": "t0ken"}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "out").mkdir(exist_ok=True)
    (folder / "curl").write_text(SERVER)
    (folder / "curl").chmod(0o755)
    script = script.replace("/var/run/secrets/kubernetes.io/serviceaccount", str(account))
    return subprocess.run(
        ["dash", "-c", script.replace("/tmp/headers", str(folder / "headers"))],
        env={"PATH": f"{folder}:/usr/bin:/bin", "OUT": str(folder / "out"), "STATUS": status},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_generated_secrets_have_what_is_read_and_are_made_once(
    charts: dict[str, Chart], tmp_path: Path
) -> None:
    done = generate(tmp_path)
    assert done.returncode == 0, done.stderr
    made = {
        file.name: json.loads(file.read_text())["stringData"]
        for file in (tmp_path / "out").glob("*-credentials")
    }
    assert secrets_read(charts["rehearsal"]) <= {(n, key) for n in made for key in made[n]}
    passwords = {name: data["password"] for name, data in made.items()}
    assert len(set(passwords.values())) == 3
    for name, data in made.items():
        password = passwords[name]
        assert re.fullmatch(r"[A-Za-z0-9_-]{32}", password)
        assert password not in done.stdout + done.stderr
        assert all(password in data[key] for key in data if key.endswith(".conf"))
    again = generate(tmp_path)
    assert again.returncode == 0 and again.stdout.count("there already") == 3
    for file in (tmp_path / "out").glob("*-credentials"):
        assert json.loads(file.read_text())["stringData"] == made[file.name]


def test_generating_fails_when_the_api_server_refuses(tmp_path: Path) -> None:
    done = generate(tmp_path, status="403")
    assert done.returncode != 0 and "answered 403" in done.stderr


def test_the_generator_may_only_create_and_runs_before_all_else(charts: dict[str, Chart]) -> None:
    chart = charts["rehearsal"]
    (role,) = chart.of("Role").values()
    assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}]
    name = role["metadata"]["name"]
    for kind in ("ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Job"):
        annotations = chart.of(kind)[name]["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert not chart.of("ExternalSecret")
