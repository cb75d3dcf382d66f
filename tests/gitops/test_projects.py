"""AppProjects permit what their Applications render, and no more."""

from __future__ import annotations

from typing import Any

from gitops import render
from tests.gitops.conftest import ENVIRONMENTS, TreeMaker
from tests.gitops.rendering import CLUSTER_WIDE, REPOSITORY, Object, Tree, of_kind

Kind = tuple[str, str]


def kind(each: Object) -> Kind:
    return each["apiVersion"].rpartition("/")[0], each["kind"]


def listed(spec: dict[str, Any], whitelist: str) -> set[Kind]:
    return {(each["group"], each["kind"]) for each in spec[whitelist]}


def made(tree: Tree) -> dict[str, list[Object]]:
    """What each project's Applications render; the root app's are its children."""
    found: dict[str, list[Object]] = {render.PLATFORM: list(tree.children)}
    for part in tree.parts.values():
        found.setdefault(part.project, []).extend(part.objects)
    return found


def test_projects_permit_exactly_the_kinds_that_some_environment_has(tree_of: TreeMaker) -> None:
    trees = [tree_of(name) for name in ENVIRONMENTS]
    settings = trees[0].settings
    for name, spec in render.projects(settings.gitops, settings.nodes).items():
        objects = [each for tree in trees for each in made(tree).get(name, [])]
        wide = {kind(each) for each in objects if each["kind"] in CLUSTER_WIDE}
        inside = {kind(each) for each in objects if each["kind"] not in CLUSTER_WIDE}
        if name == render.ADDONS:  # most of it is charts of others
            assert wide <= listed(spec, "clusterResourceWhitelist")
            continue
        assert listed(spec, "clusterResourceWhitelist") == wide, name
        assert listed(spec, "namespaceResourceWhitelist") == inside, name


def test_projects_permit_exactly_the_namespaces_of_their_applications(tree: Tree) -> None:
    for name, spec in render.projects(tree.settings.gitops, tree.settings.nodes).items():
        permitted = {each["namespace"] for each in spec["destinations"]}
        used = {
            each["spec"]["destination"]["namespace"]
            for each in [*tree.everything, *(part.application for part in tree.parts.values())]
            if each["kind"] == "Application" and each["spec"]["project"] == name
        }
        used |= {
            each["metadata"]["namespace"]
            for each in made(tree).get(name, [])
            if each["kind"] not in CLUSTER_WIDE
        }
        if name in (render.ADDONS, render.CREDENTIALS):  # an environment may do without some
            assert used <= permitted, name
        else:
            assert permitted == used, name
        assert spec["sourceRepos"][0] == REPOSITORY
        assert {each["server"] for each in spec["destinations"]} == {
            "https://kubernetes.default.svc"
        }


def test_no_application_is_of_the_default_project_or_one_that_is_not_there(tree: Tree) -> None:
    projects = render.projects(tree.settings.gitops, tree.settings.nodes)
    assert "default" not in projects
    assert {part.project for part in tree.parts.values()} <= projects.keys()
    assert [name for name, spec in projects.items() if "*" in str(spec)] == [render.ADDONS]


def test_add_ons_come_from_the_repositories_that_are_permitted(tree: Tree) -> None:
    spec = render.projects(tree.settings.gitops, tree.settings.nodes)[render.ADDONS]
    used = {
        each["spec"]["source"]["repoURL"]
        for each in of_kind(tree.objects, "Application")
        if each["spec"]["project"] == render.ADDONS
    }
    assert used and used <= set(spec["sourceRepos"])


def test_of_ours_only_the_infrastructure_may_make_namespaces(tree: Tree) -> None:
    """CreateNamespace would make one without the policies: the project refuses it."""
    for name, spec in render.projects(tree.settings.gitops, tree.settings.nodes).items():
        permitted = ("", "Namespace") in listed(spec, "clusterResourceWhitelist")
        assert permitted == (name in (render.INFRASTRUCTURE, render.ADDONS))
