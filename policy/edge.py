"""CloudFront and load balancers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi_policy import ResourceValidationArgs

from policy.rules import Findings, given, resource_rule

DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
_TLS_1_2 = re.compile(r"TLSv1\.[23]_20\d\d")
_LB_TLS_1_2 = re.compile(r"ELBSecurityPolicy-(TLS13-1-[23]|TLS-1-2|FS-1-2)-")


def _viewer_tls(resource: ResourceValidationArgs) -> Findings:
    certificate = resource.props.get("viewerCertificate") or {}
    if certificate.get("cloudfrontDefaultCertificate") is True and not resource.props.get(
        "aliases"
    ):
        return  # under AWS's own name alone, with AWS's certificate: AWS sets what it takes
    if not _TLS_1_2.fullmatch(certificate.get("minimumProtocolVersion") or ""):
        yield (
            "takes viewers with TLS older than 1.2: set a certificate of its own name and "
            'viewer_certificate.minimum_protocol_version "TLSv1.2_2021".'
        )


def _behaviors(props: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "default_cache_behavior", props.get("defaultCacheBehavior") or {}
    for index, behavior in enumerate(props.get("orderedCacheBehaviors") or ()):
        yield f"ordered_cache_behaviors[{index}]", behavior


def _viewer_https(resource: ResourceValidationArgs) -> Findings:
    for where, behavior in _behaviors(resource.props):
        if behavior.get("viewerProtocolPolicy") not in ("redirect-to-https", "https-only"):
            yield f'serves without TLS: set {where}.viewer_protocol_policy "redirect-to-https".'


def _headers(resource: ResourceValidationArgs) -> Findings:
    for where, behavior in _behaviors(resource.props):
        if not given(behavior, "responseHeadersPolicyId"):
            yield (
                f"sends no security headers: set {where}.response_headers_policy_id, for one to "
                "AWS's managed SecurityHeadersPolicy."
            )


def _cdn_logging(resource: ResourceValidationArgs) -> Findings:
    if not given(resource.props.get("loggingConfig") or {}, "bucket"):
        yield "keeps no access log: set logging_config to the log bucket."


def _root_object(resource: ResourceValidationArgs) -> Findings:
    if not resource.props.get("defaultRootObject"):
        yield "asks the bucket itself for /: set default_root_object."


def _origins(resource: ResourceValidationArgs) -> Findings:
    for index, origin in enumerate(resource.props.get("origins") or ()):
        signed = given(origin, "originAccessControlId") or given(origin, "s3OriginConfig")
        if not given(origin, "customOriginConfig") and not signed:
            yield (
                f"reads the bucket of origins[{index}] as anybody could: set its "
                "origin_access_control_id."
            )


def _lb_logging(resource: ResourceValidationArgs) -> Findings:
    props = resource.props
    if props.get("loadBalancerType") == "network":
        return  # logs TLS listeners alone, and there is none: _listener
    if (props.get("accessLogs") or {}).get("enabled") is not True:
        yield "keeps no access log: set access_logs to the log bucket, enabled."


def _listener(resource: ResourceValidationArgs) -> Findings:
    props = resource.props
    protocol = props.get("protocol")
    if protocol in ("HTTPS", "TLS"):
        if not _LB_TLS_1_2.match(props.get("sslPolicy") or ""):
            yield (
                "takes TLS older than 1.2: set ssl_policy to one such as "
                '"ELBSecurityPolicy-TLS13-1-2-2021-06".'
            )
    elif protocol == "HTTP":
        for index, action in enumerate(props.get("defaultActions") or ()):
            if (action.get("redirect") or {}).get("protocol") != "HTTPS":
                yield (
                    f"answers without TLS: make default_actions[{index}] a redirect with "
                    'protocol "HTTPS".'
                )


RULES = [
    resource_rule(
        "cdn-tls-1-2",
        "CloudFront takes viewers of our names with TLS 1.2 or newer alone",
        (DISTRIBUTION,),
        _viewer_tls,
        checkov=("CKV_AWS_174",),
    ),
    resource_rule(
        "cdn-https",
        "CloudFront serves with TLS alone",
        (DISTRIBUTION,),
        _viewer_https,
        checkov=("CKV_AWS_34",),
    ),
    resource_rule(
        "cdn-security-headers",
        "CloudFront sends security headers",
        (DISTRIBUTION,),
        _headers,
        checkov=("CKV2_AWS_32",),
    ),
    resource_rule(
        "cdn-logged",
        "CloudFront keeps access logs",
        (DISTRIBUTION,),
        _cdn_logging,
        checkov=("CKV_AWS_86",),
    ),
    resource_rule(
        "cdn-root-object",
        "CloudFront has an object to answer / with",
        (DISTRIBUTION,),
        _root_object,
        checkov=("CKV_AWS_305",),
    ),
    resource_rule(
        "cdn-signs-to-bucket",
        "CloudFront reads buckets with an origin access control",
        (DISTRIBUTION,),
        _origins,
        checkov=("CKV2_AWS_46",),
    ),
    resource_rule(
        "load-balancer-logged",
        "Load balancers keep access logs",
        (LOAD_BALANCER,),
        _lb_logging,
        checkov=("CKV_AWS_91",),
    ),
    resource_rule(
        "listener-tls-1-2",
        "Listeners take TLS 1.2 or newer, and HTTP only to redirect",
        (LISTENER,),
        _listener,
        checkov=("CKV_AWS_2", "CKV_AWS_103"),
    ),
]
