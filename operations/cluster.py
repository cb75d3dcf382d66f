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
        done = self._run("get", *what, "-o", "json")
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace")
            if _NO_SUCH_TYPE in said:
                return []
            raise OperationsError(f"the cluster does not answer ({_reason(said)})")
        items: list[Object] = json.loads(done.stdout)["items"]
        return items

    def delete(self, *what: str) -> None:
        """`kubectl delete WHAT`, not waiting until it is gone; what is gone already is well.
        Raises OperationsError if the cluster refuses, or does not answer."""
        done = self._run("delete", *what, "--ignore-not-found", "--wait=false")
        if done.returncode != 0:
            reason = _reason(done.stderr.decode(errors="replace"))
            raise OperationsError(f"`kubectl delete {' '.join(what)}` failed ({reason})")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        asked = [f"--kubeconfig={self.kubeconfig}", "--request-timeout=10s", *arguments]
        try:
            return subprocess.run(
                [*self.command, *asked],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
        except FileNotFoundError:
            raise OperationsError(f"{self.command[0]} is not on PATH; install it") from None


def _reason(said: str) -> str:
    return " ".join(said.split()) or "no answer"
