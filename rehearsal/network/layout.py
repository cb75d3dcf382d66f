"""Names and addresses that are the same for every plan."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

_SERVICES = IPv4Interface("198.51.100.1/24")
_ROUTER = IPv4Interface("198.51.100.2/24")


@dataclass(frozen=True)
class Layout:
    """Two layouts of different prefixes live side by side on one machine.

    prefix: starts the name of every namespace.
    services: address of the operator and of all services, in the internet namespace.
    router: the router's address on the same link.
    resolver_port: where the VPC's resolver really listens, on the services' address.
    vpc_mtu, internet_mtu: bytes; EC2's own, 9001 inside a VPC and 1500 beyond its gateway.
    """

    prefix: str = "gw-"
    services: IPv4Interface = _SERVICES
    router: IPv4Interface = _ROUTER
    resolver_port: int = 5353
    vpc_mtu: int = 9001
    internet_mtu: int = 1500

    @property
    def internet(self) -> str:
        """Namespace of the operator and of all services."""
        return f"{self.prefix}internet"

    @property
    def vpc(self) -> str:
        """Namespace of the VPC's router."""
        return f"{self.prefix}vpc"

    def host(self, instance_id: str) -> str:
        """Namespace of one host."""
        return f"{self.prefix}{instance_id}"


def link_name(private: IPv4Address) -> str:
    """The router's end of a host's link: "v" and the address in eight hex digits."""
    return f"v{int(private):08x}"
