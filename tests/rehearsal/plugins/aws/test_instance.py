"""EC2 instances."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.aws.conftest import AMI, DEFAULT_TAGS, Aws
from tests.rehearsal.plugins.aws.made import (
    GROUP,
    INSTANCE,
    KEY_PAIR,
    PROFILE,
    SUBNET,
    VPC,
    Made,
    make,
    make_subnet,
    unique,
)
from tests.rehearsal.plugins.harness import Plugin, PluginError

_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Y2w4o3sFvXo4pVYkEXfMZ7X3xQvE1wWq1mYk5w3Zt"
_IMDS = {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1}
_ROOT = {"volumeType": "gp3", "volumeSize": 20, "encrypted": True, "throughput": 125}


@pytest.fixture(scope="module")
def subnet(plugin: Plugin) -> Made:
    return make_subnet(plugin)[1]


def _launch(plugin: Plugin, subnet: Made, **inputs: Any) -> Made:
    plain = {"ami": AMI, "instanceType": "t3.small", "subnetId": subnet.id}
    return make(plugin, INSTANCE, **{**plain, **inputs})


def _live(aws: Aws, instance: Made) -> dict[str, Any]:
    found = aws.ec2.describe_instances(InstanceIds=[instance.id])["Reservations"]
    live: dict[str, Any] = found[0]["Instances"][0]
    return live


def _root(aws: Aws, instance: Made) -> dict[str, Any]:
    mapping = _live(aws, instance)["BlockDeviceMappings"][0]
    volumes = aws.ec2.describe_volumes(VolumeIds=[mapping["Ebs"]["VolumeId"]])["Volumes"]
    root: dict[str, Any] = volumes[0]
    return root


def test_node_as_the_program_launches_it(aws: Aws, plugin: Plugin, subnet: Made) -> None:
    group = make(plugin, GROUP, vpcId=subnet.inputs["vpcId"])
    key = make(plugin, KEY_PAIR, keyName=unique("key"), publicKey=_KEY)
    profile = make(plugin, PROFILE, name=unique("node"))
    node = _launch(
        plugin,
        subnet,
        keyName=key.id,
        iamInstanceProfile=profile.id,
        vpcSecurityGroupIds=[group.id],
        privateIp="10.0.1.200",
        metadataOptions=_IMDS,
        rootBlockDevice=_ROOT,
        userData="#!/bin/sh\necho hello\n",
        tags={"Name": "k8s-master"},
    )
    live, root = _live(aws, node), _root(aws, node)
    assert live["State"]["Name"] == "running"
    assert live["PrivateIpAddress"] == node.outputs["privateIp"] == "10.0.1.200"
    assert [g["GroupId"] for g in live["SecurityGroups"]] == [group.id]
    assert [g["GroupId"] for g in live["NetworkInterfaces"][0]["Groups"]] == [group.id]
    assert live["MetadataOptions"]["HttpTokens"] == "required"
    assert live["KeyName"] == key.id
    assert (root["Size"], root["VolumeType"], root["Encrypted"]) == (20, "gp3", True)
    assert {t["Key"]: t["Value"] for t in root["Tags"]} == DEFAULT_TAGS
    assert len(live["BlockDeviceMappings"]) == 1
    assert node.outputs["rootBlockDevice"]["deviceName"] == "/dev/xvda"
    assert node.outputs["rootBlockDevice"]["volumeId"] == root["VolumeId"]
    assert node.outputs["instanceState"] == "running"
    assert node.outputs["primaryNetworkInterfaceId"].startswith("eni-")
    assert node.outputs["privateDns"] == "ip-10-0-1-200.eu-west-1.compute.internal"
    assert node.outputs["tagsAll"] == {"Name": "k8s-master", **DEFAULT_TAGS}
    assert "publicIp" not in node.outputs
    stored = aws.ec2.describe_instance_attribute(InstanceId=node.id, Attribute="userData")
    assert base64.b64decode(stored["UserData"]["Value"]) == b"#!/bin/sh\necho hello\n"
    node.imported()
    for made in (node, group, key, profile):
        made.delete()


def test_private_address_is_free_again_after_the_end(plugin: Plugin, subnet: Made) -> None:
    first = _launch(plugin, subnet, privateIp="10.0.1.77")
    with pytest.raises(PluginError, match=r"InvalidIPAddress\.InUse: Address 10\.0\.1\.77"):
        _launch(plugin, subnet, privateIp="10.0.1.77")
    with pytest.raises(PluginError, match=r"does not fall within the subnet"):
        _launch(plugin, subnet, privateIp="10.9.1.77")
    first.delete()
    _launch(plugin, subnet, privateIp="10.0.1.77").delete()


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({"ami": "ami-00000000000000000"}, r"InvalidAMIID.NotFound"),
        ({"instanceType": "t99.huge"}, r"AWS would refuse ec2 RunInstances: InstanceType must be"),
        ({"keyName": "nobody"}, r"InvalidKeyPair.NotFound"),
        ({"subnetId": "subnet-00000000000000000"}, r"InvalidSubnetID.NotFound"),
        ({"vpcSecurityGroupIds": ["sg-00000000000000000"]}, r"InvalidGroup.NotFound"),
        ({"iamInstanceProfile": "nobody"}, r"NoSuchEntity"),
    ],
)
def test_bad_launches_fail_in_one_line(
    plugin: Plugin, subnet: Made, inputs: dict[str, Any], error: str
) -> None:
    with pytest.raises(PluginError, match=rf"^creating EC2 instance: {error}") as caught:
        _launch(plugin, subnet, **inputs)
    assert "\n" not in caught.value.message


def test_preview_of_an_instance(plugin: Plugin) -> None:
    inputs = plugin.check(
        INSTANCE,
        {
            "ami": AMI,
            "instanceType": "t3.small",
            "subnetId": UNKNOWN,
            "vpcSecurityGroupIds": [UNKNOWN],
            "rootBlockDevice": {"volumeSize": 20},
        },
    )
    _, outputs = plugin.create(INSTANCE, inputs, preview=True)
    for late in ("privateIp", "publicIp", "arn", "instanceState", "keyName", "metadataOptions"):
        assert outputs[late] is UNKNOWN
    assert outputs["instanceType"] == "t3.small" and outputs["sourceDestCheck"] is True
    assert outputs["rootBlockDevice"]["volumeSize"] == 20
    assert outputs["rootBlockDevice"]["volumeId"] is UNKNOWN


def test_what_changes_in_place(aws: Aws, plugin: Plugin, subnet: Made) -> None:
    groups = [make(plugin, GROUP, vpcId=subnet.inputs["vpcId"]) for _ in range(2)]
    profiles = [make(plugin, PROFILE, name=unique("node")) for _ in range(2)]
    node = _launch(
        plugin,
        subnet,
        vpcSecurityGroupIds=[groups[0].id],
        iamInstanceProfile=profiles[0].id,
        rootBlockDevice=_ROOT,
        metadataOptions=_IMDS,
        tags={"Name": "a"},
    )
    node.update(tags={"Name": "b", "Role": "worker"})
    node.update(vpcSecurityGroupIds=[groups[1].id])
    live = _live(aws, node)
    assert [g["GroupId"] for g in live["SecurityGroups"]] == [groups[1].id]
    assert [g["GroupId"] for g in live["NetworkInterfaces"][0]["Groups"]] == [groups[1].id]
    node.update(iamInstanceProfile=profiles[1].id)
    assert _live(aws, node)["IamInstanceProfile"]["Arn"].endswith(f"/{profiles[1].id}")
    node.update(metadataOptions={**_IMDS, "httpPutResponseHopLimit": 2})
    assert _live(aws, node)["MetadataOptions"]["HttpTokens"] == "required"
    node.update(rootBlockDevice={**_ROOT, "volumeSize": 40, "throughput": 250})
    assert (_root(aws, node)["Size"], _root(aws, node)["Throughput"]) == (40, 250)
    node.update(rootBlockDevice={**_ROOT, "volumeSize": 40, "throughput": 250, "tags": {"x": "y"}})
    assert {"Key": "x", "Value": "y"} in _root(aws, node)["Tags"]
    node.update(sourceDestCheck=False)
    assert _live(aws, node)["SourceDestCheck"] is False
    node.update(disableApiTermination=True)
    with pytest.raises(PluginError, match=r"^deleting EC2 instance .*OperationNotPermitted"):
        plugin.delete(INSTANCE, node.id, node.inputs, node.outputs)
    node.update(disableApiTermination=False)
    for made in (node, *groups, *profiles):
        made.delete()


def test_type_and_user_data_change_with_a_restart(aws: Aws, plugin: Plugin, subnet: Made) -> None:
    node = _launch(plugin, subnet, userData="one")
    preview = plugin.update(
        INSTANCE,
        node.id,
        node.inputs,
        node.outputs,
        {**node.inputs, "instanceType": "t3.large"},
        preview=True,
    )
    assert preview["publicIp"] is UNKNOWN and preview["privateIp"] == node.outputs["privateIp"]
    node.update(instanceType="t3.large", userData="two")
    assert _live(aws, node)["InstanceType"] == "t3.large"
    stored = aws.ec2.describe_instance_attribute(InstanceId=node.id, Attribute="userData")
    assert base64.b64decode(stored["UserData"]["Value"]) == b"two"
    assert _live(aws, node)["State"]["Name"] == "running"

    node.update(userDataReplaceOnChange=True)
    assert node.diff(userData="three").replaces == ["userData"]
    node.delete()


@pytest.mark.parametrize(
    ("changed", "replaces"),
    [
        ({"ami": "ami-0123456789abcdef1"}, ["ami"]),
        ({"subnetId": "subnet-1"}, ["subnetId"]),
        ({"keyName": "other"}, ["keyName"]),
        ({"privateIp": "10.0.1.9"}, ["privateIp"]),
        ({"availabilityZone": "eu-west-1c"}, ["availabilityZone"]),
        ({"associatePublicIpAddress": True}, ["associatePublicIpAddress"]),
        ({"rootBlockDevice": {**_ROOT, "encrypted": False}}, ["rootBlockDevice"]),
        ({"rootBlockDevice": {**_ROOT, "volumeSize": 99}}, []),
        ({"instanceType": "t3.large"}, []),
        ({"vpcSecurityGroupIds": ["sg-1"]}, []),
    ],
)
def test_what_replaces(plugin: Plugin, changed: dict[str, Any], replaces: list[str]) -> None:
    inputs = plugin.check(
        INSTANCE,
        {"ami": AMI, "instanceType": "t3.small", "subnetId": "s", "rootBlockDevice": _ROOT},
    )
    state = {
        **inputs,
        "keyName": "key",
        "privateIp": "10.0.1.5",
        "availabilityZone": "eu-west-1a",
        "associatePublicIpAddress": False,
        "rootBlockDevice": {**_ROOT, "iops": 3000, "deleteOnTermination": True},
        "vpcSecurityGroupIds": ["sg-0"],
        "tagsAll": DEFAULT_TAGS,
    }
    diff = plugin.diff(INSTANCE, "i-1", inputs, state, {**inputs, **changed})
    assert diff.changes == list(changed)
    assert diff.replaces == replaces
    assert not diff.delete_before_replace
    ignored = plugin.diff(INSTANCE, "i-1", inputs, state, {**inputs, **changed}, list(changed))
    assert not ignored.changes and not ignored.replaces


def test_public_address_as_the_subnet_or_the_instance_says(plugin: Plugin) -> None:
    vpc, public = make_subnet(plugin, mapPublicIpOnLaunch=True)
    by_subnet = _launch(plugin, public)
    assert by_subnet.outputs["publicIp"] and by_subnet.outputs["associatePublicIpAddress"]
    private = _launch(plugin, public, associatePublicIpAddress=False)
    assert "publicIp" not in private.outputs
    other = make(plugin, SUBNET, vpcId=vpc.id, cidrBlock="10.0.2.0/24")
    asked = _launch(plugin, other, associatePublicIpAddress=True)
    assert asked.outputs["publicIp"]
    for made in (by_subnet, private, asked, other, public, vpc):
        made.delete()


def test_refresh_sees_drift(aws: Aws, plugin: Plugin, subnet: Made) -> None:
    node = _launch(plugin, subnet, tags={"Name": "a"})
    aws.ec2.stop_instances(InstanceIds=[node.id])
    aws.ec2.create_tags(Resources=[node.id], Tags=[{"Key": "Name", "Value": "z"}])
    aws.ec2.modify_instance_attribute(InstanceId=node.id, InstanceType={"Value": "m5.large"})
    assert node.refresh() == {"tags": {"Name": "z"}, "instanceType": "m5.large"}
    assert node.outputs["instanceState"] == "stopped"
    aws.ec2.terminate_instances(InstanceIds=[node.id])
    assert node.refresh() == {"": None}


def test_many_at_once(aws: Aws, plugin: Plugin) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    subnet = make(plugin, SUBNET, vpcId=vpc.id, cidrBlock="10.0.1.0/24")
    with ThreadPoolExecutor(14) as pool:
        nodes = list(pool.map(lambda _: _launch(plugin, subnet), range(14)))
        assert len({node.outputs["privateIp"] for node in nodes}) == 14
        list(pool.map(lambda node: node.delete(), nodes))
    subnet.delete()
    vpc.delete()


@pytest.mark.parametrize(
    ("inputs", "property", "reason"),
    [
        ({"userData": "a", "userDataBase64": "YQ=="}, "userDataBase64", "together with userData"),
        ({"userData": "a" * 16385}, "userData", "at most 16384 bytes, not 16385"),
        ({"userDataBase64": "%%%"}, "userDataBase64", "base64"),
        ({"metadataOptions": {"httpTokens": "maybe"}}, "metadataOptions.httpTokens", "one of"),
        ({"metadataOptions": {"x": 1}}, "metadataOptions.x", "not handled by this stand-in"),
        ({"hibernation": True}, "hibernation", "not handled by this stand-in"),
        ({"sourceDestCheck": "no"}, "sourceDestCheck", "true or false, not a string"),
    ],
)
def test_bad_inputs_are_refused(
    plugin: Plugin, inputs: dict[str, Any], property: str, reason: str
) -> None:
    plain = {"ami": AMI, "instanceType": "t3.small", "subnetId": "subnet-1"}
    _, failures = plugin.check_failures(INSTANCE, {**plain, **inputs})
    assert [where for where, _ in failures] == [property], failures
    assert reason in failures[0][1] and failures[0][1].startswith(f"{INSTANCE}: property")
