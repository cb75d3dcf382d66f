"""Everything that is rendered fits the schemas of the versions that its kinds come from."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from gitops import render
from tests.conftest import ToolFinder
from tests.gitops import modules, schemas
from tests.gitops.rendering import Object, Tree, of_kind


@pytest.fixture(scope="module")
def kubeconform(
    tool: ToolFinder, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    folder = tmp_path_factory.mktemp("schemas")
    toolchain = request.getfixturevalue("toolchain")
    schemas.write(folder, toolchain)
    for spec in modules.kinds(toolchain):
        schemas.write_crd(folder, spec)
    location = f"{folder}/{schemas.LOCATION}"
    return [str(tool("kubeconform")), "-strict", "-schema-location", location]


def conforms(kubeconform: list[str], found: list[Object]) -> subprocess.CompletedProcess[str]:
    text = yaml.safe_dump_all(found)
    return subprocess.run(kubeconform, input=text, capture_output=True, text=True, timeout=120)


def test_everything_fits_kubernetes_and_argo_cds_schemas(
    tree: Tree, kubeconform: list[str]
) -> None:
    settings = tree.settings
    specs = [
        ("Application", render.root_application(settings.gitops, "prod", settings.nodes)),
        *(("AppProject", s) for s in render.projects(settings.gitops, settings.nodes).values()),
    ]
    ours: list[Object] = [
        {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": s}
        for kind, s in specs
    ]
    applications = [
        {"apiVersion": "argoproj.io/v1alpha1", **part.application} for part in tree.parts.values()
    ]
    done = conforms(kubeconform, [*tree.everything, *ours, *applications])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "kind",
    ["Deployment", "Job", "NetworkPolicy", "ResourceQuota", "ApplicationSet", "ServiceMonitor"],
)
def test_a_misspelt_field_does_not_fit(prod_tree: Tree, kubeconform: list[str], kind: str) -> None:
    broken = of_kind(prod_tree.everything, kind)[0]
    done = conforms(kubeconform, [{**broken, "spec": {**broken["spec"], "replica": 2}}])
    assert done.returncode != 0
    assert "replica" in done.stdout
