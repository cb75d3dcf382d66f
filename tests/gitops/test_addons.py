"""The add-ons' table, what their Applications tell the charts, and what environments leave out."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from infra.pod_identity import CONTROLLERS
from infra.policies import Place, cluster_tag, secrets_of
from rehearsal.addons import not_rehearsed
from rehearsal.images import addons as images
from tests.conftest import CHECKOUT, ToolFinder
from tests.gitops.rendering import TREE, Object, output

APPS = TREE / "addons" / "apps"
TABLE: list[Object] = yaml.safe_load((APPS / "addons.yaml").read_text())["addons"]
ENVIRONMENTS: dict[str, Object] = {
    file.stem: yaml.safe_load(file.read_text())
    for file in sorted((APPS / "environments").glob("*.yaml"))
}
NAMES = {addon["name"] for addon in TABLE}
ACCOUNTS = {each.account for each in CONTROLLERS}
ARNS = {
    account: f"arn:aws:iam::123456789012:role/{account.split('/')[1]}"
    for account in ACCOUNTS
    if account.split("/")[0] in {addon["namespace"] for addon in TABLE}
}
GIVEN = {
    "repoURL": "https://git.example/groundwork.git",
    "environment": "prod",
    "apis": [{"domain": "auth", "phase": "1"}, {"domain": "my", "phase": "1"}],
    "cluster": {"name": "ours", "region": "ap-northeast-2", "vpcId": "vpc-1"},
    "roleArns": ARNS,
    "ingress": {"nodePort": 30080, "host": "api.example.com"},
}


def applications(tool: ToolFinder, **given: Any) -> dict[str, Object]:
    """The add-ons' Applications by name."""
    text = yaml.safe_dump(GIVEN | given)
    made = output(tool("helm"), "template", "addons", APPS, "--values", "-", stdin=text)
    return {each["metadata"]["name"]: each for each in yaml.safe_load_all(made) if each}


def values(application: Object) -> Object:
    found: Object = application["spec"]["source"]["helm"]["valuesObject"]
    return found


def at(tree: Object, path: str) -> Any:
    found: Any = tree
    for key in path.split("."):
        found = found[key]
    return found


@pytest.fixture(scope="module")
def prod(tool: ToolFinder) -> dict[str, Object]:
    return applications(tool)


def test_every_addon_is_a_pinned_chart_or_a_folder_of_the_tree() -> None:
    assert len(NAMES) == len(TABLE)
    for addon in TABLE:
        if "path" in addon:
            assert (TREE / addon["path"]).is_dir(), addon
            assert not {"chart", "repository", "version"} & set(addon)
        else:
            assert re.fullmatch(r"v?\d+\.\d+\.\d+", str(addon["version"])), addon
            assert addon["repository"].startswith("https://") and addon["chart"]


def test_environments_leave_out_what_is_in_the_table_with_a_reason() -> None:
    assert "rehearsal" in ENVIRONMENTS and "prod" not in ENVIRONMENTS
    for name, environment in ENVIRONMENTS.items():
        assert set(environment) <= {"disabled", "parts", "values"}, name
        disabled, parts = environment.get("disabled", {}), environment.get("parts", {})
        for known in (disabled, parts, environment.get("values", {})):
            assert set(known) <= NAMES, name
        assert not set(disabled) & set(parts), name
        for part in (each for of in parts.values() for each in of):
            assert set(part) == {"name", "reason", "values"} and part["values"], name
        reasons = [*disabled.values(), *(each["reason"] for of in parts.values() for each in of)]
        assert all(isinstance(reason, str) and len(reason) > 10 for reason in reasons), name


def test_what_is_not_rehearsed_is_told_by_name_and_reason() -> None:
    told = not_rehearsed(CHECKOUT, "rehearsal", installed=True)
    environment = ENVIRONMENTS["rehearsal"]
    for name, reason in environment["disabled"].items():
        assert f"{name}: {reason}" in told
    assert "Grafana of kube-prometheus-stack: " in "\n".join(told)
    parts = sum(len(of) for of in environment["parts"].values())
    assert len(told) == len(environment["disabled"]) + parts
    assert not_rehearsed(CHECKOUT, "prod", installed=True) == ()


