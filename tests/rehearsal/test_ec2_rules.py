"""Security groups and routes as a real moto holds them, and how soon the router follows."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from rehearsal import network
from rehearsal.bell import EC2_CHANGED, BellPull
from rehearsal.network import DefaultRoute, Layout, Permission, Plan, SecurityGroup
from rehearsal.network.ec2 import Region, client, read_region
from rehearsal.reconciler import Reconciler, Settings
from tests.rehearsal.fake_hosts import FakeHosts
from tests.rehearsal.moto_server import forget, free_port
from tests.rehearsal.netns import PORT, until
from tests.rehearsal.probes import Target, probe
from tests.rehearsal.small_region import REGION, Cloud

LAYOUT = Layout(
    prefix="tsr-",
    services=IPv4Interface("192.0.2.1/24"),
    router=IPv4Interface("192.0.2.2/24"),
)
CHECKOUT = Path(__file__).resolve().parents[2]
ANYWHERE = IPv4Network("0.0.0.0/0")
TCP, ICMP = 6, 1


@pytest.fixture(scope="module")
def bell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the cloud's server rings."""
    return tmp_path_factory.mktemp("run") / EC2_CHANGED


@pytest.fixture(scope="module")
def endpoint(bell: Path) -> Iterator[str]:
    port = free_port()
    command = (sys.executable, "-m", "rehearsal.moto_server", "--listen", f"127.0.0.1:{port}")
    process = subprocess.Popen(
        [*command, "--bell", str(bell)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: _reset(url), 60)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _reset(endpoint: str) -> bool:
    try:
        forget(endpoint)
    except OSError:
        return False
    return True


@pytest.fixture
def cloud(endpoint: str) -> Cloud:
    forget(endpoint)
    return Cloud.build(client("ec2", endpoint, REGION))


def group(cloud: Cloud, name: str) -> str:
    made = cloud.ec2.create_security_group(GroupName=name, Description=name, VpcId=cloud.vpc)
    return str(made["GroupId"])


def read(cloud: Cloud) -> tuple[Plan, Region]:
    region = read_region(cloud.ec2)
    assert region.plan is not None
    return region.plan, region


def groups(cloud: Cloud) -> dict[str, SecurityGroup]:
    return {each.id: each for each in read(cloud)[0].security_groups}


class TestGroups:
    def allow(self, cloud: Cloud, name: str, protocol: str, *ports: int, **peers: Any) -> None:
        first, last = ports or (-1, -1)
        cloud.ec2.authorize_security_group_ingress(
            GroupId=name,
            IpPermissions=[
                {"IpProtocol": protocol, "FromPort": first, "ToPort": last, **peers},
            ],
        )

    def test_every_kind_of_rule(self, cloud: Cloud) -> None:
        web, db = group(cloud, "web"), group(cloud, "db")
        anybody = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        self.allow(
            cloud,
            db,
            *("tcp", 5432, 5440),
            UserIdGroupPairs=[{"GroupId": web}, {"GroupId": db}],
            IpRanges=[{"CidrIp": "10.9.1.7/24"}],
        )
        self.allow(cloud, db, "icmp", 8, -1, **anybody)
        self.allow(cloud, db, "50", **anybody)
        self.allow(cloud, db, "-1", **anybody)
        assert set(groups(cloud)[db].ingress) == {
            Permission(web, TCP, 5432, 5440),
            Permission(db, TCP, 5432, 5440),
            Permission(IPv4Network("10.9.1.0/24"), TCP, 5432, 5440),
            Permission(ANYWHERE, ICMP, 8, -1),
            Permission(ANYWHERE, 50),
            Permission(ANYWHERE),
        }
        assert groups(cloud)[web].egress == (Permission(ANYWHERE),)
        cloud.ec2.revoke_security_group_egress(
            GroupId=web, IpPermissions=[{"IpProtocol": "-1", **anybody}]
        )
        assert groups(cloud)[web] == SecurityGroup(web)
        assert read(cloud)[1].problems == ()

    def test_what_is_not_rehearsed_is_said(self, cloud: Cloud) -> None:
        name = group(cloud, "odd")
        self.allow(cloud, name, "tcp", 1, 2, PrefixListIds=[{"PrefixListId": "pl-1"}])
        self.allow(cloud, name, "tcp", 3, 4, Ipv6Ranges=[{"CidrIpv6": "fd00::/8"}])
        self.allow(cloud, name, "tcp", 9, 5, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
        self.allow(cloud, name, "carrier-pigeon", IpRanges=[{"CidrIp": "0.0.0.0/0"}])
        _, region = read(cloud)
        assert groups(cloud)[name].ingress == ()
        assert len(region.problems) == 4
        for part in ("prefix list pl-1", "fd00::/8", "ports 9 to 5", "carrier-pigeon"):
            assert any(name in said and part in said for said in region.problems)

    def test_an_instances_groups(self, cloud: Cloud) -> None:
        one, two = group(cloud, "one"), group(cloud, "two")
        default = cloud.ec2.describe_security_groups(
            Filters=[
                {"Name": "vpc-id", "Values": [cloud.vpc]},
                {"Name": "group-name", "Values": ["default"]},
            ]
        )["SecurityGroups"][0]["GroupId"]
        instance = cloud.launch("a", cloud.private, "10.9.1.5", SecurityGroupIds=[two, one])
        cloud.launch("b", cloud.private, "10.9.1.6")
        by_interface = {"DeviceIndex": 0, "SubnetId": cloud.private, "Groups": [two]}
        cloud.ec2.run_instances(
            ImageId=cloud.image,
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[{**by_interface, "PrivateIpAddress": "10.9.1.7"}],
        )

        def found() -> list[tuple[str, ...]]:
            hosts = sorted(read(cloud)[0].hosts, key=lambda host: host.private)
            return [host.security_groups for host in hosts]

        assert found() == [tuple(sorted([one, two])), (default,), (two,)]
        cloud.ec2.modify_instance_attribute(InstanceId=instance, Groups=[one])
        assert found() == [(one,), (default,), (two,)]
        cloud.ec2.delete_security_group(GroupId=one)
        assert found() == [(), (default,), (two,)]
        (said,) = read(cloud)[1].problems
        assert instance in said and one in said


class TestRoutes:
    def defaults(self, cloud: Cloud) -> list[DefaultRoute]:
        return [subnet.default for subnet in read(cloud)[0].subnets]

    def test_a_route_to_a_gateway_that_is_gone_leads_nowhere(self, cloud: Cloud) -> None:
        ec2 = cloud.ec2
        assert self.defaults(cloud) == [DefaultRoute.INTERNET_GATEWAY, DefaultRoute.NAT_GATEWAY]
        nat = ec2.describe_nat_gateways()["NatGateways"][0]["NatGatewayId"]
        ec2.delete_nat_gateway(NatGatewayId=nat)
        assert read(cloud)[0].nat_gateways == ()
        gateway = ec2.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"]
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=cloud.vpc)
        assert self.defaults(cloud)[0] is DefaultRoute.NONE
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=cloud.vpc)
        assert self.defaults(cloud)[0] is DefaultRoute.INTERNET_GATEWAY
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=cloud.vpc)
        ec2.delete_internet_gateway(InternetGatewayId=gateway)
        assert self.defaults(cloud)[0] is DefaultRoute.NONE
        assert read(cloud)[1].problems == ()

    def test_gateway_endpoints_are_no_problem_and_other_routes_are(self, cloud: Cloud) -> None:
        ec2 = cloud.ec2
        tables = [table["RouteTableId"] for table in ec2.describe_route_tables()["RouteTables"]]
        ec2.create_vpc_endpoint(
            VpcId=cloud.vpc,
            ServiceName=f"com.amazonaws.{REGION}.s3",
            VpcEndpointType="Gateway",
            RouteTableIds=tables,
        )
        assert read(cloud)[1].problems == ()
        table = ec2.create_route_table(VpcId=cloud.vpc)["RouteTable"]["RouteTableId"]
        gateway = ec2.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"]
        for to in ({"DestinationCidrBlock": "172.16.0.0/12"}, {"DestinationIpv6CidrBlock": "::/0"}):
            ec2.create_route(RouteTableId=table, GatewayId=gateway, **to)
        problems = read(cloud)[1].problems
        assert [said.split(" is not")[0] for said in problems] == [
            f"The route to 172.16.0.0/12 in {table}",
            f"The route to ::/0 in {table}",
        ]


