"""Claims as an API server has them, and what they ask of EBS."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.volumes import claims

CLASS: dict[str, Any] = {
    "metadata": {"name": "gp3"},
    "provisioner": claims.DRIVER,
    "reclaimPolicy": "Delete",
    "parameters": {"type": "gp3", "encrypted": "true"},
}


def claim(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    given = {claims.PROVISIONER: claims.DRIVER, claims.SELECTED_NODE: "k8s-redis"}
    return {
        "metadata": {
            "name": "data-redis-0",
            "namespace": "databases",
            "uid": "1-2",
            "resourceVersion": "7",
            "annotations": given if annotations is None else annotations,
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "gp3",
            "resources": {"requests": {"storage": "1Gi"}},
            **spec,
        },
    }


def asked(parameters: dict[str, str] | None = None, **spec: Any) -> claims.VolumeRequest:
    storage_class = {**CLASS, "parameters": parameters} if parameters else CLASS
    return claims.request(claim(**spec), storage_class, "ap-northeast-2c", "groundwork")


@pytest.mark.parametrize(
    ("annotations", "spec", "expected"),
    [
        (None, {}, True),
        ({claims.PROVISIONER: claims.DRIVER}, {}, False),  # no pod wants it yet
        ({claims.PROVISIONER: "other.example", claims.SELECTED_NODE: "a"}, {}, False),
        (None, {"volumeName": "pvc-1-2"}, False),
    ],
)
def test_which_claims_wait_for_the_driver(
    annotations: dict[str, str] | None, spec: dict[str, Any], expected: bool
) -> None:
    assert claims.waits(claim(annotations, **spec)) is expected


def test_volume_is_as_the_class_says_and_tagged_as_the_driver_tags() -> None:
    found = asked()
    assert (found.size_gib, found.zone, found.type) == (1, "ap-northeast-2c", "gp3")
    assert found.encrypted and found.kms_key_id is None
    assert found.tags == {
        "CSIVolumeName": "pvc-1-2",
        "KubernetesCluster": "groundwork",
        "Name": "groundwork-dynamic-pvc-1-2",
        "ebs.csi.aws.com/cluster": "true",
        "kubernetes.io/cluster/groundwork": "owned",
        "kubernetes.io/created-for/pv/name": "pvc-1-2",
        "kubernetes.io/created-for/pvc/name": "data-redis-0",
        "kubernetes.io/created-for/pvc/namespace": "databases",
    }


def test_parameters_of_the_class() -> None:
    given = {"Type": "io2", "iops": "4000", "kmsKeyId": "arn:k", "tagSpecification_1": "team=data"}
    found = asked(given)
    assert (found.type, found.iops, found.kms_key_id) == ("io2", 4000, "arn:k")
    assert found.tags["team"] == "data"
    assert not found.encrypted  # the driver encrypts nothing unless told to


@pytest.mark.parametrize(
    ("size", "gib"), [("1Gi", 1), ("1", 1), ("1025Mi", 2), ("20G", 19), ("1Ti", 1024)]
)
def test_sizes_are_rounded_up(size: str, gib: int) -> None:
    assert asked(resources={"requests": {"storage": size}}).size_gib == gib


@pytest.mark.parametrize(
    ("parameters", "spec", "message"),
    [
        (None, {"accessModes": ["ReadWriteMany"]}, "one node's"),
        (None, {"volumeMode": "Block"}, "aren't rehearsed"),
        ({"type": "gp3", "speed": "9"}, {}, "speed of StorageClass gp3"),
        (None, {"resources": {"requests": {"storage": "1Zi"}}}, "'1Zi' is not understood"),
    ],
)
def test_what_is_refused(
    parameters: dict[str, str] | None, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(RehearsalError, match=message):
        asked(parameters, **spec)


@pytest.mark.parametrize(
    ("provider_id", "zone"),
    [("aws:///ap-northeast-2a/i-0abc", "ap-northeast-2a"), ("kind://a/b", None), ("", None)],
)
def test_zone_of_a_node(provider_id: str, zone: str | None) -> None:
    assert claims.zone_of({"spec": {"providerID": provider_id}}) == zone


def test_the_persistent_volume_is_for_its_zone_and_claim_alone() -> None:
    made = claims.persistent_volume(claim(), CLASS, asked(), "vol-1")
    spec = made["spec"]
    assert claims.ours(made) and claims.volume_id(made) == "vol-1"
    assert spec["local"]["path"] == "/var/lib/volumes/vol-1"
    assert spec["claimRef"]["uid"] == "1-2" and spec["capacity"] == {"storage": "1Gi"}
    (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == ["ap-northeast-2c"]


@pytest.mark.parametrize(
    ("phase", "policy", "expected"),
    [("Released", "Delete", True), ("Released", "Retain", False), ("Bound", "Delete", False)],
)
def test_when_a_volume_is_deleted(phase: str, policy: str, expected: bool) -> None:
    made = claims.persistent_volume(claim(), {**CLASS, "reclaimPolicy": policy}, asked(), "vol-1")
    assert claims.to_delete({**made, "status": {"phase": phase}}) is expected
