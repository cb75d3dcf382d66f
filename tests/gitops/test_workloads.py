"""What runs: pinned, on nodes that are there, with Secrets that are made, within its quota."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest

from cluster.render import labels
from settings import Node
from tests.gitops.evaluator import selects
from tests.gitops.rendering import HOOK, Object, Part, Tree, containers, of_kind, pods

PINNED = re.compile(r"^[\w./:-]+?(:v?\d[\w.-]*|@sha256:[0-9a-f]{64})$")
MEMORY_GIB = {"t3.small": 2, "t3.medium": 4, "t3.large": 8}
SYSTEM_GIB = Fraction(1, 2)  # what the kubelet, the pod network and add-ons need of a node


def test_images_are_pinned(tree: Tree) -> None:
    images = {each["image"] for pod in pods(tree.objects) for each in containers(pod)}
    assert len(images) >= len(tree.domains)
    for image in images:
        assert PINNED.match(image) and "placeholder" not in image, image


@pytest.mark.parametrize("image", ["a/b", "a/b:latest", "a/b:main", "host:5000/a/b"])
def test_what_counts_as_not_pinned(image: str) -> None:
    assert not PINNED.match(image)


def test_each_api_runs_its_own_image_in_its_hooks_too(tree: Tree) -> None:
    for domain in tree.domains:
        found = list(pods(tree.api(domain).objects))
        images = {each["image"] for pod in found for each in containers(pod)}
        (image,) = images
        assert image.startswith(f"ghcr.io/sesacthon/{domain}:")
        assert len(found) == 3


def taints(node: Node) -> set[str]:
    own = {"node-role.kubernetes.io/control-plane:NoSchedule"}
    return set(node.taints) | (own if node.role == "control-plane" else set())


def tolerations(pod: Object) -> set[str]:
    return {
        f"{t['key']}{'=' + t['value'] if 'value' in t else ''}:{t['effect']}"
        for t in pod["spec"].get("tolerations", [])
    }


def takers(tree: Tree, pod: Object) -> list[Node]:
    """The nodes that have what the pod selects, and no taint that it does not tolerate."""
    selected = pod["spec"].get("nodeSelector", {}).items()
    return [
        node
        for node in tree.settings.nodes
        if selected <= labels(node).items() and taints(node) <= tolerations(pod)
    ]


def test_every_pod_has_a_node_to_run_on_and_tolerates_no_taint_that_is_none(tree: Tree) -> None:
    for pod in pods(tree.objects):
        nodes = takers(tree, pod)
        assert nodes, pod["name"]
        assert tolerations(pod) <= set().union(*map(taints, nodes)), pod["name"]


def test_apis_and_workers_run_on_their_own_nodes(tree: Tree) -> None:
    for domain in tree.domains:
        for pod in pods(tree.api(domain).objects):
            assert {node.name for node in takers(tree, pod)} == {f"k8s-api-{domain}"}
    for pod in pods(tree.parts["workers"].objects):
        (node,) = takers(tree, pod)
        assert node.name == f"k8s-worker-{pod['name'].removesuffix('-worker')}"
    workers = {pod["name"] for pod in pods(tree.parts["workers"].objects)}
    assert workers == {"ai-worker", "storage-worker"}


def test_pods_pass_the_standard_of_their_namespace(tree: Tree) -> None:
    standard = {
        each["metadata"]["name"]: each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for each in of_kind(tree.objects, "Namespace")
    }
    assert {standard[domain] for domain in tree.domains} == {"restricted"}
    assert {n for n, s in standard.items() if s != "restricted"} == {"monitoring"}
    for pod in pods(tree.objects):
        if standard[pod["namespace"]] != "restricted":
            continue
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, pod["name"]
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume]
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True


def test_what_serves_is_probed_and_what_reaches_no_api_server_has_no_token(tree: Tree) -> None:
    for domain in tree.domains:
        for pod in pods(tree.api(domain).objects):
            assert pod["spec"]["automountServiceAccountToken"] is False
    serving = [p for p in pods(tree.objects) if p["kind"] in ("Deployment", "StatefulSet")]
    assert len(serving) == len(tree.domains) + 2 + 3
    for pod in serving:
        for container in pod["spec"]["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()


def referred(spec: Object, kind: str) -> set[str]:
    """Names of the Secrets or ConfigMaps that a pod needs. kind: secret or configMap."""
    found = set()
    name = "secretName" if kind == "secret" else "name"
    for volume in spec.get("volumes", []):
        if kind in volume:
            found.add(volume[kind][name])
        for source in volume.get("projected", {}).get("sources", []):
            if kind in source:
                found.add(source[kind]["name"])
    for container in containers({"spec": spec}):
        found |= {
            e[f"{kind}Ref"]["name"] for e in container.get("envFrom", []) if f"{kind}Ref" in e
        }
        values = [each.get("valueFrom", {}) for each in container.get("env", [])]
        found |= {v[f"{kind}KeyRef"]["name"] for v in values if f"{kind}KeyRef" in v}
    return found | {each["name"] for each in spec.get("imagePullSecrets", []) if kind == "secret"}


def secrets(tree: Tree, part: Part) -> set[tuple[str, str]]:
    """(namespace, name) of the Secrets that are there once the part is synced."""
    made = set()
    namespaces = of_kind(tree.objects, "Namespace")
    for other in tree.parts.values():
        if other.wave > part.wave:
            continue
        for each in other.objects:
            spec, metadata = each.get("spec", {}), each["metadata"]
            if each["kind"] == "ExternalSecret":
                made.add((metadata["namespace"], spec["target"]["name"]))
            if each["kind"] == "ClusterExternalSecret":
                made |= {
                    (namespace["metadata"]["name"], spec["externalSecretName"])
                    for namespace in namespaces
                    for selector in spec["namespaceSelectors"]
                    if selects(selector, namespace["metadata"]["labels"])
                }
            if each["kind"] == "ConfigMap" and metadata["name"] == "generate-credentials":
                script = each["data"]["generate-credentials.sh"]
                names = re.findall(r"^create (\w+) ", script, re.M)
                made |= {(metadata["namespace"], f"{name}-credentials") for name in names}
    return made


def test_every_secret_that_a_pod_needs_is_made_in_its_namespace(tree: Tree) -> None:
    needed = 0
    for part in tree.parts.values():
        made = secrets(tree, part)
        for pod in pods(part.objects):
            for name in referred(pod["spec"], "secret"):
                assert (pod["namespace"], name) in made, (pod["name"], name)
                needed += 1
    assert needed


def test_credentials_reach_what_uses_databases_where_a_store_has_them(tree: Tree) -> None:
    stored = bool(of_kind(tree.objects, "ClusterExternalSecret"))
    for pod in pods(tree.objects):
        if pod["labels"].get("app.kubernetes.io/component") in ("api", "migration", "worker"):
            found = {"database-credentials"} if stored else set()
            assert referred(pod["spec"], "secret") == found, pod["name"]


def test_every_configmap_is_there_before_the_pod_even_before_a_presync_hook(tree: Tree) -> None:
    def there(part: Part, pod: Object) -> Iterator[tuple[str, str]]:
        hooks = {HOOK, "helm.sh/hook"}
        for other in tree.parts.values():
            for each in of_kind(other.objects, "ConfigMap"):
                own = each["metadata"]
                early = other.wave < part.wave or hooks & own.get("annotations", {}).keys()
                if early or (other is part and pod["kind"] != "Job"):
                    yield own["namespace"], own["name"]

    for part in tree.parts.values():
        for pod in pods(part.objects):
            for name in referred(pod["spec"], "configMap"):
                assert (pod["namespace"], name) in set(there(part, pod)), (pod["name"], name)


def test_hooks_come_before_and_after_each_release_and_take_no_requests(tree: Tree) -> None:
    for domain in tree.domains:
        objects = tree.api(domain).objects
        (service,) = of_kind(objects, "Service")
        found = {}
        for job in of_kind(objects, "Job"):
            annotations = job["metadata"]["annotations"]
            assert annotations["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"
            found[annotations[HOOK]] = job["spec"]["template"]["spec"]["containers"][0]["args"]
            labels_ = job["spec"]["template"]["metadata"]["labels"]
            assert not selects({"matchLabels": service["spec"]["selector"]}, labels_)
            assert labels_["domain"] == domain  # which $(DOMAIN) is
            assert job["spec"]["activeDeadlineSeconds"] <= 300
        assert found == {
            "PreSync": ["migrate"],
            "PostSync": ["check", "$(DOMAIN)", "http://$(DOMAIN)-api"],
        }
        assert service["metadata"]["name"] == f"{domain}-api"
        assert [port["port"] for port in service["spec"]["ports"]] == [80]


def test_services_budgets_and_monitors_select_what_is_there(tree: Tree) -> None:
    for part in tree.ours.values():
        running = [p for p in pods(part.objects) if p["kind"] in ("Deployment", "StatefulSet")]
        for each in of_kind(part.objects, "Service", "PodDisruptionBudget"):
            selector = each["spec"]["selector"]
            selector = selector if "matchLabels" in selector else {"matchLabels": selector}
            chosen = [pod for pod in running if selects(selector, pod["labels"])]
            assert len(chosen) == 1 or each["kind"] != "Service", each["metadata"]
            assert chosen, each["metadata"]
            names = {p["name"] for c in containers(chosen[0]) for p in c.get("ports", [])}
            assert {p["targetPort"] for p in each["spec"].get("ports", [])} <= names
        for monitor in of_kind(part.objects, "ServiceMonitor"):
            services = [
                service
                for service in of_kind(part.objects, "Service")
                if selects(monitor["spec"]["selector"], service["metadata"]["labels"])
            ]
            (service,) = services
            (endpoint,) = monitor["spec"]["endpoints"]
            assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_autoscaler_alone_says_how_many(tree: Tree) -> None:
    for domain in tree.domains:
        (deployment,) = of_kind(tree.api(domain).objects, "Deployment")
        (scaler,) = of_kind(tree.api(domain).objects, "HorizontalPodAutoscaler")
        assert "replicas" not in deployment["spec"]
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert scaler["spec"]["minReplicas"] <= scaler["spec"]["maxReplicas"]
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            assert "cpu" in container["resources"]["requests"]


UNITS = {
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
}


def quantity(text: object) -> Fraction:
    """Kubernetes' quantities, as far as the tree uses them."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m|Ki|Mi|Gi|)", str(text))
    assert match, text
    return Fraction(match[1]) * UNITS[match[2]]


