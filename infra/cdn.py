"""CloudFront over a private bucket."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.buckets import BucketOutputs, seal
from infra.order import after
from infra.policies import Statement

# Both are AWS's own, for everybody under these ids: "Use managed cache policies" and "Use managed
# response headers policies", CloudFront's Developer Guide.
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"


@dataclass(frozen=True)
class OwnName:
    """A DNS name of ours, and the ARN of its certificate in certificates.CDN_REGION."""

    name: str
    certificate_arn: pulumi.Input[str]


@dataclass(frozen=True)
class CdnArgs:
    """name: prefix of the AWS names; bucket: one without a policy, which is written here;
    logs_domain: domain name of the bucket of logs; root_object: the answer to /; own_name: None
    for AWS's, d….cloudfront.net, alone."""

    name: str
    bucket: BucketOutputs
    logs_domain: pulumi.Input[str]
    price_class: str
    root_object: str
    own_name: OwnName | None


@dataclass(frozen=True)
class CdnOutputs:
    """Known once CloudFront may read the bucket. domain_name, zone_id: for an alias record."""

    domain_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]


class Cdn(pulumi.ComponentResource):
    """A distribution over a bucket that it alone may read; viewers come by TLS alone."""

    def __init__(self, name: str, args: CdnArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:Cdn", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        access = aws.cloudfront.OriginAccessControl(
            name,
            name=f"{args.name}-{name}",
            description=f"{args.name}: {name}",
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
            opts=child,
        )
        distribution = aws.cloudfront.Distribution(
            name,
            enabled=True,
            comment=f"{args.name}: {name}",
            aliases=[args.own_name.name] if args.own_name else None,
            origins=[
                aws.cloudfront.DistributionOriginArgs(
                    origin_id="bucket",
                    domain_name=args.bucket.regional_domain_name,
                    origin_access_control_id=access.id,
                )
            ],
            default_root_object=args.root_object,
            default_cache_behavior=aws.cloudfront.DistributionDefaultCacheBehaviorArgs(
                target_origin_id="bucket",
                viewer_protocol_policy="redirect-to-https",
                allowed_methods=["GET", "HEAD"],
                cached_methods=["GET", "HEAD"],
                cache_policy_id=CACHING_OPTIMIZED,
                response_headers_policy_id=SECURITY_HEADERS,
                compress=True,
            ),
            http_version="http2and3",
            is_ipv6_enabled=True,
            price_class=args.price_class,
            restrictions=aws.cloudfront.DistributionRestrictionsArgs(
                geo_restriction=aws.cloudfront.DistributionRestrictionsGeoRestrictionArgs(
                    restriction_type="none"
                )
            ),
            viewer_certificate=_certificate(args.own_name),
            logging_config=aws.cloudfront.DistributionLoggingConfigArgs(
                bucket=args.logs_domain, prefix=f"{name}/", include_cookies=False
            ),
            tags={"Name": f"{args.name}-{name}"},
            opts=child,
        )
        policy = seal(
            name,
            args.bucket.id,
            args.bucket.arn,
            pulumi.Output.all(args.bucket.arn, distribution.arn).apply(
                lambda arns: (readable(str(arns[0]), str(arns[1])),)
            ),
            child,
        )
        self.outputs = CdnOutputs(
            domain_name=after(distribution.domain_name, policy.id),
            zone_id=distribution.hosted_zone_id,
        )
        self.register_outputs({"domain_name": distribution.domain_name})


def _certificate(
    own_name: OwnName | None,
) -> aws.cloudfront.DistributionViewerCertificateArgs:
    if own_name is None:
        # with AWS's own certificate AWS itself chooses the oldest TLS version
        return aws.cloudfront.DistributionViewerCertificateArgs(cloudfront_default_certificate=True)
    return aws.cloudfront.DistributionViewerCertificateArgs(
        acm_certificate_arn=own_name.certificate_arn,
        minimum_protocol_version="TLSv1.2_2021",
        ssl_support_method="sni-only",
    )


def readable(bucket_arn: str, distribution_arn: str) -> Statement:
    """Lets one distribution read what is in a bucket, and not list it. Source: "Restrict access to
    an Amazon S3 origin", CloudFront's Developer Guide."""
    return Statement(
        actions=("s3:GetObject",),
        resources=(f"{bucket_arn}/*",),
        conditions={"StringEquals": {"aws:SourceArn": distribution_arn}},
        principals={"Service": "cloudfront.amazonaws.com"},
    )
