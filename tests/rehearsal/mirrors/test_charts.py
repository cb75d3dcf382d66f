"""The chart repository: the argo-cd chart against Argo CD's own manifests."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal.errors import RehearsalError
from rehearsal.mirrors import argocd_templates
from rehearsal.mirrors.charts import build_charts
from rehearsal.paths import CHECKOUT, Paths
from tests.rehearsal.mirrors.conftest import Mirrors

Objects = dict[tuple[str, str], dict[str, Any]]
CHART = "argo-cd-9.1.8.tgz"
OFF = {"dex": {"enabled": False}, "notifications": {"enabled": False}}


@pytest.fixture(scope="session")
def helm() -> Path:
    """helm, as the rehearsal built it or from PATH."""
    built = Paths().tools / "bin" / "helm"
    found = built if built.is_file() else shutil.which("helm")
    if not found:
        pytest.skip("no helm here yet: the tools are not built")
    return Path(found)


@pytest.fixture(scope="session")
def module() -> Path:
    """The Argo CD module, if it has been downloaded."""
    command = ["go", "list", "-m", "-json", "github.com/argoproj/argo-cd/v3"]
    folder = CHECKOUT / "tools" / "argocd"
    if not shutil.which("go") or not folder.is_dir():
        pytest.skip("no Go or no tools/argocd here")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout).get("Dir")
    if not found:
        pytest.skip("the Argo CD module is not downloaded: the tools are not built")
    return Path(found)


@pytest.fixture(scope="session")
def charts(helm: Path, module: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart repository of a cache of its own."""
    folder = tmp_path_factory.mktemp("charts")
    return build_charts(Paths(run=folder / "run", cache=folder), module, print, helm=helm)