def asks(pod: Object, limit: Object) -> dict[str, Fraction]:
    """What one pod counts for in a quota. limit: of the LimitRange, for what is not said."""

    def of(side: str, name: str, default: str) -> Fraction:
        said = [each["resources"].get(side, {}) for each in pod["spec"]["containers"]]
        return sum((quantity({**limit[default], **each}[name]) for each in said), Fraction())

    return {
        "pods": Fraction(1),
        "requests.cpu": of("requests", "cpu", "defaultRequest"),
        "requests.memory": of("requests", "memory", "defaultRequest"),
        "limits.memory": of("limits", "memory", "default"),
    }


def demand(objects: list[Object], limit: Object) -> dict[str, Fraction]:
    """The most that a part's pods ask for at once: every replica, one more of each while a release
    goes out, and the largest job."""
    replicas = {
        each["metadata"]["name"]: each["spec"].get("replicas", 0)
        for each in of_kind(objects, "Deployment", "StatefulSet")
    }
    for each in of_kind(objects, "HorizontalPodAutoscaler"):
        replicas[each["spec"]["scaleTargetRef"]["name"]] = each["spec"]["maxReplicas"]
    total: dict[str, Fraction] = {}
    jobs: list[dict[str, Fraction]] = []
    for pod in pods(objects):
        asked = asks(pod, limit)
        if pod["kind"] in ("Deployment", "StatefulSet"):
            count = replicas[pod["name"]] + (1 if pod["kind"] == "Deployment" else 0)
            total = {key: total.get(key, Fraction()) + count * asked[key] for key in asked}
        else:
            jobs.append(asked)
    return {key: total[key] + max((job[key] for job in jobs), default=0) for key in total}