def test_where_none_is_installed_all_are_told() -> None:
    (line,) = not_rehearsed(CHECKOUT, "rehearsal", installed=False)
    assert all(name in line for name in NAMES)


def test_an_environment_has_all_but_what_it_leaves_out(tool: ToolFinder) -> None:
    assert set(applications(tool)) == NAMES
    for name, environment in ENVIRONMENTS.items():
        found = set(applications(tool, environment=name))
        assert found == NAMES - set(environment.get("disabled", {}))


def test_parts_that_are_left_out_are_switched_off(tool: ToolFinder) -> None:
    found = applications(tool, environment="rehearsal")
    for name, parts in ENVIRONMENTS["rehearsal"]["parts"].items():
        for part in parts:
            ((key, value),) = part["values"].items()
            assert at(values(found[name]), f"{key}.enabled") == value["enabled"] is False


def test_applications_are_in_the_tables_order_and_versions(prod: dict[str, Object]) -> None:
    for addon in TABLE:
        spec, metadata = prod[addon["name"]]["spec"], prod[addon["name"]]["metadata"]
        assert metadata["annotations"]["argocd.argoproj.io/sync-wave"] == str(addon["wave"])
        assert metadata["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]
        assert spec["project"] == addon.get("project", "addons")
        assert spec["destination"]["namespace"] == addon["namespace"]
        source = spec["source"]
        if "chart" in addon:
            assert (source["repoURL"], source["chart"]) == (addon["repository"], addon["chart"])
            assert source["targetRevision"] == addon["version"]
        else:
            assert source["path"] == f"gitops/tree/{addon['path']}"
            assert source["repoURL"] == GIVEN["repoURL"]


def test_a_mirror_stands_for_all_chart_repositories(tool: ToolFinder) -> None:
    found = applications(tool, chartMirror="https://mirror.example")
    for addon in TABLE:
        wanted = "https://mirror.example" if "chart" in addon else GIVEN["repoURL"]
        assert found[addon["name"]]["spec"]["source"]["repoURL"] == wanted


@pytest.mark.parametrize(
    ("addon", "path", "value"),
    [
        # the roles that infra/policies.py makes hold for what has the cluster's tag, and without
        # WAF and Shield
        ("aws-ebs-csi-driver", "controller.k8sTagClusterId", "ours"),
        ("aws-ebs-csi-driver", "controller.region", "ap-northeast-2"),
        ("aws-ebs-csi-driver", "node.hostNetwork", True),
        ("aws-load-balancer-controller", "clusterName", "ours"),
        ("aws-load-balancer-controller", "region", "ap-northeast-2"),
        ("aws-load-balancer-controller", "vpcId", "vpc-1"),
        ("aws-load-balancer-controller", "defaultTargetType", "instance"),
        ("aws-load-balancer-controller", "enableShield", False),
        ("aws-load-balancer-controller", "enableWaf", False),
        ("aws-load-balancer-controller", "enableWafv2", False),
        ("aws-load-balancer-controller", "enableServiceMutatorWebhook", False),
        ("aws-cloud-controller-manager", "hostNetworking", True),
        ("metrics-server", "apiService.insecureSkipTLSVerify", False),
        ("metrics-server", "tls.type", "cert-manager"),
        ("traefik", "ports.web.nodePort", 30080),
        ("traefik", "ports.websecure.expose.default", False),
        ("kube-prometheus-stack", "prometheus.prometheusSpec.externalLabels.cluster", "ours"),
    ],
)
def test_charts_are_told_what_aws_and_the_program_need(
    prod: dict[str, Object], addon: str, path: str, value: object
) -> None:
    assert at(values(prod[addon]), path) == value


def test_the_driver_tags_what_its_role_is_for() -> None:
    """`k8sTagClusterId` makes the tag of this name (docs/tagging.md of the driver)."""
    assert cluster_tag("ours") == "kubernetes.io/cluster/ours"


def test_metrics_server_trusts_only_who_proves_to_be_a_kubelet(prod: dict[str, Object]) -> None:
    arguments = values(prod["metrics-server"])["defaultArgs"]
    assert not [each for each in arguments if "insecure" in each]


@pytest.mark.parametrize("account", sorted(ARNS))
def test_a_pod_with_a_role_gets_it_by_a_token_for_aws(
    prod: dict[str, Object], account: str
) -> None:
    (application,) = (
        each
        for each in prod.values()
        if "helm" in each["spec"]["source"] and ARNS[account] in str(values(each))
    )
    assert application["spec"]["destination"]["namespace"] == account.split("/")[0]
    given = values(application)
    text = yaml.safe_dump(given)
    assert f"name: {account.split('/')[1]}\n" in text  # its service account
    assert "AWS_ROLE_ARN" in text and "AWS_WEB_IDENTITY_TOKEN_FILE" in text
    place = given.get("controller", given)
    volumes = place.get("volumes") or place["extraVolumes"]
    (token,) = volumes[0]["projected"]["sources"]
    assert token["serviceAccountToken"]["audience"] == "sts.amazonaws.com"
    (mount,) = place.get("volumeMounts") or place["extraVolumeMounts"]
    file = f"{mount['mountPath']}/{token['serviceAccountToken']['path']}"
    assert mount["name"] == volumes[0]["name"] and file in text


def test_without_roles_no_pod_has_a_token_for_aws(tool: ToolFinder) -> None:
    assert "aws-token" not in str(applications(tool, roleArns={}))


def test_the_store_begins_names_as_the_role_that_reads_it(
    tool: ToolFinder, prod: dict[str, Object]
) -> None:
    given = yaml.safe_dump(values(prod["secret-stores"]))
    made = output(
        *(tool("helm"), "template", "stores", TREE / "addons/secret-stores", "--values", "-"),
        stdin=given,
    )
    (store,) = (each for each in yaml.safe_load_all(made) if each["kind"] == "ClusterSecretStore")
    aws = store["spec"]["provider"]["aws"]
    arn = secrets_of(Place("ap-northeast-2", "123456789012"), "ours")
    assert aws["service"] == "SecretsManager" and aws["region"] in arn
    assert arn.split(":secret:")[1] == f"{aws['prefix']}*" == "ours/*"


@pytest.mark.parametrize("missing", ["cluster", "ingress", "environment", "repoURL"])
def test_what_is_not_given_is_refused(tool: ToolFinder, missing: str) -> None:
    with pytest.raises(AssertionError, match=missing):
        applications(tool, **{missing: None})


def test_versions_are_those_that_images_are_made_of(prod: dict[str, Object]) -> None:
    by_name = {addon["name"]: addon for addon in TABLE}
    assert by_name["cert-manager"]["version"] == f"v{images.CERT_MANAGER_VERSION}"
    pins = {
        ("metrics-server", "image.tag"): images.METRICS_SERVER_VERSION,
        ("kube-prometheus-stack", "prometheus.prometheusSpec.image.tag"): images.PROMETHEUS_VERSION,
        (
            "kube-prometheus-stack",
            "alertmanager.alertmanagerSpec.image.tag",
        ): images.ALERTMANAGER_VERSION,
        (
            "kube-prometheus-stack",
            "prometheus-node-exporter.image.tag",
        ): images.NODE_EXPORTER_VERSION,
    }
    for (addon, path), version in pins.items():
        assert at(values(prod[addon]), path) == f"v{version}"


def test_pods_of_addons_ask_for_little_memory(tool: ToolFinder) -> None:
    """Nodes of the smallest kind have 2 GiB, the monitoring node of production 8."""
    for environment, most in (("prod", 3000), ("dev", 2000)):
        found = applications(tool, environment=environment)
        asked = [
            _mebibytes(each["requests"]["memory"])
            for each in _find(found, "resources")
            if "memory" in each.get("requests", {})
        ]
        assert asked and sum(asked) < most


def _find(node: Any, key: str) -> list[Object]:
    if isinstance(node, list):
        return [found for each in node for found in _find(each, key)]
    if not isinstance(node, dict):
        return []
    own = [node[key]] if isinstance(node.get(key), dict) else []
    return own + [found for each in node.values() for found in _find(each, key)]


def _mebibytes(text: str) -> int:
    number, unit = int(text[:-2]), text[-2:]
    return number * {"Mi": 1, "Gi": 1024}[unit]
