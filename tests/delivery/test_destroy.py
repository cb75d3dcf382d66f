"""A destroy: Applications first, nothing of the cluster's in the VPC's way, and the rest named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from delivery import deploy, teardown
from delivery.cli import main
from delivery.engine import Deployed, Engine, Outcome, Take
from delivery.errors import DeliveryError, Exit
from delivery.events import Record
from operations.cluster import Kubectl
from operations.takedown import take_down
from settings import environment
from tests.delivery.shop import REGION, stack_file
from tests.operations.argocd import ArgoCd, by
from tests.operations.objects import application, fake_kubectl
from tests.operations.test_teardown import CONTROLLERS, PROJECT, RUNNING

LAYERS = ("gitops", "cluster", "infra")  # as they go
STACKS = [f"lay-{layer}" for layer in LAYERS]
OWNED = [{"Key": "kubernetes.io/cluster/lay", "Value": "owned"}]
PLATFORM = [*RUNNING, application(name="addons", metadata=by("root"))]


@dataclass(frozen=True)
class Stacks(Engine):
    """An engine whose stacks hold something. kinds: what the one with Argo CD holds; done: what
    was destroyed, in order."""

    names: Sequence[str]
    kinds: frozenset[str] = frozenset({teardown.APPLICATION})
    done: list[str] = field(default_factory=list)

    def stacks(self) -> dict[str, Deployed]:
        return {name: Deployed(name, name not in self.done) for name in self.names}

    def types(self, stack: str) -> set[str]:
        assert stack in ("lay-gitops", "one")
        return set(self.kinds)

    def destroy(self, stack: str, take: Take) -> Outcome:
        self.done.append(stack)
        return Outcome(Record(), True, ())


@dataclass
class World:
    """argocd: of a cluster with an app of apps and a child; account: in which nothing is left."""

    folder: Path
    argocd: ArgoCd
    ec2: Any
    said: list[str] = field(default_factory=list)

    def destroy(self, engine: Engine, name: str, force: bool = False) -> None:
        own = environment(self.folder, name)
        stacks = own.stacks if own.name == name else (own.stack(name),)
        deploy.destroy(engine, own, stacks, self.said.append, force=force)

    def volume(self) -> str:
        tags = [{"ResourceType": "volume", "Tags": OWNED}]
        made = self.ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=tags)
        return str(made["VolumeId"])

    def group(self) -> str:
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        tags = [{"ResourceType": "security-group", "Tags": OWNED}]
        made = self.ec2.create_security_group(
            GroupName="k8s-x", Description="x", VpcId=vpc, TagSpecifications=tags
        )
        return str(made["GroupId"])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    (tmp_path / "Pulumi.one.yaml").write_text(stack_file({"name": "lay"}))
    (tmp_path / "Pulumi.lay.yaml").write_text(stack_file({"name": "lay"}))
    for layer in LAYERS:
        (tmp_path / f"Pulumi.lay-{layer}.yaml").write_text(stack_file({"layers": [layer]}))
    kubectl = fake_kubectl(tmp_path, PLATFORM)
    argocd = ArgoCd(tmp_path)

    @contextmanager
    def kubeconfig(project: Path, name: str) -> Iterator[Path]:
        assert project == tmp_path
        yield tmp_path / "kubeconfig"

    def quickly(asked: Kubectl, say: teardown.Say) -> Sequence[str]:
        return take_down(Kubectl(asked.kubeconfig, [str(kubectl)]), say, argocd.works)

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(teardown, "kubeconfig", kubeconfig)
    monkeypatch.setattr(teardown, "take_down", quickly)
    with mock_aws():
        yield World(tmp_path, argocd, boto3.client("ec2", region_name=REGION))


def test_applications_go_before_the_stack_that_made_them(world: World) -> None:
    engine = Stacks(world.folder, STACKS)
    world.destroy(engine, "lay")
    assert world.argocd.deleted == ["applications.argoproj.io root"]
    assert engine.done == STACKS
    assert world.said[:3] == [
        "lay-gitops: taking the Applications down",
        "Applications and ApplicationSets to go: 2",
        "Applications and ApplicationSets to go: 1",
    ]


@pytest.mark.parametrize("why", ["force", "no Applications", "another layer"])
def test_applications_are_left_alone(world: World, why: str) -> None:
    """By a flag, where the state has none (an `up` that never came to them), with other layers."""
    kinds = frozenset(() if why == "no Applications" else (teardown.APPLICATION,))
    engine = Stacks(world.folder, STACKS, kinds)
    if why == "another layer":
        engine.done.append("lay-gitops")
    world.destroy(engine, "lay", force=why == "force")
    assert not (world.folder / "asked").exists()
    assert engine.done == STACKS


@pytest.mark.parametrize("name", ["one", "lay"])
def test_nothing_is_destroyed_while_an_application_would_hang(world: World, name: str) -> None:
    fake_kubectl(world.folder, [PLATFORM[0], *CONTROLLERS])  # without its AppProject
    engine = Stacks(world.folder, [name, *STACKS])
    with pytest.raises(DeliveryError) as caught:
        world.destroy(engine, name)
    assert "AppProject platform, which is gone" in str(caught.value)
    assert "FORCE=1" in str(caught.value)
    assert engine.done == []


def test_a_cluster_that_does_not_answer(world: World) -> None:
    fake_kubectl(world.folder, [PROJECT], error="connection refused")
    with pytest.raises(DeliveryError, match=r"does not answer \(connection refused\)"):
        world.destroy(Stacks(world.folder, ["one"]), "one")


@pytest.mark.parametrize(("name", "before"), [("one", []), ("lay", STACKS[:2])])
def test_what_holds_the_vpc_is_named_before_it_is_destroyed(
    world: World, name: str, before: list[str]
) -> None:
    group, volume = world.group(), world.volume()
    engine = Stacks(world.folder, ["one", *STACKS])
    with pytest.raises(DeliveryError) as caught:
        world.destroy(engine, name)
    assert f"aws ec2 delete-security-group --group-id {group}" in str(caught.value)
    assert volume not in str(caught.value)  # does not hold it
    assert engine.done == before


def test_what_else_is_left_is_named_at_the_end(world: World) -> None:
    volume = world.volume()
    engine = Stacks(world.folder, STACKS)
    world.destroy(engine, "lay-gitops")  # the cluster still has its volumes
    with pytest.raises(DeliveryError, match=f"aws ec2 delete-volume --volume-id {volume}"):
        world.destroy(engine, "lay")
    assert engine.done == STACKS


def test_force_is_said_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(deploy, "destroy", lambda *_, force: asked.append(force))
    command = ["destroy", "prod", "--confirm", "prod"]
    assert main(command) == main([*command, "--force"]) == Exit.DONE
    assert asked == [False, True]
