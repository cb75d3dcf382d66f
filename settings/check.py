"""What types alone cannot say: how settings fit together, and with AWS and this machine."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from pulumi_aws.ec2 import InstanceType

from settings.merge import Key
from settings.models import Access, Aws, Cluster, Network, Node, Role, Ssh
from settings.plan import NetworkPlan, PlanError
from settings.ssh_keys import mismatch

Refusal = tuple[Key, str]
_LONGEST_NAME = 18
_PHASES = ("1", "2", "3")  # in which gitops/tree syncs the APIs


def check(sections: Mapping[str, Any], project: Path) -> Iterator[Refusal]:
    """Every refusal over the sections that are themselves valid, as (key, reason).

    sections: by name; `valid nodes` stands for `nodes` when some of them are not valid, and then
    nothing is said of the nodes as a whole.
    """
    network, cluster = sections.get("network"), sections.get("cluster")
    aws, access, ssh = sections.get("aws"), sections.get("access"), sections.get("ssh")
    if network:
        yield from _network(network, aws)
    if aws and aws.region.startswith(("cn-", "us-gov-")):
        reason = f"{aws.region} is in another partition of AWS, whose names (ARNs) are not handled"
        yield ("aws", "region"), reason
    if name := sections.get("name"):
        yield from _name(name)
    yield from _public_names(sections)
    yield from _pods(sections)
    if network and cluster:
        yield from _ranges(network, cluster)
    nodes = sections.get("nodes", sections.get("valid nodes", ()))
    yield from _nodes(nodes, network)
    yield from _domains(nodes)
    if "nodes" in sections:
        yield from _roles(sections["nodes"])
        if access:
            yield from _bastion(access, sections["nodes"])
    if access:
        yield from _operators(access)
    if ssh:
        yield from _ssh(ssh, project)


def _name(name: str) -> Iterator[Refusal]:
    """AWS: a load balancer's or target group's name has 32 characters, ours adds up to 14; and
    does not begin with "internal-"."""
    if len(name) > _LONGEST_NAME:
        yield ("name",), f"{name} has {len(name)} characters; AWS leaves room for {_LONGEST_NAME}"
    if name == "internal" or name.startswith("internal-"):
        yield ("name",), f"{name}: AWS keeps names that begin with internal- for itself"


def _network(network: Network, aws: Aws | None) -> Iterator[Refusal]:
    if not 16 <= network.cidr.prefixlen <= 28:
        yield ("network", "cidr"), f"{network.cidr}: AWS takes a VPC of /16 to /28"
    elif not network.cidr.is_private:
        yield ("network", "cidr"), f"{network.cidr} is not a private range"
    else:
        try:
            NetworkPlan.of(network.cidr, network.zones, network.subnet_prefix)
        except PlanError as error:
            yield ("network", "subnet_prefix"), str(error)
    for zone, count in Counter(network.zones).items():
        if count > 1:
            yield ("network", "zones"), f"{zone} is named {count} times"
        if aws and not (zone.startswith(aws.region) and len(zone) == len(aws.region) + 1):
            yield ("network", "zones"), f"{zone} is no availability zone of {aws.region}"


def _public_names(sections: Mapping[str, Any]) -> Iterator[Refusal]:
    """The internet's side: names apart from each other and from the private zone, and room for a
    load balancer."""
    dns, network, gitops = (sections.get(name) for name in ("dns", "network", "gitops"))
    ingress = sections.get("ingress")
    if ingress and gitops and ingress.node_port == gitops.argocd.node_port:
        reason = f"{ingress.node_port} is gitops.argocd.node_port; one port serves one of them"
        yield ("ingress", "node_port"), reason
    if not dns or not dns.public:
        return
    public = dns.public
    if dns.zone == public.domain or dns.zone.endswith(f".{public.domain}"):
        yield ("dns", "zone"), f"{dns.zone} would hide {public.domain} inside the VPC; take another"
    for label, count in Counter((public.api, public.argocd, public.cdn)).items():
        if count > 1:
            yield ("dns", "public"), f"api, argocd and cdn need names of their own, not {label}"
    if network and len(set(network.zones)) < 2:
        reason = "a load balancer needs two zones; add one, or leave dns.public out"
        yield ("network", "zones"), reason


def _pods(sections: Mapping[str, Any]) -> Iterator[Refusal]:
    identity, instances = sections.get("identity"), sections.get("instances")
    if identity and instances and not identity.pods and instances.metadata_hop_limit < 2:
        yield (
            ("instances", "metadata_hop_limit"),
            "without identity.pods, pods use the node's role, which takes 2 hops to the metadata",
        )


def _ranges(network: Network, cluster: Cluster) -> Iterator[Refusal]:
    ranges = [
        (("network", "cidr"), network.cidr),
        (("cluster", "pod_cidr"), cluster.pod_cidr),
        (("cluster", "service_cidr"), cluster.service_cidr),
    ]
    for (_, first), (key, second) in combinations(ranges, 2):
        if first.overlaps(second):
            yield key, f"{second} overlaps {first}; VPC, pods and services need their own ranges"


def _nodes(nodes: Sequence[Node], network: Network | None) -> Iterator[Refusal]:
    known = {member.value for member in InstanceType}
    for name, count in Counter(node.name for node in nodes).items():
        if count > 1:
            yield ("nodes", name), f"is defined {count} times"
    for node in nodes:
        if node.instance_type not in known:
            near = difflib.get_close_matches(node.instance_type, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            key = ("nodes", node.name, "instance_type")
            yield key, f"unknown instance type {node.instance_type!r}{hint}"
        if network and node.zone not in network.zones:
            zones = ", ".join(network.zones)
            yield ("nodes", node.name, "zone"), f"{node.zone} has no subnet; network.zones: {zones}"


def _domains(nodes: Sequence[Node]) -> Iterator[Refusal]:
    """Labels of API nodes: which domain's API runs there, and in which phase it is synced."""
    first: dict[str, Node] = {}
    for node in (node for node in nodes if node.role is Role.API):
        domain, phase = node.labels.get("domain"), node.labels.get("phase")
        key = ("nodes", node.name, "labels")
        if phase is not None and phase not in _PHASES:
            yield (*key, "phase"), f'{phase!r} is no phase; label it as "1", "2" or "3"'
        elif domain is not None and phase is None:
            yield key, f'domain {domain} has no phase; add phase: "1", "2" or "3"'
        elif domain is not None and first.setdefault(domain, node).labels["phase"] != phase:
            other = first[domain]
            reason = f"{phase}, but {other.labels['phase']} on {other.name}"
            yield (*key, "phase"), f"{reason}; a domain has one phase, so label both alike"


