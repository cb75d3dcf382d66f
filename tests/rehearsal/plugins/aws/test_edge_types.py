"""The edge types' nested properties are the SDK's own, and their choices AWS's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import botocore.session
import pytest

from rehearsal.plugins.aws.kinds import Kind, ListOf, Record, String
from rehearsal.plugins.aws.resources import TYPES
from tests.rehearsal.plugins.aws.edge import (
    BALANCER,
    CERTIFICATE,
    CONTROL,
    DISTRIBUTION,
    LISTENER,
    RULE,
    TARGETS,
)
from tests.rehearsal.plugins.aws.made import RECORD

_TOKENS = (BALANCER, CERTIFICATE, CONTROL, DISTRIBUTION, LISTENER, RECORD, RULE, TARGETS)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _innermost(kind: Kind) -> Kind:
    while isinstance(kind, ListOf):
        kind = kind.item
    return kind


def _unknown_fields(record: Record, cls: type, outputs: Any, path: str) -> Iterator[str]:
    """The paths of fields that the SDK's output class, or those in it, do not have."""
    for key, spec in record.fields.items():
        property = getattr(cls, _snake(key), None)
        if property is None:
            yield f"{path}.{key}"
            continue
        kind = _innermost(spec.kind)
        if isinstance(kind, Record):
            yield from _unknown_fields(kind, _class(property, outputs), outputs, f"{path}.{key}")


def _class(property: Any, outputs: Any) -> type:
    annotation = str(property.fget.__annotations__["return"])
    found = re.search(r"outputs\.(\w+)", annotation)
    assert found, annotation
    cls: type = getattr(outputs, found[1])
    return cls


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("token", _TOKENS)
def test_every_nested_property_is_the_sdk_s_own(token: str) -> None:
    _, path, name = token.split(":")
    package = f"pulumi_aws.{path.split('/')[0]}"
    resource = getattr(import_module(package), name)
    outputs = import_module(f"{package}.outputs")
    unknown = [
        field
        for key, spec in TYPES[token].inputs.items()
        if isinstance(kind := _innermost(spec.kind), Record)
        for field in _unknown_fields(
            kind, _class(getattr(resource, _snake(key)), outputs), outputs, key
        )
    ]
    assert unknown == []


@pytest.mark.parametrize(
    ("token", "path", "service", "shape"),
    [
        (CERTIFICATE, "validationMethod", "acm", "ValidationMethod"),
        (CERTIFICATE, "keyAlgorithm", "acm", "KeyAlgorithm"),
        (CERTIFICATE, "options.export", "acm", "CertificateExport"),
        (CONTROL, "originAccessControlOriginType", "cloudfront", "OriginAccessControlOriginTypes"),
        (CONTROL, "signingBehavior", "cloudfront", "OriginAccessControlSigningBehaviors"),
        (CONTROL, "signingProtocol", "cloudfront", "OriginAccessControlSigningProtocols"),
        (DISTRIBUTION, "priceClass", "cloudfront", "PriceClass"),
        (DISTRIBUTION, "httpVersion", "cloudfront", "HttpVersion"),
        (DISTRIBUTION, "defaultCacheBehavior.allowedMethods", "cloudfront", "Method"),
        (
            DISTRIBUTION,
            "defaultCacheBehavior.viewerProtocolPolicy",
            "cloudfront",
            "ViewerProtocolPolicy",
        ),
        (
            DISTRIBUTION,
            "restrictions.geoRestriction.restrictionType",
            "cloudfront",
            "GeoRestrictionType",
        ),
        (
            DISTRIBUTION,
            "viewerCertificate.minimumProtocolVersion",
            "cloudfront",
            "MinimumProtocolVersion",
        ),
        (DISTRIBUTION, "viewerCertificate.sslSupportMethod", "cloudfront", "SSLSupportMethod"),
        (BALANCER, "loadBalancerType", "elbv2", "LoadBalancerTypeEnum"),
        (BALANCER, "ipAddressType", "elbv2", "IpAddressType"),
        (TARGETS, "protocol", "elbv2", "ProtocolEnum"),
        (TARGETS, "healthCheck.protocol", "elbv2", "ProtocolEnum"),
        (TARGETS, "targetType", "elbv2", "TargetTypeEnum"),
        (LISTENER, "protocol", "elbv2", "ProtocolEnum"),
        (LISTENER, "defaultActions.type", "elbv2", "ActionTypeEnum"),
        (LISTENER, "defaultActions.redirect.statusCode", "elbv2", "RedirectActionStatusCodeEnum"),
        (RECORD, "type", "route53", "RRType"),
    ],
)
def test_every_choice_is_aws_s_own(token: str, path: str, service: str, shape: str) -> None:
    fields = TYPES[token].inputs
    *outer, last = path.split(".")
    for key in outer:
        kind = _innermost(fields[key].kind)
        assert isinstance(kind, Record)
        fields = kind.fields
    kind = _innermost(fields[last].kind)
    assert isinstance(kind, String) and kind.choices
    session: Any = botocore.session.get_session()
    assert set(kind.choices) <= set(session.get_service_model(service).shape_for(shape).enum)
