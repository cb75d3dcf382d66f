"""The port matrix: who may talk to whom, and why. Data alone; `security.py` makes groups of it.

Sources: Kubernetes' "Ports and Protocols" reference; Calico's "System requirements" (VXLAN,
Typha); kube-proxy's NodePort range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

# The groups that rules are about: every node is in NODE, the control plane also in its own.
NODE, CONTROL_PLANE = "node", "control-plane"
OPERATOR = "operator"  # the operators' CIDRs


@dataclass(frozen=True)
class Rule:
    """Ingress into `group` from `peer`; ports inclusive; why: the rule's description in AWS."""

    group: str
    peer: str
    protocol: str
    from_port: int
    to_port: int
    why: str

    @property
    def name(self) -> str:
        ports = f"{self.from_port}" + (f"-{self.to_port}" if self.to_port != self.from_port else "")
        return f"{self.group}-{self.protocol}-{ports}-from-{self.peer}"


def matrix(argocd_node_port: int) -> tuple[Rule, ...]:
    """Every ingress rule of the cluster."""

    def tcp(group: str, peer: str, port: int, why: str, to: int | None = None) -> Rule:
        return Rule(group, peer, "tcp", port, to or port, why)

    return (
        tcp(CONTROL_PLANE, OPERATOR, 22, "SSH to the bastion"),
        tcp(CONTROL_PLANE, OPERATOR, 6443, "Kubernetes API for operators"),
        tcp(CONTROL_PLANE, OPERATOR, argocd_node_port, "Argo CD for operators"),
        tcp(NODE, CONTROL_PLANE, 22, "SSH through the bastion, and the control plane's joins"),
        tcp(CONTROL_PLANE, NODE, 6443, "Kubernetes API"),
        tcp(NODE, CONTROL_PLANE, 10250, "kubelet: logs, exec, metrics"),
        tcp(NODE, NODE, 5473, "Calico Typha"),
        Rule(NODE, NODE, "udp", 4789, 4789, "pod network (VXLAN)"),
    )


def cidrs(peer: str, operator_cidrs: Sequence[IPv4Network]) -> tuple[str, ...]:
    """The CIDRs that a peer stands for; empty when it is a security group."""
    return tuple(str(cidr) for cidr in operator_cidrs) if peer == OPERATOR else ()
