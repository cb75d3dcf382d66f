"""Groundwork: from an empty AWS account to a running platform, in one graph.

settings -> infra -> cluster -> gitops -> contract. A layer that another stack of the environment
owns is read from that stack's outputs.
"""

from pathlib import Path

import pulumi

import contract
from cluster import Cluster, ClusterArgs, Host
from gitops import GitOps, GitOpsArgs
from infra import Foundation, Infra, InfraArgs, IssuerKeys, IssuerKeysArgs, aws_provider
from settings import SettingsError, environment, load
from settings.check import resolve

project, stack = Path(__file__).resolve().parent, pulumi.get_stack()
try:
    settings, whole = load(project, stack), environment(project, stack)
except SettingsError as error:
    raise pulumi.RunError(str(error)) from None
own, others = whole.stack(stack).layers, contract.Others(whole, stack)

if "infra" in own or "cluster" in own:
    in_aws = pulumi.ResourceOptions(providers=[aws_provider(settings, whole.name)])

if "infra" in own:
    made = Infra("infra", InfraArgs(settings, project), in_aws).outputs
    contract.publish_infra(settings, made)
    foundation: Foundation = made
else:
    foundation = others.infra(settings)

if "cluster" in own:
    private_key = resolve(project, settings.ssh.private_key_file).read_text(encoding="utf-8")
    identity = foundation.identity
    cluster = Cluster(
        "cluster",
        ClusterArgs(
            settings=settings,
            hosts={
                name: Host(node.instance_id, node.private_ip, node.public_ip)
                for name, node in foundation.nodes.items()
            },
            api_endpoint=foundation.api_endpoint,
            private_key=pulumi.Output.secret(private_key),
            bastion=foundation.bastion_address,
            address=foundation.operator_address(settings),
            issuer=identity.issuer_url if identity else None,
        ),
    ).outputs
    if identity and cluster.jwks:
        IssuerKeys("issuer-keys", IssuerKeysArgs(identity.bucket_id, cluster.jwks), in_aws)
    contract.publish_cluster(settings, cluster)

if "gitops" in own:
    control_plane = cluster.control_plane if "cluster" in own else others.cluster()
    gitops = GitOps(
        "gitops",
        GitOpsArgs(
            settings=settings,
            environment=whole.name,
            kubeconfig=control_plane.kubeconfig,
            address=foundation.operator_address(settings),
            vpc_id=foundation.vpc_id,
            backups_bucket=foundation.backups_bucket,
            role_arns=foundation.identity.role_arns if foundation.identity else None,
            members=control_plane.members,
            control_plane=control_plane.resource,
        ),
    ).outputs
    contract.publish_gitops(settings, gitops)
