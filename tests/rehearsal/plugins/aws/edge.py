"""Names and makers that the tests of the edge types share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.rehearsal.plugins.aws.conftest import REGION
from tests.rehearsal.plugins.aws.made import (
    GATEWAY,
    RECORD,
    SUBNET,
    VPC,
    ZONE,
    Made,
    make,
    unique,
)
from tests.rehearsal.plugins.harness import Plugin

CERTIFICATE = "aws:acm/certificate:Certificate"
VALIDATION = "aws:acm/certificateValidation:CertificateValidation"
CONTROL = "aws:cloudfront/originAccessControl:OriginAccessControl"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
TARGETS = "aws:lb/targetGroup:TargetGroup"
ATTACHMENT = "aws:lb/targetGroupAttachment:TargetGroupAttachment"
LISTENER = "aws:lb/listener:Listener"
RULE = "aws:lb/listenerRule:ListenerRule"
CDN_REGION = "us-east-1"


def make_zone(plugin: Plugin) -> Made:
    """A public zone that takes its records along."""
    return make(plugin, ZONE, name=f"{unique('example')}.org", forceDestroy=True)


def prove(plugin: Plugin, zone: Made, certificate: Made) -> list[Made]:
    """The records that a certificate asks for; one for a domain and its wildcard."""
    asked = {
        option["resourceRecordName"]: option["resourceRecordValue"]
        for option in certificate.outputs["domainValidationOptions"]
    }
    return [
        make(plugin, RECORD, zoneId=zone.id, name=name, type="CNAME", ttl=60, records=[value])
        for name, value in asked.items()
    ]


def make_certificate(plugin: Plugin, zone: Made, *labels: str, **inputs: Any) -> Made:
    """A certificate of names in the zone, issued. inputs: such as a region."""
    names = [f"{label}.{zone.inputs['name']}" for label in labels]
    more = {"subjectAlternativeNames": names[1:]} if names[1:] else {}
    certificate = make(
        plugin, CERTIFICATE, domainName=names[0], validationMethod="DNS", **more, **inputs
    )
    prove(plugin, zone, certificate)
    make(plugin, VALIDATION, certificateArn=certificate.id, **inputs)
    return certificate


@dataclass(frozen=True)
class Network:
    """A VPC with an internet gateway; subnets of two zones."""

    vpc: Made
    subnets: Sequence[Made]

    @property
    def ids(self) -> list[str]:
        return [subnet.id for subnet in self.subnets]


def make_network(plugin: Plugin) -> Network:
    """A network in the tests' region."""
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    make(plugin, GATEWAY, vpcId=vpc.id)
    subnets = [
        make(
            plugin,
            SUBNET,
            vpcId=vpc.id,
            cidrBlock=f"10.0.{index}.0/24",
            availabilityZone=f"{REGION}{zone}",
        )
        for index, zone in enumerate("ab")
    ]
    return Network(vpc, subnets)


def make_balancer(plugin: Plugin, network: Network, **inputs: Any) -> Made:
    """An internal load balancer, application unless told otherwise."""
    defaults = {"name": unique("lb"), "internal": True, "subnets": network.ids}
    return make(plugin, BALANCER, **defaults | inputs)


def make_targets(plugin: Plugin, vpc: Made, **inputs: Any) -> Made:
    """A target group, of HTTP unless told otherwise."""
    defaults = {"name": unique("tg"), "port": 30080, "protocol": "HTTP", "vpcId": vpc.id}
    return make(plugin, TARGETS, **defaults | inputs)
