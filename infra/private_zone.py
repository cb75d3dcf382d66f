"""Names inside the VPC, the control-plane endpoint first of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True)
class Alias:
    """A load balancer, as Route 53 points at one."""

    dns_name: pulumi.Input[str]
    zone_id: pulumi.Input[str]


@dataclass(frozen=True)
class PrivateZoneArgs:
    """zone: its DNS name; api_endpoint: a name in it; api: the addresses or the load balancer that
    the endpoint stands for."""

    name: str
    zone: str
    vpc_id: pulumi.Input[str]
    api_endpoint: str
    api: Sequence[pulumi.Input[str]] | Alias


class PrivateZone(pulumi.ComponentResource):
    """A private zone, and in it the control-plane endpoint: a name from the first init on, because
    a cluster made without one cannot become highly available later.

    api_endpoint: the name, known once it can be resolved.
    """

    def __init__(self, name: str, args: PrivateZoneArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:PrivateZone", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        zone = aws.route53.Zone(
            "private",
            name=args.zone,
            comment=f"{args.name}: names inside the VPC",
            vpcs=[aws.route53.ZoneVpcArgs(vpc_id=args.vpc_id)],
            opts=child,
        )
        if isinstance(args.api, Alias):
            alias = aws.route53.RecordAliasArgs(
                name=args.api.dns_name, zone_id=args.api.zone_id, evaluate_target_health=True
            )
            record = aws.route53.Record(
                "api",
                zone_id=zone.zone_id,
                name=args.api_endpoint,
                type="A",
                aliases=[alias],
                opts=child,
            )
        else:
            record = aws.route53.Record(
                "api",
                zone_id=zone.zone_id,
                name=args.api_endpoint,
                type="A",
                ttl=60,
                records=list(args.api),
                opts=child,
            )
        self.api_endpoint = record.fqdn
        self.register_outputs({"api_endpoint": record.fqdn})
