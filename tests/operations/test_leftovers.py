"""What a cluster's controllers left in AWS is found, each with what removes it; nothing else is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from operations.leftovers import Leftover, find

REGION = "ap-northeast-2"
OWNED = {"kubernetes.io/cluster/prod": "owned"}
LBC = {"elbv2.k8s.aws/cluster": "prod"}
PROGRAM = {"ManagedBy": "pulumi", "Project": "prod"}
CSI = {"ebs.csi.aws.com/cluster": "true"}


class Account:
    """An account with a VPC in which controllers make things."""

    def __init__(self) -> None:
        self.ec2, self.elb = self.client("ec2"), self.client("elbv2")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self.ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{zone}"
            )["Subnet"]["SubnetId"]
            for n, zone in enumerate("ac")
        ]

    @staticmethod
    def client(service: str) -> Any:
        return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]

    def find(self, cluster: str = "prod") -> list[Leftover]:
        return find(self.client, cluster, REGION)

    def balancer(self, name: str, tags: dict[str, str]) -> str:
        made = self.elb.create_load_balancer(Name=name, Subnets=self.subnets, Tags=pairs(tags))
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    def targets(self, name: str, tags: dict[str, str]) -> str:
        made = self.elb.create_target_group(
            Name=name, Protocol="TCP", Port=80, VpcId=self.vpc, Tags=pairs(tags)
        )
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    def group(self, name: str, tags: dict[str, str]) -> str:
        made = self.ec2.create_security_group(
            GroupName=name,
            Description=name,
            VpcId=self.vpc,
            TagSpecifications=specification("security-group", tags),
        )
        return str(made["GroupId"])

    def admit(self, group: str, source: str, egress: bool = False) -> str:
        allowed = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
        change = getattr(self.ec2, f"authorize_security_group_{'egress' if egress else 'ingress'}")
        change(
            GroupId=group, IpPermissions=[{**allowed, "UserIdGroupPairs": [{"GroupId": source}]}]
        )
        rules = self.ec2.describe_security_group_rules()["SecurityGroupRules"]
        (id,) = (
            rule["SecurityGroupRuleId"]
            for rule in rules
            if rule["GroupId"] == group
            and rule.get("ReferencedGroupInfo", {}).get("GroupId") == source
            and rule["IsEgress"] == egress
        )
        return str(id)

    def interface(self, description: str, group: str, tags: dict[str, str]) -> str:
        made = self.ec2.create_network_interface(
            SubnetId=self.subnets[0],
            Description=description,
            Groups=[group],
            TagSpecifications=specification("network-interface", tags),
        )
        return str(made["NetworkInterface"]["NetworkInterfaceId"])

    def volume(self, tags: dict[str, str]) -> str:
        made = self.ec2.create_volume(
            AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=specification("volume", tags)
        )
        return str(made["VolumeId"])


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in (tags or {"Name": "x"}).items()]


def specification(type: str, tags: dict[str, str]) -> list[dict[str, Any]]:
    return [{"ResourceType": type, "Tags": pairs(tags)}]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield Account()


def test_each_kind_is_found_in_the_order_of_removal(account: Account) -> None:
    alb = account.balancer("k8s-api-abc", LBC)
    classic = "a0123"
    account.client("elb").create_load_balancer(
        LoadBalancerName=classic,
        Listeners=[{"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 80}],
        Subnets=account.subnets,
        Tags=pairs(OWNED),
    )
    targets = account.targets("k8s-api-def", LBC)
    shared = account.group("k8s-traffic", LBC)
    nodes = account.group("node", OWNED | PROGRAM)
    rules = [account.admit(nodes, shared), account.admit(nodes, shared, egress=True)]
    cards = [
        account.interface("ELB app/k8s-api-abc/0123", nodes, {}),
        account.interface("ELB a0123", nodes, {}),
        account.interface("", shared, {}),
        account.interface("aws-K8S-i-1", nodes, {"cluster.k8s.amazonaws.com/name": "prod"}),
    ]
    claim = {
        "kubernetes.io/created-for/pvc/name": "data-postgresql-0",
        "kubernetes.io/created-for/pvc/namespace": "databases",
    }
    volumes = [
        account.volume(OWNED | CSI | claim),
        account.volume({"KubernetesCluster": "prod"}),
        account.volume(CSI),
    ]
    snapshot = account.ec2.create_snapshot(
        VolumeId=volumes[0], TagSpecifications=specification("snapshot", OWNED)
    )["SnapshotId"]

    found = account.find()
    assert [(each.kind, each.id) for each in found] == [
        ("load balancer", classic),
        ("load balancer", "k8s-api-abc"),
        ("target group", "k8s-api-def"),
        *(("security group rule", rule) for rule in sorted(rules)),
        *(("network interface", card) for card in sorted(cards)),
        ("security group", shared),
        *(("volume", volume) for volume in sorted(volumes)),
        ("snapshot", snapshot),
    ]
    why = {each.id: each.why for each in found}
    assert why[volumes[0]] == (
        "tag kubernetes.io/cluster/prod=owned, for claim databases/data-postgresql-0"
    )
    assert why[volumes[2]].endswith("no cluster's name: see whose it is")
    assert why[cards[0]] == "of load balancer k8s-api-abc"
    assert why[cards[2]] == f"in security group {shared}"
    remove = {each.id: each.remove for each in found}
    assert alb in remove["k8s-api-abc"] and targets in remove["k8s-api-def"]
    assert "revoke-security-group-egress" in remove[rules[1]]
    assert remove[cards[0]].startswith("goes with its load balancer")


def test_what_is_said_to_remove_them_removes_them(account: Account) -> None:
    """Each command's service, operation and parameters are AWS's; in this order they all work."""
    account.balancer("k8s-api-abc", LBC)
    account.targets("k8s-api-def", LBC)
    shared, nodes = account.group("k8s-traffic", LBC), account.group("node", PROGRAM)
    account.admit(nodes, shared)
    account.interface("", shared, {})
    account.ec2.create_snapshot(
        VolumeId=account.volume(OWNED), TagSpecifications=specification("snapshot", OWNED)
    )
    for each in account.find():
        program, service, operation, *options = shlex.split(each.remove)
        assert program == "aws"
        client = account.client(service)
        names = {
            option.replace("--", "").replace("-", ""): value
            for option, value in zip(options[::2], options[1::2], strict=True)
        }
        assert names.pop("region") == REGION
        shape = client.meta.service_model.operation_model(
            "".join(word.title() for word in operation.split("-"))
        ).input_shape
        given = {
            name: [names[name.lower()]] if member.type_name == "list" else names[name.lower()]
            for name, member in shape.members.items()
            if name.lower() in names
        }
        assert len(given) == len(names), each.remove
        getattr(client, operation.replace("-", "_"))(**given)
    assert account.find() == []


def test_what_others_made_is_not_found(account: Account) -> None:
    """The program's own, another cluster's, and what a cluster may use but did not make."""
    other = {"kubernetes.io/cluster/dev": "owned"}
    for number, tags in enumerate(
        (OWNED | PROGRAM, other, {"elbv2.k8s.aws/cluster": "dev"}, {"Name": "prod"}, {})
    ):
        account.balancer(f"lb-{number}", tags)
        account.targets(f"targets-{number}", tags)
        account.group(f"group-{number}", tags)
        account.volume(tags)
    account.volume(other | CSI)
    account.volume({"KubernetesCluster": "dev"} | CSI)
    account.group("shared", {"kubernetes.io/cluster/prod": "shared"})
    account.interface("ELB app/lb-1/0123", account.group("a", {}), {})
    assert account.find() == []


def test_more_than_a_page_and_more_than_one_question_takes(account: Account) -> None:
    for number in range(45):
        account.targets(f"k8s-{number}", LBC)
    assert len(account.find()) == 45
