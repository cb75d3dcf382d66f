"""Security groups, their rules, key pairs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rehearsal.plugins.aws.conftest import DEFAULT_TAGS, Aws
from tests.rehearsal.plugins.aws.made import (
    DEFAULT_GROUP,
    EGRESS,
    GROUP,
    INGRESS,
    KEY_PAIR,
    VPC,
    make,
    unique,
)
from tests.rehearsal.plugins.harness import Plugin, PluginError

_SSH = {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22}
_ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Y2w4o3sFvXo4pVYkEXfMZ7X3xQvE1wWq1mYk5w3Zt"


def _rules(aws: Aws, group: str) -> list[dict[str, Any]]:
    here = [{"Name": "group-id", "Values": [group]}]
    rules: list[dict[str, Any]] = aws.ec2.describe_security_group_rules(Filters=here)[
        "SecurityGroupRules"
    ]
    return rules


def test_group_lives_and_lets_nothing_out_by_itself(aws: Aws, plugin: Plugin) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    group = make(plugin, GROUP, name="nodes", description="All nodes", vpcId=vpc.id)
    assert _rules(aws, group.id) == []  # AWS's own "allow all" is gone
    assert group.outputs["arn"].endswith(f":security-group/{group.id}")
    assert group.outputs["tagsAll"] == DEFAULT_TAGS

    diff = group.diff(description="Every node")
    assert diff.replaces == ["description"] and diff.delete_before_replace  # the name is taken
    with pytest.raises(PluginError, match=r"^creating EC2 security group: InvalidGroup.Duplicate"):
        make(plugin, GROUP, name="nodes", vpcId=vpc.id)
    assert group.imported()["name"] == "nodes"
    group.delete()
    vpc.delete()


def test_group_gets_a_name_and_keeps_it(plugin: Plugin) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    inputs = plugin.check(GROUP, {"vpcId": vpc.id}, name="workers")
    assert inputs["name"].startswith("workers-") and len(inputs["name"]) == len("workers-") + 7
    again = plugin.check(GROUP, {"vpcId": vpc.id}, inputs, name="workers")
    assert again["name"] == inputs["name"]
    fresh = plugin.check(GROUP, {"vpcId": vpc.id}, name="workers")
    assert fresh["name"] != inputs["name"]
    diff = plugin.diff(GROUP, "sg-1", inputs, inputs, {**fresh, "description": "x"})
    assert "description" in diff.replaces and not diff.delete_before_replace
    vpc.delete()


def test_inline_rules(aws: Aws, plugin: Plugin) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    api = {"protocol": "tcp", "fromPort": 6443, "toPort": 6443, "cidrBlocks": ["10.0.0.0/16"]}
    among = {"protocol": "-1", "fromPort": 0, "toPort": 0, "self": True, "description": "Among us"}
    out = {"protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]}
    group = make(plugin, GROUP, vpcId=vpc.id, ingress=[api, among], egress=[out])
    assert len(_rules(aws, group.id)) == 3
    assert not group.diff(ingress=[among, api]).changes  # order says nothing

    group.update(ingress=[{**api, "cidrBlocks": ["10.0.0.0/16", "10.1.0.0/16"]}])
    assert sorted(r["CidrIpv4"] for r in _rules(aws, group.id) if not r["IsEgress"]) == [
        "10.0.0.0/16",
        "10.1.0.0/16",
    ]
    aws.ec2.revoke_security_group_ingress(
        GroupId=group.id, IpProtocol="tcp", FromPort=6443, ToPort=6443, CidrIp="10.1.0.0/16"
    )
    drift = group.refresh()
    assert [rule["cidrBlocks"] for rule in drift["ingress"]] == [["10.0.0.0/16"]]
    group.delete()
    vpc.delete()


def test_rules_with_sources_of_every_kind(aws: Aws, plugin: Plugin) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    group = make(plugin, GROUP, vpcId=vpc.id)
    other = make(plugin, GROUP, vpcId=vpc.id)
    ssh = make(
        plugin,
        INGRESS,
        securityGroupId=group.id,
        **_SSH,
        cidrIpv4="198.51.100.0/24",
        description="Operator",
        tags={"Name": "ssh"},
    )
    assert ssh.id.startswith("sgr-") and ssh.outputs["securityGroupRuleId"] == ssh.id
    peers = make(
        plugin,
        INGRESS,
        securityGroupId=group.id,
        ipProtocol="udp",
        fromPort=4789,
        toPort=4789,
        referencedSecurityGroupId=other.id,
        description="VXLAN",
    )
    out = make(plugin, EGRESS, securityGroupId=group.id, ipProtocol="-1", cidrIpv4="0.0.0.0/0")
    assert not group.refresh()

    ssh.update(fromPort=2222, toPort=2222, description="Operator, elsewhere")
    live = next(r for r in _rules(aws, group.id) if r["SecurityGroupRuleId"] == ssh.id)
    assert (live["FromPort"], live["Description"]) == (2222, "Operator, elsewhere")
    ssh.update(cidrIpv4="203.0.113.0/24")
    ssh.update(tags={"Name": "shell"})
    assert out.diff(ipProtocol="all").changes == []
    out.update(description="Anywhere")
    peers.update(description="Overlay")
    assert peers.diff(referencedSecurityGroupId=group.id).replaces == ["referencedSecurityGroupId"]

    with pytest.raises(PluginError, match=r"rule: InvalidPermission.Duplicate"):
        make(plugin, EGRESS, securityGroupId=group.id, ipProtocol="-1", cidrIpv4="0.0.0.0/0")
    aws.ec2.revoke_security_group_ingress(GroupId=group.id, SecurityGroupRuleIds=[ssh.id])
    assert ssh.refresh() == {"": None}
    for made in (ssh, peers, out, group, other, vpc):
        made.delete()


@pytest.mark.parametrize(
    ("inputs", "property", "reason"),
    [
        ({**_SSH}, "cidrIpv4", "exactly one is needed"),
        ({**_SSH, "cidrIpv4": "10.0.0.0/8", "cidrIpv6": "::/0"}, "cidrIpv4", "exactly one"),
        ({"ipProtocol": "tcp", "cidrIpv4": "10.0.0.0/8"}, "fromPort", "are needed"),
        ({"ipProtocol": "-1", "fromPort": 1, "cidrIpv4": "10.0.0.0/8"}, "fromPort", "must not"),
        ({**_SSH, "cidrIpv4": "10.0.0.1/8"}, "cidrIpv4", "host bits set; write 10.0.0.0/8"),
        ({**_SSH, "fromPort": 70000, "cidrIpv4": "10.0.0.0/8"}, "fromPort", "at most 65535"),
    ],
)
def test_bad_rules_are_refused(
    plugin: Plugin, inputs: dict[str, Any], property: str, reason: str
) -> None:
    _, failures = plugin.check_failures(INGRESS, {"securityGroupId": "sg-1", **inputs})
    assert [(where, reason in why) for where, why in failures] == [(property, True)], failures


def test_default_group_is_emptied(aws: Aws, plugin: Plugin) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    group = make(plugin, DEFAULT_GROUP, vpcId=vpc.id, tags={"Name": "unused"})
    assert group.id == vpc.outputs["defaultSecurityGroupId"]
    assert group.outputs["name"] == "default"
    assert _rules(aws, group.id) == []
    aws.ec2.authorize_security_group_ingress(
        GroupId=group.id, IpProtocol="tcp", FromPort=1, ToPort=1, CidrIp="0.0.0.0/0"
    )
    assert list(group.refresh()) == ["ingress"]
    wanted = plugin.check(DEFAULT_GROUP, {"vpcId": vpc.id, "tags": {"Name": "unused"}})
    plugin.update(DEFAULT_GROUP, group.id, group.inputs, group.outputs, wanted)
    assert _rules(aws, group.id) == []
    plugin.delete(DEFAULT_GROUP, group.id, group.inputs, group.outputs)
    assert group.refresh() != {"": None}  # it stays until its VPC goes
    vpc.delete()


def test_key_pair_lives(aws: Aws, plugin: Plugin) -> None:
    name = unique("operator")
    key = make(plugin, KEY_PAIR, keyName=name, publicKey=f"{_ED25519} me@here\n")
    assert key.id == name and key.outputs["keyType"] == "ed25519"
    assert key.outputs["keyPairId"].startswith("key-")
    assert not key.diff(publicKey=f"{_ED25519} me@here").changes
    diff = key.diff(publicKey=_ED25519.replace("J0Y2", "J0Y3"))
    assert diff.replaces == ["publicKey"] and diff.delete_before_replace
    key.update(tags={"owner": "ops"})
    with pytest.raises(PluginError, match=r"^creating EC2 key pair: InvalidKeyPair.Duplicate: "):
        make(plugin, KEY_PAIR, keyName=name, publicKey=_ED25519)
    assert key.imported()["publicKey"].startswith(_ED25519)
    aws.ec2.delete_key_pair(KeyName=name)
    assert key.refresh() == {"": None}
    key.delete()
