"""The outputs: what other teams' stacks may build on."""

from contract.model import VERSION, Contract, NodeOutput
from contract.publish import publish

__all__ = ["VERSION", "Contract", "NodeOutput", "publish"]
