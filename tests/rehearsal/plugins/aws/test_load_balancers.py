"""ELB v2: load balancers, target groups and what is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from rehearsal.plugins.protocol import UNKNOWN, Properties
from tests.rehearsal.plugins.aws.conftest import AMI, DEFAULT_TAGS, REGION, Aws
from tests.rehearsal.plugins.aws.edge import (
    ATTACHMENT,
    BALANCER,
    TARGETS,
    Network,
    make_balancer,
    make_network,
    make_targets,
)
from tests.rehearsal.plugins.aws.made import GROUP, INSTANCE, SUBNET, VPC, make, unique
from tests.rehearsal.plugins.harness import Plugin, PluginError


@pytest.fixture(scope="module")
def network(plugin: Plugin) -> Network:
    return make_network(plugin)


def _make_logs(aws: Aws, writer: str | None) -> str:
    """A bucket whose policy lets a service put objects, made past the plugin; its name."""
    name, s3 = unique("logs"), aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    if writer:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": writer},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{name}/*",
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    return name


def test_application_load_balancer_lives(aws: Aws, plugin: Plugin, network: Network) -> None:
    name = unique("alb")
    groups = [make(plugin, GROUP, vpcId=network.vpc.id, name=unique("alb")) for _ in range(2)]
    logs = _make_logs(aws, "logdelivery.elasticloadbalancing.amazonaws.com")
    balancer = make(
        plugin,
        BALANCER,
        name=name,
        loadBalancerType="application",
        internal=False,
        subnets=network.ids,
        securityGroups=[groups[0].id],
        dropInvalidHeaderFields=True,
        accessLogs={"bucket": logs, "prefix": "alb", "enabled": True},
        tags={"a": "b"},
    )
    outputs = balancer.outputs
    assert outputs["arn"] == balancer.id and outputs["vpcId"] == network.vpc.id
    assert outputs["arnSuffix"] == balancer.id.partition(":loadbalancer/")[2]
    assert outputs["arnSuffix"].startswith(f"app/{name}/")
    assert outputs["dnsName"].startswith(f"{name}-") and outputs["zoneId"].startswith("Z")
    assert outputs["tagsAll"] == {"a": "b", **DEFAULT_TAGS} and outputs["idleTimeout"] == 60

    elb = aws.client("elbv2")
    told = elb.describe_load_balancer_attributes(LoadBalancerArn=balancer.id)["Attributes"]
    values = {attribute["Key"]: attribute["Value"] for attribute in told}
    assert values["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert values["access_logs.s3.bucket"] == logs and values["access_logs.s3.prefix"] == "alb"
    assert values["routing.http2.enabled"] == "true"

    assert not balancer.diff(subnets=network.ids[::-1]).changes
    for change in ({"name": unique("b")}, {"internal": True}, {"loadBalancerType": "network"}):
        replaced = balancer.diff(**change, dropInvalidHeaderFields=None).replaces
        assert replaced == list(change)
    balancer.update(securityGroups=[groups[1].id], idleTimeout=120)
    balancer.update(enableDeletionProtection=True, tags={"c": "d"})
    with pytest.raises(PluginError, match=r"OperationNotPermitted: .* deletion protection is"):
        plugin.delete(BALANCER, balancer.id, balancer.inputs, balancer.outputs)
    balancer.update(enableDeletionProtection=False, accessLogs=None)
    assert balancer.imported()["securityGroups"] == [groups[1].id]

    elb.modify_load_balancer_attributes(
        LoadBalancerArn=balancer.id,
        Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "30"}],
    )
    elb.set_security_groups(LoadBalancerArn=balancer.id, SecurityGroups=[groups[0].id])
    assert balancer.refresh() == {"idleTimeout": 30, "securityGroups": [groups[0].id]}
    balancer.delete()
    for group in groups:
        group.delete()


def test_network_load_balancer_lives(plugin: Plugin, network: Network) -> None:
    group = make(plugin, GROUP, vpcId=network.vpc.id, name=unique("nlb"))
    kind = {"loadBalancerType": "network"}
    balancer = make_balancer(
        plugin, network, **kind, securityGroups=[group.id], enableCrossZoneLoadBalancing=True
    )
    assert balancer.outputs["enableCrossZoneLoadBalancing"] is True
    balancer.update(enableCrossZoneLoadBalancing=False)
    assert balancer.diff(subnets=network.ids[:1]).replaces == ["subnets"]  # it never loses one
    assert not balancer.diff(subnets=[*network.ids, "subnet-1"]).replaces
    assert balancer.diff(securityGroups=[]).replaces == ["securityGroups"]
    bare = make_balancer(plugin, network, **kind)
    assert bare.diff(securityGroups=[group.id]).replaces == ["securityGroups"]
    for made in (balancer, bare, group):
        made.delete()


def test_load_balancer_that_aws_would_refuse(aws: Aws, plugin: Plugin, network: Network) -> None:
    balancer = make_balancer(plugin, network)
    lonely = make(plugin, VPC, cidrBlock="10.9.0.0/16")
    group = make(plugin, GROUP, vpcId=lonely.id, name=unique("other"))
    subnets = [
        make(
            plugin,
            SUBNET,
            vpcId=lonely.id,
            cidrBlock=f"10.9.{index}.0/24",
            availabilityZone=f"{REGION}{zone}",
        ).id
        for index, zone in enumerate("aab")
    ]
    writer = "logdelivery.elasticloadbalancing.amazonaws.com"
    wrong_logs = _make_logs(aws, "delivery.logs.amazonaws.com")
    cases: list[tuple[Mapping[str, Any], str]] = [
        ({"name": balancer.inputs["name"]}, "DuplicateLoadBalancerName"),
        ({"subnets": network.ids[:1]}, "At least two subnets in two different"),
        ({"subnets": subnets[:2]}, "multiple subnets in the same Availability Zone"),
        ({"subnets": [subnets[0], network.ids[1]]}, "must belong to the same VPC"),
        ({"subnets": subnets[1:], "internal": False}, "has no internet gateway"),
        ({"subnets": [*network.ids, "subnet-1"]}, "InvalidSubnetID.NotFound"),
        ({"securityGroups": [group.id]}, "security groups are invalid"),
        ({"securityGroups": ["sg-1"]}, "InvalidGroup.NotFound"),
        ({"accessLogs": {"bucket": wrong_logs, "enabled": True}}, f"must let {writer} put"),
        ({"accessLogs": {"bucket": _make_logs(aws, None), "enabled": True}}, "Access Denied"),
        ({"accessLogs": {"bucket": unique("none"), "enabled": True}}, "404|NoSuchBucket"),
    ]
    plain = {"internal": True, "subnets": network.ids}
    for change, error in cases:
        inputs = plugin.check(BALANCER, {**plain, "name": unique("lb"), **change})
        with pytest.raises(PluginError, match=error):
            plugin.create(BALANCER, inputs)


@pytest.mark.parametrize(
    ("type", "inputs", "property"),
    [
        (BALANCER, {"subnets": ["a"], "name": "-a"}, "name"),
        (BALANCER, {"subnets": ["a"], "name": "a", "loadBalancerType": "gateway"}, "loadBalancer"),
        (
            BALANCER,
            {"subnets": ["a"], "loadBalancerType": "network", "idleTimeout": 10},
            "idleTimeout",
        ),
        (BALANCER, {"subnets": ["a"], "enableCrossZoneLoadBalancing": True}, "enableCrossZone"),
        (BALANCER, {"subnetMappings": []}, "subnetMappings"),
        (TARGETS, {"protocol": "HTTP", "preserveClientIp": "true"}, "preserveClientIp"),
        (TARGETS, {"protocol": "TCP", "slowStart": 30}, "slowStart"),
        (TARGETS, {"protocol": "TCP", "healthCheck": {"protocol": "TCP", "path": "/"}}, "health"),
        (TARGETS, {"protocol": "HTTP", "healthCheck": {"protocol": "TCP"}}, "healthCheck.protocol"),
        (TARGETS, {"protocol": "HTTP", "healthCheck": {"interval": 1}}, "healthCheck.interval"),
        (TARGETS, {"protocol": "HTTP", "stickiness": {}}, "stickiness"),
    ],
)
def test_bad_inputs_are_refused(
    plugin: Plugin, type: str, inputs: dict[str, Any], property: str
) -> None:
    needed: dict[str, Properties] = {
        BALANCER: {"name": "a"},
        TARGETS: {"name": "a", "port": 80, "vpcId": "vpc-1"},
    }
    _, failures = plugin.check_failures(type, {**needed[type], **inputs})
    assert failures and failures[0][0].startswith(property), failures


def test_target_group_lives(aws: Aws, plugin: Plugin, network: Network) -> None:
    name = unique("ingress")
    check = {"path": "/healthz", "matcher": "200", "interval": 15, "timeout": 5}
    group = make_targets(
        plugin, network.vpc, name=name, healthCheck=check, deregistrationDelay=60, tags={"a": "b"}
    )
    outputs = group.outputs
    assert outputs["arnSuffix"].startswith(f"targetgroup/{name}/")
    assert outputs["targetType"] == "instance" and outputs["protocolVersion"] == "HTTP1"
    assert outputs["healthCheck"] == {
        **check,
        **{"enabled": True, "healthyThreshold": 3, "unhealthyThreshold": 3},
        **{"port": "traffic-port", "protocol": "HTTP"},
    }
    assert outputs["loadBalancerArns"] == []
    for change in ({"port": 30081}, {"protocol": "HTTPS"}, {"vpcId": "vpc-1"}, {"name": "b"}):
        assert group.diff(**change).replaces == list(change)
    group.update(healthCheck={**check, "path": "/ready", "matcher": "200-299"})
    group.update(slowStart=30, loadBalancingAlgorithmType="least_outstanding_requests")
    group.update(tags={"c": "d"})
    assert group.imported()["healthCheck"]["path"] == "/ready"
    with pytest.raises(PluginError, match="DuplicateTargetGroupName"):
        make_targets(plugin, network.vpc, name=name)
    aws.client("elbv2").modify_target_group(TargetGroupArn=group.id, HealthCheckPath="/")
    drift = group.refresh()
    assert drift.keys() == {"healthCheck"} and drift["healthCheck"]["path"] == "/"
    group.delete()

    tcp = make_targets(
        plugin,
        network.vpc,
        protocol="TCP",
        port=6443,
        preserveClientIp="false",
        healthCheck={"protocol": "TCP", "interval": 10},
    )
    assert tcp.outputs["preserveClientIp"] == "false"
    tcp.update(preserveClientIp="true", connectionTermination=True)
    assert make_targets(plugin, network.vpc, protocol="TCP", port=1).outputs["healthCheck"]
    tcp.delete()


def test_attachments(aws: Aws, plugin: Plugin, network: Network) -> None:
    group = make_targets(plugin, network.vpc)
    instances = [
        make(plugin, INSTANCE, ami=AMI, instanceType="t3.small", subnetId=network.ids[0])
        for _ in range(2)
    ]
    ids = [instance.id for instance in instances]
    attachments = [
        make(plugin, ATTACHMENT, targetGroupArn=group.id, targetId=ids[0]),
        make(plugin, ATTACHMENT, targetGroupArn=group.id, targetId=ids[1], port=30090),
    ]
    assert attachments[1].id == f"{group.id},{ids[1]},30090"
    assert [a.imported().get("port") for a in attachments] == [None, 30090]
    elb = aws.client("elbv2")
    health = elb.describe_target_health(TargetGroupArn=group.id)["TargetHealthDescriptions"]
    assert {h["Target"]["Id"]: h["Target"]["Port"] for h in health} == {
        ids[0]: 30080,
        ids[1]: 30090,
    }
    for change in ({"port": 1}, {"targetId": "i-1"}, {"targetGroupArn": "arn"}):
        assert attachments[0].diff(**change).replaces == list(change)
    with pytest.raises(PluginError, match="moto holds one port for each target"):
        make(plugin, ATTACHMENT, targetGroupArn=group.id, targetId=ids[0], port=1)
    elb.deregister_targets(TargetGroupArn=group.id, Targets=[{"Id": ids[0]}])
    assert attachments[0].refresh() == {"": None}
    instances[1].delete()
    assert attachments[1].refresh() == {"": None}
    for attachment in attachments:
        attachment.delete()

    other = make(plugin, VPC, cidrBlock="10.8.0.0/16")
    elsewhere = make_targets(plugin, other)
    with pytest.raises(PluginError, match="not in the target group VPC"):
        make(plugin, ATTACHMENT, targetGroupArn=elsewhere.id, targetId=ids[0])
    with pytest.raises(PluginError, match=r"InvalidInstanceID"):
        make(plugin, ATTACHMENT, targetGroupArn=group.id, targetId="i-0123456789abcdef0")
    for made in (instances[0], group, elsewhere, other):
        made.delete()
    assert attachments[0].refresh() == {"": None}  # of a group that is gone


def test_previews_of_what_is_not_known_yet(plugin: Plugin) -> None:
    for type, inputs in (
        (BALANCER, {"name": "a", "subnets": [UNKNOWN, UNKNOWN], "securityGroups": UNKNOWN}),
        (TARGETS, {"name": "a", "port": 1, "protocol": "HTTP", "vpcId": UNKNOWN}),
    ):
        _, outputs = plugin.create(type, plugin.check(type, inputs), preview=True)
        assert outputs["arn"] is UNKNOWN
