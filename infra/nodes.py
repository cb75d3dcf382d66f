"""EC2 instances: one a line of node data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.network import Subnet
from infra.order import after
from infra.policies import cluster_tag
from settings.models import Node


@dataclass(frozen=True)
class NodeArgs:
    """One instance. rules_enforced: known once every rule of the security groups stands;
    metadata_hop_limit: how far answers of the instance metadata service go, in IP hops."""

    node: Node
    cluster: str
    ami_id: pulumi.Input[str]
    key_name: pulumi.Input[str]
    instance_profile: pulumi.Input[str]
    subnet: Subnet
    security_groups: Sequence[pulumi.Input[str]]
    rules_enforced: pulumi.Output[int]
    metadata_hop_limit: int


@dataclass(frozen=True)
class NodeOutputs:
    """A node's machine. Addresses are known only once it can be reached at them.

    public_ip: None for a private node.
    """

    instance_id: pulumi.Output[str]
    private_ip: pulumi.Output[str]
    public_ip: pulumi.Output[str] | None


class NodeInstance(pulumi.ComponentResource):
    """An instance with IMDSv2 only and an encrypted gp3 root volume; an Elastic IP if public."""

    def __init__(self, name: str, args: NodeArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:NodeInstance", name, None, opts)
        node, tags = args.node, {"Name": args.node.name}
        instance = aws.ec2.Instance(
            name,
            ami=args.ami_id,
            instance_type=node.instance_type,
            subnet_id=args.subnet.id,
            vpc_security_group_ids=list(args.security_groups),
            key_name=args.key_name,
            iam_instance_profile=args.instance_profile,
            metadata_options=aws.ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                http_put_response_hop_limit=args.metadata_hop_limit,
            ),
            root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(
                volume_type="gp3",
                volume_size=node.disk_gib,
                encrypted=True,
                delete_on_termination=True,
            ),
            tags={
                **tags,
                "Role": node.role.value,
                cluster_tag(args.cluster): "owned",
            },
            # a newer image must never replace a running node by itself
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["ami"]),
        )
        gates: list[pulumi.Output[str] | pulumi.Output[int]] = [
            args.subnet.routed,
            args.rules_enforced,
        ]
        public_ip: pulumi.Output[str] | None = None
        if node.public:
            address = aws.ec2.Eip(
                name, domain="vpc", tags=tags, opts=pulumi.ResourceOptions(parent=self)
            )
            association = aws.ec2.EipAssociation(
                name,
                allocation_id=address.id,
                instance_id=instance.id,
                opts=pulumi.ResourceOptions(parent=self),
            )
            gates.append(association.id)
            public_ip = after(address.public_ip, *gates)
        self.outputs = NodeOutputs(
            instance_id=instance.id,
            private_ip=after(instance.private_ip, *gates),
            public_ip=public_ip,
        )
        self.register_outputs(
            {"instance_id": instance.id, "private_ip": instance.private_ip, "public_ip": public_ip}
        )
