"""AWS: network, security groups, nodes, names."""

from infra.layer import Infra, InfraArgs, InfraOutputs

__all__ = ["Infra", "InfraArgs", "InfraOutputs"]
