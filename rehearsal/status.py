"""Nodes and Applications, as a table or JSON, from the kube API."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rehearsal.errors import RehearsalError
from rehearsal.namespace import operator_command, operator_environment


@dataclass(frozen=True)
class NodeStatus:
    """One Kubernetes node. roles: as kubectl shows them."""

    name: str
    ready: bool
    roles: str
    version: str
    address: str
    reason: str


@dataclass(frozen=True)
class ApplicationStatus:
    """One Argo CD Application. sync and health: Argo CD's own words."""

    name: str
    sync: str
    health: str
    revision: str
    reason: str

    @property
    def well(self) -> bool:
        return self.sync == "Synced" and self.health == "Healthy"


@dataclass(frozen=True)
class Status:
    """The whole rehearsal at one moment."""

    nodes: Sequence[NodeStatus]
    applications: Sequence[ApplicationStatus]

    @property
    def well(self) -> bool:
        """Every node Ready, and every Application Synced and Healthy; and there are some."""
        return (
            bool(self.nodes)
            and bool(self.applications)
            and all(node.ready for node in self.nodes)
            and all(application.well for application in self.applications)
        )

    def as_json(self) -> str:
        return json.dumps({"well": self.well, **asdict(self)}, indent=2)

    def as_table(self) -> str:
        nodes = [("NODE", "READY", "ROLES", "VERSION", "ADDRESS", "")]
        nodes += [
            (n.name, "yes" if n.ready else "NO", n.roles, n.version, n.address, n.reason)
            for n in self.nodes
        ]
        applications = [("APPLICATION", "SYNC", "HEALTH", "REVISION", "")]
        applications += [
            (a.name, a.sync, a.health, a.revision[:8], a.reason) for a in self.applications
        ]
        return "\n".join([*_columns(nodes), "", *_columns(applications)])


def read(kubectl: Path, kubeconfig: Path) -> Status:
    """Asks the cluster. Raises RehearsalError if it does not answer."""
    nodes = _get(kubectl, kubeconfig, "nodes")
    applications = _get(kubectl, kubeconfig, "applications.argoproj.io", "--namespace=argocd")
    return Status(
        nodes=[_node(item) for item in nodes],
        applications=[_application(item) for item in applications],
    )


def _get(kubectl: Path, kubeconfig: Path, *what: str) -> list[dict[str, Any]]:
    command = [str(kubectl), f"--kubeconfig={kubeconfig}", "--request-timeout=10s", "get"]
    done = subprocess.run(
        operator_command([*command, *what, "-o", "json"]),
        env=operator_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        if "the server doesn't have a resource type" in done.stderr:
            return []
        reason = " ".join(done.stderr.split()) or "no answer"
        raise RehearsalError(f"the cluster does not answer ({reason}); run `make up`")
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


def _node(item: dict[str, Any]) -> NodeStatus:
    meta, status = item["metadata"], item["status"]
    prefix = "node-role.kubernetes.io/"
    ready: dict[str, str] = next((c for c in status["conditions"] if c["type"] == "Ready"), {})
    roles = sorted(key.removeprefix(prefix) for key in meta["labels"] if key.startswith(prefix))
    addresses = [a["address"] for a in status["addresses"] if a["type"] == "InternalIP"]
    return NodeStatus(
        name=meta["name"],
        ready=ready.get("status") == "True",
        roles=",".join(roles),
        version=status["nodeInfo"]["kubeletVersion"],
        address=addresses[0] if addresses else "",
        reason="" if ready.get("status") == "True" else ready.get("message", "no condition yet"),
    )


def _application(item: dict[str, Any]) -> ApplicationStatus:
    status = item.get("status", {})
    sync, health = status.get("sync", {}), status.get("health", {})
    conditions = [c.get("message", "") for c in status.get("conditions", [])]
    operation = status.get("operationState", {})
    reasons = [health.get("message", ""), *conditions]
    if operation.get("phase") in ("Failed", "Error"):
        reasons.append(operation.get("message", ""))
    return ApplicationStatus(
        name=item["metadata"]["name"],
        sync=sync.get("status", "Unknown"),
        health=health.get("status", "Unknown"),
        revision=sync.get("revision", ""),
        reason=" ".join(" ".join(filter(None, reasons)).split())[:160],
    )


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]
