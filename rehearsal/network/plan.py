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
class Permission:
    """What one rule of a security group lets pass.

    peer: a CIDR, or the id of a security group. protocol: IP's number; None for all.
    first, last: ports of TCP and UDP, both inclusive; ICMP's type and code, -1 for all of them;
    without a meaning for other protocols.
    """

    peer: IPv4Network | str
    protocol: int | None = None
    first: int = -1
    last: int = -1


@dataclass(frozen=True)
class SecurityGroup:
    """What new connections its members may be asked for (ingress), and may ask for (egress)."""

    id: str
    ingress: tuple[Permission, ...] = ()
    egress: tuple[Permission, ...] = ()


@dataclass(frozen=True)
class Host:
    """A network interface that is up.

    source_dest_check: whether packets from other addresses than its own are dropped.
    security_groups: ids; what any of them lets pass passes, and without one nothing does.
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
    security_groups: tuple[SecurityGroup, ...] = ()

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
