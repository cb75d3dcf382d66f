"""The port matrix: who may reach whom, and why. `Security` makes groups of it.

Sources: Kubernetes' "Ports and Protocols" reference; Calico's "System requirements" (VXLAN);
kube-proxy's NodePort range; the node exporter's README. Left out, because nothing of ours listens
there for another machine: 10257 and 10259 (kubeadm binds both to the loopback), 5473 (Calico's
manifest for up to 50 nodes runs no Typha), 9443 (the API server reaches webhooks' pods through the
pod network).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

# The groups that rules are about: every node is in NODE, the control plane also in its own.
NODE, CONTROL_PLANE = "node", "control-plane"
LOAD_BALANCER = "load-balancer"  # the public one
API_LOAD_BALANCER = "api-load-balancer"  # the one before several control planes
OPERATOR, WORLD = "operator", "world"  # the operators' CIDRs, and everybody


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


@dataclass(frozen=True)
class MatrixArgs:
    """argocd_node_port, ingress_node_port: where load balancers find both on the nodes.
    public: whether there is a public load balancer. control_planes: how many there are. bastion:
    whether private nodes are reached through one, or else by whoever reaches the VPC. addons:
    whether metrics-server and Prometheus run, on whichever node."""

    argocd_node_port: int
    ingress_node_port: int
    public: bool
    control_planes: int
    bastion: bool
    addons: bool


def matrix(args: MatrixArgs) -> tuple[Rule, ...]:
    """Every ingress rule of the cluster."""
    rules = [
        *_ssh(args.bastion),
        _tcp(CONTROL_PLANE, OPERATOR, 6443, "Kubernetes API for operators"),
        _tcp(CONTROL_PLANE, OPERATOR, args.argocd_node_port, "Argo CD for operators"),
        _tcp(CONTROL_PLANE, NODE, 6443, "Kubernetes API"),
        Rule(NODE, NODE, "udp", 4789, 4789, "pod network (VXLAN)"),
    ]
    if args.addons:
        rules += [
            _tcp(NODE, NODE, 10250, "kubelet: logs, exec, metrics"),
            _tcp(NODE, NODE, 9100, "metrics of the node exporter"),
        ]
    else:
        rules.append(_tcp(NODE, CONTROL_PLANE, 10250, "kubelet: logs, exec"))
    if args.public:
        rules += [
            _tcp(LOAD_BALANCER, WORLD, 80, "HTTP, only to be redirected to HTTPS"),
            _tcp(LOAD_BALANCER, WORLD, 443, "HTTPS for everybody"),
            _tcp(NODE, LOAD_BALANCER, args.ingress_node_port, "the ingress controller"),
            _tcp(NODE, LOAD_BALANCER, args.argocd_node_port, "Argo CD"),
        ]
    if args.control_planes > 1:
        rules += [
            _tcp(API_LOAD_BALANCER, NODE, 6443, "Kubernetes API at its endpoint"),
            _tcp(CONTROL_PLANE, API_LOAD_BALANCER, 6443, "Kubernetes API from its load balancer"),
            _tcp(CONTROL_PLANE, CONTROL_PLANE, 2379, "etcd: clients and peers", 2380),
        ]
    return tuple(rules)


def _ssh(bastion: bool) -> tuple[Rule, Rule]:
    joins = "joins by the control plane"
    if bastion:
        return (
            _tcp(CONTROL_PLANE, OPERATOR, 22, "SSH to the bastion"),
            _tcp(NODE, CONTROL_PLANE, 22, f"SSH through the bastion, and {joins}"),
        )
    return (
        _tcp(NODE, OPERATOR, 22, "SSH for operators, who reach the VPC"),
        _tcp(NODE, CONTROL_PLANE, 22, f"SSH for {joins}"),
    )


def _tcp(group: str, peer: str, port: int, why: str, to: int | None = None) -> Rule:
    return Rule(group, peer, "tcp", port, to or port, why)


def cidrs(peer: str, operator_cidrs: Sequence[IPv4Network]) -> tuple[str, ...]:
    """The CIDRs that a peer stands for; empty when it is a security group."""
    if peer == WORLD:
        return ("0.0.0.0/0",)
    return tuple(str(cidr) for cidr in operator_cidrs) if peer == OPERATOR else ()
