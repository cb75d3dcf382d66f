"""Chart values, AppProjects and the root application."""

from __future__ import annotations

from typing import Any

import pytest

from gitops import render
from settings import Settings, load
from tests.conftest import Environment, ProjectMaker
from tests.program import plain


@pytest.fixture
def settings(make_project: ProjectMaker) -> Settings:
    return load(make_project(), "test")


def test_values_are_what_the_settings_say(make_project: ProjectMaker) -> None:
    project = make_project(gitops={"argocd": {"node_port": 31234}})
    values = render.chart_values(load(project, "test").gitops)
    assert values["server"]["service"] == {"type": "NodePort", "nodePortHttps": 31234}
    assert "redis" not in values


def test_applications_get_their_health_rule_back(settings: Settings) -> None:
    rules = render.chart_values(settings.gitops)["configs"]["cm"]
    rule = rules["resource.customizations.health.argoproj.io_Application"]
    assert rule.rstrip().endswith("return hs")


@pytest.mark.parametrize("repository", ["docker.io/library/redis", "registry.test:5001/redis"])
def test_a_redis_image_is_split_at_its_tag(make_project: ProjectMaker, repository: str) -> None:
    project = make_project(gitops={"argocd": {"redis_image": f"{repository}:8.0.2"}})
    values = render.chart_values(load(project, "test").gitops)
    assert values["redis"]["image"] == {"repository": repository, "tag": "8.0.2"}


def test_projects_take_from_our_repository_alone(settings: Settings) -> None:
    for name, spec in render.projects(settings.gitops, settings.nodes).items():
        assert spec["sourceRepos"] == [settings.gitops.repo_url], name
        for destination in spec["destinations"]:
            assert destination["server"] == "https://kubernetes.default.svc", name


def test_the_services_project_permits_workloads_in_the_domains_alone(settings: Settings) -> None:
    spec = render.projects(settings.gitops, settings.nodes)[render.SERVICES]
    domains = {"auth", "my", "scan", "character", "location", "info", "chat"}
    assert {each["namespace"] for each in spec["destinations"]} == domains
    assert spec["clusterResourceWhitelist"] == []
    kinds = {(each["group"], each["kind"]) for each in spec["namespaceResourceWhitelist"]}
    assert kinds == {("apps", "Deployment"), ("", "Service"), ("", "ConfigMap")}
    assert "*" not in str(spec)


def test_the_platform_project_makes_no_cluster_wide_thing_but_namespaces(
    settings: Settings,
) -> None:
    spec = render.projects(settings.gitops, settings.nodes)[render.PLATFORM]
    assert spec["clusterResourceWhitelist"] == [{"group": "", "kind": "Namespace"}]


def test_a_new_domain_is_permitted_by_its_nodes_label(make_project: ProjectMaker) -> None:
    node = {
        "name": "k8s-api-shop",
        "role": "api",
        "instance_type": "t3.small",
        "zone": "ap-northeast-2a",
        "labels": {"domain": "shop"},
    }
    settings = load(make_project(nodes=[node]), "test")
    spec = render.projects(settings.gitops, settings.nodes)[render.SERVICES]
    assert "shop" in {each["namespace"] for each in spec["destinations"]}


def test_the_root_application_is_of_the_settings_source(settings: Settings) -> None:
    spec = render.root_application(settings.gitops, "prod")
    source = spec["source"]
    assert spec["project"] == render.PLATFORM
    assert (source["repoURL"], source["targetRevision"], source["path"]) == (
        settings.gitops.repo_url,
        settings.gitops.revision,
        settings.gitops.path,
    )
    assert source["helm"]["valuesObject"] == {
        "repoURL": settings.gitops.repo_url,
        "targetRevision": settings.gitops.revision,
        "environment": "prod",
    }
    assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}


def release(environment: Environment) -> dict[str, Any]:
    inputs = environment.run.one("kubernetes:helm.sh/v3:Release").inputs
    return plain(inputs)  # type: ignore[no-any-return]


def test_the_release_is_the_pinned_chart(environment: Environment) -> None:
    argocd, inputs = environment.settings.gitops.argocd, release(environment)
    assert inputs["repositoryOpts"] == {"repo": argocd.chart_repository}
    assert (inputs["chart"], inputs["version"]) == (argocd.chart, argocd.version)
    assert inputs["name"] == inputs["namespace"] == "argocd"


def test_argo_cd_comes_after_every_member_and_the_root_app_last(environment: Environment) -> None:
    run = environment.run
    members = {r.urn for r in run.resources if r.name.startswith("member-")}
    argocd = run.one("kubernetes:helm.sh/v3:Release")
    projects = run.of("kubernetes:argoproj.io/v1alpha1:AppProject")
    root = run.one("kubernetes:argoproj.io/v1alpha1:Application")
    assert len(members) == 13
    assert members < argocd.dependencies
    assert run.one("kubernetes:core/v1:Namespace").urn in argocd.dependencies
    assert set(projects) == {"project-platform", "project-services"}
    for project in projects.values():
        assert argocd.urn in project.dependencies
        assert project.urn in root.dependencies


def test_what_goes_with_the_cluster_is_not_deleted_one_by_one(environment: Environment) -> None:
    run = environment.run
    init = run.of("command:remote:Command")["init"].urn
    for kind in ("helm.sh/v3:Release", "core/v1:Namespace", "argoproj.io/v1alpha1:AppProject"):
        for each in run.of(f"kubernetes:{kind}").values():
            assert each.deleted_with == init


def test_the_root_app_is_done_when_synced_and_healthy_and_gone_with_its_children(
    environment: Environment,
) -> None:
    root = environment.run.one("kubernetes:argoproj.io/v1alpha1:Application")
    metadata = root.inputs["metadata"]
    assert metadata["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]
    waits = metadata["annotations"]["pulumi.com/waitFor"]
    assert "{.status.sync.status}=Synced" in waits and "{.status.health.status}=Healthy" in waits
    assert root.timeouts
