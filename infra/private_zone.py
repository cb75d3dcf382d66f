"""Names inside the VPC, the control-plane endpoint first of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.load_balancers import LoadBalancerOutputs


@dataclass(frozen=True)
class PrivateZoneArgs:
    """zone: its DNS name; api_endpoint: a name in it; api: the addresses or the load balancer that
    the endpoint stands for."""

    name: str
    zone: str
    vpc_id: pulumi.Input[str]
    api_endpoint: str
    api: Sequence[pulumi.Input[str]] | LoadBalancerOutputs


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
        record = aws.route53.Record(
            "api",
            zone_id=zone.zone_id,
            name=args.api_endpoint,
            type="A",
            opts=child,
            **_target(args.api),
        )
        self.api_endpoint = record.fqdn
        self.register_outputs({"api_endpoint": record.fqdn})


def _target(api: Sequence[pulumi.Input[str]] | LoadBalancerOutputs) -> dict[str, Any]:
    """The inputs in which a record of addresses and an alias differ."""
    if not isinstance(api, LoadBalancerOutputs):
        return {"ttl": 60, "records": list(api)}
    alias = aws.route53.RecordAliasArgs(
        name=api.dns_name, zone_id=api.zone_id, evaluate_target_health=True
    )
    return {"aliases": [alias]}
