"""The rehearsal's network: the internet, the VPC's router, and a link for every host."""

from rehearsal.network.layout import Layout
from rehearsal.network.namespaces import attach_host, create, destroy, detach_host
from rehearsal.network.plan import (
    DefaultRoute,
    Host,
    NatGateway,
    Plan,
    PublicAddress,
    Subnet,
)
from rehearsal.network.router import apply
from rehearsal.network.ruleset import compile_ruleset, link_name

__all__ = [
    "DefaultRoute",
    "Host",
    "Layout",
    "NatGateway",
    "Plan",
    "PublicAddress",
    "Subnet",
    "apply",
    "attach_host",
    "compile_ruleset",
    "create",
    "destroy",
    "detach_host",
    "link_name",
]
