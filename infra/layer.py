"""The infra layer: settings in, machines and network ids out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.iam import NodeProfile
from infra.network import Network, NetworkArgs, Subnet
from infra.nodes import NodeArgs, NodeInstance, NodeOutputs
from infra.ports import matrix
from infra.provider import aws_provider
from infra.security import Security, SecurityArgs
from settings import Role, Settings
from settings.check import resolve
from settings.plan import NetworkPlan


@dataclass(frozen=True)
class InfraArgs:
    """project: the folder that relative file names in the settings start from."""

    settings: Settings
    environment: str
    project: Path


@dataclass(frozen=True)
class InfraOutputs:
    """What the cluster layer and other teams need of AWS.

    api_endpoint: DNS name of the control plane inside the VPC, known once the record stands.
    """

    vpc_id: pulumi.Output[str]
    public_subnet_ids: Mapping[str, pulumi.Output[str]]
    private_subnet_ids: Mapping[str, pulumi.Output[str]]
    security_group_ids: Mapping[str, pulumi.Output[str]]
    nodes: Mapping[str, NodeOutputs]
    api_endpoint: pulumi.Output[str]
    bastion_address: pulumi.Output[str]


class Infra(pulumi.ComponentResource):
    """VPC, security groups, instances and the private zone of one environment."""

    def __init__(
        self, name: str, args: InfraArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("groundwork:infra:Infra", name, None, opts)
        settings = args.settings
        tags = {
            "Project": settings.name,
            "Environment": args.environment,
            "ManagedBy": "pulumi",
        }
        provider = aws_provider(settings.aws, tags, pulumi.ResourceOptions(parent=self))
        child = pulumi.ResourceOptions(parent=self, providers=[provider])
        plan = NetworkPlan.of(
            settings.network.cidr, settings.network.zones, settings.network.subnet_prefix
        )
        network = Network("network", NetworkArgs(settings.name, plan), child).outputs
        security = Security(
            "security",
            SecurityArgs(
                name=settings.name,
                vpc_id=network.vpc_id,
                rules=matrix(settings.gitops.argocd.node_port),
                operator_cidrs=settings.access.operator_cidrs,
            ),
            child,
        )
        nodes = self._nodes(args, network.public, network.private, security, provider)
        bastion = nodes[settings.access.bastion].public_ip
        assert bastion is not None  # held by the settings' checks
        self.outputs = InfraOutputs(
            vpc_id=network.vpc_id,
            public_subnet_ids={zone: subnet.id for zone, subnet in network.public.items()},
            private_subnet_ids={zone: subnet.id for zone, subnet in network.private.items()},
            security_group_ids=security.groups,
            nodes=nodes,
            api_endpoint=self._zone(settings, network.vpc_id, nodes, provider),
            bastion_address=bastion,
        )
        self.register_outputs({"vpc_id": network.vpc_id})

    def _nodes(
        self,
        args: InfraArgs,
        public: Mapping[str, Subnet],
        private: Mapping[str, Subnet],
        security: Security,
        provider: aws.Provider,
    ) -> dict[str, NodeOutputs]:
        settings = args.settings
        child = pulumi.ResourceOptions(parent=self, providers=[provider])
        image = aws.ec2.get_ami_output(
            owners=[settings.ami.owner],
            filters=[{"name": "name", "values": [settings.ami.name]}],
            most_recent=True,
            opts=pulumi.InvokeOutputOptions(parent=self, provider=provider),
        )
        public_key = resolve(args.project, settings.ssh.public_key_file).read_text().split()
        key = aws.ec2.KeyPair(
            "operator",
            key_name=f"{settings.name}-operator",
            public_key=" ".join(public_key[:2]),
            opts=pulumi.ResourceOptions(parent=self, provider=provider),
        )
        profile = NodeProfile("node-profile", settings.name, child)
        return {
            node.name: NodeInstance(
                node.name,
                NodeArgs(
                    node=node,
                    cluster=settings.name,
                    ami_id=image.id,
                    key_name=key.key_name,
                    instance_profile=profile.name,
                    subnet=(public if node.public else private)[node.zone],
                    security_groups=security.of(node.role),
                    rules_enforced=security.enforced,
                ),
                child,
            ).outputs
            for node in settings.nodes
        }

    def _zone(
        self,
        settings: Settings,
        vpc_id: pulumi.Output[str],
        nodes: Mapping[str, NodeOutputs],
        provider: aws.Provider,
    ) -> pulumi.Output[str]:
        """The private zone, and in it the control-plane endpoint: a name from the first init on,
        because a cluster made without one cannot become highly available later."""
        child = pulumi.ResourceOptions(parent=self, provider=provider)
        zone = aws.route53.Zone(
            "private",
            name=settings.dns.zone,
            comment=f"{settings.name}: names inside the VPC",
            vpcs=[aws.route53.ZoneVpcArgs(vpc_id=vpc_id)],
            opts=child,
        )
        masters = [node.name for node in settings.nodes if node.role is Role.CONTROL_PLANE]
        record = aws.route53.Record(
            "api",
            zone_id=zone.zone_id,
            name=settings.api_endpoint,
            type="A",
            ttl=60,
            records=[nodes[name].private_ip for name in masters],
            opts=child,
        )
        return record.fqdn
