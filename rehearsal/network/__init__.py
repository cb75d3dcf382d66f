"""The rehearsal's network: the internet, the VPC's router, and a link for every host."""

from rehearsal.network.layout import Layout, link_name
from rehearsal.network.namespaces import attach_host, create, destroy, detach_host, inhabited
from rehearsal.network.plan import (
    DefaultRoute,
    Host,
    NatGateway,
    Permission,
    Plan,
    PublicAddress,
    SecurityGroup,
    Subnet,
)
from rehearsal.network.refusals import Refusal, refused
from rehearsal.network.router import apply
from rehearsal.network.ruleset import compile_ruleset

__all__ = [
    "DefaultRoute",
    "Host",
    "Layout",
    "NatGateway",
    "Permission",
    "Plan",
    "PublicAddress",
    "Refusal",
    "SecurityGroup",
    "Subnet",
    "apply",
    "attach_host",
    "compile_ruleset",
    "create",
    "destroy",
    "detach_host",
    "inhabited",
    "link_name",
    "refused",
]
