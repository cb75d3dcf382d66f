"""CloudFront: a distribution's configuration, as the program and as AWS tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.plugins.aws.kinds import (
    Boolean,
    DomainName,
    Input,
    Integer,
    Record,
    SetOf,
    String,
)
from rehearsal.plugins.aws.schema import Operation
from rehearsal.plugins.protocol import UNKNOWN, Properties

# AWS's own policies, for everybody under these ids: "Use managed cache policies", "… origin request
# policies" and "… response headers policies", CloudFront's Developer Guide. Own ones are no type of
# this stand-in, and moto knows neither.
_CACHE_POLICIES = (
    "658327ea-f89d-4fab-a63d-7e88639e58f6",  # CachingOptimized
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d",  # CachingOptimizedForUncompressedObjects
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",  # CachingDisabled
    "83da9c7e-98b4-4e11-a168-04f0df8e2c65",  # UseOriginCacheControlHeaders
    "4cc15a8a-d715-48a4-82b8-cc0b614638fe",  # UseOriginCacheControlHeaders-QueryStrings
)
_ORIGIN_REQUEST_POLICIES = (
    "216adef6-5c7f-47e4-b989-5492eafa07d3",  # AllViewer
    "b689b0a8-53d0-40ab-baf2-68738e2966ac",  # AllViewerExceptHostHeader
    "59781a5b-3903-41f3-afcb-af62929ccde1",  # CORS-CustomOrigin
    "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf",  # CORS-S3Origin
)
_RESPONSE_HEADERS_POLICIES = (
    "60669652-455b-4ae9-85a4-c4c02393f86c",  # SimpleCORS
    "5cc3b908-e619-4b99-88e5-2cf7f45965bd",  # CORS-With-Preflight
    "67f7725c-6f97-4210-82d7-5512b31e9d03",  # SecurityHeadersPolicy
    "e61eb60c-9c35-4d20-a928-2b84e02af89c",  # CORS-and-SecurityHeadersPolicy
    "eaab4381-ed33-4a86-88ca-d9558dc6cd63",  # CORS-with-preflight-and-SecurityHeadersPolicy
)
_READS = ("GET", "HEAD")
_METHODS = (*_READS, "OPTIONS", "PUT", "POST", "PATCH", "DELETE")
_METHOD_SETS = (set(_READS), {*_READS, "OPTIONS"}, set(_METHODS))  # AWS takes no other ones
_OLDEST_TLS = "TLSv1"  # with AWS's own certificate there is no choice

INPUTS = {
    "enabled": Input(Boolean(), required=True),
    "comment": Input(String(longest=128)),
    "aliases": Input(SetOf(DomainName())),
    "defaultRootObject": Input(String(longest=255)),
    "priceClass": Input(
        String(choices=("PriceClass_100", "PriceClass_200", "PriceClass_All")),
        default="PriceClass_All",
    ),
    "httpVersion": Input(
        String(choices=("http1.1", "http2", "http2and3", "http3")), default="http2"
    ),
    "isIpv6Enabled": Input(Boolean()),
    "origins": Input(
        SetOf(
            Record(
                {
                    "originId": Input(String(longest=128), required=True),
                    "domainName": Input(DomainName(), required=True),
                    "originPath": Input(String()),
                    "originAccessControlId": Input(String()),
                    "connectionAttempts": Input(Integer(1, 3), default=3),
                    "connectionTimeout": Input(Integer(1, 10), default=10),
                }
            )
        ),
        required=True,
    ),
    "defaultCacheBehavior": Input(
        Record(
            {
                "targetOriginId": Input(String(), required=True),
                "viewerProtocolPolicy": Input(
                    String(choices=("allow-all", "https-only", "redirect-to-https")), required=True
                ),
                "allowedMethods": Input(SetOf(String(choices=_METHODS)), required=True),
                "cachedMethods": Input(SetOf(String(choices=_METHODS[:3])), required=True),
                "cachePolicyId": Input(String(choices=_CACHE_POLICIES), required=True),
                "originRequestPolicyId": Input(String(choices=_ORIGIN_REQUEST_POLICIES)),
                "responseHeadersPolicyId": Input(String(choices=_RESPONSE_HEADERS_POLICIES)),
                "compress": Input(Boolean(), default=False),
            }
        ),
        required=True,
    ),
    "restrictions": Input(
        Record(
            {
                "geoRestriction": Input(
                    Record(
                        {
                            "restrictionType": Input(
                                String(choices=("none", "blacklist", "whitelist")), required=True
                            ),
                            "locations": Input(SetOf(String(longest=2))),
                        }
                    ),
                    required=True,
                )
            }
        ),
        required=True,
    ),
    "viewerCertificate": Input(
        Record(
            {
                "acmCertificateArn": Input(String()),
                "cloudfrontDefaultCertificate": Input(Boolean()),
                "minimumProtocolVersion": Input(
                    String(
                        choices=(
                            _OLDEST_TLS,
                            "TLSv1_2016",
                            "TLSv1.1_2016",
                            "TLSv1.2_2018",
                            "TLSv1.2_2019",
                            "TLSv1.2_2021",
                            "TLSv1.2_2025",
                            "TLSv1.3_2025",
                        )
                    ),
                    default=_OLDEST_TLS,
                ),
                "sslSupportMethod": Input(String(choices=("sni-only", "static-ip", "vip"))),
            }
        ),
        required=True,
    ),
    "loggingConfig": Input(
        Record(
            {
                "bucket": Input(DomainName(), required=True),
                "includeCookies": Input(Boolean(), default=False),
                "prefix": Input(String(longest=256)),
            }
        )
    ),
}


def validate(inputs: Properties) -> list[tuple[str, str]]:
    """(property, reason) of what AWS refuses for several fields together."""
    refusals = []
    behavior, certificate = inputs["defaultCacheBehavior"], inputs["viewerCertificate"]
    if behavior is not UNKNOWN:
        for key, sets in (("allowedMethods", _METHOD_SETS), ("cachedMethods", _METHOD_SETS[:2])):
            if behavior[key] is not UNKNOWN and set(behavior[key]) not in sets:
                known = " or ".join(", ".join(sorted(methods)) for methods in sets)
                refusals.append((f"defaultCacheBehavior.{key}", f"must be {known}"))
        origins = inputs["origins"] if inputs["origins"] is not UNKNOWN else (UNKNOWN,)
        ids = [origin if origin is UNKNOWN else origin["originId"] for origin in origins]
        target = behavior["targetOriginId"]
        if UNKNOWN not in (*ids, target) and target not in ids:
            reason = f"{target!r} is the originId of no origin"
            refusals.append(("defaultCacheBehavior.targetOriginId", reason))
    if certificate is not UNKNOWN:
        refusals += _validate_certificate(certificate, bool(inputs.get("aliases")))
    logs = inputs.get("loggingConfig")
    bucket = logs.get("bucket") if isinstance(logs, Mapping) else None
    if isinstance(bucket, str) and not bucket_name(bucket):
        reason = f"{bucket!r} is no bucket's domain name, such as logs.s3.amazonaws.com"
        refusals.append(("loggingConfig.bucket", reason))
    return refusals


def _validate_certificate(given: Properties, aliases: bool) -> list[tuple[str, str]]:
    own, default = given.get("acmCertificateArn"), given.get("cloudfrontDefaultCertificate")
    if bool(own) == bool(default):
        reason = "needs either acmCertificateArn or cloudfrontDefaultCertificate"
        return [("viewerCertificate", reason)]
    if own and not given.get("sslSupportMethod"):
        return [("viewerCertificate.sslSupportMethod", "is required with acmCertificateArn")]
    if isinstance(own, str) and own.split(":")[3:4] != ["us-east-1"]:
        reason = f"must be a certificate of us-east-1, not {own}"
        return [("viewerCertificate.acmCertificateArn", reason)]
    if aliases and default:
        return [("aliases", "need a certificate of ACM for these names")]
    return []


def bucket_name(domain: str) -> str:
    """The bucket of a domain name like `logs.s3.amazonaws.com`; "" if it is no such name."""
    name, separator, rest = domain.partition(".s3.")
    return name if separator and rest.endswith("amazonaws.com") else ""


def _items(values: Sequence[Any]) -> dict[str, Any]:
    """A list as CloudFront's API takes it."""
    return {"Quantity": len(values), **({"Items": list(values)} if values else {})}


