"""Helm values and Argo CD's own objects, rendered by pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from settings.models import GitOps, Node, Role, Settings

NAMESPACE = "argocd"
RELEASE = "argocd"
# The AppProjects: of the root app, and of its children.
PLATFORM = "platform"
INFRASTRUCTURE, ADDONS, CREDENTIALS = "infrastructure", "addons", "credentials"
DATABASES, WORKERS, SERVICES = "databases", "workers", "services"
_KUBERNETES = "https://kubernetes.default.svc"
_HERE = Path(__file__).parent

Kinds = Mapping[str, Sequence[str]]  # by API group

_WORKLOADS: Kinds = {
    "apps": ("Deployment",),
    "policy": ("PodDisruptionBudget",),
}

_ADDONS_KINDS: Kinds = {
    "": ("Namespace",),
    "admissionregistration.k8s.io": (
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ),
    "apiextensions.k8s.io": ("CustomResourceDefinition",),
    "apiregistration.k8s.io": ("APIService",),
    "cert-manager.io": ("ClusterIssuer",),
    "external-secrets.io": ("ClusterSecretStore",),
    "networking.k8s.io": ("IngressClass",),
    "rbac.authorization.k8s.io": ("ClusterRole", "ClusterRoleBinding"),
    "scheduling.k8s.io": ("PriorityClass",),
    "storage.k8s.io": ("CSIDriver",),
}


def chart_values(settings: GitOps) -> dict[str, Any]:
    """Values of the argo-cd chart, in argo-helm's keys."""
    values: dict[str, Any] = {
        "configs": {
            "cm": {
                f"resource.customizations.health.{kind}": _text(f"{file}.lua")
                for kind, file in (
                    ("apiextensions.k8s.io_CustomResourceDefinition", "definition_health"),
                    ("argoproj.io_Application", "health"),
                    ("argoproj.io_ApplicationSet", "applicationset_health"),
                    ("monitoring.coreos.com_Alertmanager", "operated_health"),
                    ("monitoring.coreos.com_Prometheus", "operated_health"),
                )
            }
            | {"timeout.reconciliation": "120s"},
            # An ApplicationSet looks at its Applications' health with this alone, which its own
            # health is made of. None has a strategy, so their auto-sync stays.
            "params": {
                "applicationsetcontroller.enable.progressive.syncs": True,
                # A sync that waits for what never gets well would wait without end, and Argo CD
                # deletes no Application while its sync runs.
                "controller.sync.timeout.seconds": 1200,
            },
        },
        "server": {
            "service": {"type": "NodePort", "nodePortHttps": settings.argocd.node_port},
        },
        "dex": {"enabled": False},
        "notifications": {"enabled": False},
    }
    if settings.argocd.redis_image:
        repository, tag = settings.argocd.redis_image.rsplit(":", 1)
        values["redis"] = {"image": {"repository": repository, "tag": tag}}
    return values


def apis(nodes: Sequence[Node]) -> list[dict[str, str]]:
    """The APIs, by domain and the phase in which they are synced: what API nodes are labelled. The
    settings' checks hold that a domain has one phase."""
    phases = {
        node.labels["domain"]: node.labels["phase"]
        for node in nodes
        if node.role is Role.API and "domain" in node.labels
    }
    return [{"domain": domain, "phase": phase} for domain, phase in sorted(phases.items())]


def projects(settings: GitOps, nodes: Sequence[Node]) -> dict[str, dict[str, Any]]:
    """AppProject specs by name, in place of `default`, which permits everything.

    One for the root app and one for each part of the tree; it permits the kinds that the part has,
    in the namespaces that it has them in. Of ours only the infrastructure's permits a Namespace:
    where its policies are not, no API is started. Of the add-ons only what is cluster-wide is
    listed by kind: the rest is their authors'.
    """
    domains = [api["domain"] for api in apis(nodes)]
    addons = yaml.safe_load(_text("tree/addons/apps/addons.yaml"))["addons"]
    charts = {settings.chart_mirror or each["repository"] for each in addons if "chart" in each}
    homes = {each["namespace"] for each in addons if each.get("project", ADDONS) == ADDONS}
    return {
        PLATFORM: _project(
            settings,
            "The app of apps",
            [NAMESPACE],
            {"argoproj.io": ("Application", "ApplicationSet")},
        ),
        INFRASTRUCTURE: _project(
            settings,
            "Namespaces with their policies and quotas; storage classes",
            # the tree has these also where an environment has no node for one's API
            ["default", *sorted({*domains, *_tree_domains()}), "databases", "workers"],
            {
                "": ("ConfigMap", "LimitRange", "ResourceQuota"),
                "networking.k8s.io": ("NetworkPolicy",),
            },
            {"": ("Namespace",), "storage.k8s.io": ("StorageClass",)},
        ),
        ADDONS: _project(
            settings,
            "What the cluster itself needs, by its authors' charts",
            sorted(homes | {"kube-system"}),
            {"*": ("*",)},
            _ADDONS_KINDS,
            sorted(charts),
        ),
        CREDENTIALS: _project(
            settings,
            "Secrets of the APIs and workers, from the environment's store",
            ["default"],
            {},
            {"external-secrets.io": ("ClusterExternalSecret",)},
        ),
        DATABASES: _project(
            settings,
            "PostgreSQL, Redis, RabbitMQ",
            ["databases"],
            {
                "": ("ConfigMap", "Service", "ServiceAccount"),
                "apps": ("StatefulSet",),
                "batch": ("CronJob", "Job"),
                "external-secrets.io": ("ExternalSecret",),
                "networking.k8s.io": ("NetworkPolicy",),
                "policy": ("PodDisruptionBudget",),
                "rbac.authorization.k8s.io": ("Role", "RoleBinding"),
            },
        ),
        WORKERS: _project(settings, "The workers", ["workers"], _WORKLOADS),
        SERVICES: _project(
            settings,
            "The APIs",
            domains,
            {
                **_WORKLOADS,
                "": ("Service",),
                "autoscaling": ("HorizontalPodAutoscaler",),
                "batch": ("Job",),
                "monitoring.coreos.com": ("ServiceMonitor",),
                "networking.k8s.io": ("Ingress",),
            },
        ),
    }


