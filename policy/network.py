"""VPCs, subnets and security groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from pulumi_policy import PolicyResource, ResourceValidationArgs

from policy.rules import Findings, Stack, given, refers, resource_rule, stack_rule

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
# Terraform's own default, which says nothing.
_NO_DESCRIPTION = ("", "Managed by Pulumi", "Managed by Terraform")
_ADMIN = {22: "SSH", 6443: "the Kubernetes API"}
_WEB = (80, 443)


@dataclass(frozen=True)
class Opening:
    """What an ingress rule lets in. protocol: "-1" is every one; ports are inclusive."""

    protocol: str
    first: int
    last: int
    cidrs: tuple[str, ...]

    @property
    def worldwide(self) -> str | None:
        """The block that is the internet at large: no operator or office has one so wide."""
        for cidr in self.cidrs:
            network = ip_network(cidr, strict=False)
            if network.prefixlen < (8 if network.version == 4 else 16):
                return cidr
        return None

    def lets_in(self, port: int) -> bool:
        """Whether TCP to this port passes."""
        return self.protocol == "-1" or (
            self.protocol in ("tcp", "6") and self.first <= port <= self.last
        )

    @property
    def web(self) -> bool:
        return self.protocol in ("tcp", "6") and self.first == self.last and self.first in _WEB

    def __str__(self) -> str:
        if self.protocol == "-1":
            return "every port"
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.protocol} {ports}"


def _openings(type: str, props: Mapping[str, Any]) -> Iterator[Opening]:
    """Of a rule, or of a group's own list of them."""
    if type == INGRESS:
        cidrs = [props.get("cidrIpv4"), props.get("cidrIpv6")]
        yield _opening(props, "ipProtocol", cidrs)
    elif type == RULE:
        if props.get("type") == "ingress":
            yield _opening(props, "protocol", _blocks(props))
    else:
        for rule in props.get("ingress") or ():
            yield _opening(rule, "protocol", _blocks(rule))


def _blocks(props: Mapping[str, Any]) -> list[str | None]:
    return [*(props.get("cidrBlocks") or ()), *(props.get("ipv6CidrBlocks") or ())]


def _opening(props: Mapping[str, Any], protocol: str, cidrs: list[str | None]) -> Opening:
    return Opening(
        protocol=str(props.get(protocol)).lower().replace("all", "-1"),
        first=int(props.get("fromPort") or 0),
        last=int(props.get("toPort") or 0),
        cidrs=tuple(cidr for cidr in cidrs if cidr),
    )


def _admin(resource: ResourceValidationArgs) -> Findings:
    for opening in _openings(resource.resource_type, resource.props):
        for port, what in _ADMIN.items():
            if (cidr := opening.worldwide) and opening.lets_in(port):
                yield (
                    f"lets everybody ({cidr}) reach {what} (port {port}): "
                    "name the operators' CIDRs, access.operator_cidrs of the stack file."
                )


def _ports(resource: ResourceValidationArgs) -> Findings:
    for opening in _openings(resource.resource_type, resource.props):
        admin = any(opening.lets_in(port) for port in _ADMIN)
        if (cidr := opening.worldwide) and not opening.web and not admin:
            yield (
                f"opens {opening} to everybody ({cidr}): only TCP 80 and 443 of a load balancer "
                "may be; name a CIDR or another group."
            )


def _web_group(resource: PolicyResource, stack: Stack) -> Findings:
    type = resource.resource_type
    if not any(found.web and found.worldwide for found in _openings(type, resource.props)):
        return
    balancers = stack.of((LOAD_BALANCER,))
    groups = [resource]
    if type != GROUP:
        groups = [
            group for group in stack.of((GROUP,)) if refers(resource, "securityGroupId", group)
        ]
    if not any(refers(lb, "securityGroups", group) for lb in balancers for group in groups):
        yield (
            "opens a port to everybody on a group that no load balancer has: put it on the load "
            "balancer's group, and let that group in here."
        )


def _descriptions(resource: ResourceValidationArgs) -> Findings:
    props = resource.props
    if props.get("description", "") in _NO_DESCRIPTION:
        yield "does not say what it is for: set description."
    for direction in ("ingress", "egress"):
        for index, rule in enumerate(props.get(direction) or ()):
            if rule.get("description", "") in _NO_DESCRIPTION:
                yield f"does not say what {direction}[{index}] is for: set its description."


def _subnet_addresses(resource: ResourceValidationArgs) -> Findings:
    if resource.props.get("mapPublicIpOnLaunch") is True:
        yield (
            "gives every instance a public address: leave map_public_ip_on_launch out, and give "
            "a node that must be reached an Elastic IP."
        )


def _default_group_empty(resource: ResourceValidationArgs) -> Findings:
    for direction in ("ingress", "egress"):
        if given(resource.props, direction):
            yield (
                f"lets traffic pass ({direction}) for whatever was given no group: make "
                f"{direction} empty, and give what needs it a group of its own."
            )


def _default_group_taken(resource: PolicyResource, stack: Stack) -> Findings:
    if not stack.about(resource, (DEFAULT_GROUP,), "vpcId"):
        yield (
            "keeps AWS's default security group, which lets its members talk: take it over with "
            "an empty DefaultSecurityGroup."
        )


def _flow_log(resource: PolicyResource, stack: Stack) -> Findings:
    if not stack.about(resource, (FLOW_LOG,), "vpcId"):
        yield "has no flow log: set network.flow_logs, or add a FlowLog of this vpc_id."


RULES = [
    resource_rule(
        "no-world-open-admin-port",
        "SSH and the Kubernetes API are not open to everybody",
        (INGRESS, RULE, GROUP, DEFAULT_GROUP),
        _admin,
        checkov=("CKV_AWS_24", "CKV_AWS_277"),
    ),
    resource_rule(
        "no-world-open-port",
        "Nothing but TCP 80 and 443 is open to everybody",
        (INGRESS, RULE, GROUP, DEFAULT_GROUP),
        _ports,
        checkov=("CKV_AWS_25",),
    ),
    stack_rule(
        "world-open-only-on-load-balancers",
        "What is open to everybody is a load balancer's group",
        (INGRESS, RULE, GROUP),
        _web_group,
        checkov=("CKV_AWS_260",),
    ),
    resource_rule(
        "rules-described",
        "Security groups and their rules say what they are for",
        (GROUP, INGRESS, EGRESS, RULE),
        _descriptions,
        checkov=("CKV_AWS_23",),
    ),
    resource_rule(
        "subnets-give-no-public-address",
        "Subnets give no public address by themselves",
        (SUBNET,),
        _subnet_addresses,
        checkov=("CKV_AWS_130",),
    ),
    resource_rule(
        "default-group-empty",
        "The default security group lets nothing pass",
        (DEFAULT_GROUP,),
        _default_group_empty,
        checkov=("CKV2_AWS_12",),
    ),
    stack_rule(
        "default-group-taken-over",
        "The default security group of every VPC is taken over",
        (VPC,),
        _default_group_taken,
        checkov=("CKV2_AWS_12",),
    ),
    stack_rule(
        "flow-logs",
        "Every VPC keeps flow logs",
        (VPC,),
        _flow_log,
        checkov=("CKV2_AWS_11",),
    ),
]