def _roles(nodes: Sequence[Node]) -> Iterator[Refusal]:
    masters = [node for node in nodes if node.role is Role.CONTROL_PLANE]
    if len(masters) not in (1, 3):
        reason = f"1 or 3 nodes of role control-plane are needed, not {len(masters)}"
        yield ("nodes",), f"{reason}: etcd decides by majority"


def _bastion(access: Access, nodes: Sequence[Node]) -> Iterator[Refusal]:
    if access.bastion is None:
        return
    bastion = next((node for node in nodes if node.name == access.bastion), None)
    if bastion is None:
        yield ("access", "bastion"), f"{access.bastion} is not among the nodes"
    elif bastion.role is not Role.CONTROL_PLANE:
        yield (
            ("access", "bastion"),
            f"{access.bastion} has role {bastion.role}; SSH is open on the control plane alone",
        )
    elif not bastion.public:
        yield ("access", "bastion"), f"{access.bastion} is not public; set public: true on it"


def _operators(access: Access) -> Iterator[Refusal]:
    if not access.operator_cidrs:
        yield ("access", "operator_cidrs"), "is empty: nobody could reach SSH and the API"
    for cidr in access.operator_cidrs:
        if cidr.prefixlen == 0:
            yield ("access", "operator_cidrs"), f"{cidr} opens SSH and the API to the world"
        elif access.bastion is None and cidr.is_global:
            reason = f"{cidr} is on the internet, where without a bastion nothing is reached"
            yield ("access", "operator_cidrs"), f"{reason}; name networks that reach the VPC"
    if access.bastion is None and not access.session_manager:
        reason = "people have no shell without it and without a bastion; set it, or access.bastion"
        yield ("access", "session_manager"), reason


def _ssh(ssh: Ssh, project: Path) -> Iterator[Refusal]:
    private = resolve(project, ssh.private_key_file)
    public = resolve(project, ssh.public_key_file)
    for key, reason in mismatch(private, public):
        yield ("ssh", key), reason


def resolve(project: Path, file: str) -> Path:
    """A file named in the settings: `~` expanded, relative to the project folder."""
    return project / Path(file).expanduser()
