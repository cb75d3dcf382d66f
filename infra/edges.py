"""What the internet sees: names, certificates, the load balancer of HTTP, the CDN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from infra.cdn import Cdn, CdnArgs, OwnName
from infra.certificates import CDN_REGION, Certificate, CertificateArgs
from infra.dns import Alias, AliasRecords, AliasRecordsArgs, PublicZone, PublicZoneArgs
from infra.load_balancers import PublicLoadBalancer, PublicLoadBalancerArgs
from infra.network import NetworkOutputs
from infra.storage import StorageOutputs
from settings import Settings
from settings.models import PublicDns


@dataclass(frozen=True)
class EdgesArgs:
    """security_group: of the load balancer; targets: instance ids by node name."""

    settings: Settings
    dns: PublicDns
    network: NetworkOutputs
    storage: StorageOutputs
    security_group: pulumi.Input[str]
    targets: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True)
class EdgesOutputs:
    """URLs, each known once its name leads there. name_servers: what the registrar must delegate
    the domain to."""

    api_url: pulumi.Output[str]
    argocd_url: pulumi.Output[str]
    cdn_url: pulumi.Output[str]
    name_servers: pulumi.Output[Sequence[str]]


class Edges(pulumi.ComponentResource):
    """The public side of an environment, all under one domain."""

    def __init__(self, name: str, args: EdgesArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:Edges", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        dns = args.dns
        self._api, self._argocd, self._cdn = (
            f"{label}.{dns.domain}" for label in (dns.api, dns.argocd, dns.cdn)
        )
        zone = PublicZone(
            "public-zone", PublicZoneArgs(args.settings.name, dns), self._child
        ).outputs
        records = AliasRecords(
            "names",
            AliasRecordsArgs(
                zone_id=zone.zone_id,
                aliases=[*self._balanced(zone.zone_id), self._served(zone.zone_id)],
            ),
            self._child,
        )
        self.outputs = EdgesOutputs(
            api_url=records.url(self._api),
            argocd_url=records.url(self._argocd),
            cdn_url=records.url(self._cdn),
            name_servers=zone.name_servers,
        )
        self.register_outputs({"name_servers": zone.name_servers})

    def _balanced(self, zone_id: pulumi.Output[str]) -> list[Alias]:
        """The names of the load balancer."""
        args, settings = self._args, self._args.settings
        certificate = Certificate(
            "public", CertificateArgs([self._api, self._argocd], zone_id), self._child
        )
        balancer = PublicLoadBalancer(
            "public",
            PublicLoadBalancerArgs(
                name=settings.name,
                vpc_id=args.network.vpc_id,
                subnets=list(args.network.public.values()),
                security_group=args.security_group,
                certificate_arn=certificate.outputs.arn,
                logs_bucket=args.storage.logs.id,
                targets=args.targets,
                api_host=self._api,
                ingress_node_port=settings.ingress.node_port,
                ingress_health_path=settings.ingress.health_path,
                argocd_host=self._argocd,
                argocd_node_port=settings.gitops.argocd.node_port,
                operator_cidrs=settings.access.operator_cidrs,
            ),
            self._child,
        ).outputs
        return [
            Alias(label, name, balancer.dns_name, balancer.zone_id)
            for label, name in (("public-api", self._api), ("argocd", self._argocd))
        ]

    def _served(self, zone_id: pulumi.Output[str]) -> Alias:
        """The name of the CDN over the assets."""
        args, settings = self._args, self._args.settings
        certificate = Certificate(
            "cdn", CertificateArgs([self._cdn], zone_id, CDN_REGION), self._child
        )
        assert args.storage.assets is not None  # made whenever there is a public side
        cdn = Cdn(
            "assets",
            CdnArgs(
                name=settings.name,
                bucket=args.storage.assets,
                logs_domain=args.storage.logs.domain_name,
                price_class=settings.cdn.price_class,
                root_object="index.html",
                own_name=OwnName(self._cdn, certificate.outputs.arn),
            ),
            self._child,
        ).outputs
        return Alias("cdn", self._cdn, cdn.domain_name, cdn.zone_id, ipv6=True)
