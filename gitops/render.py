"""Helm values and Argo CD's own objects, rendered by pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from settings.models import GitOps, Node, Role

NAMESPACE = "argocd"
RELEASE = "argocd"
PLATFORM, SERVICES = "platform", "services"  # the AppProjects
_KUBERNETES = "https://kubernetes.default.svc"


def chart_values(settings: GitOps) -> dict[str, Any]:
    """Values of the argo-cd chart, in argo-helm's keys."""
    health = (Path(__file__).parent / "health.lua").read_text(encoding="utf-8")
    values: dict[str, Any] = {
        "configs": {
            "cm": {
                "resource.customizations.health.argoproj.io_Application": health,
                "timeout.reconciliation": "120s",
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


def projects(settings: GitOps, nodes: Sequence[Node]) -> dict[str, dict[str, Any]]:
    """AppProject specs by name, in place of `default`, which permits everything.

    platform: the root app, its children and what is cluster-wide; services: the APIs alone, each
    in the namespace of its domain, as the API nodes' `domain` labels have them.
    """
    domains = sorted(
        {n.labels["domain"] for n in nodes if n.role is Role.API and "domain" in n.labels}
    )
    return {
        PLATFORM: {
            "description": "The app of apps and the cluster's infrastructure",
            "sourceRepos": [settings.repo_url],
            "destinations": [{"server": _KUBERNETES, "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}],
        },
        SERVICES: {
            "description": "The APIs",
            "sourceRepos": [settings.repo_url],
            "destinations": [{"server": _KUBERNETES, "namespace": domain} for domain in domains],
            "clusterResourceWhitelist": [],
            "namespaceResourceWhitelist": [
                {"group": "apps", "kind": "Deployment"},
                {"group": "", "kind": "Service"},
                {"group": "", "kind": "ConfigMap"},
            ],
        },
    }


def root_application(settings: GitOps, environment: str) -> dict[str, Any]:
    """Spec of the root app: the app of apps, a Helm chart in git."""
    return {
        "project": PLATFORM,
        "source": {
            "repoURL": settings.repo_url,
            "targetRevision": settings.revision,
            "path": settings.path,
            "helm": {
                "valuesObject": {
                    "repoURL": settings.repo_url,
                    "targetRevision": settings.revision,
                    "environment": environment,
                }
            },
        },
        "destination": {"server": _KUBERNETES, "namespace": NAMESPACE},
        "syncPolicy": {
            "automated": {"prune": True, "selfHeal": True},
            "retry": {
                "limit": 5,
                "backoff": {"duration": "5s", "factor": 2, "maxDuration": "1m"},
            },
        },
    }
