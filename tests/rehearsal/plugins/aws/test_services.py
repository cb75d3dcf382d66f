"""IAM, Route 53, S3, KMS."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.aws.conftest import DEFAULT_TAGS, Aws
from tests.rehearsal.plugins.aws.made import (
    ALIAS,
    ATTACHMENT,
    BUCKET,
    KEY,
    PROFILE,
    RECORD,
    ROLE,
    ROLE_POLICY,
    VPC,
    ZONE,
    make,
    unique,
)
from tests.rehearsal.plugins.harness import Plugin, PluginError


def _document(action: str = "sts:AssumeRole") -> str:
    statement = {"Effect": "Allow", "Action": action}
    if action.startswith("sts:"):
        statement["Principal"] = {"Service": "ec2.amazonaws.com"}  # type: ignore[assignment]
    else:
        statement["Resource"] = "*"
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_role_lives(aws: Aws, plugin: Plugin) -> None:
    name = unique("node")
    role = make(plugin, ROLE, name=name, assumeRolePolicy=_document(), description="Nodes")
    assert role.id == name
    assert role.outputs["arn"] == f"arn:aws:iam::123456789012:role/{name}"
    assert role.outputs["uniqueId"].startswith("AROA") and role.outputs["createDate"].endswith("Z")
    assert "region" not in role.outputs

    spaced = json.dumps(json.loads(_document()), indent=2)
    assert not role.diff(assumeRolePolicy=spaced).changes  # the same document
    role.update(assumeRolePolicy=_document("sts:TagSession"))
    role.update(description="All nodes", maxSessionDuration=7200)
    role.update(tags={"a": "b"})
    assert role.diff(path="/x/").replaces == ["path"]
    with pytest.raises(PluginError, match=r"^creating IAM role: EntityAlreadyExists: "):
        make(plugin, ROLE, name=name, assumeRolePolicy=_document())
    aws.client("iam").untag_role(RoleName=name, TagKeys=["a"])
    assert role.refresh() == {"tags": {}}
    role.delete()


def test_role_with_policies_and_a_profile(aws: Aws, plugin: Plugin) -> None:
    role = make(plugin, ROLE, name=unique("node"), assumeRolePolicy=_document())
    inline = make(plugin, ROLE_POLICY, role=role.id, name="read", policy=_document("s3:GetObject"))
    assert inline.id == f"{role.id}:read"
    inline.update(policy=_document("s3:ListBucket"))

    arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    tie = make(plugin, ATTACHMENT, role=role.id, policyArn=arn)
    with pytest.raises(PluginError, match="NoSuchEntity"):
        make(plugin, ATTACHMENT, role=role.id, policyArn=arn + "X")

    profile = make(plugin, PROFILE, name=unique("node"), role=role.id)
    found = aws.client("iam").get_instance_profile(InstanceProfileName=profile.id)
    assert [r["RoleName"] for r in found["InstanceProfile"]["Roles"]] == [role.id]
    assert profile.outputs["arn"].endswith(f":instance-profile/{profile.id}")
    other = make(plugin, ROLE, name=unique("node"), assumeRolePolicy=_document())
    profile.update(role=other.id)
    profile.update(tags={"a": "b"})
    aws.client("iam").remove_role_from_instance_profile(
        InstanceProfileName=profile.id, RoleName=other.id
    )
    assert profile.refresh() == {"role": None}
    for made in (profile, tie, inline, role, other):
        made.delete()


def test_role_takes_its_policies_along_if_told_to(aws: Aws, plugin: Plugin) -> None:
    role = make(
        plugin,
        ROLE,
        name=unique("node"),
        assumeRolePolicy=_document(),
        forceDetachPolicies=True,
    )
    make(plugin, ROLE_POLICY, role=role.id, policy=_document("s3:GetObject"))
    arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    make(plugin, ATTACHMENT, role=role.id, policyArn=arn)
    role.delete()


def test_zones(aws: Aws, plugin: Plugin) -> None:
    first = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    second = make(plugin, VPC, cidrBlock="10.1.0.0/16")
    name = f"{unique('k8s')}.internal"
    zone = make(plugin, ZONE, name=name, vpcs=[{"vpcId": first.id}], tags={"a": "b"})
    assert zone.outputs["zoneId"] == zone.id and "/" not in zone.id
    assert zone.outputs["arn"] == f"arn:aws:route53:::hostedzone/{zone.id}"
    assert len(zone.outputs["nameServers"]) == 4
    assert zone.outputs["tagsAll"] == {"a": "b", **DEFAULT_TAGS}
    zone.update(vpcs=[{"vpcId": second.id}])
    seen = aws.client("route53").get_hosted_zone(Id=zone.id)["VPCs"]
    assert [vpc["VPCId"] for vpc in seen] == [second.id]
    assert zone.diff(vpcs=None).replaces == ["vpcs"]
    assert not zone.diff(name=name.upper() + ".").changes
    zone.update(comment="Names inside the VPC", tags={"a": "c"})
    for made in (zone, first, second):
        made.delete()

    public = make(plugin, ZONE, name=f"{unique('example')}.org")
    assert public.outputs["primaryNameServer"] == public.outputs["nameServers"][0]
    assert "vpcs" not in public.outputs
    public.delete()


def test_records(aws: Aws, plugin: Plugin) -> None:
    name = f"{unique('example')}.org"
    zone = make(plugin, ZONE, name=name)
    plain: dict[str, Any] = {"zoneId": zone.id, "type": "A", "ttl": 60}
    record = make(plugin, RECORD, **plain, name=f"api.{name}", records=["10.0.1.5", "10.0.1.6"])
    assert record.outputs["fqdn"] == f"api.{name}"
    assert record.id == f"{zone.id}_api.{name}_A"
    assert not record.diff(records=["10.0.1.6", "10.0.1.5"]).changes
    record.update(records=["10.0.1.7"], ttl=30)
    with pytest.raises(PluginError, match=r"^creating Route 53 record: InvalidChangeBatch: "):
        make(plugin, RECORD, **plain, name=f"api.{name}", records=["10.0.1.9"])
    over = make(
        plugin, RECORD, **plain, name=f"api.{name}", records=["10.0.1.9"], allowOverwrite=True
    )
    assert record.refresh() == {"records": ["10.0.1.9"], "ttl": 60}
    over.delete()
    assert record.refresh() == {"": None}

    short = make(plugin, RECORD, **plain, name="inside", records=["10.0.1.5"])
    assert short.outputs["fqdn"] == f"inside.{name}"
    star = make(plugin, RECORD, **plain, name=f"*.{name}", records=["10.0.1.5"])
    text = make(plugin, RECORD, **{**plain, "type": "TXT"}, name="txt", records=["v=spf1 -all"])
    alias = make(
        plugin,
        RECORD,
        zoneId=zone.id,
        type="A",
        name="alias",
        aliases=[{"name": f"inside.{name}", "zoneId": zone.id, "evaluateTargetHealth": False}],
    )
    assert alias.diff(name="other").replaces == ["name"]
    with pytest.raises(PluginError, match="HostedZoneNotEmpty"):
        plugin.delete(ZONE, zone.id, zone.inputs, zone.outputs)
    for made in (short, star, text, alias, zone):
        made.delete()


def test_zone_takes_its_records_along_if_told_to(plugin: Plugin) -> None:
    zone = make(plugin, ZONE, name=f"{unique('example')}.org", forceDestroy=True)
    make(plugin, RECORD, zoneId=zone.id, name="a", type="A", ttl=60, records=["10.0.0.1"])
    zone.delete()


@pytest.mark.parametrize(
    ("inputs", "property"),
    [
        ({"ttl": 60}, "records"),
        ({"ttl": 60, "records": ["1.2.3.4"], "aliases": [{"name": "a", "zoneId": "b"}]}, None),
        ({"ttl": 60, "records": ["1.2.3.4"], "type": "B"}, "type"),
        ({"ttl": 60, "records": ["1.2.3.4"], "weightedRoutingPolicies": []}, None),
    ],
)
def test_bad_records_are_refused(
    plugin: Plugin, inputs: dict[str, Any], property: str | None
) -> None:
    plain = {"zoneId": "Z1", "name": "a", "type": "A"}
    _, failures = plugin.check_failures(RECORD, {**plain, **inputs})
    assert failures
    if property:
        assert [where for where, _ in failures] == [property]


def test_record_of_unknown_addresses(plugin: Plugin) -> None:
    inputs = plugin.check(
        RECORD, {"zoneId": UNKNOWN, "name": "a", "type": "A", "ttl": 60, "records": UNKNOWN}
    )
    _, outputs = plugin.create(RECORD, inputs, preview=True)
    assert outputs["records"] is UNKNOWN and outputs["fqdn"] is UNKNOWN


def test_bucket_lives(aws: Aws, plugin: Plugin) -> None:
    name = unique("assets")
    bucket = make(plugin, BUCKET, bucket=name, tags={"a": "b"})
    assert bucket.id == name
    assert bucket.outputs["arn"] == f"arn:aws:s3:::{name}"
    assert bucket.outputs["bucketRegionalDomainName"] == f"{name}.s3.eu-west-1.amazonaws.com"
    bucket.update(tags={"c": "d"})
    with pytest.raises(PluginError, match=r"^creating S3 bucket: BucketAlreadyOwnedByYou: "):
        make(plugin, BUCKET, bucket=name)
    aws.client("s3").put_object(Bucket=name, Key="k", Body=b"v")
    with pytest.raises(PluginError, match=r"^deleting S3 bucket .*BucketNotEmpty"):
        plugin.delete(BUCKET, name, bucket.inputs, bucket.outputs)
    bucket.update(forceDestroy=True)
    bucket.delete()
    named = plugin.check(BUCKET, {}, name="MyAssets")
    assert named["bucket"].startswith("myassets-")


def test_key_and_alias(aws: Aws, plugin: Plugin) -> None:
    key = make(plugin, KEY, description="Secrets", enableKeyRotation=True, tags={"a": "b"})
    assert key.outputs["keyId"] == key.id and key.outputs["arn"].endswith(f":key/{key.id}")
    key.update(enableKeyRotation=False)
    key.update(description="All secrets", tags={"a": "c"})
    name = f"alias/{unique('secrets')}"
    alias = make(plugin, ALIAS, name=name, targetKeyId=key.outputs["arn"])
    assert alias.outputs["targetKeyArn"] == key.outputs["arn"]
    assert not alias.diff(targetKeyId=key.id).changes
    other = make(plugin, KEY)
    alias.update(targetKeyId=other.id)
    for made in (alias, key, other):
        made.delete()
