"""The status of the rehearsal's cluster, asked from where the operator sits."""

from __future__ import annotations

import sys
from pathlib import Path

from operations import status
from operations.cluster import Kubectl
from operations.errors import OperationsError
from operations.status import Status
from operations.watch import watch as watching
from rehearsal.errors import RehearsalError
from rehearsal.namespace import operator_command, operator_environment

__all__ = ["Status", "cluster", "read", "watch"]


def read(kubectl: Path, kubeconfig: Path) -> Status:
    """Asks the cluster. Raises RehearsalError if it does not answer."""
    try:
        return status.read(cluster(kubectl, kubeconfig))
    except OperationsError as error:
        raise RehearsalError(f"{error}; run `make up`") from None


def watch(kubectl: Path, kubeconfig: Path, as_json: bool) -> int:
    """Shows it until Ctrl-C; returns the exit code of what was found last."""
    asked = cluster(kubectl, kubeconfig)
    return watching(lambda: status.read(asked), sys.stdout, as_json)


def cluster(kubectl: Path, kubeconfig: Path) -> Kubectl:
    """The cluster, as the operator asks it. kubectl: the program; kubeconfig: the cluster's."""
    return Kubectl(kubeconfig, operator_command([str(kubectl)]), operator_environment())
