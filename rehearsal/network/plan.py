"""What EC2 holds, as far as packets are concerned."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network


class DefaultRoute(Enum):
    """Where a subnet's route table sends 0.0.0.0/0."""

    NONE = "none"
    INTERNET_GATEWAY = "internet gateway"
    NAT_GATEWAY = "NAT gateway"


@dataclass(frozen=True)
class Subnet:
    """nat_gateway: id of the NAT gateway, when the default route is one."""

    cidr: IPv4Network
    default: DefaultRoute = DefaultRoute.NONE
    nat_gateway: str | None = None


@dataclass(frozen=True)
class Host:
    """A network interface that is up.

    source_dest_check: whether packets from other addresses than its own are dropped.
    security_groups: ids; nothing is enforced by them yet.
    """

    private: IPv4Address
    subnet: IPv4Network
    source_dest_check: bool = True
    security_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublicAddress:
    """A public address and the private one it stands for."""

    public: IPv4Address
    private: IPv4Address


@dataclass(frozen=True)
class NatGateway:
    """subnet: where it sits; it works only if that subnet is routed to an internet gateway."""

    id: str
    subnet: IPv4Network
    public: IPv4Address


@dataclass(frozen=True)
class Plan:
    """One VPC. Equal plans compile to equal rules."""

    vpc: IPv4Network
    subnets: tuple[Subnet, ...] = ()
    hosts: tuple[Host, ...] = ()
    public_addresses: tuple[PublicAddress, ...] = ()
    nat_gateways: tuple[NatGateway, ...] = ()

    @property
    def resolver(self) -> IPv4Address:
        """The VPC's resolver: the VPC's base address plus two."""
        return self.vpc.network_address + 2

    @property
    def routed(self) -> tuple[IPv4Address, ...]:
        """Public addresses that the internet knows the way to, sorted."""
        return tuple(
            sorted(
                {address.public for address in self.public_addresses}
                | {gateway.public for gateway in self.nat_gateways}
            )
        )
