"""Certificates of public names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_aws as aws

# CloudFront takes certificates of this region alone ("Requirements for using SSL/TLS certificates
# with CloudFront", CloudFront's Developer Guide).
CDN_REGION = "us-east-1"


@dataclass(frozen=True)
class CertificateArgs:
    """names: whole DNS names, one certificate for all; zone_id: the public zone that holds them.
    region: None for the provider's own."""

    names: Sequence[str]
    zone_id: pulumi.Input[str]
    region: str | None = None


@dataclass(frozen=True)
class CertificateOutputs:
    """arn: known once the certificate is issued, and can be used."""

    arn: pulumi.Output[str]


class Certificate(pulumi.ComponentResource):
    """A certificate of ACM, which renews it by the DNS records that proved the names are ours.

    It is issued only when the zone answers on the internet. Behind a new zone this waits for the
    registrar's delegation, 75 minutes at most; the next run goes on.
    """

    def __init__(self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:Certificate", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        certificate = aws.acm.Certificate(
            name,
            domain_name=args.names[0],
            subject_alternative_names=list(args.names[1:]) or None,
            validation_method="DNS",
            region=args.region,
            tags={"Name": args.names[0]},
            opts=child,
        )
        records = []
        for domain in args.names:
            option = certificate.domain_validation_options.apply(partial(_option, domain))
            records.append(
                aws.route53.Record(
                    f"validate-{domain}",
                    zone_id=args.zone_id,
                    name=option.resource_record_name,
                    type=option.resource_record_type,
                    records=[option.resource_record_value],
                    ttl=300,
                    opts=child,
                )
            )
        validation = aws.acm.CertificateValidation(
            name,
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn for record in records],
            region=args.region,
            opts=child,
        )
        self.outputs = CertificateOutputs(arn=validation.certificate_arn)
        self.register_outputs({"arn": self.outputs.arn})


def _option(
    domain: str, options: Sequence[aws.acm.outputs.CertificateDomainValidationOption]
) -> aws.acm.outputs.CertificateDomainValidationOption:
    """The record that ACM asks for a domain; it lists them in no order."""
    return next(option for option in options if option.domain_name == domain)
