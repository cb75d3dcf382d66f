"""The tree that Argo CD pulls, rendered by the helm and kustomize that Argo CD itself uses."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.render import labels
from gitops import render
from settings import Node, Settings, load
from tests.conftest import CHECKOUT, ProjectMaker, ToolFinder
from tests.gitops import schemas

TREE = CHECKOUT / "gitops" / "tree"
OVERLAYS = sorted(path.name for path in (TREE / "k8s/overlays").iterdir() if path.is_dir())
PINNED = re.compile(r"^[\w./:-]+?(:v?\d[\w.-]*|@sha256:[0-9a-f]{64})$")
REPOSITORY = "https://git.example/groundwork.git"

Object = dict[str, Any]


def output(*command: str | Path) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Tree:
    """The tree's three parts, rendered."""

    def __init__(self, tool: ToolFinder) -> None:
        def kustomize(folder: str) -> list[Object]:
            return objects(output(tool("kustomize"), "build", TREE / "k8s" / folder))

        values = ["--set", f"repoURL={REPOSITORY}", "--set", "environment=prod"]
        chart = output(tool("helm"), "template", "root", TREE / "argocd", *values)
        self.apps = objects(chart)
        self.infrastructure = kustomize("infrastructure")
        self.overlays = {name: kustomize(f"overlays/{name}") for name in OVERLAYS}

    @property
    def everything(self) -> list[Object]:
        return [*self.apps, *self.infrastructure, *self.workloads]

    @property
    def workloads(self) -> list[Object]:
        return [each for found in self.overlays.values() for each in found]


def objects(text: str) -> list[Object]:
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(found: list[Object], kind: str) -> list[Object]:
    return [each for each in found if each["kind"] == kind]


def pods(found: list[Object]) -> Iterator[Object]:
    """The pod templates of all workloads."""
    for each in found:
        template = each.get("spec", {}).get("template", {})
        if "containers" in template.get("spec", {}):
            yield template


@pytest.fixture(scope="module")
def tree(tool: ToolFinder) -> Tree:
    return Tree(tool)


@pytest.fixture
def settings(make_project: ProjectMaker) -> Settings:
    return load(make_project(), "test")


def test_every_api_has_an_overlay_and_every_overlay_an_api() -> None:
    values = yaml.safe_load((TREE / "argocd/values.yaml").read_text())
    domains = [api["domain"] for api in values["apis"]]
    assert sorted(domains) == OVERLAYS
    assert OVERLAYS


def test_the_applicationset_lists_the_apis(tree: Tree) -> None:
    (made,) = of_kind(tree.apps, "ApplicationSet")
    elements = made["spec"]["generators"][0]["list"]["elements"]
    assert [each["domain"] for each in elements] == OVERLAYS
    template = made["spec"]["template"]
    assert template["metadata"]["name"] == "ecoeco-api-{{.domain}}"
    assert template["spec"]["source"]["path"] == "gitops/tree/k8s/overlays/{{.domain}}"


def test_applications_take_the_root_apps_source_in_order_of_their_waves(tree: Tree) -> None:
    (infrastructure,) = of_kind(tree.apps, "Application")
    (apis,) = of_kind(tree.apps, "ApplicationSet")
    wave = "argocd.argoproj.io/sync-wave"
    assert infrastructure["metadata"]["annotations"][wave] == "0"
    assert apis["metadata"]["annotations"][wave] == "3"
    for source in (infrastructure["spec"]["source"], apis["spec"]["template"]["spec"]["source"]):
        assert (source["repoURL"], source["targetRevision"]) == (REPOSITORY, "main")
    assert (TREE.parent.parent / infrastructure["spec"]["source"]["path"]).is_dir()


