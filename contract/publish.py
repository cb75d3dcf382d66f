"""Makes stack outputs of the layers' outputs, and holds them to the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from cluster import ClusterOutputs
from contract.model import VERSION, ClusterContract, Common, GitOpsContract, InfraContract
from gitops import GitOpsOutputs
from infra import InfraOutputs
from settings import Settings

SECRETS = frozenset({"kubeconfig"})


def publish(values: Mapping[str, pulumi.Input[Any]], model: type[Common]) -> None:
    """Exports `values`, one output a field of `model`; what this environment does not have (None)
    is no output.

    Raises ValueError for a field that is missing or unknown.
    """
    missing = sorted(set(model.model_fields) - set(values))
    unknown = sorted(set(values) - set(model.model_fields))
    if missing or unknown:
        raise ValueError(f"outputs do not fit the contract: missing {missing}, unknown {unknown}")
    for name in model.model_fields:
        value = values[name]
        if value is not None:
            pulumi.export(name, pulumi.Output.secret(value) if name in SECRETS else value)


def publish_infra(settings: Settings, infra: InfraOutputs) -> None:
    """The infra layer's part."""
    edges, identity = infra.edges, infra.identity
    values = {
        **_common(settings),
        "vpc_id": infra.vpc_id,
        "public_subnet_ids": infra.public_subnet_ids,
        "private_subnet_ids": infra.private_subnet_ids,
        "security_group_ids": infra.security_group_ids,
        "api_endpoint": infra.api_endpoint,
        "bastion_address": infra.bastion_address,
        "backups_bucket": infra.backups_bucket,
        "assets_bucket": infra.assets_bucket,
        "public_api_url": edges.api_url if edges else None,
        "public_argocd_url": edges.argocd_url if edges else None,
        "cdn_url": edges.cdn_url if edges else None,
        "public_name_servers": edges.name_servers if edges else None,
        "pod_role_arns": identity.role_arns if identity else None,
        "issuer_url": identity.issuer_url if identity else None,
        "issuer_bucket": identity.bucket_id if identity else None,
        "nodes": [
            {
                "name": node.name,
                "role": node.role.value,
                "zone": node.zone,
                "instance_id": infra.nodes[node.name].instance_id,
                "private_ip": infra.nodes[node.name].private_ip,
                "public_ip": infra.nodes[node.name].public_ip,
            }
            for node in settings.nodes
        ],
    }
    publish(values, InfraContract)


def publish_cluster(settings: Settings, cluster: ClusterOutputs) -> None:
    """The cluster layer's part."""
    kubeconfig = cluster.control_plane.kubeconfig
    values = {"api_server": cluster.api_server, "kubeconfig": kubeconfig}
    publish({**_common(settings), **values}, ClusterContract)


def publish_gitops(settings: Settings, gitops: GitOpsOutputs) -> None:
    """The gitops layer's part."""
    publish({**_common(settings), "argocd_url": gitops.argocd_url}, GitOpsContract)


def _common(settings: Settings) -> dict[str, pulumi.Input[Any]]:
    return {
        "contract_version": VERSION,
        "cluster_name": settings.name,
        "region": settings.aws.region,
    }
