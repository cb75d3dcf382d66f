"""The policies' judge, by small cases of Kubernetes' own reference."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gitops.evaluator import Evaluator, Object, Outside, Pod, Port

A = Pod("a", {"app": "web", "stage": "test"}, "192.168.1.1", {"http": 8080})
B = Pod("b", {"app": "client"}, "192.168.2.1")
HTTP, HTTPS, DNS = Port(8080), Port(443), Port(53, "UDP")
WORLD, METADATA = Outside("198.18.0.1"), Outside("169.254.169.254")
NAMESPACES: list[Object] = [
    {"kind": "Namespace", "metadata": {"name": "a"}},
    {"kind": "Namespace", "metadata": {"name": "b", "labels": {"tier": "clients"}}},
]


def policy(**spec: Any) -> Object:
    return {"kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "a"}, "spec": spec}


def ingress(*rules: Object, **selector: Any) -> Object:
    return policy(podSelector=selector, policyTypes=["Ingress"], ingress=list(rules))


def egress(*rules: Object) -> Object:
    return policy(podSelector={}, policyTypes=["Egress"], egress=list(rules))


CASES: list[tuple[str, list[Object], tuple[Any, Any, Port], bool]] = [
    ("no policy", [], (B, A, HTTP), True),
    ("denied in", [ingress()], (B, A, HTTP), False),
    ("denied in, so what goes out is open", [ingress()], (A, B, HTTP), True),
    ("another pod is selected", [ingress(matchLabels={"app": "x"})], (B, A, HTTP), True),
    ("another namespace's policy", [egress()], (B, A, HTTP), True),
    ("types left out", [policy(podSelector={}, egress=[{}])], (B, A, HTTP), False),
    ("a rule for everybody", [ingress({})], (WORLD, A, HTTP), True),
    ("a union", [ingress(), ingress({})], (B, A, HTTP), True),
    ("pods of this namespace", [ingress({"from": [{"podSelector": {}}]})], (B, A, HTTP), False),
    (
        "a namespace by its label",
        [ingress({"from": [{"namespaceSelector": {"matchLabels": {"tier": "clients"}}}]})],
        (B, A, HTTP),
        True,
    ),
    (
        "a namespace by its name, but other pods of it",
        [
            ingress(
                {
                    "from": [
                        {
                            "namespaceSelector": {
                                "matchLabels": {"kubernetes.io/metadata.name": "b"}
                            },
                            "podSelector": {"matchLabels": {"app": "x"}},
                        }
                    ]
                }
            )
        ],
        (B, A, HTTP),
        False,
    ),
    ("a named port", [ingress({"ports": [{"port": "http"}]})], (B, A, HTTP), True),
    ("a port that the pod has not", [ingress({"ports": [{"port": "x"}]})], (B, A, HTTP), False),
    ("the other protocol", [egress({"ports": [{"port": 53}]})], (A, B, DNS), False),
    (
        "a range of ports",
        [ingress({"ports": [{"port": 8000, "endPort": 9000}]})],
        (B, A, HTTP),
        True,
    ),
    (
        "an address, but not these",
        [egress({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}]})],
        (A, METADATA, HTTPS),
        False,
    ),
    ("an address", [egress({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})], (A, WORLD, HTTPS), True),
    ("outside is no pod", [egress({"to": [{"podSelector": {}}]})], (A, WORLD, HTTPS), False),
    (
        "an expression",
        [
            ingress(
                matchExpressions=[
                    {"key": "stage", "operator": "Exists"},
                    {"key": "app", "operator": "NotIn", "values": ["x"]},
                ]
            )
        ],
        (B, A, HTTP),
        False,
    ),
]


@pytest.mark.parametrize(
    ("policies", "connection", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_connection(
    policies: list[Object], connection: tuple[Any, Any, Port], expected: bool
) -> None:
    assert Evaluator([*policies, *NAMESPACES]).allows(*connection) is expected
