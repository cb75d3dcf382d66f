"""What AWS would add to the inputs of a resource that it made, for runs under Pulumi's mocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ACCOUNT, REGION = "123456789012", "ap-northeast-2"


def _arn(service: str, resource: str, region: str = REGION) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


def _bucket(_: str, inputs: dict[str, Any]) -> dict[str, Any]:
    bucket = inputs["bucket"]
    return {
        "arn": f"arn:aws:s3:::{bucket}",
        "bucketDomainName": f"{bucket}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{bucket}.s3.{REGION}.amazonaws.com",
    }


def _certificate(name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    domains = [inputs["domainName"], *inputs.get("subjectAlternativeNames", ())]
    return {
        "arn": _arn("acm", f"certificate/{name}", inputs.get("region", REGION)),
        "domainValidationOptions": [
            {
                "domainName": domain,
                "resourceRecordName": f"_proof.{domain}.",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": f"_answer.{domain}.",
            }
            for domain in reversed(domains)  # ACM's are in no order
        ],
    }


def _distribution(name: str, _: dict[str, Any]) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:cloudfront::{ACCOUNT}:distribution/{name.upper()}",
        "domainName": f"d-{name}.cloudfront.net",
        "hostedZoneId": "Z2FDTNDATAQYW2",
    }


def _load_balancer(name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "arn": _arn("elasticloadbalancing", f"loadbalancer/{name}"),
        "dnsName": f"{inputs['name']}.elb.{REGION}.amazonaws.com",
        "zoneId": "ZWKZPGTI48KDX",
    }


_MADE: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
    "aws:acm/certificate:Certificate": _certificate,
    "aws:cloudfront/distribution:Distribution": _distribution,
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": lambda _, inputs: {
        "arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{inputs['url'].removeprefix('https://')}"
    },
    "aws:iam/role:Role": lambda _, inputs: {"arn": f"arn:aws:iam::{ACCOUNT}:role/{inputs['name']}"},
    "aws:kms/key:Key": lambda name, _: {"arn": _arn("kms", f"key/{name}"), "keyId": name},
    "aws:lb/loadBalancer:LoadBalancer": _load_balancer,
    "aws:lb/listener:Listener": lambda name, _: {
        "arn": _arn("elasticloadbalancing", f"listener/{name}")
    },
    "aws:lb/targetGroup:TargetGroup": lambda name, _: {
        "arn": _arn("elasticloadbalancing", f"targetgroup/{name}")
    },
    "aws:s3/bucket:Bucket": _bucket,
}


def outputs(kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Its outputs beside the inputs, in the provider's words; none for a type that adds none."""
    make = _MADE.get(kind)
    return make(name, inputs) if make else {}
