"""The outputs: what other teams' stacks, and the stacks of other layers, may build on."""

from contract.model import VERSION, Contract, NodeOutput
from contract.publish import publish_cluster, publish_gitops, publish_infra
from contract.read import Others

__all__ = [
    "VERSION",
    "Contract",
    "NodeOutput",
    "Others",
    "publish_cluster",
    "publish_gitops",
    "publish_infra",
]
