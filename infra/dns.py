"""Names that the internet sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from settings.models import PublicDns


@dataclass(frozen=True)
class PublicZoneArgs:
    """name: of the environment, for the zone's comment."""

    name: str
    dns: PublicDns


@dataclass(frozen=True)
class PublicZoneOutputs:
    """name_servers: what the registrar must delegate the domain to."""

    zone_id: pulumi.Output[str]
    name_servers: pulumi.Output[Sequence[str]]


class PublicZone(pulumi.ComponentResource):
    """The zone of the public domain: made, or, when the settings name one, looked up."""

    def __init__(self, name: str, args: PublicZoneArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:PublicZone", name, None, opts)
        dns = args.dns
        if dns.zone_id is None:
            made = aws.route53.Zone(
                "public",
                name=dns.domain,
                comment=f"{args.name}: names on the internet",
                tags={"Name": f"{args.name}-public"},
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.outputs = PublicZoneOutputs(made.zone_id, made.name_servers)
        else:
            found = aws.route53.get_zone_output(
                zone_id=dns.zone_id, opts=pulumi.InvokeOutputOptions(parent=self)
            )
            self.outputs = PublicZoneOutputs(
                zone_id=found.apply(lambda zone: _checked(zone, dns)),
                name_servers=found.apply(lambda zone: zone.name_servers),
            )
        self.register_outputs({"zone_id": self.outputs.zone_id})


def _checked(zone: aws.route53.GetZoneResult, dns: PublicDns) -> str:
    """The zone's id; ValueError when names of the domain in it would never be found."""
    known = zone.name.rstrip(".")
    if zone.private_zone:
        raise ValueError(f"dns.public.zone_id: {dns.zone_id} is private; name a public zone")
    if dns.domain != known and not dns.domain.endswith(f".{known}"):
        raise ValueError(
            f"dns.public.zone_id: {dns.zone_id} is the zone of {known}, which does not hold "
            f"{dns.domain}; name that domain's zone"
        )
    return zone.zone_id


@dataclass(frozen=True)
class Alias:
    """A name that answers with the addresses of something of AWS's. label: of the resource; name:
    the whole DNS name; ipv6: whether the target has such addresses too."""

    label: str
    name: str
    target: pulumi.Input[str]
    target_zone_id: pulumi.Input[str]
    ipv6: bool = False


@dataclass(frozen=True)
class AliasRecordsArgs:
    """The names, all in one zone."""

    zone_id: pulumi.Input[str]
    aliases: Sequence[Alias]


class AliasRecords(pulumi.ComponentResource):
    """Alias records: they follow their target's addresses, and queries for them are free."""

    def __init__(self, name: str, args: AliasRecordsArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:AliasRecords", name, None, opts)
        self._names: dict[str, pulumi.Output[str]] = {}
        for alias in args.aliases:
            for kind in ("A", "AAAA") if alias.ipv6 else ("A",):
                record = aws.route53.Record(
                    alias.label if kind == "A" else f"{alias.label}-ipv6",
                    zone_id=args.zone_id,
                    name=alias.name,
                    type=kind,
                    aliases=[
                        aws.route53.RecordAliasArgs(
                            name=alias.target,
                            zone_id=alias.target_zone_id,
                            evaluate_target_health=False,  # there is no other target to turn to
                        )
                    ],
                    opts=pulumi.ResourceOptions(parent=self),
                )
                self._names[alias.name] = record.fqdn
        self.register_outputs({})

    def url(self, name: str) -> pulumi.Output[str]:
        """Of one of the names, by HTTPS; known once its record stands."""
        return pulumi.Output.format("https://{0}", self._names[name])
