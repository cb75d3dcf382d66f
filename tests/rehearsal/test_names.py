"""The two views of the names: pure, and asked over the wire from inside the namespaces."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from dnslib import EDNS0, QTYPE, RCODE, DNSRecord

from rehearsal import network
from rehearsal.names.route53 import Cache, read_known
from rehearsal.names.server import reply
from rehearsal.names.zones import Known, Record, View, Zone, mirror_zone
from rehearsal.network import Host, Layout, Plan, Subnet
from rehearsal.network.commands import inside
from rehearsal.network.ec2 import client
from tests.rehearsal.moto_server import moto_server
from tests.rehearsal.netns import python, until

MIRRORS = mirror_zone(IPv4Address("192.0.2.1"))
REGION = "eu-central-1"


def a(*values: str, alias: str | None = None) -> Record:
    return Record("A", 60, values, alias)


def cname(target: str) -> Record:
    return Record("CNAME", 60, (target,))


DISTRIBUTION = "d111111abcdef8.cloudfront.net"
PUBLIC = Zone(
    "example.com",
    {
        "www.example.com": [a("203.0.113.1", "203.0.113.2")],
        "weighted.example.com": [a("203.0.113.3"), a("203.0.113.4")],
        "example.com": [a(alias="www.example.com")],
        "lb.example.com": [a(alias="lb-1.eu-central-1.elb.amazonaws.com")],
        "cdn.example.com": [a(alias=DISTRIBUTION), Record("AAAA", alias=DISTRIBUTION)],
        "both.example.com": [a(alias=DISTRIBUTION), Record("TXT", 60, ('"x"',))],
        "twice.example.com": [a(alias="example.com")],
        "star.example.com": [a(alias="x.apps.example.com")],
        "lost.example.com": [a(alias="none.example.com")],
        "to-lb.example.com": [cname("lb.example.com")],
        "short.example.com": [cname("www.example.com.")],
        "away.example.com": [cname("api.cluster.internal")],
        "dead.example.com": [cname("nothing.example.com")],
        "mirror.example.com": [cname("git.rehearsal.test")],
        "loop.example.com": [cname("loop.example.com")],
        "round.example.com": [a(alias="round.example.com")],
        "text.example.com": [Record("TXT", 60, ('"v=spf1 -all" "two"', '"other"'))],
        "mail.example.com": [Record("MX", 60, ("10 www.example.com",))],
        "*.apps.example.com": [a("203.0.113.9")],
        "deep.one.apps.example.com": [a("203.0.113.10")],
    },
)
PRIVATE = Zone(
    "cluster.internal",
    {
        "api.cluster.internal": [a("10.9.1.5")],
        "balanced.cluster.internal": [a(alias="nlb-1.eu-central-1.elb.amazonaws.com")],
    },
    private=True,
)
SPLIT = Zone("example.com", {"www.example.com": [a("10.9.0.5")]}, private=True)


class TestView:
    def ask(
        self, name: str, qtype: str = "A", vpc: bool = False, zones: tuple[Zone, ...] = (PUBLIC,)
    ) -> tuple[list[str], str, str | None]:
        known = Known((*zones, PRIVATE), IPv4Network("10.9.0.0/16"))
        answer = View(lambda: known, vpc, MIRRORS, REGION).answer(name, qtype)
        values = [f"{QTYPE[rr.rtype]} {rr.rdata}" for rr in answer.records]
        return values, RCODE[answer.rcode], answer.soa

    def test_all_addresses_of_a_name(self) -> None:
        both = ["A 203.0.113.1", "A 203.0.113.2"]
        assert self.ask("www.example.com") == (both, "NOERROR", None)
        weighted = ["A 203.0.113.3", "A 203.0.113.4"]
        assert self.ask("weighted.example.com") == (weighted, "NOERROR", None)

    def test_absent_type_and_absent_name(self) -> None:
        assert self.ask("www.example.com", "AAAA") == ([], "NOERROR", "example.com")
        assert self.ask("none.example.com") == ([], "NXDOMAIN", "example.com")
        assert self.ask("example.org") == ([], "NXDOMAIN", None)

    def test_a_name_that_only_has_names_below_it_exists(self) -> None:
        assert self.ask("one.apps.example.com") == ([], "NOERROR", "example.com")

    def test_cnames_are_followed(self) -> None:
        values, rcode, soa = self.ask("short.example.com")
        assert values == ["CNAME www.example.com.", "A 203.0.113.1", "A 203.0.113.2"]
        assert (rcode, soa) == ("NOERROR", None)
        assert self.ask("short.example.com", "CNAME")[0] == ["CNAME www.example.com."]
        assert self.ask("short.example.com", "AAAA")[2] == "example.com"
        assert self.ask("dead.example.com")[:2] == (["CNAME nothing.example.com."], "NXDOMAIN")
        assert self.ask("loop.example.com")[1] == "SERVFAIL"
        assert self.ask("mirror.example.com")[0][-1] == "A 192.0.2.1"

    def test_cname_into_a_private_zone_ends_there_only_in_the_vpc(self) -> None:
        assert self.ask("away.example.com", vpc=True)[0][-1] == "A 10.9.1.5"
        assert self.ask("away.example.com")[:2] == (["CNAME api.cluster.internal."], "NXDOMAIN")

    def test_alias_gives_the_targets_records_at_its_own_name(self) -> None:
        for name in ("example.com", "twice.example.com"):
            assert self.ask(name)[0] == ["A 203.0.113.1", "A 203.0.113.2"]
        assert self.ask("star.example.com")[0] == ["A 203.0.113.9"]
        assert self.ask("round.example.com")[0] == []

    def test_alias_of_what_has_no_address_here_is_a_name_without_one(self) -> None:
        for name in ("lb.example.com", "cdn.example.com", "lost.example.com"):
            for kind in ("A", "AAAA", "TXT"):
                for vpc in (False, True):
                    assert self.ask(name, kind, vpc) == ([], "NOERROR", "example.com")
        assert self.ask("both.example.com", "ANY")[0] == ['TXT "x"']
        assert self.ask("to-lb.example.com")[:2] == (["CNAME lb.example.com."], "NOERROR")
        assert self.ask("balanced.cluster.internal", vpc=True)[:2] == ([], "NOERROR")

    def test_text_and_mail(self) -> None:
        texts = self.ask("text.example.com", "TXT")[0]
        assert texts == ['TXT "v=spf1 -all","two"', 'TXT "other"']
        assert self.ask("mail.example.com", "MX")[0] == ["MX 10 www.example.com."]

    def test_start_of_authority(self) -> None:
        assert self.ask("example.com", "SOA")[0][0].startswith("SOA ns-2048.awsdns-64.com.")

    def test_wildcards(self) -> None:
        for name in ("x.apps.example.com", "x.y.apps.example.com"):
            assert self.ask(name)[0] == ["A 203.0.113.9"]
        assert self.ask("x.apps.example.com", "TXT") == ([], "NOERROR", "example.com")
        assert self.ask("x.one.apps.example.com")[1] == "NXDOMAIN"

    def test_private_zones_only_in_the_vpc(self) -> None:
        assert self.ask("api.cluster.internal", vpc=True)[0] == ["A 10.9.1.5"]
        assert self.ask("api.cluster.internal") == ([], "NXDOMAIN", None)

    def test_a_private_zone_hides_the_public_one_of_its_name(self) -> None:
        zones = (PUBLIC, SPLIT)
        assert self.ask("www.example.com", vpc=True, zones=zones)[0] == ["A 10.9.0.5"]
        assert self.ask("text.example.com", vpc=True, zones=zones)[1] == "NXDOMAIN"
        assert self.ask("www.example.com", zones=zones)[0][0] == "A 203.0.113.1"

    def test_the_most_specific_zone_answers(self) -> None:
        child = Zone("apps.example.com", {"x.apps.example.com": [a("203.0.113.77")]})
        zones = (child, PUBLIC)
        assert self.ask("x.apps.example.com", zones=zones)[0] == ["A 203.0.113.77"]
        assert self.ask("y.apps.example.com", zones=zones)[2] == "apps.example.com"

    def test_host_names_of_ec2_only_in_the_vpc_and_its_range(self) -> None:
        name = f"ip-10-9-1-5.{REGION}.compute.internal"
        assert self.ask(name, vpc=True)[0] == ["A 10.9.1.5"]
        assert self.ask(name, "AAAA", vpc=True) == ([], "NOERROR", None)
        assert self.ask(name)[1] == "NXDOMAIN"
        for wrong in ("ip-10-8-1-5", "ip-10-9-1-999", "ip-10-9-1"):
            assert self.ask(f"{wrong}.{REGION}.compute.internal", vpc=True)[1] == "NXDOMAIN"

    def test_mirrors_need_no_cloud(self) -> None:
        def away() -> Known | None:
            return None

        for vpc in (False, True):
            view = View(away, vpc, MIRRORS, REGION)
            assert str(view.answer("git.rehearsal.test", "A").records[0].rdata) == "192.0.2.1"
            assert view.answer("x.rehearsal.test", "A").rcode == RCODE.NXDOMAIN
            assert view.answer("www.example.com", "A").rcode == RCODE.SERVFAIL


class TestMessages:
    view = View(lambda: Known((PUBLIC,)), False, MIRRORS, REGION)

    def ask(self, question: DNSRecord, udp: bool = True) -> Any:
        answer = reply(self.view, question.pack(), udp)
        assert answer is not None
        return DNSRecord.parse(answer)

    def test_case_of_the_question_is_kept(self) -> None:
        answer = self.ask(DNSRecord.question("wWw.Example.com"))
        assert str(answer.q.qname) == "wWw.Example.com."
        assert {str(rr.rname) for rr in answer.rr} == {"wWw.Example.com."}

    def test_absent_name_comes_with_the_zones_soa(self) -> None:
        answer = self.ask(DNSRecord.question("none.example.com"))
        assert answer.header.rcode == RCODE.NXDOMAIN
        assert [(str(rr.rname), QTYPE[rr.rtype]) for rr in answer.auth] == [("example.com.", "SOA")]

    def test_alias_without_an_address_comes_with_the_zones_soa(self) -> None:
        answer = self.ask(DNSRecord.question("lb.example.com"))
        assert (answer.header.rcode, answer.rr) == (RCODE.NOERROR, [])
        assert [QTYPE[rr.rtype] for rr in answer.auth] == ["SOA"]

    def test_what_does_not_fit_is_truncated_unless_there_is_room(self) -> None:
        many = Zone("big.test", {"big.test": [a(*(f"203.0.113.{n}" for n in range(60)))]})
        view = View(lambda: Known((many,)), False, MIRRORS, REGION)
        question = DNSRecord.question("big.test")
        small = DNSRecord.parse(reply(view, question.pack(), True) or b"")
        assert small.header.tc and not small.rr
        assert len(DNSRecord.parse(reply(view, question.pack(), False) or b"").rr) == 60
        question.add_ar(EDNS0(udp_len=4096))
        assert len(DNSRecord.parse(reply(view, question.pack(), True) or b"").rr) == 60

    def test_garbage_and_other_requests(self) -> None:
        assert reply(self.view, b"\x00\x01nonsense", True) is None
        assert reply(self.view, self.ask(DNSRecord.question("example.com")).pack(), True) is None
        question = DNSRecord.question("example.com")
        question.header.opcode = 4
        assert self.ask(question).header.rcode == RCODE.NOTIMP
        question = DNSRecord.question("example.com", qclass="CH")
        assert self.ask(question).header.rcode == RCODE.REFUSED
        unknown = DNSRecord.parse(DNSRecord.question("www.example.com").pack())
        unknown.questions[0].qtype = 65500
        assert self.ask(unknown).header.rcode == RCODE.NOERROR

    def test_a_malformed_record_is_a_failure_not_a_silence(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        broken = Zone("b.test", {"b.test": [a("no address")]})
        view = View(lambda: Known((broken,)), False, MIRRORS, REGION)
        answer = DNSRecord.parse(reply(view, DNSRecord.question("b.test").pack(), True) or b"")
        assert answer.header.rcode == RCODE.SERVFAIL
        assert "b.test" in capsys.readouterr().err


class TestCache:
    def test_reads_once_in_its_time_and_keeps_the_last_while_the_cloud_is_away(self) -> None:
        outcomes: list[Known | Exception] = [
            EndpointConnectionError(endpoint_url="x"),
            Known((PUBLIC,)),
            EndpointConnectionError(endpoint_url="x"),
        ]

        def read() -> Known:
            outcome = outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        eager = Cache(read, age_s=0)
        assert [eager(), eager(), eager()] == [None, Known((PUBLIC,)), Known((PUBLIC,))]
        outcomes.append(Known((PRIVATE,)))
        lazy = Cache(read, age_s=60)
        assert lazy() == lazy() == Known((PRIVATE,))

    def test_what_is_not_rehearsed_is_said_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = [Known(problems=("one",)), Known(problems=("one", "two")), Known()]
        cache = Cache(lambda: found.pop(0), age_s=0)
        cache(), cache(), cache()
        assert capsys.readouterr().err == "names: one\nnames: two\n"


@pytest.fixture(scope="module")
def cloud() -> Iterator[tuple[Any, Any, Any]]:
    """Its EC2, Route 53 and ELB."""
    with moto_server() as endpoint:
        ec2, route53, elb = (client(s, endpoint, REGION) for s in ("ec2", "route53", "elbv2"))
        yield ec2, route53, elb


class TestReading:
    def test_zones_records_and_the_vpcs_attributes(self, cloud: tuple[Any, Any, Any]) -> None:
        ec2, route53, elb = cloud
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        default = next(v["VpcId"] for v in ec2.describe_vpcs()["Vpcs"] if v["IsDefault"])

        def zone(name: str, **more: Any) -> str:
            made = route53.create_hosted_zone(Name=name, CallerReference=name, **more)
            return str(made["HostedZone"]["Id"])

        def associated(vpc_id: str) -> dict[str, Any]:
            return {
                "VPC": {"VPCRegion": REGION, "VPCId": vpc_id},
                "HostedZoneConfig": {"PrivateZone": True},
            }

        def add(zone_id: str, name: str, **record: Any) -> None:
            change = {"Action": "CREATE", "ResourceRecordSet": {"Name": name, **record}}
            route53.change_resource_record_sets(
                HostedZoneId=zone_id, ChangeBatch={"Changes": [change]}
            )

        public = zone("example.com")
        private = zone("cluster.internal", **associated(vpc))
        zone("elsewhere.internal", **associated(default))
        value = [{"Value": "10.9.1.5"}]
        add(private, "api.cluster.internal", Type="A", TTL=30, ResourceRecords=value)
        add(public, "*.example.com", Type="A", TTL=30, ResourceRecords=value)
        target = {"HostedZoneId": "Z", "DNSName": "x.example.com.", "EvaluateTargetHealth": False}
        add(public, "example.com", Type="A", AliasTarget=target)

        def origins() -> set[str]:
            return {zone.origin for zone in read_known(ec2, route53, elb).zones}

        assert origins() == {"example.com"}  # host names are off in a new VPC
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        assert origins() == {"example.com", "cluster.internal"}
        known = read_known(ec2, route53, elb)
        assert known.vpc == IPv4Network("10.9.0.0/16")
        view = View(lambda: known, True, MIRRORS, REGION)
        for name in ("api.cluster.internal", "any.example.com", "example.com"):
            assert [str(rr.rdata) for rr in view.answer(name, "A").records] == ["10.9.1.5"]


LAYOUT = Layout(
    prefix="tnd-",
    services=IPv4Interface("192.0.2.1/24"),
    router=IPv4Interface("192.0.2.2/24"),
    resolver_port=5354,
)
_FILL = """
import sys
from rehearsal.network.commands import inside
from rehearsal.network.ec2 import client
ec2, route53 = (client(service, sys.argv[1], sys.argv[2]) for service in ("ec2", "route53"))
vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
private = {"VPC": {"VPCRegion": sys.argv[2], "VPCId": vpc}}
private["HostedZoneConfig"] = {"PrivateZone": True}
for origin, more in (("example.com", {}), ("cluster.internal", private)):
    zone = route53.create_hosted_zone(Name=origin, CallerReference=origin, **more)["HostedZone"]
    record = {"Name": f"api.{origin}", "Type": "A", "TTL": 5}
    record["ResourceRecords"] = [{"Value": "10.9.0.9"}]
    change = {"Action": "CREATE", "ResourceRecordSet": record}
    route53.change_resource_record_sets(HostedZoneId=zone["Id"], ChangeBatch={"Changes": [change]})
