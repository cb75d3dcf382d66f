"""A real API server and its volume controller, moto's EC2, and the stand-in between them."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal.errors import RehearsalError
from rehearsal.network.ec2 import client
from rehearsal.paths import Paths
from rehearsal.volumes import claims
from rehearsal.volumes.ebs import Ebs
from rehearsal.volumes.kube import Api, ApiError, Clusters
from rehearsal.volumes.provisioner import Provisioner
from tests.rehearsal.moto_server import moto_server
from tests.rehearsal.netns import until
from tests.rehearsal.plugins.kubernetes import api_server as servers

ZONE = "ap-northeast-2c"
CONTROLLERS = "serviceaccount,persistentvolume-binder,pv-protection,pvc-protection"
STORAGE_CLASS = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: %(policy)s}
provisioner: ebs.csi.aws.com
parameters: {type: gp3, encrypted: "true", csi.storage.k8s.io/fstype: ext4}
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: %(Policy)s
"""
NODE = """
apiVersion: v1
kind: Node
metadata: {name: k8s-redis}
spec: {providerID: aws:///ap-northeast-2c/i-0123456789abcdef0}
"""
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %s, annotations: {volume.kubernetes.io/selected-node: %s}}
spec:
  accessModes: [%s]
  storageClassName: %s
  resources: {requests: {storage: 1500Mi}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.ApiServer]:
    folder = tmp_path_factory.mktemp("cluster")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "_CONTROLLERS", CONTROLLERS)
        with servers.api_server(folder) as server:
            for policy in ("Delete", "Retain"):
                values = {"policy": policy.lower(), "Policy": policy}
                server.kubectl("apply", "-f", "-", stdin=STORAGE_CLASS % values)
            server.kubectl("apply", "-f", "-", stdin=NODE)
            yield server


@pytest.fixture(scope="module")
def ec2() -> Iterator[Any]:
    with moto_server() as endpoint:
        yield client("ec2", endpoint, "ap-northeast-2")


@pytest.fixture
def api(server: servers.ApiServer) -> Api:
    insecure = ssl._create_unverified_context()
    token = yaml.safe_load(server.kubeconfig)["users"][0]["user"]["token"]
    return Api(
        lambda: http.client.HTTPSConnection("127.0.0.1", server.port, context=insecure, timeout=10),
        {"Authorization": f"Bearer {token}"},
    )


Step = Callable[[], None]


@pytest.fixture
def step(api: Api, ec2: Any, tmp_path: Path) -> Step:
    provisioner = Provisioner(Ebs(ec2, tmp_path))
    return lambda: provisioner.step(api)


def make(
    server: servers.ApiServer, name: str, storage_class: str = "delete", node: str = "k8s-redis"
) -> None:
    server.kubectl("apply", "-f", "-", stdin=CLAIM % (name, node, "ReadWriteOnce", storage_class))


def get(server: servers.ApiServer, *what: str) -> Any:
    return json.loads(server.kubectl("get", *what, "-o", "json"))


def bound(server: servers.ApiServer, step: Step, name: str) -> Any:
    """Steps until the claim is bound; its PersistentVolume."""

    def is_bound() -> bool:
        step()
        return bool(get(server, "pvc", name)["status"]["phase"] == "Bound")

    until(is_bound)
    return get(server, "pv", get(server, "pvc", name)["spec"]["volumeName"])


def volumes(ec2: Any, name: str) -> Any:
    wanted = {"Name": "tag:kubernetes.io/created-for/pvc/name", "Values": [name]}
    return ec2.describe_volumes(Filters=[wanted])["Volumes"]


