"""The tree's shape: one list of domains, waves, sync policies, what environments differ in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gitops import render
from settings import Node
from tests.conftest import ToolFinder
from tests.gitops.conftest import ENVIRONMENTS, TreeMaker
from tests.gitops.rendering import (
    TREE,
    Renderer,
    Tree,
    containers,
    generated,
    of_kind,
    output,
    pods,
)

DOMAINS = ["auth", "character", "chat", "info", "location", "my", "scan"]
PHASES = {"1": ["auth", "my", "scan"], "2": ["character", "location"], "3": ["chat", "info"]}


def missing(tree: Path, domains: list[str]) -> list[str]:
    """What `tree` lacks, or has too much, for just these domains to be APIs."""
    listed = yaml.safe_load((tree / "k8s/infrastructure/domains/kustomization.yaml").read_text())
    found = []
    for folder in ("k8s/overlays", "k8s/infrastructure/domains"):
        there = {each.name for each in (tree / folder).iterdir() if each.is_dir()}
        found += [f"{folder}/{each}/: is missing" for each in sorted(set(domains) - there)]
        found += [f"{folder}/{each}/: is no domain's" for each in sorted(there - set(domains))]
        for domain in sorted(there & set(domains)):
            lines = (tree / folder / domain / "kustomization.yaml").read_text().splitlines()
            for line, wanted in zip(lines, pattern(tree / folder, domain), strict=True):
                if line != wanted and not wanted.startswith("    newTag:"):
                    found.append(f"{folder}/{domain}/kustomization.yaml: has {line}, not {wanted}")
    name = "k8s/infrastructure/domains/kustomization.yaml"
    found += [f"{name}: {each} is missing" for each in domains if each not in listed["resources"]]
    return found


def pattern(folder: Path, domain: str) -> list[str]:
    """The lines of a domain's kustomization, by the one of auth."""
    text = (folder / "auth/kustomization.yaml").read_text()
    return text.replace("auth", domain).splitlines()


def test_the_tree_has_what_each_domain_needs_and_nothing_else(tree: Tree) -> None:
    assert missing(TREE, tree.domains) == []
    assert tree.domains == DOMAINS


def test_a_new_domain_is_one_line_of_node_data_and_a_test_names_the_rest(
    tree_of: TreeMaker, tool: ToolFinder, tmp_path: Path
) -> None:
    settings = tree_of("prod").settings
    node = settings.nodes[1]
    shop = Node(
        **{**node.model_dump(), "name": "k8s-api-shop"}
        | {"labels": {"domain": "shop", "phase": "2"}}
    )
    settings = settings.model_copy(update={"nodes": (*settings.nodes, shop)})
    tree = tmp_path / "changed"
    shutil.copytree(TREE, tree)
    told = missing(tree, [*DOMAINS, "shop"])
    assert told == [
        "k8s/overlays/shop/: is missing",
        "k8s/infrastructure/domains/shop/: is missing",
        "k8s/infrastructure/domains/kustomization.yaml: shop is missing",
    ]
    for folder in ("k8s/overlays", "k8s/infrastructure/domains"):
        shutil.copytree(tree / folder / "auth", tree / folder / "shop")
        file = tree / folder / "shop/kustomization.yaml"
        file.write_text("\n".join(pattern(tree / folder, "shop")) + "\n")
    listed = tree / "k8s/infrastructure/domains/kustomization.yaml"
    listed.write_text(listed.read_text() + "  - shop\n")
    assert missing(tree, [*DOMAINS, "shop"]) == []
    made = Renderer(tool, tmp_path / "scratch", tree).tree("prod", settings)
    part = made.api("shop")
    assert (part.wave, part.namespace) == (4, "shop")
    assert {each["metadata"]["namespace"] for each in part.objects} == {"shop"}
    projects = render.projects(settings.gitops, settings.nodes)
    assert "shop" in {each["namespace"] for each in projects[part.project]["destinations"]}
    assert "shop" in {
        each["metadata"]["namespace"]
        for each in of_kind(made.parts["infrastructure"].objects, "NetworkPolicy")
    }


def test_a_removed_nodes_domain_is_no_api(tree_of: TreeMaker, renderer: Renderer) -> None:
    settings = tree_of("prod").settings
    nodes = tuple(node for node in settings.nodes if node.labels.get("domain") != "chat")
    made = renderer.tree("prod", settings.model_copy(update={"nodes": nodes}))
    assert "ecoeco-api-chat" not in made.parts and "ecoeco-api-info" in made.parts


def test_waves_are_in_the_order_of_what_needs_what(tree: Tree) -> None:
    waves = {name: part.wave for name, part in tree.ours.items()}
    apis = {name for name in waves if name.startswith("ecoeco-api-")}
    assert {name: waves[name] for name in waves.keys() - apis} == {
        "infrastructure": 0,
        "databases": 1,
        "workers": 2,
        **({"credentials": 1} if "credentials" in waves else {}),
    }
    for phase, domains in PHASES.items():
        for domain in domains:
            assert waves[f"ecoeco-api-{domain}"] == 2 + int(phase)
    assert len(apis) == len(DOMAINS)


def test_each_phase_is_an_applicationset_of_its_own(tree: Tree) -> None:
    found = {}
    for each in of_kind(tree.children, "ApplicationSet"):
        (generator,) = each["spec"]["generators"]
        elements = generator["list"]["elements"]
        (phase,) = {element["phase"] for element in elements}
        assert each["metadata"]["name"] == f"ecoeco-apis-phase-{phase}"
        found[phase] = [element["domain"] for element in elements]
        # a strategy would switch auto-sync off, and self-healing with it
        assert "strategy" not in each["spec"]
    assert found == PHASES