"""
_ASK = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from dnslib import DNSRecord
name, server, tcp = sys.argv[2:]
answer = DNSRecord.parse(
    DNSRecord.question(name).send(server, 53, tcp=tcp == "tcp", timeout=5))
print(json.dumps([answer.header.rcode, [str(rr.rdata) for rr in answer.rr]]))
"""


def resolve(namespace: str, server: str, name: str, kind: str) -> Any:
    paths = json.dumps([path for path in sys.path if path])
    done = subprocess.run(
        python(namespace, "-c", _ASK, paths, name, server, kind),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture
def wired() -> Iterator[Layout]:
    host, subnet = IPv4Address("10.9.0.5"), IPv4Network("10.9.0.0/24")
    plan = Plan(IPv4Network("10.9.0.0/16"), (Subnet(subnet),), (Host(host, subnet),))
    try:
        network.create(LAYOUT)
        network.attach_host(LAYOUT, "i-0a", host, subnet)
        network.apply(LAYOUT, plan)
        yield LAYOUT
    finally:
        network.destroy(LAYOUT)


@contextlib.contextmanager
def running(layout: Layout, ready: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            *("nsenter", f"--net=/run/netns/{layout.internet}"),
            *(sys.executable, "-m", "rehearsal.names", "--listen", "192.0.2.1"),
            *("--endpoint", "http://192.0.2.1:5000", "--region", REGION),
            *("--vpc-port", "5354", "--ready", str(ready)),
        ]
    )
    try:
        until(ready.exists)
        yield process
    finally:
        process.kill()
        process.wait()