def test_the_chart_refuses_to_be_rendered_without_a_repository(tool: ToolFinder) -> None:
    done = subprocess.run(
        [tool("helm"), "template", "root", TREE / "argocd"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0 and "repoURL is required" in done.stderr


def test_projects_permit_what_their_applications_make(tree: Tree, settings: Settings) -> None:
    projects = render.projects(settings.gitops, settings.nodes)
    (infrastructure,) = of_kind(tree.apps, "Application")
    (apis,) = of_kind(tree.apps, "ApplicationSet")
    platform = projects[infrastructure["spec"]["project"]]
    services = projects[apis["spec"]["template"]["spec"]["project"]]

    def kind(each: Object) -> dict[str, str]:
        group = each["apiVersion"].rpartition("/")[0]
        return {"group": group, "kind": each["kind"]}

    for each in tree.infrastructure:
        if "namespace" not in each["metadata"]:
            assert kind(each) in platform["clusterResourceWhitelist"]
    namespaces = {each["namespace"] for each in services["destinations"]}
    for each in tree.workloads:
        assert kind(each) in services["namespaceResourceWhitelist"]
        assert each["metadata"]["namespace"] in namespaces


def test_namespaces_of_workloads_are_made_by_infrastructure(tree: Tree) -> None:
    made = {each["metadata"]["name"] for each in of_kind(tree.infrastructure, "Namespace")}
    for domain, found in tree.overlays.items():
        assert {each["metadata"]["namespace"] for each in found} == {domain}
        assert domain in made
    for policy in of_kind(tree.infrastructure, "NetworkPolicy"):
        assert policy["metadata"]["namespace"] in made


def test_every_domains_namespace_is_restricted_and_isolated(tree: Tree) -> None:
    isolated = {
        policy["metadata"]["namespace"]
        for policy in of_kind(tree.infrastructure, "NetworkPolicy")
        if policy["spec"]["podSelector"] == {} and "Ingress" in policy["spec"]["policyTypes"]
    }
    for namespace in of_kind(tree.infrastructure, "Namespace"):
        metadata = namespace["metadata"]
        assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        assert metadata["name"] in isolated


def test_images_are_pinned(tree: Tree) -> None:
    images = [
        container["image"]
        for pod in pods(tree.everything)
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    ]
    assert len(images) >= len(OVERLAYS)
    for image in images:
        assert PINNED.match(image) and "placeholder" not in image, image


@pytest.mark.parametrize("image", ["a/b", "a/b:latest", "a/b:main", "host:5000/a/b"])
def test_what_counts_as_not_pinned(image: str) -> None:
    assert not PINNED.match(image)


def accepts(node: Node, pod: Object) -> bool:
    """Whether the node has what the pod selects, and no taint that it does not tolerate."""
    selected = pod["spec"].get("nodeSelector", {}).items() <= labels(node).items()
    tolerated = {
        f"{t['key']}={t.get('value', '')}:{t.get('effect', '')}"
        for t in pod["spec"].get("tolerations", [])
    }
    tainted = set(node.taints) - tolerated
    return selected and not tainted and node.role != "control-plane"


def test_every_pod_has_a_node_to_run_on(tree: Tree, settings: Settings) -> None:
    for domain, found in tree.overlays.items():
        templates = list(pods(found))
        assert templates
        for pod in templates:
            assert pod["spec"]["nodeSelector"] == {"domain": domain}
            assert any(accepts(node, pod) for node in settings.nodes), domain


def test_services_select_pods_that_are_there_by_a_port_that_they_have(tree: Tree) -> None:
    for domain, found in tree.overlays.items():
        for service in of_kind(found, "Service"):
            selector = service["spec"]["selector"].items()
            chosen = [p for p in pods(found) if selector <= p["metadata"]["labels"].items()]
            assert chosen, domain
            names = {port["name"] for c in chosen[0]["spec"]["containers"] for port in c["ports"]}
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= names


def test_policies_open_the_port_that_pods_listen_on(tree: Tree) -> None:
    opened = {
        policy["metadata"]["namespace"]: {
            port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]
        }
        for policy in of_kind(tree.infrastructure, "NetworkPolicy")
    }
    for domain, found in tree.overlays.items():
        for pod in pods(found):
            for container in pod["spec"]["containers"]:
                assert {port["containerPort"] for port in container["ports"]} <= opened[domain]


def test_pods_pass_the_restricted_standard(tree: Tree) -> None:
    for pod in pods(tree.everything):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.fixture(scope="module")
def kubeconform(
    tool: ToolFinder, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(folder, request.getfixturevalue("toolchain"))
    location = f"{folder}/{schemas.LOCATION}"
    return [str(tool("kubeconform")), "-strict", "-schema-location", location]


def conforms(kubeconform: list[str], found: list[Object]) -> subprocess.CompletedProcess[str]:
    text = yaml.safe_dump_all(found)
    return subprocess.run(kubeconform, input=text, capture_output=True, text=True, timeout=120)


def test_everything_fits_kubernetes_and_argo_cds_schemas(
    tree: Tree, settings: Settings, kubeconform: list[str]
) -> None:
    ours: list[Object] = [
        {"apiVersion": "argoproj.io/v1alpha1", "metadata": {"name": "x"}, "kind": kind, "spec": s}
        for kind, s in [
            ("Application", render.root_application(settings.gitops, "prod")),
            *(("AppProject", s) for s in render.projects(settings.gitops, settings.nodes).values()),
        ]
    ]
    done = conforms(kubeconform, [*tree.everything, *ours])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["Deployment", "Service", "NetworkPolicy", "Application"])
def test_a_misspelt_field_does_not_fit(tree: Tree, kubeconform: list[str], kind: str) -> None:
    broken = of_kind(tree.everything, kind)[0]
    done = conforms(kubeconform, [{**broken, "spec": {**broken["spec"], "replica": 2}}])
    assert done.returncode != 0
    assert "replica" in done.stdout


def test_kustomize_and_helm_are_the_ones_that_argo_cd_gets(tool: ToolFinder) -> None:
    assert output(tool("kustomize"), "version").strip() == "v5.7.1"
    assert output(tool("helm"), "version", "--template", "{{.Version}}") == "v3.19.0"
