"""AWS: network, security groups, nodes, names, storage, roles."""

from infra.layer import Foundation, Infra, InfraArgs, InfraOutputs
from infra.nodes import NodeOutputs
from infra.pod_identity import IssuerKeys, IssuerKeysArgs, PodIdentityOutputs
from infra.provider import aws_provider

__all__ = [
    "Foundation",
    "Infra",
    "InfraArgs",
    "InfraOutputs",
    "IssuerKeys",
    "IssuerKeysArgs",
    "NodeOutputs",
    "PodIdentityOutputs",
    "aws_provider",
]
