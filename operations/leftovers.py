"""What a cluster itself made in AWS, and so a `pulumi destroy` of its environment does not know.

Controllers make these for objects of the cluster and remove them with those objects, as long as the
controllers run. What they left keeps costing money, and holds the VPC.

Sources of the tags: aws-load-balancer-controller, pkg/deploy/tracking; aws-ebs-csi-driver,
docs/tagging.md; cloud-provider-aws, pkg/providers/v1/tags.go; amazon-vpc-cni-k8s, README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

Connect = Callable[[str], Any]  # a boto3 client of a service, in the cluster's region
Tags = Mapping[str, str]

_LBC = "elbv2.k8s.aws/cluster"  # the load balancer controller's
_VPC_CNI = "cluster.k8s.amazonaws.com/name"
_OLD = "KubernetesCluster"
_OWNED = "kubernetes.io/cluster/"
_CSI = "ebs.csi.aws.com/cluster"  # "true": says that a cluster made it, not which
_PROGRAM = ("ManagedBy", "pulumi")  # infra/provider.py gives it to all that the program makes
# AWS deletes no subnet or VPC while one of these is in it, or none of the groups that one names
_HOLDS_VPC = ("load balancer", "security group", "security group rule", "network interface")
_MOST_TAGGED = 20  # load balancers and target groups that one describe_tags takes


@dataclass(frozen=True)
class Leftover:
    """One thing in AWS. id: what its remove names it by; why: what says that it is the cluster's;
    remove: the command to run."""

    kind: str
    id: str
    why: str
    remove: str

    @property
    def holds_vpc(self) -> bool:
        """Whether the VPC cannot be deleted before it."""
        return self.kind in _HOLDS_VPC

    def __str__(self) -> str:
        return f"{self.kind} {self.id} ({self.why})"

    def as_text(self) -> str:
        """A line for it, and one for what removes it."""
        return f"{self}\n    {self.remove}"


def find(connect: Connect, cluster: str, region: str) -> list[Leftover]:
    """All of them, in the order in which they can be removed."""
    client = cache(connect)
    search = _Search(cluster, region)
    balancers = [*search.load_balancers(client("elbv2")), *search.classic(client("elb"))]
    ec2 = client("ec2")
    groups = list(search.security_groups(ec2))
    parts: tuple[Iterable[Leftover], ...] = (
        balancers,
        search.target_groups(client("elbv2")),
        search.rules(ec2, {group.id for group in groups}),
        search.interfaces(ec2, [b.id for b in balancers], {group.id for group in groups}),
        groups,
        search.volumes(ec2),
        search.snapshots(ec2),
    )
    return [each for part in parts for each in sorted(part, key=lambda found: found.id)]


@dataclass(frozen=True)
class _Search:
    cluster: str
    region: str

    def load_balancers(self, elb: Any) -> Iterator[Leftover]:
        for item, why in self._tagged(
            elb, "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"
        ):
            arn = item["LoadBalancerArn"]
            remove = self._aws("elbv2 delete-load-balancer --load-balancer-arn", arn)
            yield Leftover("load balancer", item["LoadBalancerName"], why, remove)

    def target_groups(self, elb: Any) -> Iterator[Leftover]:
        for item, why in self._tagged(
            elb, "describe_target_groups", "TargetGroups", "TargetGroupArn"
        ):
            arn = item["TargetGroupArn"]
            remove = self._aws("elbv2 delete-target-group --target-group-arn", arn)
            yield Leftover("target group", item["TargetGroupName"], why, remove)

    def classic(self, elb: Any) -> Iterator[Leftover]:
        found = _all(elb, "describe_load_balancers", "LoadBalancerDescriptions")
        names = [item["LoadBalancerName"] for item in found]
        for some in _parts(names):
            described = elb.describe_tags(LoadBalancerNames=list(some))["TagDescriptions"]
            for each in described:
                if why := self._why(_tags(each)):
                    name = each["LoadBalancerName"]
                    remove = self._aws("elb delete-load-balancer --load-balancer-name", name)
                    yield Leftover("load balancer", name, why, remove)

    def security_groups(self, ec2: Any) -> Iterator[Leftover]:
        for item in _all(ec2, "describe_security_groups", "SecurityGroups"):
            if why := self._why(_tags(item)):
                id = item["GroupId"]
                remove = self._aws("ec2 delete-security-group --group-id", id)
                yield Leftover("security group", id, why, remove)

    def rules(self, ec2: Any, groups: set[str]) -> Iterator[Leftover]:
        """In groups that stay, about groups that don't: those cannot be deleted before."""
        for rule in _all(ec2, "describe_security_group_rules", "SecurityGroupRules"):
            other = rule.get("ReferencedGroupInfo", {}).get("GroupId", "")
            if other not in groups or rule["GroupId"] in groups:
                continue
            id, way = rule["SecurityGroupRuleId"], "egress" if rule["IsEgress"] else "ingress"
            remove = f"ec2 revoke-security-group-{way} --group-id {rule['GroupId']}"
            remove = self._aws(f"{remove} --security-group-rule-ids", id)
            yield Leftover("security group rule", id, f"refers to {other}", remove)

    def interfaces(
        self, ec2: Any, balancers: Sequence[str], groups: set[str]
    ) -> Iterator[Leftover]:
        """Those of load balancers stay for minutes after them, and hold groups and subnets."""
        for item in _all(ec2, "describe_network_interfaces", "NetworkInterfaces"):
            described = item.get("Description", "")
            held = groups & {group["GroupId"] for group in item.get("Groups", ())}
            # "ELB app/NAME/ID", "ELB net/NAME/ID", "ELB NAME"
            words = described.removeprefix("ELB ").split("/")
            whose = [f"of load balancer {name}" for name in balancers if name in words]
            whose += [f"in security group {group}" for group in sorted(held)]
            why = self._why(_tags({"Tags": item.get("TagSet", ())})) or next(iter(whose), "")
            if not why:
                continue
            id = item["NetworkInterfaceId"]
            if item.get("RequesterManaged") or described.startswith("ELB "):
                remove = "goes with its load balancer; wait until it has"
            else:
                remove = self._aws("ec2 delete-network-interface --network-interface-id", id)
            yield Leftover("network interface", id, why, remove)

    def volumes(self, ec2: Any) -> Iterator[Leftover]:
        for item in _all(ec2, "describe_volumes", "Volumes"):
            tags = _tags(item)
            if why := self._why(tags) or _nobodys(tags):
                id = item["VolumeId"]
                claim = tags.get("kubernetes.io/created-for/pvc/name")
                place = tags.get("kubernetes.io/created-for/pvc/namespace")
                why += f", for claim {place}/{claim}" if claim else ""
                yield Leftover("volume", id, why, self._aws("ec2 delete-volume --volume-id", id))

    def snapshots(self, ec2: Any) -> Iterator[Leftover]:
        for item in _all(ec2, "describe_snapshots", "Snapshots", OwnerIds=["self"]):
            tags = _tags(item)
            if why := self._why(tags) or _nobodys(tags):
                id = item["SnapshotId"]
                yield Leftover(
                    "snapshot", id, why, self._aws("ec2 delete-snapshot --snapshot-id", id)
                )

    def _tagged(
        self, elb: Any, operation: str, key: str, arn: str
    ) -> Iterator[tuple[dict[str, Any], str]]:
        """What bears the cluster's tag; Elastic Load Balancing tells tags apart from the rest."""
        found = {item[arn]: item for item in _all(elb, operation, key)}
        for some in _parts(list(found)):
            for each in elb.describe_tags(ResourceArns=list(some))["TagDescriptions"]:
                if why := self._why(_tags(each)):
                    yield found[each["ResourceArn"]], why

    def _why(self, tags: Tags) -> str:
        """The tag that says that this cluster made it; "" if none does, or the program did."""
        if tags.get(_PROGRAM[0]) == _PROGRAM[1]:
            return ""
        if tags.get(f"{_OWNED}{self.cluster}") == "owned":
            return f"tag {_OWNED}{self.cluster}=owned"
        keys = (key for key in (_LBC, _VPC_CNI, _OLD) if tags.get(key) == self.cluster)
        key = next(keys, "")
        return f"tag {key}={self.cluster}" if key else ""

    def _aws(self, command: str, id: str) -> str:
        return f"aws {command} {id} --region {self.region}"


def _nobodys(tags: Tags) -> str:
    """The EBS CSI driver's, of a cluster that it was not told the name of."""
    named = _OLD in tags or any(key.startswith(_OWNED) for key in tags)
    if named or tags.get(_CSI) != "true":
        return ""
    return f"tag {_CSI}=true and no cluster's name: see whose it is"


def _all(client: Any, operation: str, key: str, **asked: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator(operation).paginate(**asked)
    return [item for page in pages for item in page.get(key, ())]


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _MOST_TAGGED):
        yield names[start : start + _MOST_TAGGED]


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
