"""Deploying: VPC, security groups and machines.

Actions: those of the provider's create, update and delete of infra/'s resource types. Resources
and conditions: "Actions, resources, and condition keys for Amazon EC2", Service Authorization
Reference.
"""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.permissions.scope import Scope
from infra.policies import ANY, Statement

# Calls that make something with tags, by the kinds of what they make
_MAKING = {
    "AllocateAddress": ("elastic-ip",),
    "AuthorizeSecurityGroupEgress": ("security-group-rule",),
    "AuthorizeSecurityGroupIngress": ("security-group-rule",),
    "CreateFlowLogs": ("vpc-flow-log",),
    "CreateInternetGateway": ("internet-gateway",),
    "CreateNatGateway": ("natgateway",),
    "CreateRouteTable": ("route-table",),
    "CreateSecurityGroup": ("security-group",),
    "CreateSubnet": ("subnet",),
    "CreateVpc": ("vpc",),
    "CreateVpcEndpoint": ("vpc-endpoint",),
    "ImportKeyPair": ("key-pair",),
    "RunInstances": ("instance",),
}
# What is done to things that have the environment's tag, those the above are made in among them
_USING = (
    "AssociateAddress",
    "AssociateIamInstanceProfile",
    "AssociateRouteTable",
    "AttachInternetGateway",
    "AuthorizeSecurityGroupEgress",
    "AuthorizeSecurityGroupIngress",
    "CreateFlowLogs",
    "CreateNatGateway",
    "CreateRoute",
    "CreateRouteTable",
    "CreateSecurityGroup",
    "CreateSubnet",
    "CreateVpcEndpoint",
    "DeleteFlowLogs",
    "DeleteInternetGateway",
    "DeleteKeyPair",
    "DeleteNatGateway",
    "DeleteRoute",
    "DeleteRouteTable",
    "DeleteSecurityGroup",
    "DeleteSubnet",
    "DeleteVpc",
    "DeleteVpcEndpoints",
    "DetachInternetGateway",
    "DisassociateAddress",
    "DisassociateIamInstanceProfile",
    "DisassociateRouteTable",
    "ModifyInstanceAttribute",
    "ModifyInstanceMetadataOptions",
    "ModifyNetworkInterfaceAttribute",
    "ModifySecurityGroupRules",
    "ModifySubnetAttribute",
    "ModifyVolume",
    "ModifyVpcAttribute",
    "ModifyVpcEndpoint",
    "ReleaseAddress",
    "ReplaceIamInstanceProfileAssociation",
    "ReplaceRoute",
    "ReplaceRouteTableAssociation",
    "RevokeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "RunInstances",
    "StartInstances",
    "StopInstances",
    "TerminateInstances",
    "UpdateSecurityGroupRuleDescriptionsEgress",
    "UpdateSecurityGroupRuleDescriptionsIngress",
)
# AWS makes these by itself beside what was asked for, and tags none of them
_UNTAGGED = ("network-interface/*", "volume/*")


def network(scope: Scope) -> Sequence[Statement]:
    """Of one region and account, and of what has the environment's tag."""
    everything = scope.arns("ec2", "*")
    makes = sorted({kind for kinds in _MAKING.values() for kind in kinds})
    region, owner = scope.environment.region, scope.environment.image_owner
    owner = scope.account if owner == "self" else owner
    return (
        Statement(_ec2(*_MAKING), scope.arns("ec2", *(f"{kind}/*" for kind in makes)), scope.asked),
        Statement(_ec2(*_USING), everything, scope.owned),
        Statement(
            _ec2("RunInstances"),
            (f"arn:aws:ec2:{region}::image/*",),
            {"StringEquals": {"ec2:Owner": owner}},
        ),
        Statement(_ec2("RunInstances"), scope.arns("ec2", *_UNTAGGED)),
        Statement(
            _ec2("AssociateAddress", "DisassociateAddress", "ModifyNetworkInterfaceAttribute"),
            scope.arns("ec2", "network-interface/*"),
        ),
        Statement(
            _ec2("CreateTags"),
            everything,
            {
                "StringEquals": {
                    **scope.asked["StringEquals"],
                    "ec2:CreateAction": list(_MAKING),
                }
            },
        ),
        Statement(_ec2("CreateTags", "DeleteTags"), everything, scope.retagged),
        Statement(  # a VPC's default group, and volumes, come without a tag: nobody's yet
            _ec2("CreateTags"),
            scope.arns("ec2", "security-group/*", "volume/*"),
            scope.claimed,
        ),
        # that EC2 writes the VPC's flow log into a bucket
        Statement(("logs:CreateLogDelivery", "logs:DeleteLogDelivery"), (ANY,), scope.in_region()),
    )


def _ec2(*names: str) -> tuple[str, ...]:
    return tuple(f"ec2:{name}" for name in names)
