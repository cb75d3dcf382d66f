"""What the nodes may do in AWS: one role and instance profile for the control plane, one for the
others. What pods may do is in `pod_identity`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.policies import Statement, document
from settings.models import Role

CONTROL_PLANE, NODE = "control-plane", "node"
_DESCRIPTIONS = {
    CONTROL_PLANE: "The Kubernetes control plane",
    NODE: "Kubernetes nodes beside the control plane",
}
_TRUST = document(Statement(("sts:AssumeRole",), principals={"Service": "ec2.amazonaws.com"}))


@dataclass(frozen=True)
class NodeProfilesArgs:
    """permissions: of CONTROL_PLANE and NODE, each an IAM policy document by its name; boundary:
    ARN of a policy that bounds them."""

    name: str
    permissions: Mapping[str, Mapping[str, pulumi.Input[str]]]
    boundary: str | None = None


class NodeProfiles(pulumi.ComponentResource):
    """A role and an instance profile each for control plane and other nodes, with just the
    permissions given. Instances launched with one can use them once `of` is known."""

    def __init__(self, name: str, args: NodeProfilesArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:NodeProfiles", name, None, opts)
        self._profiles = {
            kind: self._profile(args, kind, description)
            for kind, description in _DESCRIPTIONS.items()
        }
        self.register_outputs({"profiles": self._profiles})

    def _profile(self, args: NodeProfilesArgs, kind: str, description: str) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            kind,
            name=f"{args.name}-{kind}",
            description=description,
            assume_role_policy=_TRUST,
            permissions_boundary=args.boundary,
            opts=child,
        )
        for permission, allowed in args.permissions[kind].items():
            aws.iam.RolePolicy(
                f"{kind}-{permission}", name=permission, role=role.name, policy=allowed, opts=child
            )
        return aws.iam.InstanceProfile(
            kind, name=f"{args.name}-{kind}", role=role.name, opts=child
        ).name

    def of(self, role: Role) -> pulumi.Output[str]:
        """The name of the profile for a node of this role."""
        return self._profiles[CONTROL_PLANE if role is Role.CONTROL_PLANE else NODE]