def to_aws(inputs: Properties, reference: str) -> dict[str, Any]:
    """The whole configuration. reference: the caller reference, the same for life."""
    behavior, logs = inputs["defaultCacheBehavior"], inputs.get("loggingConfig") or {}
    geo = inputs["restrictions"]["geoRestriction"]
    policies = {
        "CachePolicyId": behavior["cachePolicyId"],
        "OriginRequestPolicyId": behavior.get("originRequestPolicyId"),
        "ResponseHeadersPolicyId": behavior.get("responseHeadersPolicyId"),
    }
    return {
        "CallerReference": reference,
        "Enabled": inputs["enabled"],
        "Comment": inputs.get("comment") or "",
        "Aliases": _items(inputs.get("aliases") or ()),
        "DefaultRootObject": inputs.get("defaultRootObject") or "",
        "PriceClass": inputs["priceClass"],
        "HttpVersion": inputs["httpVersion"],
        "IsIPV6Enabled": bool(inputs.get("isIpv6Enabled")),
        "Origins": _items([_origin(origin) for origin in inputs["origins"]]),
        "DefaultCacheBehavior": {
            "TargetOriginId": behavior["targetOriginId"],
            "ViewerProtocolPolicy": behavior["viewerProtocolPolicy"],
            "AllowedMethods": _items(behavior["allowedMethods"])
            | {"CachedMethods": _items(behavior["cachedMethods"])},
            "Compress": bool(behavior.get("compress")),
            **{key: value for key, value in policies.items() if value},
        },
        "Restrictions": {
            "GeoRestriction": {
                "RestrictionType": geo["restrictionType"],
                **_items(geo.get("locations") or ()),
            }
        },
        "ViewerCertificate": _certificate(inputs["viewerCertificate"]),
        "Logging": {
            "Enabled": bool(logs),
            "IncludeCookies": bool(logs.get("includeCookies")),
            "Bucket": logs.get("bucket") or "",
            "Prefix": logs.get("prefix") or "",
        },
    }


