"""The databases' chart: nodes, images, probes, volumes, backups."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from cluster.render import labels
from infra.policies import DATABASES_PREFIX
from rehearsal.images import catalog
from rehearsal.toolchain import Toolchain
from settings import Node, Settings, load
from tests.conftest import ProjectMaker, ToolFinder
from tests.gitops import schemas
from tests.gitops.databases_chart import (
    CHART,
    DATABASES,
    ENVIRONMENTS,
    GIVEN,
    Chart,
    Object,
    helm,
    render,
)

PINNED = re.compile(r"^[\w./-]+?(:v?\d[\w.-]*|@sha256:[0-9a-f]{64})$")


@pytest.fixture(scope="module")
def charts(tool: ToolFinder) -> dict[str, Chart]:
    return {name: Chart(render(tool, name)) for name in ENVIRONMENTS}


@pytest.fixture(params=ENVIRONMENTS)
def chart(request: pytest.FixtureRequest, charts: dict[str, Chart]) -> Chart:
    return charts[request.param]


@pytest.fixture
def settings(make_project: ProjectMaker) -> Settings:
    return load(make_project(), "test")


def test_the_chart_passes_helms_lint(tool: ToolFinder) -> None:
    done = helm(tool, "lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def kubeconform(
    tool: ToolFinder, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(folder, toolchain)
    location = f"{folder}/{schemas.LOCATION}"
    return [str(tool("kubeconform")), "-strict", "-schema-location", location]


def test_everything_fits_kubernetes_schemas(chart: Chart, kubeconform: list[str]) -> None:
    known = [each for each in chart.objects if each["kind"] != "ExternalSecret"]
    done = subprocess.run(
        kubeconform, input=yaml.safe_dump_all(known), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_every_image_is_pinned(chart: Chart) -> None:
    images = {container["image"] for _, container in chart.containers()}
    assert len(images) >= 4
    for image in images:
        assert PINNED.match(image), image


def test_images_of_the_small_environment_are_served(charts: dict[str, Chart]) -> None:
    images = {container["image"] for _, container in charts["rehearsal"].containers()}
    assert images <= catalog.references()


def accepts(node: Node, pod: Object) -> bool:
    tolerated = {f"{t['key']}={t['value']}:{t['effect']}" for t in pod.get("tolerations", [])}
    selected = pod.get("nodeSelector", {}).items() <= labels(node).items()
    return selected and set(node.taints) <= tolerated and node.role != "control-plane"


def test_each_database_has_a_node_of_its_own_and_its_backup_runs_there(
    chart: Chart, settings: Settings
) -> None:
    pods = dict(chart.pods())
    for name in DATABASES:
        for pod in (pods[name], pods[f"{name}-backup"]):
            assert [n.name for n in settings.nodes if accepts(n, pod)] == [f"k8s-{name}"]


def test_nothing_asks_for_more_than_its_node_has(chart: Chart, settings: Settings) -> None:
    gib = {"t3.small": 2, "t3.medium": 4}
    sizes = {node.name: gib[node.instance_type] for node in settings.nodes if node.taints}
    for name, stateful in chart.of("StatefulSet").items():
        (container,) = stateful["spec"]["template"]["spec"]["containers"]
        assert mebibytes(container["resources"]["limits"]["memory"]) <= sizes[f"k8s-{name}"] * 700


def mebibytes(quantity: str) -> int:
    number, unit = int(quantity[:-2]), quantity[-2:]
    return number * {"Mi": 1, "Gi": 1024}[unit]


def test_databases_have_probes_resources_volume_services_and_budget(chart: Chart) -> None:
    assert set(chart.of("StatefulSet")) == set(DATABASES)
    for name, stateful in chart.of("StatefulSet").items():
        spec = stateful["spec"]
        (container,) = spec["template"]["spec"]["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        (claim,) = spec["volumeClaimTemplates"]
        assert claim["spec"]["storageClassName"] == "gp3"
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
        assert "data" in [mount["name"] for mount in container["volumeMounts"]]
        chosen = spec["template"]["metadata"]["labels"].items()
        services = chart.of("Service")
        headless = services[spec["serviceName"]]
        assert headless["spec"]["clusterIP"] == "None" and "clusterIP" not in services[name]["spec"]
        ports = {port["name"] for port in container["ports"]}
        for service in (headless, services[name]):
            assert service["spec"]["selector"].items() <= chosen
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
        budget = chart.of("PodDisruptionBudget")[name]["spec"]
        assert budget["selector"]["matchLabels"].items() <= chosen
        assert budget["maxUnavailable"] == 1  # a node's drain must be able to end


def test_services_are_where_clients_look_for_them(chart: Chart) -> None:
    ports = {
        name: {port["port"] for port in service["spec"]["ports"]}
        for name, service in chart.of("Service").items()
    }
    assert 5432 in ports["postgresql"] and 6379 in ports["redis"] and 5672 in ports["rabbitmq"]


def test_pods_pass_the_restricted_standard_with_a_read_only_root(chart: Chart) -> None:
    for name, pod in chart.pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {key for volume in pod["volumes"] for key in volume} <= {
            *("name", "configMap", "secret", "projected", "emptyDir")
        }
    for name, container in chart.containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_a_restart_does_not_change_owners_of_data(chart: Chart) -> None:
    """Group-readable, PostgreSQL's data and RabbitMQ's cookie would be refused."""
    for stateful in chart.of("StatefulSet").values():
        context = stateful["spec"]["template"]["spec"]["securityContext"]
        assert context["fsGroup"] == 999
        assert context["fsGroupChangePolicy"] == "OnRootMismatch"


def test_backups_go_to_the_bucket_with_the_service_accounts_role(chart: Chart) -> None:
    account = chart.of("ServiceAccount")["database-backups"]
    assert account["automountServiceAccountToken"] is False
    for name in DATABASES:
        job = chart.of("CronJob")[f"{name}-backup"]["spec"]
        pod = job["jobTemplate"]["spec"]["template"]["spec"]
        assert job["concurrencyPolicy"] == "Forbid"
        assert pod["serviceAccountName"] == "database-backups"
        (upload,) = pod["containers"]
        assert f"s3://{GIVEN['bucket']}/{DATABASES_PREFIX}{name}" in upload["args"]
        variables = {variable["name"]: variable.get("value") for variable in upload["env"]}
        assert variables["AWS_ROLE_ARN"] == GIVEN["roleArn"]
        (token,) = (v for v in pod["volumes"] if v["name"] == "aws")
        projected = token["projected"]["sources"][0]["serviceAccountToken"]
        assert projected["audience"] == "sts.amazonaws.com"
        assert variables["AWS_WEB_IDENTITY_TOKEN_FILE"].endswith(projected["path"])


def test_volumes_of_production_are_kept(charts: dict[str, Chart]) -> None:
    kept = {
        name: {
            each["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"]
            for each in chart.of("StatefulSet").values()
        }
        for name, chart in charts.items()
    }
    assert kept == {"production": {"Retain"}, "rehearsal": {"Delete"}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"credentials.source": "git"}, 'credentials.source is "git"'),
        ({"backups.bucket": ""}, "backups.bucket is required"),
        ({"backups.region": ""}, "backups.region is required"),
    ],
)
def test_what_the_chart_refuses(tool: ToolFinder, values: dict[str, str], message: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        render(tool, "production", **values)


def test_a_changed_configuration_restarts_its_database_alone(
    tool: ToolFinder, charts: dict[str, Chart]
) -> None:
    changed = Chart(render(tool, "production", **{"redis.maxmemoryPolicy": "allkeys-lru"}))
    before = charts["production"].of("StatefulSet")
    after = changed.of("StatefulSet")
    differ = [name for name in DATABASES if before[name] != after[name]]
    assert differ == ["redis"]


@pytest.mark.parametrize("script", sorted((CHART / "files").glob("*.sh")), ids=lambda f: f.name)
def test_scripts_pass_shellcheck(script: Path) -> None:
    done = subprocess.run(
        ["shellcheck", "--shell=dash", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout
