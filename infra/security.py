"""Security groups by role, from the port matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from infra.policies import cluster_tag
from infra.ports import (
    API_LOAD_BALANCER,
    CONTROL_PLANE,
    LOAD_BALANCER,
    NODE,
    Rule,
    cidrs,
)
from settings.models import Role

_DESCRIPTIONS = {
    NODE: "Every Kubernetes node",
    CONTROL_PLANE: "Control plane, and the bastion if there is one",
    LOAD_BALANCER: "The public load balancer",
    API_LOAD_BALANCER: "The load balancer of the Kubernetes API",
}
_EGRESS = {
    NODE: "Packages, images and git, through the routes that the subnet has",
    LOAD_BALANCER: "Targets and their health checks",
    API_LOAD_BALANCER: "Control planes and their health checks",
}


@dataclass(frozen=True)
class SecurityArgs:
    """rules: ingress; a group is made for each that they are about."""

    name: str
    vpc_id: pulumi.Input[str]
    vpc_cidr: IPv4Network
    rules: Sequence[Rule]
    operator_cidrs: Sequence[IPv4Network]


def _cluster(name: str, group: str) -> dict[str, str]:
    """The tag by which Kubernetes' controllers find the nodes' group, and may open it."""
    return {cluster_tag(name): "owned"} if group == NODE else {}


class Security(pulumi.ComponentResource):
    """`groups`: id by group; `enforced`: an output known once every rule stands."""

    groups: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: SecurityArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:Security", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        used = {rule.group for rule in args.rules}
        self.groups = {
            group: aws.ec2.SecurityGroup(
                group,
                name=f"{args.name}-{group}",
                description=description,
                vpc_id=args.vpc_id,
                tags={"Name": f"{args.name}-{group}", **_cluster(args.name, group)},
                opts=child,
            ).id
            for group, description in _DESCRIPTIONS.items()
            if group in used
        }
        standing = [
            aws.vpc.SecurityGroupEgressRule(
                f"{group}-egress",
                security_group_id=self.groups[group],
                description=why,
                ip_protocol="-1",
                # a load balancer has nothing to say outside the VPC
                cidr_ipv4="0.0.0.0/0" if group == NODE else str(args.vpc_cidr),
                opts=child,
            ).id
            for group, why in _EGRESS.items()
            if group in used
        ]
        for rule in args.rules:
            for cidr in cidrs(rule.peer, args.operator_cidrs) or (None,):
                standing.append(self._ingress(rule, cidr, child).id)
        self.enforced = pulumi.Output.all(*standing).apply(lambda ids: len(ids))
        self.register_outputs({"groups": self.groups})

    def _ingress(
        self, rule: Rule, cidr: str | None, opts: pulumi.ResourceOptions
    ) -> aws.vpc.SecurityGroupIngressRule:
        return aws.vpc.SecurityGroupIngressRule(
            f"{rule.name}-{cidr}" if cidr else rule.name,
            security_group_id=self.groups[rule.group],
            description=rule.why,
            ip_protocol=rule.protocol,
            from_port=rule.from_port,
            to_port=rule.to_port,
            cidr_ipv4=cidr,
            referenced_security_group_id=None if cidr else self.groups[rule.peer],
            opts=opts,
        )

    def of(self, role: Role) -> list[pulumi.Output[str]]:
        """The groups of a node of this role."""
        names = [NODE, CONTROL_PLANE] if role is Role.CONTROL_PLANE else [NODE]
        return [self.groups[name] for name in names]
