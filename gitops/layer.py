"""The gitops layer: a cluster in, Argo CD with its root app out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from gitops import render
from settings import Settings


@dataclass(frozen=True)
class GitOpsArgs:
    """kubeconfig: secret; address: where operators reach node ports; members: the nodes that
    must have joined before pods are sent; control_plane: what the cluster dies with; none of
    either if another stack makes them. vpc_id, backups_bucket, role_arns (by `<namespace>/<service
    account>`; None where pods take the node's): what the tree is told of AWS."""

    settings: Settings
    environment: str
    kubeconfig: pulumi.Output[str]
    address: pulumi.Output[str]
    vpc_id: pulumi.Output[str]
    backups_bucket: pulumi.Output[str]
    role_arns: Mapping[str, pulumi.Output[str]] | None
    members: Sequence[pulumi.Resource]
    control_plane: pulumi.Resource | None


@dataclass(frozen=True)
class GitOpsOutputs:
    """argocd_url: Argo CD's address for operators."""

    argocd_url: pulumi.Output[str]


class GitOps(pulumi.ComponentResource):
    """Namespace -> argo-cd release -> AppProjects -> root app; deleted the other way round, so
    that the controllers still run while Applications and what they made are removed."""

    def __init__(
        self, name: str, args: GitOpsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("groundwork:gitops:GitOps", name, None, opts)
        settings = args.settings.gitops
        provider = k8s.Provider(
            "cluster",
            kubeconfig=args.kubeconfig,
            # without it a kubeconfig that is unknown at preview would replace all that is inside
            cluster_identifier=f"{args.settings.name}-{args.environment}",
            delete_unreachable=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # a release's deletion fails on a dead cluster (pulumi-kubernetes#2517): they go together
        with_cluster = pulumi.ResourceOptions(
            parent=self, provider=provider, deleted_with=args.control_plane
        )
        namespace = k8s.core.v1.Namespace(
            "argocd",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=render.NAMESPACE),
            opts=with_cluster,
        )
        release = k8s.helm.v3.Release(
            "argocd",
            name=render.RELEASE,
            namespace=render.NAMESPACE,
            chart=settings.argocd.chart,
            version=settings.argocd.version,
            repository_opts=k8s.helm.v3.RepositoryOptsArgs(repo=settings.argocd.chart_repository),
            values=render.chart_values(settings),
            timeout=600,
            opts=pulumi.ResourceOptions.merge(
                with_cluster, pulumi.ResourceOptions(depends_on=[namespace, *args.members])
            ),
        )
        projects = [
            k8s.apiextensions.CustomResource(
                f"project-{project}",
                api_version="argoproj.io/v1alpha1",
                kind="AppProject",
                metadata=k8s.meta.v1.ObjectMetaArgs(name=project, namespace=render.NAMESPACE),
                spec=spec,
                opts=pulumi.ResourceOptions.merge(
                    with_cluster, pulumi.ResourceOptions(depends_on=[release])
                ),
            )
            for project, spec in render.projects(settings, args.settings.nodes).items()
        ]
        self._root(args, provider, projects)
        self.outputs = GitOpsOutputs(
            argocd_url=pulumi.Output.format(
                "https://{0}:{1}", args.address, settings.argocd.node_port
            )
        )
        self.register_outputs({"argocd_url": self.outputs.argocd_url})

    def _root(
        self, args: GitOpsArgs, provider: k8s.Provider, projects: Sequence[pulumi.Resource]
    ) -> None:
        """The root app. It is done when Synced and Healthy, and gone when its children are."""
        k8s.apiextensions.CustomResource(
            "root",
            api_version="argoproj.io/v1alpha1",
            kind="Application",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name="root",
                namespace=render.NAMESPACE,
                finalizers=["resources-finalizer.argocd.argoproj.io"],
                annotations={
                    "pulumi.com/waitFor": json.dumps(
                        [
                            "jsonpath={.status.sync.status}=Synced",
                            "jsonpath={.status.health.status}=Healthy",
                        ]
                    )
                },
            ),
            spec=render.root_application(
                args.settings.gitops,
                args.environment,
                args.settings.nodes,
                render.given(args.settings, args.vpc_id, args.backups_bucket, args.role_arns or {}),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=provider,
                depends_on=list(projects),
                # nothing is deleted while a sync of it runs
                custom_timeouts=pulumi.CustomTimeouts(create="30m", update="30m", delete="30m"),
            ),
        )
