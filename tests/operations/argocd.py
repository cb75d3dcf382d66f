"""What Argo CD does with the objects of a fake kubectl that are being deleted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.operations.objects import Object

_TRACKED = "argocd.argoproj.io/tracking-id"


def by(parent: str) -> Object:
    """Metadata of what an Application made."""
    finalizer = ["resources-finalizer.argocd.argoproj.io"]
    tracked = f"{parent}:argoproj.io/Application:argocd/x"
    return {"finalizers": finalizer, "annotations": {_TRACKED: tracked}}


def of_set(parent: str) -> Object:
    """Metadata of what an ApplicationSet made."""
    finalizer = ["resources-finalizer.argocd.argoproj.io"]
    owner = {"kind": "ApplicationSet", "name": parent}
    return {"finalizers": finalizer, "ownerReferences": [owner]}


@dataclass(frozen=True)
class ArgoCd:
    """folder: the kubectl's; stuck: what is never gone."""

    folder: Path
    stuck: str = ""

    def works(self, _: float) -> None:
        """One step: children of what is being deleted are deleted, then it goes itself."""
        file = self.folder / "objects"
        objects: dict[str, list[Object]] = json.loads(file.read_text())
        every = [item for items in objects.values() for item in items]
        for items in objects.values():
            for item in list(items):
                meta = item["metadata"]
                if "deletionTimestamp" not in meta:
                    continue
                if meta["name"] == self.stuck:
                    error = {"type": "DeletionError", "message": "no permission"}
                    item["status"]["conditions"] = [error]
                    continue
                children = [each for each in every if meta["name"] in _makers(each)]
                for child in children:
                    child["metadata"]["deletionTimestamp"] = meta["deletionTimestamp"]
                if not children:
                    items.remove(item)
        file.write_text(json.dumps(objects))

    @property
    def deleted(self) -> list[str]:
        """What kubectl was asked to delete, in order: `<type> <name>`."""
        asked = (self.folder / "asked").read_text().splitlines()
        return [" ".join(line.split()[3:5]) for line in asked if line.split()[2] == "delete"]


def _makers(item: Object) -> list[str]:
    owners = [owner["name"] for owner in item["metadata"].get("ownerReferences", ())]
    tracked = item["metadata"].get("annotations", {}).get(_TRACKED, "")
    return [*owners, tracked.split(":")[0]]
