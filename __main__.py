"""Groundwork: from an empty AWS account to a running platform, in one graph.

settings -> infra -> cluster -> gitops -> contract
"""

from pathlib import Path

import pulumi

import contract
from cluster import Cluster, ClusterArgs, Host
from gitops import GitOps, GitOpsArgs
from infra import Infra, InfraArgs
from settings import SettingsError, load
from settings.check import resolve

project, environment = Path(__file__).resolve().parent, pulumi.get_stack()
try:
    settings = load(project, environment)
except SettingsError as error:
    raise pulumi.RunError(str(error)) from None

layer = Infra("infra", InfraArgs(settings, environment, project))
infra = layer.outputs

private_key = resolve(project, settings.ssh.private_key_file).read_text(encoding="utf-8")
cluster = Cluster(
    "cluster",
    ClusterArgs(
        settings=settings,
        hosts={
            name: Host(node.instance_id, node.private_ip, node.public_ip)
            for name, node in infra.nodes.items()
        },
        api_endpoint=infra.api_endpoint,
        private_key=pulumi.Output.secret(private_key),
        issuer=infra.identity.issuer_url if infra.identity else None,
    ),
).outputs
if cluster.jwks is not None:
    layer.publish_keys(cluster.jwks)

gitops = GitOps(
    "gitops",
    GitOpsArgs(
        settings=settings,
        environment=environment,
        kubeconfig=cluster.kubeconfig,
        address=infra.bastion_address,
        members=cluster.members,
        control_plane=cluster.control_plane,
    ),
).outputs

contract.publish(
    {
        "contract_version": contract.VERSION,
        "cluster_name": settings.name,
        "region": settings.aws.region,
        "vpc_id": infra.vpc_id,
        "public_subnet_ids": infra.public_subnet_ids,
        "private_subnet_ids": infra.private_subnet_ids,
        "security_group_ids": infra.security_group_ids,
        "api_endpoint": infra.api_endpoint,
        "api_server": cluster.api_server,
        "kubeconfig": cluster.kubeconfig,
        "argocd_url": gitops.argocd_url,
        "bastion_address": infra.bastion_address,
        "backups_bucket": infra.backups_bucket,
        "assets_bucket": infra.assets_bucket,
        "public_api_url": infra.edges.api_url if infra.edges else None,
        "public_argocd_url": infra.edges.argocd_url if infra.edges else None,
        "cdn_url": infra.edges.cdn_url if infra.edges else None,
        "public_name_servers": infra.edges.name_servers if infra.edges else None,
        "pod_role_arns": infra.identity.role_arns if infra.identity else None,
        "nodes": [
            {
                "name": node.name,
                "role": node.role.value,
                "zone": node.zone,
                "instance_id": infra.nodes[node.name].instance_id,
                "private_ip": infra.nodes[node.name].private_ip,
            }
            for node in settings.nodes
        ],
    }
)
