"""Zones, and the two views of them. Pure, but for asking what is known now."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from dnslib import QTYPE, RCODE, RR

MIRROR_ZONE = "rehearsal.test"
MIRRORS = ("packages", "registry", "charts", "git", "aws")
TTL_S = 60
# Route 53's own: a name that was asked for too early is remembered as absent for 15 minutes.
_SOA = "ns-2048.awsdns-64.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
_SOA_TTL_S = 900
_MOST_ALIASES = 8


@dataclass(frozen=True)
class Record:
    """values: rdata in presentation format; alias: a name whose records of this type are meant."""

    type: str
    ttl: int = TTL_S
    values: tuple[str, ...] = ()
    alias: str | None = None


@dataclass(frozen=True)
class Zone:
    """Names are lower-case, without the final dot. `private`: answered in the VPC alone."""

    origin: str
    records: Mapping[str, Sequence[Record]]
    private: bool = False
    _inner: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        inner = {parent for name in self.records for parent in _and_parents(name)}
        object.__setattr__(self, "_inner", frozenset(inner | {self.origin}))

    def holds(self, name: str) -> bool:
        """Whether the name is the zone's to answer."""
        return name == self.origin or name.endswith(f".{self.origin}")

    def find(self, name: str) -> Sequence[Record] | None:
        """The name's records, or its wildcard's; None when the name doesn't exist."""
        if name in self._inner:
            return self.records.get(name, ())
        for parent in _and_parents(name.partition(".")[2]):
            wildcard = self.records.get(f"*.{parent}")
            if wildcard is not None:
                return wildcard
            if parent in self._inner:  # the closest that exists decides
                return None
        return None


@dataclass(frozen=True)
class Known:
    """What the cloud says: all public zones, and of the private ones those of the VPC.

    problems: one sentence for each thing that is not rehearsed.
    """

    zones: tuple[Zone, ...] = ()
    vpc: IPv4Network | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """rcode: as in DNS. soa: origin of the zone that says a name or type is absent."""

    records: tuple[RR, ...]
    rcode: int
    soa: str | None = None


class View:
    """Answers questions from what is known; SERVFAIL while that is None.

    vpc: the VPC's view, not the internet's.
    """

    def __init__(
        self, known: Callable[[], Known | None], vpc: bool, mirrors: Zone, region: str
    ) -> None:
        self._known, self._vpc, self._mirrors = known, vpc, mirrors
        domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
        self._host_name = re.compile(rf"ip-(\d+)-(\d+)-(\d+)-(\d+)\.{re.escape(domain)}")

    def answer(self, name: str, qtype: str) -> Answer:
        """Records of a type, over CNAMEs as a resolver follows them."""
        if self._mirrors.holds(name):
            return self._follow(Known((self._mirrors,)), name, qtype)
        known = self._known()
        if known is None:
            return Answer((), RCODE.SERVFAIL)
        everything = Known((*known.zones, self._mirrors), known.vpc)
        return self._follow(everything, name, qtype)

    def _follow(self, known: Known, name: str, qtype: str, most: int = _MOST_ALIASES) -> Answer:
        found: list[RR] = []
        for hop in range(most):
            zone = self._zone(known, name)
            if zone is None:
                host = self._host(known, name)
                if host is None:
                    return Answer(tuple(found), RCODE.NXDOMAIN)
                return Answer((*found, *host) if qtype in ("A", "ANY") else tuple(found), 0)
            records = zone.find(name)
            if records is None:
                return Answer(tuple(found), RCODE.NXDOMAIN, zone.origin)
            cname = next((record for record in records if record.type == "CNAME"), None)
            if cname is None or qtype in ("CNAME", "ANY"):
                last = self._of_type(known, zone, name, records, qtype, most - hop - 1)
                return Answer((*found, *last), RCODE.NOERROR, None if last else zone.origin)
            found += _resource_records(name, cname)
            name = plain(cname.alias or cname.values[0])
        return Answer((), RCODE.SERVFAIL)

    def _of_type(
        self,
        known: Known,
        zone: Zone,
        name: str,
        records: Iterable[Record],
        qtype: str,
        most: int,
    ) -> list[RR]:
        if qtype in ("SOA", "ANY") and name == zone.origin:
            return [soa_record(zone.origin)]
        found: list[RR] = []
        for record in records:
            if record.type == qtype or qtype == "ANY":
                if record.alias is None:
                    found += _resource_records(name, record)
                else:
                    target = self._follow(known, record.alias, record.type, most)
                    found += [renamed(rr, name) for rr in target.records if _is(rr, record.type)]
        return found

    def _zone(self, known: Known, name: str) -> Zone | None:
        """The most specific zone; in the VPC any private one comes before all public ones."""
        fitting = [
            zone for zone in known.zones if zone.holds(name) and (self._vpc or not zone.private)
        ]
        return max(fitting, key=lambda zone: (zone.private, len(zone.origin)), default=None)

    def _host(self, known: Known, name: str) -> list[RR] | None:
        """EC2's own name of a private address."""
        match = self._host_name.fullmatch(name) if self._vpc and known.vpc else None
        if match is None or known.vpc is None:
            return None
        try:
            address = IPv4Address(".".join(match.groups()))
        except ValueError:
            return None
        if address not in known.vpc:
            return None
        return _resource_records(name, Record("A", values=(str(address),)))


def mirror_zone(address: IPv4Address) -> Zone:
    """The names of the rehearsal's own mirrors, all at one address."""
    record = Record("A", values=(str(address),))
    return Zone(MIRROR_ZONE, {f"{mirror}.{MIRROR_ZONE}": (record,) for mirror in MIRRORS})


def _and_parents(name: str) -> Iterable[str]:
    while name:
        yield name
        name = name.partition(".")[2]


def plain(name: str) -> str:
    """Lower-case, no final dot; Route 53 may spell the asterisk as an octal escape."""
    return name.rstrip(".").lower().replace("\\052", "*")


def _is(rr: RR, qtype: str) -> bool:
    return bool(rr.rtype == QTYPE.reverse.get(qtype))


def _resource_records(name: str, record: Record) -> list[RR]:
    values = record.values or ((record.alias,) if record.alias else ())
    text = "\n".join(f". {record.ttl} IN {record.type} {value}" for value in values)
    return [renamed(rr, name) for rr in RR.fromZone(text)]


def renamed(rr: RR, name: str) -> RR:
    """The same record at another name."""
    return RR(name, rr.rtype, rr.rclass, rr.ttl, rr.rdata)


def soa_record(origin: str) -> RR:
    """The start of authority of a zone."""
    return RR.fromZone(f"{origin}. {_SOA_TTL_S} IN SOA {_SOA}")[0]
