"""Entry point of `pulumi-resource-kubernetes`."""

from __future__ import annotations

import os
import sys

from rehearsal.plugins.kubernetes.provider import KubernetesProvider
from rehearsal.plugins.kubernetes.workspace import Workspace
from rehearsal.plugins.protocol import serve

if __name__ == "__main__":
    with Workspace() as workspace:
        serve(KubernetesProvider(workspace))
    # The engine gives all plugins together a few seconds: no waiting for threads that still wait.
    sys.stderr.flush()
    os._exit(0)
