"""CloudFront."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rehearsal.plugins.aws.arguments import parse
from rehearsal.plugins.aws.cloud import Cloud, Deadline
from rehearsal.plugins.aws.resources.cloudfront import DISTRIBUTION as DISTRIBUTION_TYPE
from rehearsal.plugins.aws.schema import Operation
from rehearsal.plugins.protocol import UNKNOWN, Properties
from tests.rehearsal.plugins.aws.conftest import DEFAULT_TAGS, REGION, Aws
from tests.rehearsal.plugins.aws.edge import (
    CDN_REGION,
    CERTIFICATE,
    CONTROL,
    DISTRIBUTION,
    make_certificate,
    make_zone,
)
from tests.rehearsal.plugins.aws.made import make, unique
from tests.rehearsal.plugins.harness import Plugin, PluginError

OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"
CONTROLLED = {
    "originAccessControlOriginType": "s3",
    "signingBehavior": "always",
    "signingProtocol": "sigv4",
}


def _origin(**more: Any) -> Properties:
    return {
        "originId": "bucket",
        "domainName": f"assets.s3.{REGION}.amazonaws.com",
        **more,
    }


def _behavior(**more: Any) -> Properties:
    return {
        "targetOriginId": "bucket",
        "viewerProtocolPolicy": "redirect-to-https",
        "allowedMethods": ["GET", "HEAD"],
        "cachedMethods": ["GET", "HEAD"],
        "cachePolicyId": OPTIMIZED,
        "compress": True,
        **more,
    }


def _inputs(**more: Any) -> Properties:
    """A distribution of AWS's own name."""
    return {
        "enabled": True,
        "origins": [_origin()],
        "defaultCacheBehavior": _behavior(),
        "restrictions": {"geoRestriction": {"restrictionType": "none"}},
        "viewerCertificate": {"cloudfrontDefaultCertificate": True},
        **more,
    }


def _make_logs(aws: Aws, ownership: str | None = "BucketOwnerPreferred") -> str:
    """A bucket, made past the plugin; its name."""
    name, s3 = unique("logs"), aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    if ownership:
        s3.put_bucket_ownership_controls(
            Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]}
        )
    return name


def test_origin_access_control_lives(plugin: Plugin) -> None:
    name = unique("assets")
    control = make(plugin, CONTROL, name=name, **CONTROLLED)
    assert control.outputs["arn"].endswith(f":origin-access-control/{control.id}")
    assert control.outputs["etag"] and control.inputs["description"] == "Managed by Pulumi"
    control.update(description="Assets", signingBehavior="no-override")
    assert control.imported()["signingBehavior"] == "no-override"
    with pytest.raises(PluginError, match="OriginAccessControlAlreadyExists"):
        make(plugin, CONTROL, name=name, **CONTROLLED)
    control.delete()


@pytest.fixture(scope="module")
def site(aws: Aws, plugin: Plugin) -> Properties:
    """The inputs of a distribution of our own name; all that it needs is there."""
    zone = make_zone(plugin)
    certificate = make_certificate(plugin, zone, "cdn", region=CDN_REGION)
    control = make(plugin, CONTROL, name=unique("assets"), **CONTROLLED)
    return _inputs(
        aliases=[f"cdn.{zone.inputs['name']}"],
        comment="assets",
        defaultRootObject="index.html",
        defaultCacheBehavior=_behavior(responseHeadersPolicyId=SECURITY_HEADERS),
        httpVersion="http2and3",
        isIpv6Enabled=True,
        loggingConfig={"bucket": f"{_make_logs(aws)}.s3.amazonaws.com", "prefix": "cdn/"},
        origins=[_origin(originAccessControlId=control.id)],
        priceClass="PriceClass_200",
        viewerCertificate={
            "acmCertificateArn": certificate.id,
            "minimumProtocolVersion": "TLSv1.2_2021",
            "sslSupportMethod": "sni-only",
        },
    )


