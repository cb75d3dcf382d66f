"""What NetworkPolicies let through, judged from manifests as Kubernetes defines them.

Source of the rules: the NetworkPolicy reference, networking.k8s.io/v1. A connection needs the
egress of its source and the ingress of its target; a pod that no policy of a direction selects is
open in it; policies are a union.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """address: in the pod network; ports: container ports by name."""

    namespace: str
    labels: Mapping[str, str]
    address: str = "192.168.0.10"
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outside:
    """What is no pod: a node, the VPC, the internet."""

    address: str


Endpoint = Pod | Outside


@dataclass(frozen=True)
class Port:
    number: int
    protocol: str = "TCP"


class Evaluator:
    """Judges by the Namespaces and NetworkPolicies among `objects`."""

    def __init__(self, objects: Sequence[Object], namespaces: Sequence[Object] = ()) -> None:
        """namespaces: further ones, which others make."""
        self._policies = [each for each in objects if each["kind"] == "NetworkPolicy"]
        self._namespaces = {
            each["metadata"]["name"]: {
                "kubernetes.io/metadata.name": each["metadata"]["name"],
                **each["metadata"].get("labels", {}),
            }
            for each in (*objects, *namespaces)
            if each["kind"] == "Namespace"
        }

    def allows(self, source: Endpoint, target: Endpoint, port: Port) -> bool:
        """Whether the source may connect to the target's port."""
        return self._one_way("Egress", source, target, target, port) and self._one_way(
            "Ingress", target, source, target, port
        )

    def _one_way(
        self, direction: str, own: Endpoint, peer: Endpoint, target: Endpoint, port: Port
    ) -> bool:
        if isinstance(own, Outside):
            return True
        specs = [
            policy["spec"]
            for policy in self._policies
            if policy["metadata"]["namespace"] == own.namespace
            and direction in _types(policy["spec"])
            and selects(policy["spec"].get("podSelector", {}), own.labels)
        ]
        key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
        return not specs or any(
            self._is_peer(rule.get(peers), own.namespace, peer) and _is_port(rule, target, port)
            for spec in specs
            for rule in spec.get(key, ())
        )

    def _is_peer(self, peers: Sequence[Object] | None, namespace: str, endpoint: Endpoint) -> bool:
        if not peers:
            return True
        return any(self._matches(peer, namespace, endpoint) for peer in peers)

    def _matches(self, peer: Object, namespace: str, endpoint: Endpoint) -> bool:
        if block := peer.get("ipBlock"):
            address = ip_address(endpoint.address)
            return address in ip_network(block["cidr"]) and not any(
                address in ip_network(each) for each in block.get("except", ())
            )
        if isinstance(endpoint, Outside):
            return False
        if "namespaceSelector" not in peer:
            inside = endpoint.namespace == namespace
        else:
            labels = self._namespaces.get(endpoint.namespace)
            assert labels is not None, f"nobody makes the namespace {endpoint.namespace}"
            inside = selects(peer["namespaceSelector"], labels)
        return inside and selects(peer.get("podSelector", {}), endpoint.labels)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for each in selector.get("matchExpressions", ()):
        value, values = labels.get(each["key"]), each.get("values", ())
        fits = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not fits[each["operator"]]:
            return False
    return True


def _types(spec: Object) -> Sequence[str]:
    """Left out: Ingress, and Egress if there are rules for it."""
    default = ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return spec.get("policyTypes") or default


def _is_port(rule: Object, target: Endpoint, port: Port) -> bool:
    if not rule.get("ports"):
        return True
    for each in rule["ports"]:
        if each.get("protocol", "TCP") != port.protocol:
            continue
        first = each.get("port")
        if isinstance(first, str):
            first = target.ports.get(first) if isinstance(target, Pod) else None
            if first is None:
                continue
        if first is None or first <= port.number <= each.get("endPort", first):
            return True
    return False
