"""The values that add-ons get, against the charts themselves: those that modules hold, and ours."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal.errors import RehearsalError
from rehearsal.mirrors import addon_charts
from rehearsal.toolchain import Toolchain
from tests.conftest import ToolFinder
from tests.gitops import modules, schemas
from tests.gitops.rendering import TREE, Object, output
from tests.gitops.test_addons import applications, values

# Not among them, as no module holds their charts: aws-ebs-csi-driver,
# aws-load-balancer-controller, traefik.
_HELD = {
    "aws-cloud-controller-manager": (
        modules.CLOUD_PROVIDER,
        "charts/aws-cloud-controller-manager",
    ),
    "external-secrets": (modules.EXTERNAL_SECRETS, "deploy/charts/external-secrets"),
}


def _first(file: Path) -> Object:
    """The first document of the file that is not empty."""
    found: Object = next(each for each in yaml.safe_load_all(file.read_text()) if each)
    return found


# The charts' folders, by add-on, as helm renders them.
Charts = Mapping[str, Path]


@pytest.fixture(scope="module")
def charts(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """Copies, whose versions are filled in, and whose parts that are not used are taken out."""
    work = tmp_path_factory.mktemp("charts")
    found = {name: modules.module(module) / folder for name, (module, folder) in _HELD.items()}
    sources = addon_charts.sources(toolchain)
    addon_charts.write_stack(work / addon_charts.STACK, sources[addon_charts.STACK])
    found |= {name: each for name, each in sources.items() if name != addon_charts.STACK}
    for name, folder in found.items():
        # a module's files cannot be written to
        shutil.copytree(folder, work / name, copy_function=shutil.copyfile)
        for each in (work / name, *(work / name).rglob("*")):
            each.chmod(0o755 if each.is_dir() else 0o644)
        (work / name / "Chart.lock").unlink(missing_ok=True)
        about = _first(work / name / "Chart.yaml")
        about.pop("dependencies", None)  # a chart from elsewhere, switched off
        (work / name / "Chart.yaml").write_text(yaml.safe_dump(about))
    return {name: work / name for name in (*found, addon_charts.STACK)}


def rendered(tool: ToolFinder, charts: Charts, name: str, application: Object) -> list[Object]:
    text = output(
        *(tool("helm"), "template", name, charts[name], "--include-crds"),
        *("--namespace", application["spec"]["destination"]["namespace"]),
        *("--kube-version", "1.34.4", "--values", "-"),
        stdin=yaml.safe_dump(values(application)),
    )
    return [each for each in yaml.load_all(text, Loader=modules.Loader) if each]


_FREE = ("nodeSelector", "resources")  # Kubernetes' own maps: defaults do not tell all keys


def unknown(given: Any, defaults: Any, text: str, path: str = ".Values") -> list[str]:
    """Keys that are given and that the chart neither has a default of nor asks for."""
    if not isinstance(given, dict) or not isinstance(defaults, dict) or not defaults:
        return []
    found = []
    for key, value in given.items():
        here = f"{path}.{key}"
        if key in defaults and key not in _FREE:
            found += unknown(value, defaults[key], text, here)
        elif key not in defaults and here not in text:
            found.append(here)
    return found


def test_unknown_keys_are_found() -> None:
    defaults = {"a": {"b": 1, "free": {}}, "c": None}
    given = {"a": {"b": 2, "free": {"x": 1}, "d": 3}, "c": {"e": 1}, "asked": 1, "f": 2}
    assert unknown(given, defaults, "{{ .Values.asked }}") == [".Values.a.d", ".Values.f"]


CHARTS = (*_HELD, "metrics-server", "cert-manager", addon_charts.STACK)


@pytest.mark.parametrize("environment", ["prod", "dev", "rehearsal"])
@pytest.mark.parametrize("name", CHARTS)
def test_charts_know_the_keys_that_they_get(
    tool: ToolFinder, charts: Charts, name: str, environment: str
) -> None:
    found = applications(tool, environment=environment)
    if name not in found:
        pytest.skip(f"{environment} leaves {name} out")
    folder = charts[name]
    defaults = _first(folder / "values.yaml")
    text = "".join(file.read_text() for file in folder.glob("templates/**/*") if file.is_file())
    given = values(found[name])
    for other in ("grafana", "kube-state-metrics"):  # charts of their own
        given.pop(other, None)
    assert unknown(given, defaults, text) == []


@pytest.fixture(scope="module")
def kubeconform(
    tool: ToolFinder,
    toolchain: Toolchain,
    charts: Charts,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[str]:
    """With the kinds of all charts that are rendered here."""
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(folder, toolchain)
    for spec in modules.kinds(toolchain):
        schemas.write_crd(folder, spec)
    certificates = output(
        *(tool("helm"), "template", "cert-manager", charts["cert-manager"]),
        *("--set", "crds.enabled=true"),
    )
    for each in yaml.safe_load_all(certificates):
        if each and each["kind"] == "CustomResourceDefinition":
            schemas.write_crd(folder, each["spec"])
    location = f"{folder}/{schemas.LOCATION}"
    kinds = ["CustomResourceDefinition", "APIService"]  # of API servers beside Kubernetes' own
    return [
        *(str(tool("kubeconform")), "-strict", "-schema-location", location),
        *("-skip", ",".join(kinds)),
    ]


def conforms(kubeconform: list[str], objects: list[Object]) -> None:
    text = yaml.dump_all(objects, Dumper=yaml.CSafeDumper)
    done = subprocess.run(
        kubeconform, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CHARTS)
def test_what_charts_make_of_the_values_fits_kubernetes(
    tool: ToolFinder, charts: Charts, kubeconform: list[str], name: str
) -> None:
    environment = "rehearsal" if name == addon_charts.STACK else "prod"
    application = applications(tool, environment=environment)[name]
    objects = rendered(tool, charts, name, application)
    conforms(kubeconform, objects)
    pods = [
        each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] in ("Deployment", "DaemonSet")
    ]
    assert pods
    for pod in pods:
        for container in pod["containers"]:
            repository, _, tag = container["image"].rpartition(":")
            assert repository and tag[0] in "v0123456789", container["image"]
            names = [each["name"] for each in container.get("env") or ()]
            assert len(set(names)) == len(names)  # a merge by name refuses two of one
            assert container["resources"]["requests"]["memory"]


def test_our_own_charts_fit_the_kinds_of_external_secrets(
    tool: ToolFinder, kubeconform: list[str]
) -> None:
    found = applications(tool)
    for name in ("secret-stores", "ingress"):
        folder = TREE / "addons" / name
        text = yaml.safe_dump(values(found[name]))
        made = output(tool("helm"), "template", name, folder, "--values", "-", stdin=text)
        objects = [each for each in yaml.safe_load_all(made) if each]
        assert objects
        conforms(kubeconform, objects)


def test_another_operator_needs_another_chart(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("9.9.9\n")
    with pytest.raises(RehearsalError, match=r"operator 9\.9\.9, only for"):
        addon_charts.write_stack(tmp_path / "chart", tmp_path)