def _origin(given: Properties) -> dict[str, Any]:
    return {
        "Id": given["originId"],
        "DomainName": given["domainName"],
        "OriginPath": given.get("originPath") or "",
        "OriginAccessControlId": given.get("originAccessControlId") or "",
        "ConnectionAttempts": given.get("connectionAttempts") or 3,
        "ConnectionTimeout": given.get("connectionTimeout") or 10,
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }


def _certificate(given: Properties) -> dict[str, Any]:
    oldest = given.get("minimumProtocolVersion") or _OLDEST_TLS
    if given.get("cloudfrontDefaultCertificate"):
        return {"CloudFrontDefaultCertificate": True, "MinimumProtocolVersion": oldest}
    return {
        "CloudFrontDefaultCertificate": False,
        "ACMCertificateArn": given["acmCertificateArn"],
        "SSLSupportMethod": given["sslSupportMethod"],
        "MinimumProtocolVersion": oldest,
    }


def from_aws(op: Operation, config: Mapping[str, Any]) -> Properties:
    """The live configuration as inputs."""
    behavior, logs = config["DefaultCacheBehavior"], config["Logging"]
    geo = config["Restrictions"]["GeoRestriction"]
    # moto forgets which access control an origin has
    controls = {o["originId"]: o.get("originAccessControlId") for o in op.get("origins") or ()}
    return {
        "enabled": config["Enabled"],
        "comment": config["Comment"] or None,
        "aliases": config["Aliases"].get("Items") or None,
        "defaultRootObject": config["DefaultRootObject"] or None,
        "priceClass": config["PriceClass"],
        "httpVersion": config["HttpVersion"],
        "isIpv6Enabled": config["IsIPV6Enabled"],
        "origins": [
            {
                "originId": origin["Id"],
                "domainName": origin["DomainName"],
                "originPath": origin["OriginPath"],
                "originAccessControlId": controls.get(origin["Id"]),
                "connectionAttempts": origin["ConnectionAttempts"],
                "connectionTimeout": origin["ConnectionTimeout"],
            }
            for origin in config["Origins"]["Items"]
        ],
        "defaultCacheBehavior": {
            "targetOriginId": behavior["TargetOriginId"],
            "viewerProtocolPolicy": behavior["ViewerProtocolPolicy"],
            "allowedMethods": behavior["AllowedMethods"]["Items"],
            "cachedMethods": behavior["AllowedMethods"]["CachedMethods"]["Items"],
            "cachePolicyId": behavior["CachePolicyId"],
            "originRequestPolicyId": behavior.get("OriginRequestPolicyId"),
            "responseHeadersPolicyId": behavior.get("ResponseHeadersPolicyId"),
            "compress": behavior["Compress"],
        },
        "restrictions": {
            "geoRestriction": {
                "restrictionType": geo["RestrictionType"],
                "locations": geo.get("Items"),
            }
        },
        "viewerCertificate": _live_certificate(config["ViewerCertificate"]),
        "loggingConfig": {
            "bucket": logs["Bucket"],
            "includeCookies": logs["IncludeCookies"],
            "prefix": logs["Prefix"],
        }
        if logs["Enabled"]
        else None,
    }


def _live_certificate(live: Mapping[str, Any]) -> Properties:
    oldest = live["MinimumProtocolVersion"]
    if live["CloudFrontDefaultCertificate"]:
        return {"cloudfrontDefaultCertificate": True, "minimumProtocolVersion": oldest}
    return {
        "acmCertificateArn": live["ACMCertificateArn"],
        "sslSupportMethod": live["SSLSupportMethod"],
        "minimumProtocolVersion": oldest,
    }
