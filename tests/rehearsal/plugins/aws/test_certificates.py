"""ACM, and the functions and aliases of Route 53 that the edge needs."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.aws.conftest import DEFAULT_TAGS, REGION, Aws
from tests.rehearsal.plugins.aws.edge import (
    CDN_REGION,
    CERTIFICATE,
    VALIDATION,
    make_balancer,
    make_network,
    make_zone,
    prove,
)
from tests.rehearsal.plugins.aws.made import RECORD, VPC, ZONE, Made, make, unique
from tests.rehearsal.plugins.harness import Plugin, PluginError


def _certificate(plugin: Plugin, domain: str, *others: str, **inputs: Any) -> Made:
    more = {"subjectAlternativeNames": list(others)} if others else {}
    return make(plugin, CERTIFICATE, domainName=domain, validationMethod="DNS", **more, **inputs)


def test_certificate_lives(aws: Aws, plugin: Plugin) -> None:
    domain = f"{unique('example')}.org"
    certificate = _certificate(plugin, domain, f"*.{domain}", f"api.{domain}", tags={"a": "b"})
    outputs = certificate.outputs
    assert outputs["arn"] == certificate.id
    assert certificate.id.startswith(f"arn:aws:acm:{REGION}:")
    assert outputs["status"] == "PENDING_VALIDATION" and "notAfter" not in outputs
    assert outputs["type"] == "AMAZON_ISSUED" and outputs["keyAlgorithm"] == "RSA_2048"
    assert outputs["tagsAll"] == {"a": "b", **DEFAULT_TAGS}
    asked = {o["domainName"]: o for o in outputs["domainValidationOptions"]}
    assert asked.keys() == {domain, f"*.{domain}", f"api.{domain}"}
    assert asked[domain]["resourceRecordName"] == asked[f"*.{domain}"]["resourceRecordName"]
    assert asked[domain]["resourceRecordName"].endswith(f".{domain}.")
    assert {o["resourceRecordType"] for o in asked.values()} == {"CNAME"}

    others = {"subjectAlternativeNames": [f"api.{domain}", f"*.{domain}"]}
    assert not certificate.diff(**others).changes  # in another order
    for change in (
        {"subjectAlternativeNames": [f"api.{domain}"]},
        {"domainName": f"www.{domain}"},
        {"keyAlgorithm": "EC_prime256v1"},
        {"region": CDN_REGION},
    ):
        assert certificate.diff(**change).replaces == list(change)
    certificate.update(tags={"a": "c"})
    assert sorted(certificate.imported()["subjectAlternativeNames"]) == [
        f"*.{domain}",
        f"api.{domain}",
    ]
    aws.client("acm").remove_tags_from_certificate(
        CertificateArn=certificate.id, Tags=[{"Key": "a"}]
    )
    assert certificate.refresh() == {"tags": {}}
    certificate.delete()


def test_certificate_of_another_region(aws: Aws, plugin: Plugin) -> None:
    zone = make_zone(plugin)
    certificate = _certificate(plugin, zone.inputs["name"], region=CDN_REGION)
    assert certificate.id.split(":")[3] == CDN_REGION
    found = aws.client("acm", CDN_REGION).describe_certificate(CertificateArn=certificate.id)
    assert found["Certificate"]["DomainName"] == zone.inputs["name"]
    prove(plugin, zone, certificate)
    inputs = {"certificateArn": certificate.id, "region": CDN_REGION}
    for made in (make(plugin, VALIDATION, **inputs), certificate, zone):
        made.plugin.delete(made.type, made.id, made.inputs, made.outputs)


def test_certificate_is_issued_once_its_records_are_there(plugin: Plugin) -> None:
    zone = make_zone(plugin)
    domain = zone.inputs["name"]
    certificate = _certificate(plugin, domain, f"*.{domain}", f"api.{domain}")
    records = prove(plugin, zone, certificate)
    assert len(records) == 2
    fqdns = [record.outputs["fqdn"] for record in records]
    validation = make(
        plugin, VALIDATION, certificateArn=certificate.id, validationRecordFqdns=fqdns
    )
    assert validation.outputs["certificateArn"] == certificate.id
    assert not validation.diff(validationRecordFqdns=fqdns[::-1]).changes
    assert validation.diff(validationRecordFqdns=fqdns[:1]).replaces == ["validationRecordFqdns"]
    with pytest.raises(PluginError, match="cannot be imported"):
        validation.imported()
    certificate.refresh()
    assert certificate.outputs["status"] == "ISSUED" and "notAfter" in certificate.outputs

    for record in records:
        record.delete()
    assert validation.refresh() == {}  # what is issued stays so
    certificate.unchanged()
    certificate.delete()
    assert validation.refresh() == {"": None}
    zone.delete()


@pytest.mark.parametrize("wrong", ["missing", "value", "private", "parent"])
def test_certificate_that_is_not_proven_is_not_issued(plugin: Plugin, wrong: str) -> None:
    domain = f"{unique('example')}.org"
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    vpcs = {"vpcs": [{"vpcId": vpc.id}]} if wrong == "private" else {}
    zones = [make(plugin, ZONE, name=domain, forceDestroy=True, **vpcs)]
    certificate = _certificate(plugin, f"api.{domain}")
    (option,) = certificate.outputs["domainValidationOptions"]
    name, value = option["resourceRecordName"], option["resourceRecordValue"]
    if wrong != "missing":
        records = ["elsewhere.example.org." if wrong == "value" else value]
        make(plugin, RECORD, zoneId=zones[0].id, name=name, type="CNAME", ttl=60, records=records)
    if wrong == "parent":  # a more specific zone hides what its parent holds
        zones.append(make(plugin, ZONE, name=f"api.{domain}"))
    inputs = plugin.check(
        VALIDATION, {"certificateArn": certificate.id, "validationRecordFqdns": [name]}
    )
    with pytest.raises(PluginError) as caught:
        plugin.create(VALIDATION, inputs, timeout=0.2)
    assert caught.value.message.startswith("creating ACM certificate validation: waiting for arn:")
    assert caught.value.message.endswith(
        f"no public zone of Route 53 answers the CNAME {name.rstrip('.')}"
    )
    assert caught.value.init_failed is None
    for made in (certificate, *zones, vpc):
        made.delete()


def test_forgotten_record_is_told_at_once(plugin: Plugin) -> None:
    certificate = _certificate(plugin, "a.example.org", "b.example.org")
    told = [o["resourceRecordName"] for o in certificate.outputs["domainValidationOptions"]]
    kept = next(name for name in told if name.endswith(".a.example.org."))
    inputs = plugin.check(
        VALIDATION, {"certificateArn": certificate.id, "validationRecordFqdns": [kept]}
    )
    with pytest.raises(PluginError, match=r"missing b\.example\.org DNS validation record: _\w+"):
        plugin.create(VALIDATION, inputs)
    certificate.delete()


@pytest.mark.parametrize(
    ("inputs", "property"),
    [
        ({"domainName": "example.org"}, "validationMethod"),
        ({"domainName": "example.org", "validationMethod": "EMAIL"}, "validationMethod"),
        ({"domainName": "example.org.", "validationMethod": "DNS"}, "domainName"),
        ({"domainName": "a.b", "validationMethod": "DNS", "privateKey": "x"}, "privateKey"),
    ],
)
def test_bad_certificates_are_refused(
    plugin: Plugin, inputs: dict[str, Any], property: str
) -> None:
    _, failures = plugin.check_failures(CERTIFICATE, inputs)
    assert [where for where, _ in failures] == [property]


def test_records_of_a_certificate_are_unknown_at_preview(plugin: Plugin) -> None:
    inputs = plugin.check(CERTIFICATE, {"domainName": "example.org", "validationMethod": "DNS"})
    _, outputs = plugin.create(CERTIFICATE, inputs, preview=True)
    assert outputs["domainValidationOptions"] is UNKNOWN and outputs["arn"] is UNKNOWN


def test_get_zone(plugin: Plugin) -> None:
    token = "aws:route53/getZone:getZone"
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    name = f"{unique('example')}.org"
    public = make(plugin, ZONE, name=name, comment="Ours", tags={"a": "b"})
    private = make(plugin, ZONE, name=name, vpcs=[{"vpcId": vpc.id}])
    found = plugin.invoke(token, {"zoneId": public.id})
    assert found == plugin.invoke(token, {"name": f"{name}."})
    same = ("arn", "comment", "name", "nameServers", "primaryNameServer", "zoneId")
    assert {key: found[key] for key in same} == {key: public.outputs[key] for key in same}
    assert found["id"] == public.id and found["tags"] == public.outputs["tagsAll"]
    assert found["privateZone"] is False and found["resourceRecordSetCount"] == 2
    inside = plugin.invoke(token, {"name": name, "privateZone": True})
    assert inside["zoneId"] == private.id and inside["privateZone"] is True
    twin = make(plugin, ZONE, name=name)
    for args, error in (
        ({"zoneId": "Z1"}, "NoSuchHostedZone"),
        ({"name": name}, f"2 public hosted zones of {name}"),
        ({"name": "none.example.org"}, "no public hosted zones of none.example.org"),
        ({}, "either zoneId or name is needed"),
        ({"name": name, "vpcId": vpc.id}, "argument 'vpcId' is not handled"),
    ):
        with pytest.raises(PluginError, match=error):
            plugin.invoke(token, args)
    for made in (public, private, twin, vpc):
        made.delete()


def test_aliases(plugin: Plugin) -> None:
    zone = make_zone(plugin)
    name = zone.inputs["name"]
    balancer = make_balancer(plugin, make_network(plugin))

    def target(name: str, zone: str, health: bool = False) -> dict[str, Any]:
        return {"aliases": [{"name": name, "zoneId": zone, "evaluateTargetHealth": health}]}

    plain: dict[str, Any] = {"zoneId": zone.id, "name": f"api.{name}", "type": "A"}
    balanced = target(balancer.outputs["dnsName"], balancer.outputs["zoneId"], True)
    record = make(plugin, RECORD, **plain, **balanced)
    assert record.outputs["fqdn"] == f"api.{name}" and "ttl" not in record.outputs
    upper = target(balancer.outputs["dnsName"].upper() + ".", balancer.outputs["zoneId"], True)
    assert not record.diff(**upper).changes
    distributed = target("d1.cloudfront.net", "Z2FDTNDATAQYW2")
    record.update(**distributed)
    record.update(aliases=None, ttl=60, records=["10.0.0.1"])
    record.update(ttl=None, records=None, **balanced)
    assert record.imported()["aliases"] == record.inputs["aliases"]

    make(plugin, RECORD, **plain | {"name": "here"}, ttl=60, records=["10.0.0.1"])
    other = {**plain, "name": "other"}
    make(plugin, RECORD, **other, **target(f"here.{name}", zone.id)).delete()
    for alias, error in (
        (target(f"none.{name}", zone.id), "but that target was not found"),
        (target("here.example.com", zone.id), "does not lie within the target zone"),
        (target(balancer.outputs["dnsName"], zone.id), "does not lie within the target zone"),
        (target(balancer.outputs["dnsName"], "Z1"), "that load balancer's zone is "),
        (target("d1.cloudfront.net", "Z1"), "the zone of distributions is Z2FDTNDATAQYW2"),
        (target("d1.cloudfront.net", "Z2FDTNDATAQYW2", True), "EvaluateTargetHealth cannot be"),
        (target("x.s3-website.amazonaws.com", "Z1"), "this stand-in knows aliases to"),
    ):
        with pytest.raises(PluginError, match=error):
            plugin.create(RECORD, plugin.check(RECORD, {**other, **alias}))
    balancer.delete()
    zone.delete()
