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


def test_applications_and_their_sets_get_health_rules(settings: Settings) -> None:
    configs = render.chart_values(settings.gitops)["configs"]
    for kind in ("Application", "ApplicationSet"):
        rule = configs["cm"][f"resource.customizations.health.argoproj.io_{kind}"]
        assert rule.rstrip().endswith("return hs")
    # without it an ApplicationSet's status.resources stay as they were at first
    assert configs["params"]["applicationsetcontroller.enable.progressive.syncs"] is True


@pytest.mark.parametrize("repository", ["docker.io/library/redis", "registry.test:5001/redis"])
def test_a_redis_image_is_split_at_its_tag(make_project: ProjectMaker, repository: str) -> None:
    project = make_project(gitops={"argocd": {"redis_image": f"{repository}:8.0.2"}})
    values = render.chart_values(load(project, "test").gitops)
    assert values["redis"]["image"] == {"repository": repository, "tag": "8.0.2"}


def test_projects_take_from_our_repository_alone_and_add_ons_from_theirs(
    settings: Settings,
) -> None:
    for name, spec in render.projects(settings.gitops, settings.nodes).items():
        ours, *others = spec["sourceRepos"]
        assert ours == settings.gitops.repo_url
        assert bool(others) == (name == render.ADDONS)
        assert all(each.startswith("https://") for each in others)
        for destination in spec["destinations"]:
            assert destination["server"] == "https://kubernetes.default.svc", name


def test_a_mirror_takes_the_place_of_the_add_ons_repositories(make_project: ProjectMaker) -> None:
    mirror = "https://charts.example"
    settings = load(make_project(gitops={"chart_mirror": mirror}), "test")
    spec = render.projects(settings.gitops, settings.nodes)[render.ADDONS]
    assert spec["sourceRepos"] == [settings.gitops.repo_url, mirror]


def test_the_tree_is_given_what_only_the_program_knows(make_project: ProjectMaker) -> None:
    settings = load(make_project(dns={"public": {"domain": "example.com"}}), "test")
    arns = {"databases/database-backups": "arn:aws:iam::1:role/backups"}
    given = render.given(settings, "vpc-1", "bucket-1", arns)
    backups = given["databases"]["values"]["backups"]
    assert backups == {
        "bucket": "bucket-1",
        "region": "ap-northeast-2",
        "roleArn": "arn:aws:iam::1:role/backups",
    }
    assert given["addons"]["cluster"]["vpcId"] == "vpc-1"
    assert given["addons"]["ingress"] == {"nodePort": 30080, "host": "api.example.com"}
    assert given["addons"]["roleArns"] == arns


def test_without_add_ons_none_are_asked_for(make_project: ProjectMaker) -> None:
    settings = load(make_project(gitops={"addons": False}), "test")
    assert render.given(settings, "vpc-1", "bucket-1", {})["addons"] == {}


def api_node(name: str, **labels: str) -> dict[str, Any]:
    zone = "ap-northeast-2a"
    return {
        "name": name,
        "role": "api",
        "instance_type": "t3.small",
        "zone": zone,
        "labels": labels,
    }


def test_the_apis_are_the_domains_of_the_api_nodes(make_project: ProjectMaker) -> None:
    added = [
        api_node("k8s-api-shop", domain="shop", phase="2"),
        api_node("k8s-api-shop-2", domain="shop", phase="2"),
        api_node("k8s-api-spare"),
        {**api_node("k8s-worker-x", domain="x", phase="1"), "role": "worker"},
        {"name": "k8s-api-chat", "absent": True},
    ]
    settings = load(make_project(nodes=added), "test")
    found = {each["domain"]: each["phase"] for each in render.apis(settings.nodes)}
    assert found.pop("shop") == "2"
    assert found == {
        **dict.fromkeys(("auth", "my", "scan"), "1"),
        **dict.fromkeys(("character", "location"), "2"),
        "info": "3",
    }


def test_the_root_application_is_of_the_settings_source(settings: Settings) -> None:
    spec = render.root_application(settings.gitops, "prod", settings.nodes)
    source = spec["source"]
    assert spec["project"] == render.PLATFORM
    assert (source["repoURL"], source["targetRevision"], source["path"]) == (
        settings.gitops.repo_url,
        settings.gitops.revision,
        settings.gitops.path,
    )
    assert source["helm"] == {
        "valueFiles": ["values-prod.yaml"],
        "ignoreMissingValueFiles": True,
        "valuesObject": {
            "repoURL": settings.gitops.repo_url,
            "targetRevision": settings.gitops.revision,
            "environment": "prod",
            "apis": render.apis(settings.nodes),
        },
    }
    assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    # a failed sync is not begun again by Argo CD itself: a child that is Degraded for a while
    # must not end the root app's; one without end would keep it from being deleted
    retry = spec["syncPolicy"]["retry"]
    assert retry["refresh"] is True and 10 <= retry["limit"] <= 20


def test_values_that_only_the_program_knows_reach_the_chart(settings: Settings) -> None:
    given = {"databases": {"values": {"backups": {"bucket": "b"}}}, "addons": {"cluster": {}}}
    spec = render.root_application(settings.gitops, "prod", settings.nodes, given)
    values = spec["source"]["helm"]["valuesObject"]
    assert given.items() <= values.items() and values["environment"] == "prod"


def test_no_sync_goes_on_without_end(settings: Settings) -> None:
    params = render.chart_values(settings.gitops)["configs"]["params"]
    assert params["controller.sync.timeout.seconds"] == 20 * 60  # as long as the program waits


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
    names = render.projects(environment.settings.gitops, environment.settings.nodes)
    assert set(projects) == {f"project-{name}" for name in names}
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