def test_distribution_lives(aws: Aws, plugin: Plugin, site: Properties) -> None:
    cdn = make(plugin, DISTRIBUTION, **site, tags={"a": "b"})
    outputs = cdn.outputs
    assert outputs["arn"] == f"arn:aws:cloudfront::123456789012:distribution/{cdn.id}"
    assert outputs["domainName"].endswith(".cloudfront.net")
    assert outputs["hostedZoneId"] == "Z2FDTNDATAQYW2" and outputs["status"] == "Deployed"
    assert outputs["etag"] and outputs["loggingV1Enabled"] is True
    assert outputs["tagsAll"] == {"a": "b", **DEFAULT_TAGS} and "region" not in outputs
    found = aws.client("cloudfront").get_distribution_config(Id=cdn.id)["DistributionConfig"]
    assert found["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
    assert found["DefaultCacheBehavior"]["ResponseHeadersPolicyId"] == SECURITY_HEADERS
    assert found["Aliases"]["Items"] == site["aliases"]

    methods = _behavior(allowedMethods=["HEAD", "GET"], responseHeadersPolicyId=SECURITY_HEADERS)
    assert not cdn.diff(defaultCacheBehavior=methods).changes
    geo = {"restrictionType": "whitelist", "locations": ["KR", "JP"]}
    cdn.update(
        restrictions={"geoRestriction": geo},
        priceClass="PriceClass_100",
        defaultCacheBehavior=_behavior(cachePolicyId=DISABLED, compress=False),
        comment=None,
    )
    again = aws.client("cloudfront").get_distribution_config(Id=cdn.id)["DistributionConfig"]
    assert again["CallerReference"] == outputs["callerReference"]
    cdn.update(loggingConfig=None, aliases=None)
    cdn.update(viewerCertificate={"cloudfrontDefaultCertificate": True})
    cdn.update(waitForDeployment=False, tags={"c": "d"})
    cdn.imported()

    live = aws.client("cloudfront").get_distribution_config(Id=cdn.id)
    changed = live["DistributionConfig"] | {"Enabled": False, "Comment": "by hand"}
    aws.client("cloudfront").update_distribution(
        Id=cdn.id, IfMatch=live["ETag"], DistributionConfig=changed
    )
    assert cdn.refresh() == {"enabled": False, "comment": "by hand"}
    cdn.delete()


class _Watched(Cloud):
    """Notes the calls that change a distribution: moto would delete one that is on."""

    def __init__(self, aws: Aws) -> None:
        super().__init__(parse(aws.arguments))
        self.calls: list[tuple[str, str, bytes]] = []

    def client(self, service: str) -> Any:
        client = super().client(service)

        def note(model: Any, params: dict[str, Any], **_: Any) -> None:
            if not model.name.startswith("Get"):
                self.calls.append((model.name, params["headers"]["If-Match"], params["body"]))

        client.meta.events.register("before-call.cloudfront", note, unique_id="note")
        return client


def test_distribution_is_switched_off_before_it_is_deleted(aws: Aws, plugin: Plugin) -> None:
    cdn = make(plugin, DISTRIBUTION, **_inputs())
    cloud = _Watched(aws)
    DISTRIBUTION_TYPE.delete(Operation(cloud, Deadline.within(10), cdn.id, cdn.inputs))
    (update, etag, body), deletion = cloud.calls
    assert update == "UpdateDistribution" and b"<Enabled>false</Enabled>" in body
    assert etag == cdn.outputs["etag"]
    assert deletion[:2] == ("DeleteDistribution", etag)


@pytest.mark.parametrize(
    ("change", "property"),
    [
        (
            {"defaultCacheBehavior": _behavior(cachePolicyId="mine")},
            "defaultCacheBehavior.cachePolicyId",
        ),
        (
            {"defaultCacheBehavior": _behavior(allowedMethods=["GET"])},
            "defaultCacheBehavior.allowedMethods",
        ),
        (
            {"defaultCacheBehavior": _behavior(targetOriginId="other")},
            "defaultCacheBehavior.targetOriginId",
        ),
        ({"viewerCertificate": {}}, "viewerCertificate"),
        (
            {"viewerCertificate": {"acmCertificateArn": "arn:aws:acm:us-east-1:1:x"}},
            "viewerCertificate.sslSupportMethod",
        ),
        (
            {
                "viewerCertificate": {
                    "acmCertificateArn": f"arn:aws:acm:{REGION}:1:x",
                    "sslSupportMethod": "sni-only",
                }
            },
            "viewerCertificate.acmCertificateArn",
        ),
        ({"aliases": ["cdn.example.org"]}, "aliases"),
        ({"loggingConfig": {"bucket": "logs"}}, "loggingConfig.bucket"),
        ({"priceClass": "PriceClass_300"}, "priceClass"),
        ({"restrictions": {}}, "restrictions.geoRestriction"),
        ({"origins": [_origin(customOriginConfig={})]}, "origins[0].customOriginConfig"),
    ],
)
def test_bad_distributions_are_refused(
    plugin: Plugin, change: dict[str, Any], property: str
) -> None:
    _, failures = plugin.check_failures(DISTRIBUTION, _inputs(**change))
    assert [where for where, _ in failures] == [property]


def _other_names(aws: Aws, plugin: Plugin, inputs: Properties) -> Properties:
    return {"aliases": [*inputs["aliases"], "other.example.org"]}


def _unproven(aws: Aws, plugin: Plugin, inputs: Properties) -> Properties:
    arn = make(
        plugin,
        CERTIFICATE,
        domainName="unproven.example.org",
        validationMethod="DNS",
        region=CDN_REGION,
    ).id
    return {"viewerCertificate": inputs["viewerCertificate"] | {"acmCertificateArn": arn}}


def _no_certificate(aws: Aws, plugin: Plugin, inputs: Properties) -> Properties:
    arn = f"arn:aws:acm:{CDN_REGION}:123456789012:certificate/none"
    return {"viewerCertificate": inputs["viewerCertificate"] | {"acmCertificateArn": arn}}


def _no_control(aws: Aws, plugin: Plugin, inputs: Properties) -> Properties:
    return {"origins": [_origin(originAccessControlId="E1")]}


def _logs(ownership: str | None) -> Callable[[Aws, Plugin, Properties], Properties]:
    def change(aws: Aws, plugin: Plugin, inputs: Properties) -> Properties:
        return {"loggingConfig": {"bucket": f"{_make_logs(aws, ownership)}.s3.amazonaws.com"}}

    return change


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_other_names, r"InvalidViewerCertificate: .* is not for other\.example\.org"),
        (_unproven, r"InvalidViewerCertificate: .* it lacks _\w+\.unproven\.example\.org"),
        (_no_certificate, r"InvalidViewerCertificate: .* does not exist in us-east-1"),
        (_no_control, r"NoSuchOriginAccessControl"),
        (_logs("BucketOwnerEnforced"), r"does not enable ACL access"),
        (_logs(None), r"does not enable ACL access"),
    ],
)
def test_distribution_of_what_is_not_ready_is_refused(
    aws: Aws,
    plugin: Plugin,
    site: Properties,
    change: Callable[[Aws, Plugin, Properties], Properties],
    error: str,
) -> None:
    changed = {**site, **change(aws, plugin, site)}
    with pytest.raises(PluginError, match=error) as caught:
        plugin.create(DISTRIBUTION, plugin.check(DISTRIBUTION, changed))
    assert caught.value.init_failed is None


def test_preview_of_what_is_not_known_yet(plugin: Plugin) -> None:
    inputs = _inputs(
        origins=[_origin(domainName=UNKNOWN, originAccessControlId=UNKNOWN)],
        viewerCertificate={"acmCertificateArn": UNKNOWN, "sslSupportMethod": "sni-only"},
        loggingConfig={"bucket": UNKNOWN},
        aliases=["cdn.example.org"],
    )
    _, outputs = plugin.create(DISTRIBUTION, plugin.check(DISTRIBUTION, inputs), preview=True)
    assert outputs["domainName"] is UNKNOWN and outputs["aliases"] == ["cdn.example.org"]
