"""Nodes, Applications and ApplicationSets, as a table or JSON, from the kube API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from operations.cluster import ARGOCD, Kubectl, Object
from operations.reasons import Trouble, is_well, of_application, of_application_set
from operations.trouble import KINDS, Troubles

_WAVE = "argocd.argoproj.io/sync-wave"
_TRACKED = "argocd.argoproj.io/tracking-id"
_ROLE = "node-role.kubernetes.io/"
_ZONE = "topology.kubernetes.io/zone"
_TABLE_REASON = 240  # characters; JSON has all of it


@dataclass(frozen=True)
class NodeStatus:
    """One Kubernetes node. roles: as kubectl shows them; zone: "" where nothing told it."""

    name: str
    ready: bool
    roles: str
    zone: str
    version: str
    address: str
    reason: str


@dataclass(frozen=True)
class ApplicationStatus:
    """One Argo CD Application. sync and health: Argo CD's own words; wave: None for one that no
    Application syncs, as the root app; well: Synced and Healthy, and its last operation is over
    and did not fail afterwards."""

    name: str
    wave: int | None
    sync: str
    health: str
    revision: str
    well: bool
    reason: str


@dataclass(frozen=True)
class ApplicationSetStatus:
    """One ApplicationSet. applications: how many it made; reason: "" if it is well."""

    name: str
    wave: int | None
    applications: int
    reason: str

    @property
    def well(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class Status:
    """A whole platform at one moment."""

    nodes: Sequence[NodeStatus]
    applications: Sequence[ApplicationStatus]
    application_sets: Sequence[ApplicationSetStatus] = ()

    @property
    def well(self) -> bool:
        """Every node Ready, every Application and ApplicationSet well; and there are some."""
        return (
            bool(self.nodes)
            and bool(self.applications)
            and all(node.ready for node in self.nodes)
            and all(application.well for application in self.applications)
            and all(each.well for each in self.application_sets)
        )

    def as_json(self, indent: int | None = 2) -> str:
        return json.dumps({"well": self.well, **asdict(self)}, indent=indent)

    def as_table(self) -> str:
        nodes = [("NODE", "READY", "ROLES", "ZONE", "VERSION", "ADDRESS", "")]
        nodes += [
            (n.name, "yes" if n.ready else "NO", n.roles, n.zone, n.version, n.address, n.reason)
            for n in self.nodes
        ]
        applications = [("APPLICATION", "WAVE", "SYNC", "HEALTH", "REVISION", "")]
        applications += [
            (a.name, _wave(a.wave), a.sync, a.health, a.revision[:8], a.reason)
            for a in self.applications
        ]
        lines = [*_columns(nodes), "", *_columns(applications)]
        if self.application_sets:
            sets = [("APPLICATIONSET", "WAVE", "APPLICATIONS", "")]
            sets += [
                (s.name, _wave(s.wave), str(s.applications), s.reason)
                for s in self.application_sets
            ]
            lines += ["", *_columns(sets)]
        return "\n".join(lines)


def read(kubectl: Kubectl) -> Status:
    """Asks the cluster. Raises OperationsError if it does not answer."""
    everything = "nodes,applications.argoproj.io,applicationsets.argoproj.io"
    found = kubectl.get(everything, f"--namespace={ARGOCD}")
    # a cluster without Argo CD, or not yet with all of it
    found = found or kubectl.get("nodes")
    by_kind = {
        kind: [item for item in found if item["kind"] == kind]
        for kind in ("Node", "Application", "ApplicationSet")
    }
    applications, sets = by_kind["Application"], by_kind["ApplicationSet"]
    waves = {each["metadata"]["uid"]: _own_wave(each) for each in sets}
    # asked only when there is something to be told
    objects = [] if all(map(is_well, applications)) else kubectl.get(KINDS, "--all-namespaces")
    troubles = Troubles(objects, dict(_told(applications, sets)))
    return Status(
        nodes=[_node(item) for item in by_kind["Node"]],
        applications=sorted(
            (_application(item, waves, troubles) for item in applications),
            key=lambda a: (-1 if a.wave is None else a.wave, a.name),
        ),
        application_sets=[
            ApplicationSetStatus(
                name=item["metadata"]["name"],
                wave=_own_wave(item),
                applications=len(list(_made_by(item, applications))),
                reason=of_application_set(item),
            )
            for item in sets
        ],
    )


def _told(
    applications: Sequence[Object], sets: Sequence[Object]
) -> Iterator[tuple[tuple[str, str], str]]:
    """What an app of apps can say of those that it syncs."""
    for item in applications:
        told = "" if is_well(item) else ", ".join(_verdict(item))
        yield ("Application", item["metadata"]["name"]), told
    for item in sets:
        made = [each for each in _made_by(item, applications) if not is_well(each)]
        unwell = f"{made[0]['metadata']['name']} is not well" if made else ""
        yield ("ApplicationSet", item["metadata"]["name"]), of_application_set(item) or unwell


def _made_by(item: Object, applications: Sequence[Object]) -> Iterator[Object]:
    for each in applications:
        owners = each["metadata"].get("ownerReferences", [])
        if item["metadata"]["uid"] in (owner["uid"] for owner in owners):
            yield each


def _node(item: Object) -> NodeStatus:
    meta, status = item["metadata"], item["status"]
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    labels = meta.get("labels", {})
    roles = sorted(key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE))
    addresses = [a["address"] for a in status.get("addresses", []) if a["type"] == "InternalIP"]
    reasons = [] if ready.get("status") == "True" else [ready.get("message", "no condition yet")]
    reasons += [name for name, c in conditions.items() if name != "Ready" and c["status"] == "True"]
    reasons += ["cordoned"] if item.get("spec", {}).get("unschedulable") else []
    return NodeStatus(
        name=meta["name"],
        ready=ready.get("status") == "True",
        roles=",".join(roles),
        zone=labels.get(_ZONE) or _zone(item),
        version=status["nodeInfo"]["kubeletVersion"],
        address=addresses[0] if addresses else "",
        reason="; ".join(reasons),
    )


def _zone(node: Object) -> str:
    """From the provider id, aws:///ZONE/INSTANCE: the label is the cloud controller's to set."""
    parts = node.get("spec", {}).get("providerID", "").split("/")
    return parts[-2] if len(parts) == 5 and parts[0] == "aws:" else ""


def _application(item: Object, waves: dict[str, int | None], trouble: Trouble) -> ApplicationStatus:
    wave, well = _own_wave(item), is_well(item)
    if wave is None:
        owners = [owner["uid"] for owner in item["metadata"].get("ownerReferences", [])]
        wave = next((waves[uid] for uid in owners if uid in waves), None)
    sync, health = _verdict(item)
    return ApplicationStatus(
        name=item["metadata"]["name"],
        wave=wave,
        sync=sync,
        health=health,
        revision=item.get("status", {}).get("sync", {}).get("revision", ""),
        well=well,
        reason="" if well else of_application(item, trouble),
    )


def _verdict(application: Object) -> tuple[str, str]:
    """Argo CD's sync status and health."""
    status = application.get("status", {})
    sync, health = status.get("sync", {}), status.get("health", {})
    return sync.get("status", "Unknown"), health.get("status", "Unknown")


def _own_wave(item: Object) -> int | None:
    annotations = item["metadata"].get("annotations", {})
    if _WAVE in annotations:
        return int(annotations[_WAVE])
    return 0 if _TRACKED in annotations else None


def _wave(wave: int | None) -> str:
    return "-" if wave is None else str(wave)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return [
        "  ".join(
            [*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1][:_TABLE_REASON]]
        ).rstrip()
        for row in rows
    ]