class TestServer:
    def test_two_views_of_a_cloud_that_comes_and_goes(self, wired: Layout, tmp_path: Path) -> None:
        internet = (wired.internet, "192.0.2.1")
        host = (wired.host("i-0a"), "10.9.0.2")
        ready = tmp_path / "ready"
        with running(wired, ready) as process:
            for kind in ("udp", "tcp"):
                for asker in (internet, host):
                    assert resolve(*asker, "git.rehearsal.test", kind) == [0, ["192.0.2.1"]]
                    # it knows nothing yet, which is no proof that the name is absent
                    assert resolve(*asker, "api.example.com", kind) == [RCODE.SERVFAIL, []]
            with moto_server(wired.internet, "192.0.2.1", 5000) as endpoint:
                inside(wired.internet, sys.executable, "-c", _FILL, endpoint, REGION)
                until(lambda: resolve(*internet, "api.example.com", "udp") == [0, ["10.9.0.9"]])
                for kind in ("udp", "tcp"):
                    assert resolve(*host, "api.cluster.internal", kind) == [0, ["10.9.0.9"]]
                    assert resolve(*internet, "api.cluster.internal", kind) == [3, []]
            assert resolve(*host, "api.cluster.internal", "udp") == [0, ["10.9.0.9"]]
            process.terminate()
            assert process.wait(10) == 0
            assert not ready.exists()
