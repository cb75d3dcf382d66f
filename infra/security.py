"""Security groups by role, from the port matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from infra.ports import CONTROL_PLANE, NODE, Rule, cidrs
from settings.models import Role

_DESCRIPTIONS = {
    NODE: "Every Kubernetes node",
    CONTROL_PLANE: "Control plane and bastion",
}


@dataclass(frozen=True)
class SecurityArgs:
    """rules: ingress; every group may reach out anywhere."""

    name: str
    vpc_id: pulumi.Input[str]
    rules: Sequence[Rule]
    operator_cidrs: Sequence[IPv4Network]


class Security(pulumi.ComponentResource):
    """`groups`: id by group; `enforced`: an output known once every rule stands."""

    def __init__(self, name: str, args: SecurityArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:Security", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        groups = {
            group: aws.ec2.SecurityGroup(
                group,
                name=f"{args.name}-{group}",
                description=description,
                vpc_id=args.vpc_id,
                tags={"Name": f"{args.name}-{group}"},
                opts=child,
            )
            for group, description in _DESCRIPTIONS.items()
        }
        self.groups = {group: resource.id for group, resource in groups.items()}
        standing: list[pulumi.Output[str]] = [
            aws.vpc.SecurityGroupEgressRule(
                f"{NODE}-egress",
                security_group_id=self.groups[NODE],
                description="Packages, images and git, through the routes that the subnet has",
                ip_protocol="-1",
                cidr_ipv4="0.0.0.0/0",
                opts=child,
            ).id
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
