"""What a claim asks of EBS, and the PersistentVolume it gets. Pure.

Rules and names are the EBS CSI driver's (docs/parameters.md, docs/tagging.md, pkg/driver in
kubernetes-sigs/aws-ebs-csi-driver) and its external provisioner's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from rehearsal.errors import RehearsalError

DRIVER = "ebs.csi.aws.com"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
# The driver's node service tells the kubelet of both.
ZONE_LABELS = ("topology.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone")
# Where hosts have the folder of all volumes.
ON_HOSTS = PurePosixPath("/var/lib/volumes")

_GIB = 1 << 30
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20}
_UNITS |= {"Gi": _GIB, "Ti": 1 << 40}
_PROVIDER_ID = re.compile(r"aws:///(?P<zone>[a-z0-9-]+)/i-[0-9a-f]+")
_MODES = {"ReadWriteOnce", "ReadWriteOncePod"}
_IGNORED = {"csi.storage.k8s.io/fstype"}  # a folder has no file system of its own

Object = dict[str, Any]


@dataclass(frozen=True)
class VolumeRequest:
    """name: of the PersistentVolume. size_gib: rounded up, as EBS sells it. kms_key_id: None for
    the account's own. iops, throughput: None for the type's own."""

    name: str
    size_gib: int
    zone: str
    type: str
    encrypted: bool
    kms_key_id: str | None
    iops: int | None
    throughput: int | None
    tags: Mapping[str, str]


def waits(claim: Object) -> bool:
    """Whether a claim is the driver's to meet: one that a scheduled pod waits for."""
    metadata = claim["metadata"]
    annotations = metadata.get("annotations") or {}
    return (
        annotations.get(PROVISIONER) == DRIVER
        and SELECTED_NODE in annotations
        and not claim["spec"].get("volumeName")
        and "deletionTimestamp" not in metadata
    )


def volume_name(claim: Object) -> str:
    """The name of a claim's PersistentVolume."""
    return f"pvc-{claim['metadata']['uid']}"


def zone_of(node: Object) -> str | None:
    """The availability zone of a Node, from its provider id; None while it has none."""
    match = _PROVIDER_ID.fullmatch(node["spec"].get("providerID", ""))
    return match["zone"] if match else None


def request(claim: Object, storage_class: Object, zone: str, cluster: str | None) -> VolumeRequest:
    """What a claim asks for. cluster: the id in the tags of what is the cluster's, if any.

    Raises RehearsalError for what EBS or this stand-in cannot give.
    """
    spec, metadata = claim["spec"], claim["metadata"]
    if not set(spec["accessModes"]) <= _MODES:
        raise RehearsalError(
            f"access modes {', '.join(spec['accessModes'])}: an EBS volume is one node's; "
            "use ReadWriteOnce"
        )
    if spec.get("volumeMode", "Filesystem") != "Filesystem" or spec.get("dataSource"):
        raise RehearsalError("raw block volumes and copies of snapshots or claims aren't rehearsed")
    given = {k.lower(): v for k, v in (storage_class.get("parameters") or {}).items()}
    known = {key: given.pop(key, None) for key in ("type", "encrypted", "kmskeyid")}
    iops, throughput = (_number(given.pop(key, None)) for key in ("iops", "throughput"))
    extra = [given.pop(key) for key in sorted(given) if key.startswith("tagspecification_")]
    if unknown := given.keys() - _IGNORED:
        raise RehearsalError(
            f"parameters {', '.join(sorted(unknown))} of StorageClass "
            f"{storage_class['metadata']['name']} are not known; remove them"
        )
    name = volume_name(claim)
    tags = {
        "CSIVolumeName": name,
        "ebs.csi.aws.com/cluster": "true",
        "kubernetes.io/created-for/pv/name": name,
        "kubernetes.io/created-for/pvc/name": metadata["name"],
        "kubernetes.io/created-for/pvc/namespace": metadata["namespace"],
        **dict(each.split("=", 1) for each in extra),
    }
    if cluster is not None:
        tags["KubernetesCluster"] = cluster
        tags[f"kubernetes.io/cluster/{cluster}"] = "owned"
        tags["Name"] = f"{cluster}-dynamic-{name}"
    return VolumeRequest(
        name=name,
        size_gib=-(-_bytes(spec["resources"]["requests"]["storage"]) // _GIB),
        zone=zone,
        type=known["type"] or "gp3",
        encrypted=known["encrypted"] == "true",
        kms_key_id=known["kmskeyid"],
        iops=iops,
        throughput=throughput,
        tags=tags,
    )


def persistent_volume(
    claim: Object, storage_class: Object, asked: VolumeRequest, volume_id: str
) -> Object:
    """The PersistentVolume of a volume: usable in its zone alone, by its claim alone."""
    metadata = claim["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": asked.name,
            "annotations": {PROVISIONED_BY: DRIVER},
            "finalizers": [FINALIZER],
        },
        "spec": {
            "capacity": {"storage": f"{asked.size_gib}Gi"},
            "accessModes": claim["spec"]["accessModes"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "mountOptions": storage_class.get("mountOptions") or [],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "local": {"path": str(ON_HOSTS / volume_id)},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": ZONE_LABELS[0], "operator": "In", "values": [asked.zone]}
                            ]
                        }
                    ]
                }
            },
        },
    }


def ours(volume: Object) -> bool:
    """Whether a PersistentVolume is the driver's."""
    return (volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY) == DRIVER


def to_delete(volume: Object) -> bool:
    """Whether a PersistentVolume's time has come: nobody claims it, and it is not to be kept."""
    return (
        ours(volume)
        and volume.get("status", {}).get("phase") == "Released"
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
    )


def volume_id(volume: Object) -> str:
    """The EBS volume's id of a PersistentVolume of ours."""
    return PurePosixPath(volume["spec"]["local"]["path"]).name


def _bytes(quantity: str) -> int:
    """A Kubernetes quantity as an API server writes it."""
    match = re.fullmatch(r"(\d+)([A-Za-z]*)", quantity)
    if match is None or match[2] not in _UNITS:
        raise RehearsalError(f"size {quantity!r} is not understood; write it such as 10Gi")
    return int(match[1]) * _UNITS[match[2]]


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