@pytest.fixture
def render(helm: Path, charts: Path, tmp_path: Path) -> Any:
    """A function: values -> the chart's objects; raises AssertionError with helm's reason."""

    def render(values: Mapping[str, Any], release: str = "argocd") -> Objects:
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values)))
        command = [helm, "template", release, charts / CHART, "--namespace", "gitops"]
        done = subprocess.run(
            [*map(str, command), "--kube-version=1.34.4", f"--values={file}"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found = argocd_templates.load(done.stdout)
        return {(item["kind"], item["metadata"]["name"]): item for item in found}

    return render


@pytest.fixture(scope="session")
def upstream(module: Path) -> Objects:
    found = argocd_templates.load((module / "manifests" / "install.yaml").read_text())
    return {(item["kind"], item["metadata"]["name"]): item for item in found}


def container(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = objects[kind, name]["spec"]["template"]["spec"]["containers"][0]
    return found


def test_every_object_of_the_manifests_is_there(render: Any, upstream: Objects) -> None:
    objects = render(
        {
            "global": {"networkPolicy": {"create": True}},
            "controller": {"metrics": {"enabled": True}},
            "server": {"metrics": {"enabled": True}},
        }
    )
    renamed = {("Service", "argocd-metrics"): ("Service", "argocd-application-controller-metrics")}
    wanted = {renamed.get(key, key) for key in upstream}
    assert set(objects) == wanted


def test_what_is_switched_off_is_not_there(render: Any, upstream: Objects) -> None:
    objects = render(OFF)
    wanted = {
        key
        for key, item in upstream.items()
        if item["metadata"]["labels"].get("app.kubernetes.io/component")
        not in ("dex-server", "notifications-controller")
        and key[0] != "NetworkPolicy"
        and "metrics" not in key[1]
    }
    assert set(objects) == wanted


@pytest.mark.parametrize("kind", ["ClusterRole", "Role", "CustomResourceDefinition", "Service"])
def test_contents_are_the_manifests(render: Any, upstream: Objects, kind: str) -> None:
    objects = render({})
    compared = 0
    for key, item in upstream.items():
        if key[0] != kind or key not in objects:
            continue
        compared += 1
        if kind == "Service":
            ours, theirs = objects[key]["spec"], item["spec"]
            assert ours["ports"] == theirs["ports"]
            assert theirs["selector"].items() <= ours["selector"].items()
        else:
            metadata = {"metadata": None}
            assert objects[key] | metadata == item | metadata
    assert compared >= 3


def test_pods_run_what_the_manifests_say(render: Any, upstream: Objects) -> None:
    objects = render({})
    for key, item in upstream.items():
        if key[0] not in ("Deployment", "StatefulSet"):
            continue
        ours, theirs = (x["spec"]["template"]["spec"] for x in (objects[key], item))
        for part in ("volumes", "affinity", "serviceAccountName", "securityContext"):
            assert ours.get(part) == theirs.get(part), (key, part)
        mine, his = ours["containers"][0], theirs["containers"][0]
        for part in ("image", "command", "volumeMounts", "securityContext", "ports", "env"):
            assert mine.get(part) == his.get(part), (key, part)
        assert mine["imagePullPolicy"] == "IfNotPresent"
        assert (mine["args"] or []) == his.get("args", [])
        selector = objects[key]["spec"]["selector"]["matchLabels"]
        labels = objects[key]["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()
        assert selector["app.kubernetes.io/instance"] == "argocd"


def test_values_are_put_in(render: Any) -> None:
    toleration = {"key": "role", "operator": "Exists"}
    objects = render(
        OFF
        | {
            "global": {
                "image": {"repository": "mirror/argocd", "tag": "v9", "imagePullPolicy": "Never"},
                "imagePullSecrets": [{"name": "pull"}],
                "nodeSelector": {"role": "control-plane"},
                "tolerations": [toleration],
                "additionalLabels": {"team": "platform"},
            },
            "redis": {"image": {"repository": "mirror/redis", "tag": "8"}},
            "controller": {
                "replicas": 2,
                "resources": {"requests": {"cpu": "10m"}},
                "env": [{"name": "EXTRA", "value": "1"}],
                "extraArgs": ["--one", "--two=2"],
                "nodeSelector": {"role": "worker"},
                "podLabels": {"pod": "label"},
                "podAnnotations": {"pod": "annotation"},
            },
            "server": {
                "replicas": 0,
                "service": {
                    "type": "NodePort",
                    "nodePortHttp": 31080,
                    "nodePortHttps": 31443,
                    "annotations": {"a": "b"},
                    "labels": {"c": "d"},
                },
            },
            "crds": {"keep": False, "annotations": {"a": "b"}},
        }
    )
    for key, item in objects.items():
        assert item["metadata"]["labels"]["team"] == "platform"
        if key[0] in ("Deployment", "StatefulSet"):
            pod = item["spec"]["template"]["spec"]
            assert pod["tolerations"] == [toleration]
            assert pod["imagePullSecrets"] == [{"name": "pull"}]
            for one in pod["containers"] + pod.get("initContainers", []):
                image = "mirror/redis:8" if one["name"] == "redis" else "mirror/argocd:v9"
                assert (one["image"], one["imagePullPolicy"]) == (image, "Never")
    controller = objects["StatefulSet", "argocd-application-controller"]["spec"]
    assert controller["replicas"] == 2
    pod = controller["template"]
    assert pod["spec"]["nodeSelector"] == {"role": "worker"}
    assert pod["metadata"]["labels"]["pod"] == "label"
    assert pod["metadata"]["annotations"]["pod"] == "annotation"
    main = container(objects, "StatefulSet", "argocd-application-controller")
    assert main["args"][1:] == ["--one", "--two=2"]
    assert main["env"][-1] == {"name": "EXTRA", "value": "1"}
    assert {"name": "ARGOCD_CONTROLLER_REPLICAS", "value": "2"} in main["env"]
    assert main["resources"] == {"requests": {"cpu": "10m"}}
    assert objects["Deployment", "argocd-server"]["spec"]["replicas"] == 0
    service = objects["Service", "argocd-server"]
    assert service["spec"]["type"] == "NodePort"
    assert [port["nodePort"] for port in service["spec"]["ports"]] == [31080, 31443]
    assert service["metadata"]["annotations"] == {"a": "b"}
    assert service["metadata"]["labels"]["c"] == "d"
    crd = objects["CustomResourceDefinition", "applications.argoproj.io"]
    assert crd["metadata"]["annotations"] == {"a": "b"}


def test_the_release_may_be_in_any_namespace(render: Any) -> None:
    objects = render({})
    for key, item in objects.items():
        cluster_wide = ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding")
        assert item["metadata"].get("namespace") == (None if key[0] in cluster_wide else "gitops")
        if key[0] == "ClusterRoleBinding":
            assert [subject["namespace"] for subject in item["subjects"]] == ["gitops"]


def test_configuration(render: Any, upstream: Objects) -> None:
    health = "hs = {}\nreturn hs -- {{ not a template }}\n"
    objects = render(
        {
            "global": {"domain": "cd.example.com", "logging": {"level": "debug"}},
            "configs": {
                "cm": {
                    "resource.customizations.health.argoproj.io_Application": health,
                    "timeout.reconciliation": "60s",
                    "admin.enabled": False,
                    "large": 1000000,
                    "exec.enabled": None,
                },
                "params": {
                    "server.insecure": True,
                    "applicationsetcontroller.enable.progressive.syncs": True,
                },
                "rbac": {"policy.default": "role:readonly"},
                "secret": {"githubSecret": "s3cret", "extra": {"oidc": "x"}},
                "repositories": {"tree": {"url": "http://git.rehearsal.test/groundwork.git"}},
            },
        }
    )
    cm = objects["ConfigMap", "argocd-cm"]["data"]
    assert cm["resource.customizations.health.argoproj.io_Application"] == health
    assert (cm["timeout.reconciliation"], cm["admin.enabled"]) == ("60s", "false")
    assert (cm["url"], cm["large"]) == ("https://cd.example.com", "1000000")
    assert "exec.enabled" not in cm
    assert upstream["ConfigMap", "argocd-cm"]["data"].items() <= cm.items()
    params = objects["ConfigMap", "argocd-cmd-params-cm"]["data"]
    assert params["server.insecure"] == "true"
    assert params["applicationsetcontroller.enable.progressive.syncs"] == "true"
    assert (params["controller.log.level"], params["server.log.format"]) == ("debug", "text")
    assert objects["ConfigMap", "argocd-rbac-cm"]["data"]["policy.default"] == "role:readonly"
    secret = objects["Secret", "argocd-secret"]["data"]
    assert secret == {"webhook.github.secret": "czNjcmV0", "oidc": "eA=="}
    repository = objects["Secret", "argocd-repo-tree"]
    assert repository["stringData"] == {"url": "http://git.rehearsal.test/groundwork.git"}
    label = repository["metadata"]["labels"]["argocd.argoproj.io/secret-type"]
    assert label == "repository"


def test_pods_follow_the_configuration_they_read_at_their_start(render: Any) -> None:
    def annotations(values: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        return {
            key[1]: item["spec"]["template"]["metadata"]["annotations"]
            for key, item in render(values).items()
            if key[0] in ("Deployment", "StatefulSet")
        }

    before = annotations({})
    after = annotations({"configs": {"params": {"server.insecure": True}}})
    changed = {name for name, value in before.items() if value != after[name]}
    assert changed == set(before) - {"argocd-redis"}


def test_an_admin_password_has_a_time(render: Any) -> None:
    given = {"argocdServerAdminPassword": "$2a$10$x"}
    for mtime in ("", "2026-01-02T03:04:05Z"):
        secret = {"secret": given | {"argocdServerAdminPasswordMtime": mtime}}
        data = render({"configs": secret})["Secret", "argocd-secret"]["data"]
        assert set(data) == {"admin.password", "admin.passwordMtime"}
        assert (data["admin.passwordMtime"] == "MjAyNi0wMS0wMlQwMzowNDowNVo=") == bool(mtime)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"applicationSet": {"enabled": True}}, "enabled"),  # argo-helm has it no more
        ({"server": {"ingress": {"enabled": True}}}, "ingress"),
        ({"server": {"service": {"nodePort": 30080}}}, "nodePort"),
        ({"redis-ha": {"enabled": True}}, "redis-ha"),
        ({"redis": {"enabled": False}}, "enabled"),
        ({"configs": {"cm": {"annotations": {"a": "b"}}}}, "annotations"),
        ({"configs": {"cm": {"dex.config": {"not": "text"}}}}, "dex.config"),
        ({"global": {"image": {"pullPolicy": "Never"}}}, "pullPolicy"),
        ({"controller": {"replicas": "2"}}, "replicas"),
        ({"fullnameOverride": "other"}, "fullnameOverride"),
    ],
)
def test_what_the_chart_does_not_do_is_refused(
    render: Any, values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(AssertionError, match=f"(?s)schema.*{reason}"):
        render(values)


def test_another_release_name_is_refused_unless_overridden(render: Any) -> None:
    with pytest.raises(AssertionError, match="name it argocd"):
        render({}, release="argocd-1a2b")
    assert ("Deployment", "argocd-server") in render(
        {"fullnameOverride": "argocd"}, release="argocd-1a2b"
    )


def test_helm_finds_the_chart_in_the_repository(
    helm: Path, charts: Path, mirrors: Mirrors, tmp_path: Path
) -> None:
    for name in ("index.yaml", CHART):
        shutil.copy(charts / name, mirrors.sites.charts)
    # helm has no way to be told an address for a name, so the charts' site is reached by proxy.
    environment = {f"HELM_{kind}_HOME": str(tmp_path / kind) for kind in ("CACHE", "CONFIG")}
    environment["HTTP_PROXY"] = f"http://127.0.0.1:{mirrors.port}"
    repository = ["--repo", "http://charts.rehearsal.test", "--version", "9.1.8"]
    done = subprocess.run(
        [str(helm), "pull", "argo-cd", *repository, "--destination", str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / CHART).read_bytes() == (charts / CHART).read_bytes()


def test_lint(helm: Path, charts: Path) -> None:
    done = subprocess.run(
        [str(helm), "lint", "--strict", str(charts / CHART)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_a_chart_is_built_once_and_others_stay(helm: Path, module: Path, tmp_path: Path) -> None:
    paths = Paths(run=tmp_path / "run", cache=tmp_path)
    reports: list[str] = []
    build_charts(paths, module, reports.append, helm=helm)
    first = (paths.charts / CHART).stat().st_mtime_ns
    build_charts(paths, module, reports.append, helm=helm)
    assert reports == [f"building chart {CHART}"]
    assert (paths.charts / CHART).stat().st_mtime_ns == first
    # As after a kill between the archive and its stamp; beside another Argo CD's chart.
    (paths.charts / CHART).rename(paths.charts / "other-1.0.0.tgz")
    build_charts(paths, module, reports.append, helm=helm)
    assert len(reports) == 2
    index = yaml.safe_load((paths.charts / "index.yaml").read_text())
    urls = [url for entry in index["entries"]["argo-cd"] for url in entry["urls"]]
    assert sorted(urls) == [CHART, "other-1.0.0.tgz"]
    left = {path.name for path in paths.charts.iterdir()}
    assert left == {CHART, "other-1.0.0.tgz", "index.yaml", ".inputs", ".lock"}


def test_an_argo_cd_without_a_known_chart_is_refused(tmp_path: Path) -> None:
    paths = Paths(run=tmp_path / "run", cache=tmp_path)
    with pytest.raises(RehearsalError, match="VERSION"):
        build_charts(paths, tmp_path, print)
    (tmp_path / "VERSION").write_text("9.9.9\n")
    with pytest.raises(RehearsalError, match=r"9\.9\.9"):
        build_charts(paths, tmp_path, print)


@pytest.mark.parametrize(
    "item",
    [
        {"kind": "CronJob", "metadata": {"name": "x"}},
        {"kind": "Service", "metadata": {
            "name": "x", "labels": {"app.kubernetes.io/component": "commit-server"}}},
    ],
)  # fmt: skip
def test_an_unknown_object_is_an_error(item: dict[str, Any]) -> None:
    with pytest.raises(RehearsalError, match="does not know"):
        argocd_templates.templates([item])