def test_every_application_is_kept_as_git_has_it(tree: Tree) -> None:
    for part in tree.ours.values():
        spec = part.application["spec"]
        assert spec["syncPolicy"] == {
            "automated": {"prune": True, "selfHeal": True, "allowEmpty": False},
            "syncOptions": [
                "CreateNamespace=true",
                "PrunePropagationPolicy=foreground",
                "PruneLast=true",
            ],
            "retry": {
                "limit": 3,
                "backoff": {"duration": "5s", "factor": 2, "maxDuration": "1m"},
            },
        }
        metadata = part.application["metadata"]
        assert metadata["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]
        assert spec["source"]["targetRevision"] == tree.settings.gitops.revision


def test_an_api_is_named_and_labelled_by_its_domain(tree: Tree) -> None:
    for domain in tree.domains:
        metadata = tree.api(domain).application["metadata"]
        assert metadata["labels"]["domain"] == domain
        labels = {each["metadata"]["labels"]["domain"] for each in tree.api(domain).objects}
        assert labels == {domain}
        names = {each["metadata"]["name"] for each in tree.api(domain).objects}
        assert names == {f"{domain}-{kind}" for kind in ("api", "migration", "smoke-test")}


def test_namespaces_are_made_by_the_infrastructure_before_anything_is_in_them(tree: Tree) -> None:
    made = {
        each["metadata"]["name"]
        for each in of_kind(tree.parts["infrastructure"].objects, "Namespace")
    }
    assert made == {*DOMAINS, "databases", "workers", "monitoring"}
    for part in tree.ours.values():
        used = {o["metadata"]["namespace"] for o in part.objects if "namespace" in o["metadata"]}
        assert used <= made, part.name
        assert part.name == "infrastructure" or part.wave > tree.parts["infrastructure"].wave
    used = {part.namespace for part in tree.ours.values()}
    assert used <= {*made, "default"}


def test_every_values_file_is_an_environments() -> None:
    files = {file.stem.removeprefix("values-") for file in (TREE / "argocd").glob("values-*.yaml")}
    assert files <= set(ENVIRONMENTS)


def test_environments_differ_by_data_alone(tree_of: TreeMaker) -> None:
    def least(environment: str) -> set[int]:
        found = of_kind(tree_of(environment).objects, "HorizontalPodAutoscaler")
        return {each["spec"]["minReplicas"] for each in found}

    assert (least("prod"), least("dev")) == ({2}, {1})
    kinds = {each["kind"] for each in tree_of("rehearsal").objects}
    assert "ServiceMonitor" in kinds
    assert not kinds & {"ExternalSecret", "ClusterExternalSecret"}
    assert {"ServiceMonitor", "ClusterExternalSecret"} <= {
        e["kind"] for e in tree_of("prod").objects
    }


def test_without_add_ons_there_is_nothing_of_their_kinds(tool: ToolFinder) -> None:
    values = {"repoURL": "https://git.example/x.git", "environment": "prod"}
    text = yaml.safe_dump({**values, "apis": [{"domain": "auth", "phase": "1"}]})
    command = [str(tool("helm")), "template", "root", str(TREE / "argocd"), "--values", "-"]
    children = list(yaml.safe_load_all(output(*command, stdin=text)))
    names = {child["metadata"]["name"] for child in children}
    assert names == {"infrastructure", "databases", "workers", "ecoeco-apis-phase-1"}
    for child in children:
        for application in generated(child):
            assert "kustomize" not in application["spec"]["source"]


def test_a_tag_of_the_environment_takes_the_place_of_the_overlays(
    renderer: Renderer, tool: ToolFinder
) -> None:
    values = {"repoURL": "https://git.example/x.git", "environment": "prod"}
    apis = [{"domain": "auth", "phase": "1"}, {"domain": "my", "phase": "1"}]
    given = {"apis": apis, "addons": {"cluster": {"name": "c"}}, "tags": {"my": "v9.9.9"}}
    text = yaml.safe_dump({**values, **given})
    command = [str(tool("helm")), "template", "root", str(TREE / "argocd"), "--values", "-"]
    (child,) = yaml.safe_load_all(output(*command, "-s", "templates/apis.yaml", stdin=text))
    auth, my = generated(child)
    assert "images" not in auth["spec"]["source"]["kustomize"]
    source = my["spec"]["source"]["kustomize"]
    assert source["images"] == ["ghcr.io/sesacthon/placeholder=ghcr.io/sesacthon/my:v9.9.9"]
    built = renderer.kustomize("k8s/overlays/my", source["components"], source["images"])
    images = {each["image"] for pod in pods(built) for each in containers(pod)}
    assert images == {"ghcr.io/sesacthon/my:v9.9.9"}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ("{environment: prod}", "repoURL is required"),
        ("{repoURL: x, apis: [{domain: auth}]}", "phase"),
        ("{repoURL: x, apis: [{domain: auth, phase: '4'}]}", "phase"),
        ("{repoURL: x, tags: {auth: latest}}", "auth"),
        ("{repoURL: x, components: {all: []}}", "all"),
    ],
)
def test_the_chart_refuses_values_that_it_does_not_know(
    tool: ToolFinder, values: str, reason: str
) -> None:
    done = subprocess.run(
        [tool("helm"), "template", "root", TREE / "argocd", "--values", "-"],
        input=values,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0 and reason in done.stderr


def test_kustomize_and_helm_are_the_ones_that_argo_cd_gets(tool: ToolFinder) -> None:
    assert output(tool("kustomize"), "version").strip() == "v5.7.1"
    assert output(tool("helm"), "version", "--template", "{{.Version}}") == "v3.19.0"
