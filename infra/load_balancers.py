"""Load balancers: the public one of HTTP, and the one of the Kubernetes API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from infra.network import Subnet
from infra.order import after
from infra.storage import LOAD_BALANCER_PREFIX

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"  # TLS 1.3 and 1.2
# "You can specify up to three comparison strings per condition and up to five per rule"
# ("Listener rules", User Guide of Application Load Balancers); a host takes one.
CIDRS_PER_RULE = 3
_API_PRIORITY, _ARGOCD_PRIORITY = 10, 20  # lower ones are asked first
_API_PORT = 6443


@dataclass(frozen=True)
class Backend:
    """What is behind a public name, on a NodePort of every target. source_cidrs: who alone gets
    there; None: everybody."""

    name: str
    host: str
    protocol: str
    node_port: int
    health_path: str
    priority: int
    source_cidrs: Sequence[IPv4Network] | None


@dataclass(frozen=True)
class PublicLoadBalancerArgs:
    """name: prefix of the AWS names. subnets: public ones, of two zones or more. logs_bucket: id
    of the bucket of logs. targets: instance ids by node name. api_host, argocd_host: whole DNS
    names, both in the certificate."""

    name: str
    vpc_id: pulumi.Input[str]
    subnets: Sequence[Subnet]
    security_group: pulumi.Input[str]
    certificate_arn: pulumi.Input[str]
    logs_bucket: pulumi.Input[str]
    targets: Mapping[str, pulumi.Input[str]]
    api_host: str
    ingress_node_port: int
    ingress_health_path: str
    argocd_host: str
    argocd_node_port: int
    operator_cidrs: Sequence[IPv4Network]


@dataclass(frozen=True)
class LoadBalancerOutputs:
    """Known once it listens. dns_name, zone_id: for an alias record."""

    dns_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]


class PublicLoadBalancer(pulumi.ComponentResource):
    """HTTPS for everybody to the ingress controller, and for the operators to Argo CD; any other
    host gets 404, HTTP a redirect."""

    def __init__(
        self, name: str, args: PublicLoadBalancerArgs, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("groundwork:infra:PublicLoadBalancer", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        balancer = aws.lb.LoadBalancer(
            "alb",
            name=f"{args.name}-public",
            load_balancer_type="application",
            internal=False,
            subnets=[after(subnet.id, subnet.routed) for subnet in args.subnets],
            security_groups=[args.security_group],
            drop_invalid_header_fields=True,
            # it keeps nothing that could be lost, and `destroy` does not get past the protection
            enable_deletion_protection=False,
            access_logs=aws.lb.LoadBalancerAccessLogsArgs(
                bucket=args.logs_bucket, prefix=LOAD_BALANCER_PREFIX, enabled=True
            ),
            tags={"Name": f"{args.name}-public"},
            opts=self._child,
        )
        _redirect(balancer, self._child)
        listener = aws.lb.Listener(
            "https",
            load_balancer_arn=balancer.arn,
            port=443,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=args.certificate_arn,
            default_actions=[
                aws.lb.ListenerDefaultActionArgs(
                    type="fixed-response",
                    fixed_response=aws.lb.ListenerDefaultActionFixedResponseArgs(
                        content_type="text/plain", message_body="not found", status_code="404"
                    ),
                )
            ],
            opts=self._child,
        )
        for backend in _backends(args):
            self._route(listener, backend)
        self.outputs = LoadBalancerOutputs(
            dns_name=after(balancer.dns_name, listener.id), zone_id=balancer.zone_id
        )
        self.register_outputs({"dns_name": balancer.dns_name})

    def _route(self, listener: aws.lb.Listener, backend: Backend) -> None:
        """Target group, targets, and the rules that lead to them."""
        args = self._args
        group = aws.lb.TargetGroup(
            backend.name,
            # with the port, so that a new one's group can stand beside the old one
            name=f"{args.name}-{backend.name}-{backend.node_port}",
            vpc_id=args.vpc_id,
            target_type="instance",
            port=backend.node_port,
            protocol=backend.protocol,
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                protocol=backend.protocol,
                path=backend.health_path,
                matcher="200",
                interval=15,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=3,
            ),
            tags={"Name": f"{args.name}-{backend.name}"},
            opts=self._child,
        )
        _attach(backend.name, group, args.targets, self._child)
        for index, sources in enumerate(source_groups(backend.source_cidrs)):
            aws.lb.ListenerRule(
                f"{backend.name}-{index + 1}" if sources else backend.name,
                listener_arn=listener.arn,
                priority=backend.priority + index,
                conditions=[
                    aws.lb.ListenerRuleConditionArgs(
                        host_header=aws.lb.ListenerRuleConditionHostHeaderArgs(
                            values=[backend.host]
                        )
                    ),
                    *(
                        [
                            aws.lb.ListenerRuleConditionArgs(
                                source_ip=aws.lb.ListenerRuleConditionSourceIpArgs(
                                    values=list(sources)
                                )
                            )
                        ]
                        if sources
                        else []
                    ),
                ],
                actions=[aws.lb.ListenerRuleActionArgs(type="forward", target_group_arn=group.arn)],
                opts=self._child,
            )


def _backends(args: PublicLoadBalancerArgs) -> tuple[Backend, Backend]:
    return (
        Backend(
            name="ingress",
            host=args.api_host,
            protocol="HTTP",
            node_port=args.ingress_node_port,
            health_path=args.ingress_health_path,
            priority=_API_PRIORITY,
            source_cidrs=None,
        ),
        Backend(
            name="argocd",
            host=args.argocd_host,
            protocol="HTTPS",  # Argo CD's own certificate; a load balancer does not check it
            node_port=args.argocd_node_port,
            health_path="/healthz",
            priority=_ARGOCD_PRIORITY,
            source_cidrs=args.operator_cidrs,
        ),
    )


def source_groups(cidrs: Sequence[IPv4Network] | None) -> list[tuple[str, ...]]:
    """The CIDRs in portions that a rule can hold. None: one empty portion, a rule for everybody;
    no CIDRs: no portion, and so no rule at all."""
    if cidrs is None:
        return [()]
    texts = [str(cidr) for cidr in cidrs]
    return [
        tuple(texts[start : start + CIDRS_PER_RULE])
        for start in range(0, len(texts), CIDRS_PER_RULE)
    ]


def _redirect(balancer: aws.lb.LoadBalancer, opts: pulumi.ResourceOptions) -> None:
    aws.lb.Listener(
        "http",
        load_balancer_arn=balancer.arn,
        port=80,
        protocol="HTTP",
        default_actions=[
            aws.lb.ListenerDefaultActionArgs(
                type="redirect",
                redirect=aws.lb.ListenerDefaultActionRedirectArgs(
                    protocol="HTTPS", port="443", status_code="HTTP_301"
                ),
            )
        ],
        opts=opts,
    )


def _attach(
    name: str,
    group: aws.lb.TargetGroup,
    targets: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Output[str]]:
    return [
        aws.lb.TargetGroupAttachment(
            f"{name}-{node}", target_group_arn=group.arn, target_id=instance, opts=opts
        ).id
        for node, instance in targets.items()
    ]


@dataclass(frozen=True)
class ApiLoadBalancerArgs:
    """name: prefix of the AWS names; subnets: private ones; control_planes: instance ids by node
    name, two or more."""

    name: str
    vpc_id: pulumi.Input[str]
    subnets: Sequence[Subnet]
    security_group: pulumi.Input[str]
    control_planes: Mapping[str, pulumi.Input[str]]


class ApiLoadBalancer(pulumi.ComponentResource):
    """The Kubernetes API inside the VPC, at whichever control plane answers."""

    def __init__(self, name: str, args: ApiLoadBalancerArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:ApiLoadBalancer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        balancer = aws.lb.LoadBalancer(
            "nlb",
            name=f"{args.name}-kube-api",
            load_balancer_type="network",
            internal=True,
            subnets=[subnet.id for subnet in args.subnets],
            security_groups=[args.security_group],
            # a zone without a control plane that answers takes one of another
            enable_cross_zone_load_balancing=True,
            enable_deletion_protection=False,  # as for the public one
            tags={"Name": f"{args.name}-kube-api"},
            opts=child,
        )
        group = aws.lb.TargetGroup(
            "kube-api",
            name=f"{args.name}-kube-api-{_API_PORT}",
            vpc_id=args.vpc_id,
            target_type="instance",
            port=_API_PORT,
            protocol="TCP",
            # A control plane reaches itself through it, and drops packets from its own address
            preserve_client_ip="false",
            # not by TCP: an API server that ends, or has lost its etcd, still takes connections
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                protocol="HTTPS",
                path="/readyz",  # for everybody, as kubeadm leaves it
                interval=10,
                healthy_threshold=2,
                unhealthy_threshold=2,
            ),
            tags={"Name": f"{args.name}-kube-api"},
            opts=child,
        )
        attachments = _attach("kube-api", group, args.control_planes, child)
        listener = aws.lb.Listener(
            "kube-api",
            load_balancer_arn=balancer.arn,
            port=_API_PORT,
            protocol="TCP",
            default_actions=[
                aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=group.arn)
            ],
            opts=child,
        )
        self.outputs = LoadBalancerOutputs(
            dns_name=after(balancer.dns_name, listener.id, *attachments),
            zone_id=balancer.zone_id,
        )
        self.register_outputs({"dns_name": balancer.dns_name})
