"""What the nodes may do in AWS."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


class NodeProfile(pulumi.ComponentResource):
    """One role and instance profile for every node, with no permission of its own yet:
    nothing that runs on the nodes calls AWS."""

    def __init__(self, name: str, prefix: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:NodeProfile", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            "node",
            name=f"{prefix}-node",
            description="Kubernetes nodes",
            assume_role_policy=_TRUST,
            opts=child,
        )
        profile = aws.iam.InstanceProfile("node", name=f"{prefix}-node", role=role.name, opts=child)
        self.name = profile.name
        self.register_outputs({"name": self.name})
