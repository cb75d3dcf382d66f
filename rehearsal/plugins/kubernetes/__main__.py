"""Entry point of `pulumi-resource-kubernetes`."""

from __future__ import annotations

from rehearsal.plugins.kubernetes.provider import KubernetesProvider
from rehearsal.plugins.kubernetes.workspace import Workspace
from rehearsal.plugins.protocol import serve

if __name__ == "__main__":
    with Workspace() as workspace:
        serve(KubernetesProvider(workspace))