def test_quotas_have_room_for_all_and_nodes_for_the_quotas_use(tree: Tree) -> None:
    infrastructure = tree.parts["infrastructure"].objects
    by_namespace: dict[str, dict[str, Any]] = {}
    for each in of_kind(infrastructure, "ResourceQuota", "LimitRange"):
        by_namespace.setdefault(each["metadata"]["namespace"], {})[each["kind"]] = each
    assert by_namespace.keys() == {*tree.domains, "databases", "workers"}
    for part in tree.parts.values():
        if not list(pods(part.objects)):
            continue
        (limit,) = by_namespace[part.namespace]["LimitRange"]["spec"]["limits"]
        hard = by_namespace[part.namespace]["ResourceQuota"]["spec"]["hard"]
        asked = demand(part.objects, limit)
        for key, value in asked.items():
            assert value <= quantity(hard[key]), (part.name, key)
        largest = quantity(limit["max"]["memory"])
        for pod in pods(part.objects):
            for container in containers(pod):
                assert quantity(container["resources"]["limits"]["memory"]) <= largest
        if part.namespace in tree.domains:
            (node,) = takers(tree, next(pods(part.objects)))
            room = (MEMORY_GIB[node.instance_type] - SYSTEM_GIB) * 2**30
            assert asked["requests.memory"] <= room, part.name
