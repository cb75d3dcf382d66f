"""Argo CD by its Helm chart, its AppProjects, and the root application."""

from gitops.layer import GitOps, GitOpsArgs, GitOpsOutputs

__all__ = ["GitOps", "GitOpsArgs", "GitOpsOutputs"]
