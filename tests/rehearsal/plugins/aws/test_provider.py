"""The provider itself: arguments, safety, refusals, tags, functions, failures on the way."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module, metadata
from typing import Any

import pytest
from google.protobuf import empty_pb2

from rehearsal.plugins.aws.arguments import SERVICES
from rehearsal.plugins.aws.kinds import Kind, ListOf, Record
from rehearsal.plugins.aws.resources import TYPES
from rehearsal.plugins.protocol import UNKNOWN, decode
from tests.rehearsal.plugins.aws.conftest import AMI, DEFAULT_TAGS, REGION, Aws
from tests.rehearsal.plugins.aws.made import INSTANCE, PROFILE, SUBNET, VPC, Made, make, unique
from tests.rehearsal.plugins.harness import Plugin, PluginError, start_plugin


@pytest.fixture(scope="module")
def fresh() -> Iterator[Plugin]:
    """A plugin that a test may configure as it likes; nothing comes from the environment."""
    with start_plugin("pulumi-resource-aws") as plugin:
        yield plugin


def test_version_is_the_sdk_s(plugin: Plugin) -> None:
    info = plugin.call("GetPluginInfo", empty_pb2.Empty())
    assert info.version == metadata.version("pulumi-aws")


def _without(aws: Aws, *names: str) -> dict[str, Any]:
    return {key: value for key, value in aws.arguments.items() if key not in names}


def test_it_never_goes_to_aws(aws: Aws, fresh: Plugin) -> None:
    with pytest.raises(
        PluginError,
        match=r"no endpoint for acm, cloudfront, ec2, elbv2, iam, kms, route53, s3, sts",
    ):
        fresh.configure(_without(aws, "endpoints"))
    some = json.dumps([{service: aws.url for service in SERVICES if service != "sts"}])
    with pytest.raises(PluginError, match=r"no endpoint for sts; .*never contacts AWS"):
        fresh.configure({**aws.arguments, "endpoints": some})
    for host in ("ec2.eu-west-1.amazonaws.com", "EC2.eu-west-1.api.aws", "amazonaws.com."):
        real = json.dumps([json.loads(some)[0] | {"sts": aws.url, "ec2": f"https://{host}"}])
        with pytest.raises(PluginError, match=r"endpoint of ec2 is AWS itself"):
            fresh.configure({**aws.arguments, "endpoints": real})
    with pytest.raises(PluginError, match=r"no region"):
        fresh.configure(_without(aws, "region"))
    with pytest.raises(PluginError, match=r"no credentials"):
        fresh.configure(_without(aws, "secretKey"))
    with pytest.raises(PluginError, match=r"never configured"):
        fresh.create(VPC, {"cidrBlock": "10.0.0.0/16"})


def test_environment_completes_the_arguments(aws: Aws) -> None:
    environment = {
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_PROFILE": "nobody",  # the machine's own set-up is not looked at
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    with start_plugin("pulumi-resource-aws", env=environment) as plugin:
        plugin.configure({"endpoints": json.dumps([{"ec2": aws.url}])})
        region = plugin.invoke("aws:index/getRegion:getRegion", {})
        assert region["name"] == REGION
        identity = plugin.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})
        assert identity["accountId"] == "123456789012"


def test_arguments_that_would_be_ignored_are_refused(aws: Aws, plugin: Plugin) -> None:
    assert plugin.check_config({**aws.arguments, "version": "7.51.1"}) == []
    failures = plugin.check_config({**aws.arguments, "profile": "work"})
    assert failures == [
        ("profile", "aws provider: argument 'profile' is not handled by this stand-in")
    ]
    endpoints = json.dumps([{"lambda": aws.url}])
    assert "'lambda'" in plugin.check_config({"endpoints": endpoints})[0][1]


def test_unknown_types_and_properties_are_refused(plugin: Plugin) -> None:
    _, failures = plugin.check_failures("aws:lambda/function:Function", {})
    assert failures == [
        ("", "aws:lambda/function:Function: this type is not handled by this stand-in")
    ]
    _, failures = plugin.check_failures(VPC, {"cidrBlock": "10.0.0.0/16", "ipv6CidrBlock": "::/0"})
    assert failures == [
        ("ipv6CidrBlock", f"{VPC}: property 'ipv6CidrBlock' is not handled by this stand-in")
    ]
    _, failures = plugin.check_failures(SUBNET, {"cidrBlock": "10.0.0.0/33"})
    assert [where for where, _ in failures] == ["cidrBlock", "vpcId"]
    _, failures = plugin.check_failures(VPC, {"cidrBlock": "10.0.0.0/16", "region": "Ireland"})
    assert "is not the code of a region" in failures[0][1]
    with pytest.raises(PluginError, match=r"this function is not handled by this stand-in"):
        plugin.invoke("aws:ec2/getVpc:getVpc", {})


def test_default_tags_reach_everything_and_give_way(aws: Aws) -> None:
    with start_plugin("pulumi-resource-aws") as plugin:
        plugin.configure({**aws.arguments, "defaultTags": '{"tags": {"env": "a", "team": "x"}}'})
        vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16", tags={"team": "y"})
        assert vpc.outputs["tagsAll"] == {"env": "a", "team": "y"}
        assert vpc.outputs["tags"] == {"team": "y"}

    with start_plugin("pulumi-resource-aws") as plugin:
        plugin.configure({**aws.arguments, "defaultTags": '{"tags": {"env": "b", "team": "x"}}'})
        again = Made(plugin, VPC, vpc.id, vpc.inputs, vpc.outputs)
        assert again.diff().changes == ["tagsAll"]
        again.outputs = plugin.update(VPC, vpc.id, vpc.inputs, vpc.outputs, vpc.inputs)
        assert again.outputs["tagsAll"] == {"env": "b", "team": "y"}
        again.unchanged()
        aws.ec2.create_tags(Resources=[vpc.id], Tags=[{"Key": "by-hand", "Value": "1"}])
        assert again.refresh() == {"tags": {"team": "y", "by-hand": "1"}}
        again.delete()


def test_tags_unknown_at_preview(plugin: Plugin) -> None:
    inputs = plugin.check(VPC, {"cidrBlock": "10.0.0.0/16", "tags": {"id": UNKNOWN}})
    _, outputs = plugin.create(VPC, inputs, preview=True)
    assert outputs["tagsAll"] == {"id": UNKNOWN, **DEFAULT_TAGS}
    inputs = plugin.check(VPC, {"cidrBlock": "10.0.0.0/16", "tags": UNKNOWN})
    assert plugin.create(VPC, inputs, preview=True)[1]["tagsAll"] is UNKNOWN


def test_preview_of_an_update_keeps_what_stays(plugin: Plugin) -> None:
    inputs = plugin.check(
        INSTANCE,
        {"ami": AMI, "instanceType": "t3.small", "rootBlockDevice": {"volumeSize": 20}},
    )
    root = {"volumeSize": 20, "volumeId": "vol-1", "deleteOnTermination": True}
    state = {**inputs, "arn": "arn:1", "rootBlockDevice": root, "tagsAll": DEFAULT_TAGS}
    news = {**inputs, "rootBlockDevice": {"volumeSize": 30}, "tags": {"Name": "a"}}
    outputs = plugin.update(INSTANCE, "i-1", inputs, state, news, preview=True)
    assert outputs["arn"] == "arn:1"
    assert outputs["rootBlockDevice"] == {**root, "volumeSize": 30}
    assert outputs["tagsAll"] == {"Name": "a", **DEFAULT_TAGS}


def test_interrupted_wait_ends_at_once(aws: Aws) -> None:
    with start_plugin("pulumi-resource-aws") as plugin:
        plugin.configure(aws.arguments)
        vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
        subnet = make(plugin, SUBNET, vpcId=vpc.id, cidrBlock="10.0.1.0/24")
        with ThreadPoolExecutor(1) as pool:
            stuck = pool.submit(plugin.delete, VPC, vpc.id, vpc.inputs, vpc.outputs)
            assert not stuck.done()
            plugin.cancel()
            error = stuck.exception(timeout=20)
        assert isinstance(error, PluginError) and "deleting EC2 VPC" in error.message
        subnet.delete()
        vpc.delete()


def test_half_made_resource_is_kept_and_finished_later(aws: Aws, plugin: Plugin) -> None:
    role = unique("late")
    wanted = plugin.check(PROFILE, {"name": unique("node"), "role": role})
    with pytest.raises(PluginError, match=r"^creating IAM instance profile .*NoSuchEn") as caught:
        plugin.create(PROFILE, wanted)
    kept = caught.value.init_failed
    assert kept is not None and kept.id == wanted["name"]

    assume = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*"}]}
    aws.client("iam").create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(assume))
    # The engine asks for an update to the same inputs when a create was not finished.
    outputs = plugin.update(PROFILE, kept.id, wanted, decode(kept.properties), wanted)
    profile = Made(plugin, PROFILE, kept.id, wanted, outputs)
    assert outputs["role"] == role and outputs["arn"]
    profile.unchanged()
    profile.delete()
    aws.client("iam").delete_role(RoleName=role)


def test_failed_create_leaves_nothing(aws: Aws, plugin: Plugin) -> None:
    with pytest.raises(PluginError, match=r"^creating EC2 subnet: InvalidVpcID") as caught:
        wanted = plugin.check(SUBNET, {"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/24"})
        plugin.create(SUBNET, wanted)
    assert caught.value.init_failed is None


def test_endpoint_that_is_away_fails_in_one_line(aws: Aws) -> None:
    away = json.dumps([dict.fromkeys(SERVICES, "http://127.0.0.1:9")])
    with start_plugin("pulumi-resource-aws") as plugin:
        plugin.configure({**aws.arguments, "endpoints": away})
        with pytest.raises(PluginError, match=r"^creating EC2 VPC: Could not connect") as caught:
            plugin.create(VPC, plugin.check(VPC, {"cidrBlock": "10.0.0.0/16"}))
        assert "\n" not in caught.value.message


def test_get_ami(plugin: Plugin) -> None:
    token = "aws:ec2/getAmi:getAmi"
    name = {"name": "name", "values": ["debian-12-amd64-*"]}
    query: dict[str, Any] = {"owners": ["136693071363"], "filters": [name], "mostRecent": True}
    ami = plugin.invoke(token, query)
    assert ami["id"] == ami["imageId"] == AMI
    assert ami["name"] == "debian-12-amd64-2026-01-01" and ami["architecture"] == "x86_64"
    assert ami["rootDeviceName"] == "/dev/xvda" and ami["filters"] == [name]
    older = plugin.invoke(token, {**query, "nameRegex": "2025"})
    assert older["id"] == AMI[:-1] + "1"
    with pytest.raises(PluginError, match=r"2 AMIs match; narrow the search or set mostRecent"):
        plugin.invoke(token, {**query, "mostRecent": False})
    with pytest.raises(PluginError, match=r"no AMI matches"):
        plugin.invoke(token, {**query, "owners": ["000000000000"]})
    with pytest.raises(PluginError, match=r"argument 'uefiData' is not handled"):
        plugin.invoke(token, {**query, "uefiData": "x"})


def test_other_functions(plugin: Plugin) -> None:
    zones = plugin.invoke(
        "aws:index/getAvailabilityZones:getAvailabilityZones",
        {"state": "available", "excludeNames": [f"{REGION}c"]},
    )
    assert zones["names"] == [f"{REGION}a", f"{REGION}b"] and len(zones["zoneIds"]) == 2
    identity = plugin.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})
    assert identity["accountId"] == identity["id"] == "123456789012"
    region = plugin.invoke("aws:index/getRegion:getRegion", {})
    assert region["region"] == region["name"] == REGION
    partition = plugin.invoke("aws:index/getPartition:getPartition", {})
    assert partition["partition"] == partition["id"] == "aws"
    assert partition["dnsSuffix"] == "amazonaws.com"
    assert partition["reverseDnsPrefix"] == "com.amazonaws"


def test_a_resource_in_a_region_of_its_own(aws: Aws, plugin: Plugin) -> None:
    there = aws.client("ec2", "us-east-1")
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16", region="us-east-1", tags={"Name": "a"})
    assert vpc.outputs["region"] == "us-east-1" and ":us-east-1:" in vpc.outputs["arn"]
    assert there.describe_vpcs(VpcIds=[vpc.id])["Vpcs"][0]["CidrBlock"] == "10.0.0.0/16"
    found = aws.ec2.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [vpc.id]}])
    assert found["Vpcs"] == []
    vpc.update(tags={"Name": "b"})
    assert vpc.diff(region=REGION).replaces == ["region"]
    assert vpc.diff(region=None).replaces == ["region"]  # then it is the provider's
    imported = plugin.read(VPC, f"{vpc.id}@us-east-1")
    assert (imported.id, imported.outputs["region"]) == (vpc.id, "us-east-1")
    zones = plugin.invoke(
        "aws:index/getAvailabilityZones:getAvailabilityZones", {"region": "us-east-1"}
    )
    assert zones["names"][0] == "us-east-1a"
    vpc.delete()
    assert not there.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [vpc.id]}])["Vpcs"]


def _names(cls: type) -> set[str]:
    """The camelCase names of an SDK class's properties."""
    return {
        getattr(each.fget, "_pulumi_name", key)
        for key, each in vars(cls).items()
        if isinstance(each, property)
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("token", sorted(TYPES))
def test_every_property_is_the_sdk_s_own(token: str) -> None:
    type = TYPES[token]
    _, path, name = token.split(":")
    resource = getattr(import_module(f"pulumi_aws.{path.split('/')[0]}"), name)
    module = sys.modules[resource.__module__]
    state = getattr(module, f"_{name}State")
    # InitArgs: where Args is a nested object of the same name, such as a bucket's own versioning
    arguments = getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")
    assert set(type.properties) <= _names(arguments)
    assert set(type.outputs) <= _names(state)
    assert ("tags" in _names(arguments)) == (type.retag is not None)
    assert ("region" in _names(arguments)) == type.regional
    parameters = inspect.signature(arguments.__init__)
    required = {
        key
        for key, parameter in parameters.parameters.items()
        if parameter.default is inspect.Parameter.empty and key not in ("self", "__self__")
    }
    snake = {_snake(key): spec for key, spec in type.properties.items()}
    assert all(snake[key].required for key in required)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _records(kind: Kind) -> Iterator[Record]:
    if isinstance(kind, Record):
        yield kind
    elif isinstance(kind, ListOf):
        yield from _records(kind.item)


@pytest.mark.parametrize(
    ("token", "property", "cls"),
    [
        (INSTANCE, "metadataOptions", "ec2.outputs.InstanceMetadataOptions"),
        (INSTANCE, "rootBlockDevice", "ec2.outputs.InstanceRootBlockDevice"),
        ("aws:ec2/securityGroup:SecurityGroup", "ingress", "ec2.outputs.SecurityGroupIngress"),
        ("aws:ec2/securityGroup:SecurityGroup", "egress", "ec2.outputs.SecurityGroupEgress"),
        ("aws:route53/zone:Zone", "vpcs", "route53.outputs.ZoneVpc"),
        ("aws:route53/record:Record", "aliases", "route53.outputs.RecordAlias"),
    ],
)
def test_every_nested_property_is_the_sdk_s_own(token: str, property: str, cls: str) -> None:
    module, _, name = f"pulumi_aws.{cls}".rpartition(".")
    known = _names(getattr(import_module(module), name))
    (record,) = _records(TYPES[token].properties[property].kind)
    assert {*record.fields, *record.outputs} <= known
