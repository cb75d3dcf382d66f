"""A cluster's kube API, asked by kubectl."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations.errors import OperationsError

Object = dict[str, Any]  # as the kube API tells it

ARGOCD = "argocd"  # Argo CD's namespace
_NO_SUCH_TYPE = "the server doesn't have a resource type"


@dataclass(frozen=True)
class Kubectl:
    """kubectl on one cluster.

    command: kubectl, behind whatever it is to run under; environment: its own, None for this
    process's.
    """

    kubeconfig: Path
    command: Sequence[str] = ("kubectl",)
    environment: Mapping[str, str] | None = None

    def get(self, *what: str) -> list[Object]:
        """`kubectl get WHAT`'s objects. Nothing if the cluster has no such type, or lacks one of
        several. Raises OperationsError if it does not answer."""
        asked = [f"--kubeconfig={self.kubeconfig}", "--request-timeout=10s", "get", *what]
        command = [*self.command, *asked, "-o", "json"]
        try:
            done = subprocess.run(
                command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True
            )
        except FileNotFoundError:
            raise OperationsError(f"{command[0]} is not on PATH; install it") from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace")
            if _NO_SUCH_TYPE in said:
                return []
            reason = " ".join(said.split()) or "no answer"
            raise OperationsError(f"the cluster does not answer ({reason})")
        items: list[Object] = json.loads(done.stdout)["items"]
        return items
