"""Instances of a real moto become hosts: fake ones, in real network namespaces."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from rehearsal import network
from rehearsal.network import DefaultRoute, Layout, NatGateway, PublicAddress, Subnet
from rehearsal.network.ec2 import client, read_region
from rehearsal.reconciler import Reconciler, Settings
from tests.rehearsal.fake_hosts import FakeHosts
from tests.rehearsal.moto_server import forget, free_port, moto_server
from tests.rehearsal.netns import ask, server, until
from tests.rehearsal.small_region import EIP, NAT, PRIVATE, PUBLIC, REGION, Cloud

LAYOUT = Layout(
    prefix="tnr-",
    services=IPv4Interface("192.0.2.1/24"),
    router=IPv4Interface("192.0.2.2/24"),
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def cloud(endpoint: str) -> Cloud:
    forget(endpoint)
    return Cloud.build(client("ec2", endpoint, REGION))


class TestReadRegion:
    def test_plan_and_instances(self, cloud: Cloud) -> None:
        ec2 = cloud.ec2
        bastion = cloud.launch("bastion", cloud.public, "10.9.0.5")
        db = cloud.launch("db", cloud.private, "10.9.1.5")
        gone = cloud.launch("gone", cloud.private, "10.9.1.6")
        eip = ec2.allocate_address(Domain="vpc", Address=EIP)["AllocationId"]
        ec2.associate_address(AllocationId=eip, InstanceId=bastion)
        other = ec2.allocate_address(Domain="vpc", Address="203.0.113.6")["AllocationId"]
        ec2.associate_address(AllocationId=other, InstanceId=gone)
        ec2.terminate_instances(InstanceIds=[gone])
        region = read_region(ec2)
        plan = region.plan
        assert plan is not None
        assert (plan.vpc, plan.resolver) == (IPv4Network("10.9.0.0/16"), IPv4Address("10.9.0.2"))
        nat = plan.nat_gateways[0].id
        assert plan.nat_gateways == (NatGateway(nat, PUBLIC, IPv4Address(NAT)),)
        assert plan.subnets == (
            Subnet(PUBLIC, DefaultRoute.INTERNET_GATEWAY),
            Subnet(PRIVATE, DefaultRoute.NAT_GATEWAY, nat),
        )
        assert plan.public_addresses == (PublicAddress(IPv4Address(EIP), IPv4Address("10.9.0.5")),)
        assert {str(host.private) for host in plan.hosts} == {"10.9.0.5", "10.9.1.5"}
        assert all(host.source_dest_check and host.security_groups for host in plan.hosts)
        assert region.problems == ()
        known = {instance.id: instance for instance in region.instances}
        assert known[bastion].public_ip == IPv4Address(EIP)
        assert (known[db].name, known[db].subnet, known[db].wanted) == ("db", PRIVATE, True)
        assert known[gone].gone

    def test_a_nat_gateway_for_each_zone(self, cloud: Cloud) -> None:
        ec2 = cloud.ec2
        other = ec2.create_subnet(VpcId=cloud.vpc, CidrBlock="10.9.2.0/24")["Subnet"]["SubnetId"]
        address = ec2.allocate_address(Domain="vpc", Address="203.0.113.10")["AllocationId"]
        made = ec2.create_nat_gateway(SubnetId=cloud.public, AllocationId=address)
        second = made["NatGateway"]["NatGatewayId"]
        table = ec2.create_route_table(VpcId=cloud.vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=other)
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=second)
        region = read_region(ec2)
        assert region.plan is not None and region.problems == ()
        public = {gateway.id: str(gateway.public) for gateway in region.plan.nat_gateways}
        assert {
            str(subnet.cidr): public[subnet.nat_gateway]
            for subnet in region.plan.subnets
            if subnet.nat_gateway
        } == {"10.9.1.0/24": NAT, "10.9.2.0/24": "203.0.113.10"}

    def test_a_switched_off_source_check(self, cloud: Cloud) -> None:
        router = cloud.launch("router", cloud.public, "10.9.0.5")
        cloud.ec2.modify_instance_attribute(InstanceId=router, SourceDestCheck={"Value": False})
        plan = read_region(cloud.ec2).plan
        assert plan is not None and not plan.hosts[0].source_dest_check

    def test_an_address_given_on_launch(self, cloud: Cloud) -> None:
        cloud.ec2.modify_subnet_attribute(
            SubnetId=cloud.public, MapPublicIpOnLaunch={"Value": True}
        )
        cloud.launch("web", cloud.public, "10.9.0.7")
        plan = read_region(cloud.ec2).plan
        assert plan is not None
        assert [str(pair.private) for pair in plan.public_addresses] == ["10.9.0.7"]

    def test_the_main_route_table_serves_subnets_without_their_own(self, cloud: Cloud) -> None:
        ec2 = cloud.ec2
        lone = ec2.create_subnet(VpcId=cloud.vpc, CidrBlock="10.9.2.0/24")["Subnet"]["SubnetId"]

        def default() -> DefaultRoute:
            plan = read_region(ec2).plan
            assert plan is not None
            return {str(s.cidr): s.default for s in plan.subnets}["10.9.2.0/24"]

        assert default() is DefaultRoute.NONE
        tables = ec2.describe_route_tables(
            Filters=[
                {"Name": "vpc-id", "Values": [cloud.vpc]},
                {"Name": "association.main", "Values": ["true"]},
            ]
        )["RouteTables"]
        igw = ec2.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"]
        ec2.create_route(
            RouteTableId=tables[0]["RouteTableId"],
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=igw,
        )
        assert default() is DefaultRoute.INTERNET_GATEWAY
        assert lone

    def test_what_is_not_rehearsed_is_said(self, cloud: Cloud) -> None:
        ec2 = cloud.ec2
        second = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=second, CidrBlock="10.8.0.0/24")["Subnet"]["SubnetId"]
        stray = cloud.launch("stray", subnet, "10.8.0.5")
        table = ec2.create_route_table(VpcId=cloud.vpc)["RouteTable"]["RouteTableId"]
        igw = ec2.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="172.16.0.0/12", GatewayId=igw)
        text = "\n".join(read_region(ec2).problems)
        for part in (second, stray, f"The route to 172.16.0.0/12 in {table}"):
            assert part in text

    def test_no_vpc_no_plan(self, endpoint: str) -> None:
        forget(endpoint)
        region = read_region(client("ec2", endpoint, REGION))
        assert (region.plan, region.instances, region.problems) == (None, (), ())


@dataclass(frozen=True)
class Rehearsal:
    run: Path
    hosts: FakeHosts

    def status(self) -> dict[str, Any]:
        if not (self.run / "reconciler.json").exists():
            return {}
        saved = json.loads((self.run / "reconciler.json").read_text())
        return {entry["id"]: entry for entry in saved["instances"]}

    def problems(self) -> str:
        return "\n".join(json.loads((self.run / "reconciler.json").read_text())["problems"])

    def booted(self, *instances: str) -> bool:
        status = self.status()
        return all(name in status and status[name]["booted"] for name in instances)

    @contextlib.contextmanager
    def reconciling(self, ec2: Any) -> Iterator[None]:
        settings = Settings(LAYOUT, self.run, Path("/base"), step_s=0.1)
        stop: SimpleQueue[None] = SimpleQueue()
        worker = threading.Thread(
            target=lambda: Reconciler(settings, ec2, self.hosts).run(stop), daemon=True
        )
        worker.start()
        try:
            yield
        finally:
            stop.put(None)
            worker.join(30)
        assert not worker.is_alive()
        assert not (self.run / "ready").exists()


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    hosts = FakeHosts(tmp_path / "hosts")
    hosts.folder.mkdir()
    network.destroy(LAYOUT)
    try:
        network.create(LAYOUT)
        yield Rehearsal(tmp_path, hosts)
    finally:
        for host in hosts.list():
            host.kill()
        network.destroy(LAYOUT)
        assert not list(Path("/run/netns").glob("tnr-*"))


class TestReconciler:
    def test_a_region_comes_and_goes(self, cloud: Cloud, rehearsal: Rehearsal) -> None:
        ec2, hosts = cloud.ec2, rehearsal.hosts
        with rehearsal.reconciling(ec2):
            until((rehearsal.run / "ready").exists)
            bastion = cloud.launch("bastion", cloud.public, "10.9.0.5", UserData="#!/bin/sh\n")
            eip = ec2.allocate_address(Domain="vpc", Address=EIP)["AllocationId"]
            ec2.associate_address(AllocationId=eip, InstanceId=bastion)
            db = cloud.launch("db", cloud.private, "10.9.1.5")
            until(lambda: rehearsal.booted(bastion, db))

            spec = hosts[bastion].spec
            assert (spec.hostname, spec.user, spec.netns, spec.resolver) == (
                "ip-10-9-0-5",
                "admin",
                f"tnr-{bastion}",
                "10.9.0.2",
            )
            assert spec.authorized_key.startswith("ssh-ed25519 AAAAC3")
            assert (spec.user_data, hosts[db].spec.user_data) == ("#!/bin/sh\n", None)
            entry = rehearsal.status()[bastion]
            assert (entry["name"], entry["public_ip"], entry["error"]) == ("bastion", EIP, None)

            assert ask(LAYOUT.internet, EIP) == "192.0.2.1"
            assert ask(f"tnr-{bastion}", "10.9.1.5") == "10.9.0.5"
            with server(LAYOUT.internet, "192.0.2.1"):
                assert ask(f"tnr-{db}", "192.0.2.1") == NAT

            ec2.stop_instances(InstanceIds=[bastion])
            until(lambda: not hosts[bastion].running)
            until(lambda: not Path(f"/run/netns/tnr-{bastion}").exists())
            assert cloud.state(bastion) == "stopped"
            ec2.start_instances(InstanceIds=[bastion])
            until(lambda: rehearsal.booted(bastion))
            assert ask(LAYOUT.internet, EIP) == "192.0.2.1"

            ec2.terminate_instances(InstanceIds=[bastion])
            until(lambda: bastion not in rehearsal.status())
            assert [host.spec.name for host in hosts.list()] == [db]
            assert ask(LAYOUT.internet, EIP, timeout_s=20).startswith("OSError")
            assert hosts[db].boots == 1

    def test_a_host_that_ends_by_itself_is_a_stopped_instance(
        self, cloud: Cloud, rehearsal: Rehearsal
    ) -> None:
        with rehearsal.reconciling(cloud.ec2):
            db = cloud.launch("db", cloud.private, "10.9.1.5")
            until(lambda: rehearsal.booted(db))
            rehearsal.hosts[db].kill()
            until(lambda: cloud.state(db) == "stopped")
            until(lambda: rehearsal.status()[db]["state"] == "stopped")
            assert "ended by itself" in rehearsal.status()[db]["error"]
            cloud.ec2.start_instances(InstanceIds=[db])
            until(lambda: rehearsal.booted(db))
            assert rehearsal.hosts[db].boots == 2
            assert rehearsal.status()[db]["error"] is None

    def test_a_change_of_the_type_is_a_restart(self, cloud: Cloud, rehearsal: Rehearsal) -> None:
        hosts = rehearsal.hosts
        with rehearsal.reconciling(cloud.ec2):
            bastion = cloud.launch("bastion", cloud.public, "10.9.0.5")
            eip = cloud.ec2.allocate_address(Domain="vpc", Address=EIP)["AllocationId"]
            cloud.ec2.associate_address(AllocationId=eip, InstanceId=bastion)
            db = cloud.launch("db", cloud.private, "10.9.1.5")
            until(lambda: rehearsal.booted(bastion, db))
            (hosts[bastion].directory / "disk").touch()

            cloud.change_type(bastion, "m5.large")
            until(lambda: hosts[bastion].boots == 2 and rehearsal.booted(bastion))
            assert rehearsal.status()[bastion]["booted_as"] == "m5.large"
            assert (hosts[bastion].directory / "disk").exists()
            assert ask(LAYOUT.internet, EIP) == "192.0.2.1"
            assert ask(LAYOUT.host(bastion), "10.9.1.5") == "10.9.0.5"
        cloud.change_type(bastion, "m5.xlarge")  # while nobody looks
        with rehearsal.reconciling(cloud.ec2):
            until(lambda: hosts[bastion].boots == 3 and rehearsal.booted(bastion))
            assert rehearsal.status()[bastion]["error"] is None
            assert cloud.state(bastion) == "running"
        assert hosts[db].boots == 1

    def test_a_new_reconciler_adopts_what_is_there(
        self, cloud: Cloud, rehearsal: Rehearsal
    ) -> None:
        kept, died, ended = (
            cloud.launch(name, cloud.private, f"10.9.1.{n}")
            for n, name in enumerate(("kept", "died", "ended"), 5)
        )
        with rehearsal.reconciling(cloud.ec2):
            until(lambda: rehearsal.booted(kept, died, ended))
        pid = rehearsal.hosts[kept].pid
        assert pid is not None
        rehearsal.hosts[died].kill()
        cloud.ec2.terminate_instances(InstanceIds=[ended])
        with rehearsal.reconciling(cloud.ec2):
            until(lambda: cloud.state(died) == "stopped")
            until(lambda: len(rehearsal.hosts.list()) == 2)
            until(lambda: rehearsal.booted(kept))
            assert (rehearsal.hosts[kept].pid, rehearsal.hosts[kept].boots) == (pid, 1)
            assert ask(LAYOUT.host(kept), "10.9.1.5") == "10.9.1.5"

    def test_a_host_that_cannot_boot_is_tried_again_and_hinders_nobody(
        self, cloud: Cloud, rehearsal: Rehearsal
    ) -> None:
        broken = cloud.launch("broken", cloud.private, "10.9.1.5")
        marker = rehearsal.hosts.folder / f"{broken}.broken"
        marker.touch()
        with rehearsal.reconciling(cloud.ec2):
            until(lambda: "on fire" in (rehearsal.status().get(broken, {}).get("error") or ""))
            well = cloud.launch("well", cloud.private, "10.9.1.6")
            until(lambda: rehearsal.booted(well))
            assert not rehearsal.booted(broken)
            marker.unlink()
            until(lambda: rehearsal.booted(broken))
            assert rehearsal.status()[broken]["error"] is None
            marker.touch()
            cloud.ec2.stop_instances(InstanceIds=[broken])
            until(lambda: not rehearsal.hosts[broken].running)
            cloud.ec2.start_instances(InstanceIds=[broken])
            until(lambda: rehearsal.status()[broken]["error"])
            cloud.ec2.terminate_instances(InstanceIds=[broken])
            until(lambda: len(rehearsal.hosts.list()) == 1)
            marker.unlink()

    def test_hosts_stay_while_the_cloud_is_away_and_go_when_it_forgot_them(
        self, rehearsal: Rehearsal
    ) -> None:
        port = free_port()
        ec2 = client("ec2", f"http://127.0.0.1:{port}", REGION)
        with rehearsal.reconciling(ec2):
            until((rehearsal.run / "reconciler.json").exists)
            assert not (rehearsal.run / "ready").exists()
            with moto_server(port=port):
                cloud = Cloud.build(ec2)
                db = cloud.launch("db", cloud.private, "10.9.1.5")
                until(lambda: rehearsal.booted(db))
            until(lambda: "doesn't answer" in rehearsal.problems())
            assert rehearsal.hosts[db].running
            with moto_server(port=port):
                until(lambda: not rehearsal.hosts.list())
                until(lambda: not rehearsal.problems())

    def test_a_plan_that_cannot_be_applied_is_reported(
        self, cloud: Cloud, rehearsal: Rehearsal
    ) -> None:
        web = cloud.launch("web", cloud.public, "10.9.0.5")
        eip = cloud.ec2.allocate_address(Domain="vpc", Address="127.1.2.3")["AllocationId"]
        cloud.ec2.associate_address(AllocationId=eip, InstanceId=web)
        with rehearsal.reconciling(cloud.ec2):
            until((rehearsal.run / "ready").exists)
            until(lambda: "127.1.2.3" in rehearsal.problems())
            until(lambda: "waits for" in (rehearsal.status()[web]["error"] or ""))
            cloud.ec2.release_address(AllocationId=eip)
            until(lambda: rehearsal.booted(web))


class TestDaemon:
    def test_it_says_when_it_is_ready_and_ends_cleanly(self, endpoint: str, tmp_path: Path) -> None:
        forget(endpoint)
        command = [sys.executable, "-m", "rehearsal.reconciler", "--endpoint", endpoint]
        process = subprocess.Popen([*command, "--region", REGION, "--run", str(tmp_path)])
        try:
            until((tmp_path / "ready").exists)
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()
            process.wait()
        assert not (tmp_path / "ready").exists()
        assert json.loads((tmp_path / "reconciler.json").read_text())["instances"] == []
