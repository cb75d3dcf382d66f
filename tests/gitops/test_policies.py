"""Who may connect to whom, judged over the rendered manifests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gitops.evaluator import Endpoint, Evaluator, Object, Outside, Pod, Port
from tests.gitops.rendering import Tree, containers, pods

DNS, TCP_DNS = Port(53, "UDP"), Port(53)
HTTP, WEB, HTTPS, API_SERVER = Port(8000), Port(80), Port(443), Port(6443)
POSTGRESQL, REDIS, RABBITMQ = Port(5432), Port(6379), Port(5672)
MANAGEMENT, METRICS = Port(15672), Port(15692)

# What add-ons and Kubernetes itself bring.
OTHERS: dict[str, Pod] = {
    "coredns": Pod("kube-system", {"k8s-app": "kube-dns"}),
    "metrics-server": Pod("kube-system", {"k8s-app": "metrics-server"}),
    "ingress": Pod("ingress", {"app.kubernetes.io/name": "traefik"}),
    "prometheus": Pod("monitoring", {"app.kubernetes.io/name": "prometheus"}),
    "grafana": Pod("monitoring", {"app.kubernetes.io/name": "grafana"}),
    "argocd": Pod("argocd", {"app.kubernetes.io/name": "argocd-server"}),
    "stranger": Pod("stranger", {"app.kubernetes.io/component": "api"}),
}
PLACES: dict[str, Outside] = {
    "internet": Outside("198.18.0.1"),
    "instance metadata": Outside("169.254.169.254"),
    "a node": Outside("10.0.128.10"),
    "a service address": Outside("10.96.0.1"),
}
NAMESPACES: list[Object] = [
    {"kind": "Namespace", "metadata": {"name": name}}
    for name in ("kube-system", "ingress", "argocd", "stranger")
]


class World:
    """An environment's pods by short names: auth (the API), auth-migration, ai-worker, redis, …"""

    def __init__(self, tree: Tree) -> None:
        self.evaluator = Evaluator(tree.objects, NAMESPACES)
        self.ends: dict[str, Endpoint] = {**OTHERS, **PLACES}
        for pod in pods(tree.objects):
            ports = {
                port["name"]: port["containerPort"]
                for container in containers(pod)
                for port in container.get("ports", [])
            }
            job = {f"{each}job-name": pod["name"] for each in ("", "batch.kubernetes.io/")}
            labels = {**(job if pod["kind"] == "Job" else {}), **pod["labels"]}
            name = pod["name"].removesuffix("-api")
            self.ends[name] = Pod(pod["namespace"], labels, ports=ports)

    def allows(self, source: str, target: str, port: Port) -> bool:
        return self.evaluator.allows(self.ends[source], self.ends[target], port)


def allowed(domains: list[str]) -> Iterator[tuple[str, str, Port]]:
    for name in (*domains, "ai-worker", "storage-worker", *(f"{d}-migration" for d in domains)):
        yield name, "postgresql", POSTGRESQL
        yield name, "redis", REDIS
        yield name, "rabbitmq", RABBITMQ
    for domain in domains:
        yield "ingress", domain, HTTP
        yield "prometheus", domain, HTTP
        yield f"{domain}-smoke-test", domain, HTTP
    for worker in ("ai-worker", "storage-worker"):
        yield "prometheus", worker, HTTP
        yield worker, "internet", HTTPS
    yield "prometheus", "rabbitmq", METRICS
    for name in ("auth", "auth-smoke-test", "auth-migration", "ai-worker", "postgresql"):
        yield name, "coredns", DNS
        yield name, "coredns", TCP_DNS
    for name in ("postgresql", "redis", "rabbitmq"):
        yield f"{name}-backup", "internet", HTTPS
        yield f"{name}-backup", "instance metadata", WEB
        yield (
            f"{name}-backup",
            name,
            {"postgresql": POSTGRESQL, "redis": REDIS}.get(name, MANAGEMENT),
        )


def denied(domains: list[str]) -> Iterator[tuple[str, str, Port]]:
    for one in domains:
        for other in domains:
            if one != other:
                yield one, other, HTTP
                yield f"{one}-smoke-test", other, HTTP
        yield one, "internet", HTTPS
        yield one, "instance metadata", WEB
        yield one, "a node", Port(10250)
        yield one, "a service address", HTTPS
        yield one, "a node", API_SERVER
        yield one, "argocd", Port(8080)
        yield one, "ai-worker", HTTP
        yield one, "postgresql", Port(22)
        yield one, "rabbitmq", MANAGEMENT
        yield one, "metrics-server", DNS
        yield f"{one}-smoke-test", "postgresql", POSTGRESQL
        yield f"{one}-smoke-test", "internet", HTTPS
        yield f"{one}-migration", one, HTTP
        yield "ingress", f"{one}-migration", HTTP
        yield one, f"{one}-smoke-test", HTTP
        yield "ingress", one, Port(9000)
        yield "grafana", one, HTTP
        yield "stranger", one, HTTP
        yield "a node", one, HTTP
        yield "internet", one, HTTP
    for worker in ("ai-worker", "storage-worker"):
        yield "ingress", worker, HTTP
        yield "auth", worker, HTTP
        yield worker, "auth", HTTP
        yield worker, "internet", WEB
        yield worker, "instance metadata", HTTPS
        yield worker, "a service address", HTTPS
        yield worker, "a node", HTTPS
    yield "ai-worker", "storage-worker", HTTP
    for name, port in (("postgresql", POSTGRESQL), ("redis", REDIS), ("rabbitmq", RABBITMQ)):
        yield "ingress", name, port
        yield "stranger", name, port
        yield "internet", name, port
        yield "grafana", name, port
        yield name, "auth", HTTP
        yield name, "instance metadata", HTTPS
        yield name, "instance metadata", WEB
        yield name, "a node", API_SERVER
        yield f"{name}-backup", "a node", WEB


def test_what_is_needed_is_allowed(tree: Tree) -> None:
    world = World(tree)
    wrong = [each for each in allowed(tree.domains) if not world.allows(*each)]
    assert not wrong


def test_nothing_else_is(tree: Tree) -> None:
    world = World(tree)
    wrong = [each for each in denied(tree.domains) if world.allows(*each)]
    assert not wrong


def test_credentials_are_generated_by_the_api_server(tree: Tree) -> None:
    world = World(tree)
    if "generate-credentials" in world.ends:
        assert world.allows("generate-credentials", "a node", API_SERVER)
        assert not world.allows("generate-credentials", "a node", Port(10250))


@pytest.mark.parametrize(
    "policy", ["default-deny", "domain-isolation", "databases", "backups", "dns"]
)
def test_each_policy_is_needed(prod_tree: Tree, policy: str) -> None:
    """Without it, the table above does not hold: no row is true by accident."""
    world = World(prod_tree)
    world.evaluator = Evaluator(
        [
            each
            for each in prod_tree.objects
            if (each["kind"], each["metadata"]["name"]) != ("NetworkPolicy", policy)
        ],
        NAMESPACES,
    )
    domains = prod_tree.domains
    assert [each for each in allowed(domains) if not world.allows(*each)] or [
        each for each in denied(domains) if world.allows(*each)
    ]
