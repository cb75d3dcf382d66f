"""One look after another: nodes get a zone, claims their volumes, released volumes their end."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from rehearsal.errors import RehearsalError
from rehearsal.volumes import claims
from rehearsal.volumes.ebs import Ebs
from rehearsal.volumes.kube import Api

_CORE, _STORAGE = "/api/v1", "/apis/storage.k8s.io/v1"


class Provisioner:
    """Keeps nothing that another could not find out: it may be ended at any point."""

    def __init__(self, ebs: Ebs) -> None:
        self._ebs = ebs
        self._said: set[tuple[str, str]] = set()

    def step(self, api: Api) -> None:
        """Looks once and does what is to be done. Raises as Api and botocore do when the cluster
        or the cloud doesn't answer; all of it may be done again."""
        for node in api.list(f"{_CORE}/nodes", metadata_only=True):
            if not (node["metadata"].get("labels") or {}).keys() >= set(claims.ZONE_LABELS):
                _label(api, node["metadata"]["name"])
        volumes = api.list(f"{_CORE}/persistentvolumes")
        names = {volume["metadata"]["name"] for volume in volumes}
        for claim in api.list(f"{_CORE}/persistentvolumeclaims"):
            if claims.waits(claim) and claims.volume_name(claim) not in names:
                self._provision(api, claim)
        for volume in volumes:
            if claims.to_delete(volume):
                self._delete(api, volume)

    def _provision(self, api: Api, claim: claims.Object) -> None:
        metadata = claim["metadata"]
        path = f"{_CORE}/namespaces/{metadata['namespace']}"
        storage_class = api.get(f"{_STORAGE}/storageclasses/{claim['spec']['storageClassName']}")
        if storage_class is None:
            return
        node = api.get(f"{_CORE}/nodes/{metadata['annotations'][claims.SELECTED_NODE]}")
        if node is None:  # the scheduler is to choose again
            gone = {"metadata": {"annotations": {claims.SELECTED_NODE: None}}}
            api.patch(f"{path}/persistentvolumeclaims/{metadata['name']}", gone)
            return
        zone = claims.zone_of(node)
        if zone is None:
            return
        try:
            asked = claims.request(claim, storage_class, zone, self._ebs.cluster())
            volume_id = self._ebs.ensure(asked)
        except (RehearsalError, ClientError) as error:
            self._refuse(api, claim, str(error))
            return
        made = claims.persistent_volume(claim, storage_class, asked, volume_id)
        api.create(f"{_CORE}/persistentvolumes", made)
        where = f"{metadata['namespace']}/{metadata['name']}"
        _log(f"{where}: {volume_id}, {asked.size_gib} GiB in {zone}")

    def _delete(self, api: Api, volume: claims.Object) -> None:
        metadata = volume["metadata"]
        self._ebs.delete(claims.volume_id(volume))
        path = f"{_CORE}/persistentvolumes/{metadata['name']}"
        kept = [each for each in metadata.get("finalizers", ()) if each != claims.FINALIZER]
        api.patch(path, {"metadata": {"finalizers": kept}})
        api.delete(path)
        _log(f"{metadata['name']}: {claims.volume_id(volume)} is deleted")

    def _refuse(self, api: Api, claim: claims.Object, reason: str) -> None:
        """Says once, where `kubectl describe` shows it, why a claim stays as it is."""
        metadata = claim["metadata"]
        if (metadata["uid"], reason) in self._said:
            return
        self._said.add((metadata["uid"], reason))
        _log(f"{metadata['namespace']}/{metadata['name']}: {reason}")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "metadata": {
                "generateName": f"{metadata['name']}.",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                **{key: metadata[key] for key in ("name", "namespace", "uid")},
            },
            "type": "Warning",
            "reason": "ProvisioningFailed",
            "message": reason,
            "source": {"component": claims.DRIVER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        api.create(f"{_CORE}/namespaces/{metadata['namespace']}/events", event)


def _label(api: Api, name: str) -> None:
    """What the kubelet does by word of the driver's node service."""
    node = api.get(f"{_CORE}/nodes/{name}")
    zone = claims.zone_of(node) if node else None
    if zone is not None:
        labels = dict.fromkeys(claims.ZONE_LABELS, zone)
        api.patch(f"{_CORE}/nodes/{name}", {"metadata": {"labels": labels}})


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