def _tree_domains() -> set[str]:
    """The domains whose namespaces the tree has."""
    folder = _HERE / "tree/k8s/infrastructure/domains"
    return {each.name for each in folder.iterdir() if each.is_dir()}


def given(
    settings: Settings, vpc_id: Any, backups_bucket: Any, role_arns: Mapping[str, Any]
) -> dict[str, Any]:
    """What the tree cannot know of itself, for `root_application`; the arguments may be outputs.

    role_arns: by `<namespace>/<service account>`.
    """
    public, region = settings.dns.public, settings.aws.region
    backups = {
        "bucket": backups_bucket,
        "region": region,
        "roleArn": role_arns.get("databases/database-backups", ""),
    }
    addons = {
        "cluster": {"name": settings.name, "region": region, "vpcId": vpc_id},
        "ingress": {
            "nodePort": settings.ingress.node_port,
            "host": f"{public.api}.{public.domain}" if public else "",
        },
        "roleArns": dict(role_arns),
        "chartMirror": settings.gitops.chart_mirror or "",
    }
    return {
        "databases": {"values": {"backups": backups}},
        "addons": addons if settings.gitops.addons else {},
    }


def root_application(
    settings: GitOps,
    environment: str,
    nodes: Sequence[Node],
    given: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Spec of the root app: the app of apps, a Helm chart in git.

    Its values are the settings' and, if the chart has it, values-<environment>.yaml's. given: those
    that only the program knows, of what it made: {databases: {values: …}, addons: …}, outputs
    among them.
    """
    return {
        "project": PLATFORM,
        "source": {
            "repoURL": settings.repo_url,
            "targetRevision": settings.revision,
            "path": settings.path,
            "helm": {
                "valueFiles": [f"values-{environment}.yaml"],
                "ignoreMissingValueFiles": True,
                "valuesObject": {
                    "repoURL": settings.repo_url,
                    "targetRevision": settings.revision,
                    "environment": environment,
                    "apis": apis(nodes),
                    **(given or {}),
                },
            },
        },
        "destination": {"server": _KUBERNETES, "namespace": NAMESPACE},
        "syncPolicy": {
            "automated": {"prune": True, "selfHeal": True},
            # A child that is Degraded for a while fails the root app's sync, and Argo CD does not
            # begin a failed one again by itself: so it goes on, with what git has by then, for
            # about as long as the program waits.
            "retry": {
                "limit": 20,
                "refresh": True,
                "backoff": {"duration": "5s", "factor": 2, "maxDuration": "1m"},
            },
        },
    }


def _project(
    settings: GitOps,
    description: str,
    namespaces: Sequence[str],
    kinds: Kinds,
    cluster_kinds: Kinds | None = None,
    charts: Sequence[str] = (),
) -> dict[str, Any]:
    return {
        "description": description,
        "sourceRepos": [settings.repo_url, *charts],
        "destinations": [{"server": _KUBERNETES, "namespace": each} for each in namespaces],
        "clusterResourceWhitelist": _listed(cluster_kinds or {}),
        "namespaceResourceWhitelist": _listed(kinds),
    }


def _listed(kinds: Kinds) -> list[dict[str, str]]:
    return [{"group": group, "kind": kind} for group, names in kinds.items() for kind in names]


def _text(file: str) -> str:
    return (_HERE / file).read_text(encoding="utf-8")
