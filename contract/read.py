"""Layers of other stacks, read back from their outputs as what the layers above need of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pulumi

from cluster import ControlPlane
from contract.model import VERSION
from infra import Foundation, NodeOutputs, PodIdentityOutputs
from infra.pod_identity import CONTROLLERS
from settings import Environment, Node, Settings

_Value = pulumi.Output[Any]
_LOOK = "pulumi:pulumi:readStackOutputs"  # the engine's own function, behind StackReference


class Others:
    """The stacks of an environment, as the stack `reader` sees them by the contract.

    What a stack does not tell (yet) ends the program with pulumi.RunError, in one sentence.
    """

    def __init__(self, environment: Environment, reader: str) -> None:
        self._environment, self._reader = environment, reader
        self._references: dict[str, pulumi.StackReference] = {}

    def infra(self, settings: Settings) -> Foundation:
        """The infra layer."""
        bastion = settings.access.bastion
        identity: PodIdentityOutputs | None = None
        if settings.identity.pods:
            identity = PodIdentityOutputs(
                issuer_url=self._get("infra", "issuer_url"),
                bucket_id=self._get("infra", "issuer_bucket"),
                role_arns={each.account: self._role(each.account) for each in CONTROLLERS},
            )
        return Foundation(
            vpc_id=self._get("infra", "vpc_id"),
            nodes={node.name: self._node(node) for node in settings.nodes},
            api_endpoint=self._get("infra", "api_endpoint"),
            bastion_address=self._get("infra", "bastion_address") if bastion else None,
            backups_bucket=self._get("infra", "backups_bucket"),
            identity=identity,
        )

    def cluster(self) -> ControlPlane:
        """The cluster layer."""
        return ControlPlane(kubeconfig=self._get("cluster", "kubeconfig"))

    def _role(self, account: str) -> _Value:
        return self._get("infra", "pod_role_arns", lambda arns: arns[account])

    def _node(self, node: Node) -> NodeOutputs:
        def field(name: str) -> _Value:
            return self._get("infra", "nodes", lambda nodes: _named(nodes, node.name)[name])

        return NodeOutputs(
            instance_id=field("instance_id"),
            private_ip=field("private_ip"),
            public_ip=field("public_ip") if node.public else None,
        )

    def _get(self, layer: str, name: str, choose: Callable[[Any], Any] = lambda all: all) -> _Value:
        """An output of the stack that owns `layer`, or what `choose` takes of it.

        What is not in it (LookupError) is unknown in a preview: that stack is about to make it.
        """
        owner = self._environment.owner(layer).name
        stack = self._reference(owner)
        both = pulumi.Output.all(stack.get_output("contract_version"), stack.get_output(name))

        def chosen(found: list[Any]) -> Any:
            version, value = found
            self._check(owner, version)
            try:
                return choose(_given(name, value))
            except LookupError as error:
                if pulumi.runtime.is_dry_run():
                    return pulumi.UNKNOWN
                raise self._error(owner, f"has no {error.args[0]} in its {name}") from None

        return both.apply(chosen)

    def _reference(self, owner: str) -> pulumi.StackReference:
        if owner not in self._references:
            path = f"{pulumi.get_organization()}/{pulumi.get_project()}/{owner}"
            try:  # a reference to a stack that is not there ends the program without saying why
                pulumi.runtime.invoke(_LOOK, {"name": path})
            except Exception as error:
                if "unknown stack" not in str(error):
                    raise
                raise self._error(owner, "does not exist yet") from None
            self._references[owner] = pulumi.StackReference(owner, path)
        return self._references[owner]

    def _check(self, owner: str, version: str | None) -> None:
        if version is None:
            raise self._error(owner, "has not been deployed yet")
        if version.split(".")[0] != VERSION.split(".")[0]:
            raise self._error(owner, f"has outputs of contract {version}, not {VERSION}")

    def _error(self, owner: str, what: str) -> pulumi.RunError:
        return pulumi.RunError(
            f"{self._reader} needs outputs of {owner}, which {what}; "
            f"run `pulumi up --stack {owner}` first"
        )


def _given(name: str, value: Any) -> Any:
    if value is None:
        raise LookupError(name)
    return value


def _named(nodes: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    for node in nodes:
        if node["name"] == name:
            return node
    raise LookupError(name)
