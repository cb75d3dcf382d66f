"""Applications go with what they made, the root app last; what would hang is told before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from operations.cluster import Kubectl
from operations.errors import OperationsError
from operations.takedown import take_down
from tests.operations.argocd import ArgoCd, by, of_set
from tests.operations.objects import Object, application, fake_kubectl, meta
from tests.operations.test_teardown import CONTROLLERS, FINALIZER, PROJECT, RUNNING, volume

APPLICATION, SET = "applications.argoproj.io", "applicationsets.argoproj.io"
DELETING = {"deletionTimestamp": "2026-11-21T09:00:00Z"}


def application_set(name: str, metadata: Object | None = None) -> Object:
    return {"kind": "ApplicationSet", "metadata": meta(name, "argocd", **(metadata or {}))}


PLATFORM = [
    *RUNNING,
    application(name="addons", metadata=by("root")),
    application(name="cert-manager", metadata=by("addons")),
    application_set("apis", by("root")),
    application(name="auth", metadata=of_set("apis")),
]


def down(
    folder: Path, objects: Sequence[Object], argocd: ArgoCd
) -> tuple[Sequence[str], list[str]]:
    """What is still there at the end, and what was said."""
    kubectl = fake_kubectl(folder, objects)
    said: list[str] = []
    ticks = iter(range(0, 10**6, 600))  # ten minutes a look
    left = take_down(
        Kubectl(folder / "kubeconfig", [str(kubectl)]),
        said.append,
        argocd.works,
        lambda: 0.0 if not argocd.stuck else float(next(ticks)),
    )
    return left, said


def test_the_root_app_goes_last_and_takes_its_own_along(tmp_path: Path) -> None:
    others = [
        application(name="theirs", metadata=FINALIZER),
        application_set("own"),
        application(name="of-own", metadata=of_set("own")),
    ]
    argocd = ArgoCd(tmp_path)
    left, said = down(tmp_path, [*PLATFORM, *others], argocd)
    assert left == []
    assert sorted(argocd.deleted[:2]) == [f"{APPLICATION} theirs", f"{SET} own"]
    assert argocd.deleted[2:] == [f"{APPLICATION} root"]
    assert said[0] == "Applications and ApplicationSets to go: 8"


def test_it_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    root = application(metadata=FINALIZER | DELETING)
    argocd = ArgoCd(tmp_path)
    down(tmp_path, [root, *PLATFORM[1:]], argocd)
    assert argocd.deleted == []


def test_what_its_maker_left_is_deleted_by_itself(tmp_path: Path) -> None:
    orphan = application(name="auth", metadata=of_set("gone"))
    argocd = ArgoCd(tmp_path)
    down(tmp_path, [orphan, PROJECT, *CONTROLLERS], argocd)
    assert argocd.deleted == [f"{APPLICATION} auth"]


def test_what_is_still_in_aws_is_told(tmp_path: Path) -> None:
    left, _ = down(tmp_path, [*PLATFORM, volume()], ArgoCd(tmp_path))
    assert left == ["PersistentVolume pvc-1, volume vol-1, of databases/data-postgresql-0"]


def test_nothing_is_deleted_while_something_would_hang(tmp_path: Path) -> None:
    argocd = ArgoCd(tmp_path)
    with pytest.raises(OperationsError, match="cannot go yet:\n  argocd-applicationset-controller"):
        down(tmp_path, [*PLATFORM[:3], *PLATFORM[4:]], argocd)
    assert argocd.deleted == []


def test_what_is_never_gone_is_told_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(OperationsError) as caught:
        down(tmp_path, PLATFORM, ArgoCd(tmp_path, stuck="auth"))
    first, *reasons = str(caught.value).split("\n  ")
    assert first.startswith("not gone after 30 minutes: Application")
    assert "Application auth" in first and "cert-manager" not in first
    assert reasons == ["Application auth cannot be deleted: no permission"]
