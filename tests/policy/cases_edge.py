"""What keeps and what breaks the rules of policy/edge.py and policy/names.py."""

from __future__ import annotations

from policy.edge import DISTRIBUTION, LISTENER, LOAD_BALANCER
from tests.policy.pack import TAGS, UNKNOWN, Case

_BUCKET = "aws:s3/bucket:Bucket"
_GROUP = "aws:ec2/securityGroup:SecurityGroup"
_REDIRECT = {"viewerProtocolPolicy": "redirect-to-https"}

CASES = [
    Case(
        "cdn-tls-1-2",
        DISTRIBUTION,
        {"viewerCertificate": {"minimumProtocolVersion": "TLSv1.2_2021"}},
        {"viewerCertificate": {"acmCertificateArn": UNKNOWN}},
        'viewer_certificate.minimum_protocol_version "TLSv1.2_2021"',
    ),
    Case(
        "cdn-tls-1-2",
        DISTRIBUTION,
        {"viewerCertificate": {"minimumProtocolVersion": "TLSv1.2_2018"}},
        {"viewerCertificate": {"minimumProtocolVersion": "TLSv1.1_2016"}},
        "older than 1.2",
    ),
    Case(
        "cdn-tls-1-2",
        DISTRIBUTION,
        {"viewerCertificate": {"cloudfrontDefaultCertificate": True}},
        {"viewerCertificate": {"cloudfrontDefaultCertificate": True}, "aliases": ["a.example"]},
        "a certificate of its own name",
    ),
    Case(
        "cdn-https",
        DISTRIBUTION,
        {"defaultCacheBehavior": _REDIRECT},
        {"defaultCacheBehavior": {"viewerProtocolPolicy": "allow-all"}},
        "default_cache_behavior.viewer_protocol_policy",
    ),
    Case(
        "cdn-https",
        DISTRIBUTION,
        {"defaultCacheBehavior": _REDIRECT, "orderedCacheBehaviors": [_REDIRECT]},
        {
            "defaultCacheBehavior": _REDIRECT,
            "orderedCacheBehaviors": [{"viewerProtocolPolicy": "allow-all"}],
        },
        "ordered_cache_behaviors[0].viewer_protocol_policy",
    ),
    Case(
        "cdn-security-headers",
        DISTRIBUTION,
        {"defaultCacheBehavior": {"responseHeadersPolicyId": UNKNOWN}},
        {"defaultCacheBehavior": _REDIRECT},
        "SecurityHeadersPolicy",
    ),
    Case(
        "cdn-logged",
        DISTRIBUTION,
        {"loggingConfig": {"bucket": UNKNOWN}},
        {"loggingConfig": {"prefix": "cdn/"}},
        "set logging_config",
    ),
    Case(
        "cdn-root-object",
        DISTRIBUTION,
        {"defaultRootObject": "index.html"},
        {"defaultRootObject": ""},
        "set default_root_object",
    ),
    Case(
        "cdn-signs-to-bucket",
        DISTRIBUTION,
        {"origins": [{"domainName": UNKNOWN, "originAccessControlId": UNKNOWN}]},
        {"origins": [{"domainName": UNKNOWN}]},
        "the bucket of origins[0]",
    ),
    Case(
        "cdn-signs-to-bucket",
        DISTRIBUTION,
        {"origins": [{"domainName": "shop.example", "customOriginConfig": {"httpPort": 80}}]},
        {"origins": [{"customOriginConfig": {"httpPort": 80}}, {"originAccessControlId": ""}]},
        "the bucket of origins[1]",
    ),
    Case(
        "load-balancer-logged",
        LOAD_BALANCER,
        {"accessLogs": {"bucket": UNKNOWN, "enabled": True}},
        {"accessLogs": {"bucket": UNKNOWN}},
        "set access_logs",
    ),
    Case("load-balancer-logged", LOAD_BALANCER, {"loadBalancerType": "network"}, {}, "access_logs"),
    Case(
        "listener-tls-1-2",
        LISTENER,
        {"protocol": "HTTPS", "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06"},
        {"protocol": "HTTPS", "sslPolicy": "ELBSecurityPolicy-2016-08"},
        "set ssl_policy",
    ),
    Case(
        "listener-tls-1-2",
        LISTENER,
        {"protocol": "HTTP", "defaultActions": [{"redirect": {"protocol": "HTTPS"}}]},
        {"protocol": "HTTP", "defaultActions": [{"type": "forward"}]},
        "make default_actions[0] a redirect",
    ),
    Case(
        "tagged",
        _BUCKET,
        {"tags": {"Name": "assets"}},
        {"tags": {**TAGS, "Environment": ""}},
        "has no tag Environment",
    ),
    Case(
        "named-after-project",
        _BUCKET,
        {"bucket": "shop-assets"},
        {"bucket": "assets"},
        "is called 'assets' in AWS",
    ),
    Case("named-after-project", _BUCKET, {"bucketPrefix": "shop-a"}, {}, "begin its bucket with"),
    Case("named-after-project", _GROUP, {"name": "shop-node"}, {"name": "shopnode"}, "'shop-'"),
    Case(
        "named-after-project",
        "aws:kms/alias:Alias",
        {"name": "alias/shop-assets"},
        {"name": "alias/assets"},
        "'alias/assets'",
    ),
]