def test_a_claim_gets_a_volume_of_its_nodes_zone_and_it_ends_with_the_claim(
    server: servers.ApiServer, ec2: Any, step: Step, tmp_path: Path
) -> None:
    make(server, "first")
    found = bound(server, step, "first")
    (volume,) = volumes(ec2, "first")
    assert (volume["Size"], volume["AvailabilityZone"]) == (2, ZONE)
    assert volume["Encrypted"] and volume["VolumeType"] == "gp3"
    assert claims.volume_id(found) == volume["VolumeId"]
    folder = tmp_path / volume["VolumeId"]
    (folder / "kept").write_text("data")
    step()  # again: nothing new
    assert len(volumes(ec2, "first")) == 1 and (folder / "kept").exists()

    server.kubectl("delete", "pvc", "first")

    def is_gone() -> bool:
        step()
        left = [each["metadata"]["name"] for each in get(server, "pv")["items"]]
        return not volumes(ec2, "first") and found["metadata"]["name"] not in left

    until(is_gone)
    assert not folder.exists()


def test_a_retained_volume_outlives_its_claim(
    server: servers.ApiServer, ec2: Any, step: Step, tmp_path: Path
) -> None:
    make(server, "retained", "retain")
    name = bound(server, step, "retained")["metadata"]["name"]
    server.kubectl("delete", "pvc", "retained")
    until(lambda: get(server, "pv", name)["status"]["phase"] == "Released")
    step()
    (volume,) = volumes(ec2, "retained")
    assert (tmp_path / volume["VolumeId"]).is_dir()
    server.kubectl("patch", "pv", name, "-p", '{"metadata": {"finalizers": null}}')
    server.kubectl("delete", "pv", name)


def test_a_volume_made_before_an_interruption_is_taken_up(
    server: servers.ApiServer, ec2: Any, step: Step, tmp_path: Path
) -> None:
    make(server, "interrupted")
    claim = get(server, "pvc", "interrupted")
    claim["metadata"]["namespace"] = "default"
    storage_class = get(server, "storageclass", "delete")
    asked = claims.request(claim, storage_class, ZONE, None)
    made = Ebs(ec2, tmp_path).ensure(asked)
    assert claims.volume_id(bound(server, step, "interrupted")) == made
    assert len(volumes(ec2, "interrupted")) == 1


def test_nodes_are_labelled_with_their_zone(server: servers.ApiServer, step: Step) -> None:
    step()
    labels = get(server, "node", "k8s-redis")["metadata"]["labels"]
    assert {labels[key] for key in claims.ZONE_LABELS} == {ZONE}


def test_a_claim_of_a_node_that_is_gone_is_scheduled_anew(
    server: servers.ApiServer, step: Step
) -> None:
    make(server, "astray", node="k8s-gone")

    def is_free() -> bool:
        step()
        annotations = get(server, "pvc", "astray")["metadata"]["annotations"]
        return claims.SELECTED_NODE not in annotations

    until(is_free)


def test_a_claim_that_cannot_be_met_is_told_why(server: servers.ApiServer, step: Step) -> None:
    text = CLAIM % ("shared", "k8s-redis", "ReadWriteMany", "delete")
    server.kubectl("apply", "-f", "-", stdin=text)

    def reasons() -> list[str]:
        events = get(server, "events", "--field-selector=involvedObject.name=shared")["items"]
        return [e["message"] for e in events if e["reason"] == "ProvisioningFailed"]

    def is_told() -> bool:
        step()
        return bool(reasons())

    until(is_told)
    step()
    assert len(reasons()) == 1 and "one node's" in reasons()[0]


def test_a_refusal_of_the_server_names_request_and_reason(api: Api) -> None:
    with pytest.raises(ApiError, match=r"POST /api/v1/persistentvolumes: 4\d\d"):
        api.create("/api/v1/persistentvolumes", {"metadata": {"name": "x"}})
    assert api.get("/api/v1/persistentvolumes/none") is None
    api.delete("/api/v1/persistentvolumes/none")


def test_no_control_plane_no_api(tmp_path: Path) -> None:
    assert Clusters(Paths(run=tmp_path)).api() is None
    assert issubclass(ApiError, RehearsalError)