@contextlib.contextmanager
def reconciling(cloud: Cloud, run: Path, hosts: FakeHosts, step_s: float) -> Iterator[Reconciler]:
    settings = Settings(LAYOUT, run, Path("/base"), step_s)
    reconciler, stop = Reconciler(settings, cloud.ec2, hosts), SimpleQueue[None]()
    worker = threading.Thread(target=lambda: reconciler.run(stop), daemon=True)
    worker.start()
    try:
        yield reconciler
    finally:
        stop.put(None)
        BellPull(run / EC2_CHANGED).ring()
        worker.join(60)
        assert not worker.is_alive()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[FakeHosts]:
    hosts = FakeHosts(tmp_path / "hosts")
    hosts.folder.mkdir()
    network.destroy(LAYOUT)
    try:
        network.create(LAYOUT)
        yield hosts
    finally:
        for host in hosts.list():
            host.kill()
        network.destroy(LAYOUT)


def test_the_router_follows_each_change_without_waiting_for_the_next_look(
    cloud: Cloud, bell: Path, hosts: FakeHosts
) -> None:
    closed, opened = group(cloud, "closed"), group(cloud, "opened")
    db = cloud.launch("db", cloud.private, "10.9.1.5", SecurityGroupIds=[closed])
    job = cloud.launch("job", cloud.private, "10.9.1.6", SecurityGroupIds=[opened])
    rule: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT}
    rule["UserIdGroupPairs"] = [{"GroupId": opened}]
    target = Target("10.9.1.5", PORT)
    # looks ten minutes apart: what is seen before that was told
    with reconciling(cloud, bell.parent, hosts, step_s=600):
        until(lambda: len(hosts.list()) == 2 and all(host.running for host in hosts.list()), 60)
        with probe(LAYOUT.host(job)) as asking:

            def open_now() -> bool:
                asking.ask([target])
                return bool(asking.answers(0.5))

            until(lambda: not open_now() and network.refused(LAYOUT))
            for _ in range(2):
                cloud.ec2.authorize_security_group_ingress(GroupId=closed, IpPermissions=[rule])
                until(open_now)
                cloud.ec2.revoke_security_group_ingress(GroupId=closed, IpPermissions=[rule])
                until(lambda: not open_now())
            cloud.ec2.modify_instance_attribute(InstanceId=db, Groups=[opened])
            cloud.ec2.authorize_security_group_ingress(GroupId=opened, IpPermissions=[rule])
            until(open_now)
