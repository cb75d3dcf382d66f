"""What the internet reaches: names, certificates, the CDN and the load balancers."""

from __future__ import annotations

from ipaddress import IPv4Network
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from infra.buckets import BucketOutputs
from infra.cdn import Cdn, CdnArgs, OwnName
from infra.certificates import CDN_REGION, Certificate, CertificateArgs
from infra.dns import Alias, AliasRecords, AliasRecordsArgs, PublicZone, PublicZoneArgs, _checked
from infra.load_balancers import (
    CIDRS_PER_RULE,
    ApiLoadBalancer,
    ApiLoadBalancerArgs,
    PublicLoadBalancer,
    PublicLoadBalancerArgs,
    source_groups,
)
from infra.network import Subnet
from settings.models import PublicDns
from tests.infra.component import given, run, statements
from tests.program import Run

LISTENER, RULE = "aws:lb/listener:Listener", "aws:lb/listenerRule:ListenerRule"
GROUP = "aws:lb/targetGroup:TargetGroup"
ATTACHMENT = "aws:lb/targetGroupAttachment:TargetGroupAttachment"
OPERATORS = tuple(IPv4Network(f"203.0.113.{host}/32") for host in range(7))
OPTS = pulumi.ResourceOptions


def _subnets(*names: str) -> list[Subnet]:
    return [
        Subnet(id=pulumi.Output.from_input(name), routed=pulumi.Output.from_input("routed"))
        for name in names
    ]


def edges() -> None:
    dns = PublicDns(domain="example.com")
    zone = PublicZone("public-zone", PublicZoneArgs("prod", dns), OPTS()).outputs
    certificate = Certificate(
        "edge",
        CertificateArgs(("api.example.com", "argocd.example.com"), zone.zone_id),
        OPTS(),
    ).outputs
    for_cdn = Certificate(
        "cdn", CertificateArgs(("cdn.example.com",), zone.zone_id, CDN_REGION), OPTS()
    ).outputs
    bucket = BucketOutputs(
        id=pulumi.Output.from_input("assets-id"),
        arn=pulumi.Output.from_input("arn:aws:s3:::assets"),
        domain_name=pulumi.Output.from_input("assets.s3.amazonaws.com"),
        regional_domain_name=pulumi.Output.from_input("assets.s3.ap-northeast-2.amazonaws.com"),
    )
    cdn = Cdn(
        "cdn",
        CdnArgs(
            name="prod",
            bucket=bucket,
            logs_domain="logs.s3.amazonaws.com",
            price_class="PriceClass_200",
            root_object="index.html",
            own_name=OwnName("cdn.example.com", for_cdn.arn),
        ),
        OPTS(),
    ).outputs
    balancer = PublicLoadBalancer(
        "public-load-balancer",
        PublicLoadBalancerArgs(
            name="prod",
            vpc_id="vpc-1",
            subnets=_subnets("subnet-a", "subnet-b"),
            security_group="sg-public",
            certificate_arn=certificate.arn,
            logs_bucket="logs-id",
            targets={"k8s-api-auth": "i-1", "k8s-api-my": "i-2"},
            api_host="api.example.com",
            ingress_node_port=30080,
            ingress_health_path="/healthz",
            argocd_host="argocd.example.com",
            argocd_node_port=30443,
            operator_cidrs=OPERATORS,
        ),
        OPTS(),
    ).outputs
    AliasRecords(
        "public-names",
        AliasRecordsArgs(
            zone.zone_id,
            (
                Alias("public-api", "api.example.com", balancer.dns_name, balancer.zone_id),
                Alias("public-cdn", "cdn.example.com", cdn.domain_name, cdn.zone_id, ipv6=True),
            ),
        ),
        OPTS(),
    )
    ApiLoadBalancer(
        "api-load-balancer",
        ApiLoadBalancerArgs(
            name="prod",
            vpc_id="vpc-1",
            subnets=_subnets("subnet-c", "subnet-d"),
            security_group="sg-api",
            control_planes={"k8s-master": "i-3", "k8s-master-2": "i-4"},
        ),
        OPTS(),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("edges"), edges)


def host(rule: dict[str, Any]) -> list[str]:
    (values,) = [c["hostHeader"]["values"] for c in rule["conditions"] if "hostHeader" in c]
    return list(values)


def sources(rule: dict[str, Any]) -> list[str]:
    found = [c["sourceIp"]["values"] for c in rule["conditions"] if "sourceIp" in c]
    return [value for values in found for value in values]


# --- names


def test_a_zone_is_made_for_the_domain(made: Run) -> None:
    assert made.one("aws:route53/zone:Zone").inputs["name"] == "example.com"


@pytest.mark.parametrize(
    ("name", "private", "reason"),
    [
        ("example.com", False, None),
        ("example.com.", False, None),
        ("com", False, None),
        ("ample.com", False, "zone of ample.com, which does not hold example.com"),
        ("example.org", False, "does not hold example.com"),
        ("example.com", True, "is private"),
    ],
)
def test_a_zone_of_the_settings_must_hold_the_domain(
    name: str, private: bool, reason: str | None
) -> None:
    dns = PublicDns(domain="example.com", zone_id="Z1")
    zone = cast(Any, SimpleNamespace(name=name, private_zone=private, zone_id="Z1"))
    if reason is None:
        assert _checked(zone, dns) == "Z1"
    else:
        with pytest.raises(ValueError, match=reason):
            _checked(zone, dns)


def test_names_are_aliases_and_the_cdns_has_ipv6_too(made: Run) -> None:
    records = made.of("aws:route53/record:Record")
    aliases = {
        (each.inputs["name"], each.inputs["type"], each.inputs["aliases"][0]["name"])
        for each in records.values()
        if "aliases" in each.inputs
    }
    assert aliases == {
        ("api.example.com", "A", "prod-public.elb.ap-northeast-2.amazonaws.com"),
        ("cdn.example.com", "A", "d-cdn.cloudfront.net"),
        ("cdn.example.com", "AAAA", "d-cdn.cloudfront.net"),
    }


# --- certificates


def test_the_cdns_certificate_is_in_the_one_region_that_cloudfront_takes(made: Run) -> None:
    for kind in (
        "aws:acm/certificate:Certificate",
        "aws:acm/certificateValidation:CertificateValidation",
    ):
        regions = {name: each.inputs.get("region") for name, each in made.of(kind).items()}
        assert regions == {"cdn": "us-east-1", "edge": None}


def test_every_name_of_a_certificate_is_proved_by_its_own_record(made: Run) -> None:
    certificates = made.of("aws:acm/certificate:Certificate")
    records = made.of("aws:route53/record:Record")
    validations = made.of("aws:acm/certificateValidation:CertificateValidation")
    for name, domains in {
        "edge": ["api.example.com", "argocd.example.com"],
        "cdn": ["cdn.example.com"],
    }.items():
        inputs = certificates[name].inputs
        assert inputs["validationMethod"] == "DNS"
        assert [inputs["domainName"], *inputs.get("subjectAlternativeNames", ())] == domains
        for domain in domains:
            record = records[f"validate-{domain}"].inputs
            assert (record["name"], record["type"]) == (f"_proof.{domain}.", "CNAME")
            assert record["records"] == [f"_answer.{domain}."]
        proofs = validations[name].inputs["validationRecordFqdns"]
        assert proofs == [f"_proof.{domain}." for domain in domains]


def test_a_certificate_is_used_only_when_it_is_issued(made: Run) -> None:
    validations = made.of("aws:acm/certificateValidation:CertificateValidation")
    https = made.of(LISTENER)["https"]
    cdn = made.one("aws:cloudfront/distribution:Distribution")
    assert validations["edge"].urn in made.needs(https)
    assert validations["cdn"].urn in made.needs(cdn)


# --- CDN


def test_viewers_come_by_tls_1_2_to_the_cdns_own_name(made: Run) -> None:
    cdn = made.one("aws:cloudfront/distribution:Distribution").inputs
    assert cdn["aliases"] == ["cdn.example.com"]
    certificate = cdn["viewerCertificate"]
    assert certificate["minimumProtocolVersion"] == "TLSv1.2_2021"
    assert certificate["sslSupportMethod"] == "sni-only"
    assert ":us-east-1:" in certificate["acmCertificateArn"]
    behavior = cdn["defaultCacheBehavior"]
    assert behavior["viewerProtocolPolicy"] == "redirect-to-https"
    assert behavior["compress"] is True
    assert (cdn["httpVersion"], cdn["isIpv6Enabled"]) == ("http2and3", True)
    assert (cdn["defaultRootObject"], cdn["priceClass"]) == ("index.html", "PriceClass_200")
    assert cdn["loggingConfig"]["bucket"] == "logs.s3.amazonaws.com"


def test_the_cdn_signs_its_requests_and_it_alone_may_read(made: Run) -> None:
    access = made.one("aws:cloudfront/originAccessControl:OriginAccessControl")
    (origin,) = made.one("aws:cloudfront/distribution:Distribution").inputs["origins"]
    assert origin["originAccessControlId"] == "cdn-id"
    assert given(access, "name", "signingBehavior", "signingProtocol") == (
        "prod-cdn",
        "always",
        "sigv4",
    )
    policy = made.one("aws:s3/bucketPolicy:BucketPolicy").inputs
    assert policy["bucket"] == "assets-id"
    denied, allowed = statements(policy["policy"])
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert allowed == {
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::assets/*"],
        "Condition": {
            "StringEquals": {"aws:SourceArn": "arn:aws:cloudfront::123456789012:distribution/CDN"}
        },
    }


# --- the public load balancer


def test_the_public_load_balancer_is_logged_and_strict(made: Run) -> None:
    balancer = made.of("aws:lb/loadBalancer:LoadBalancer")["alb"]
    assert given(balancer, "loadBalancerType", "internal", "dropInvalidHeaderFields") == (
        "application",
        False,
        True,
    )
    assert balancer.inputs["subnets"] == ["subnet-a", "subnet-b"]
    assert balancer.inputs["securityGroups"] == ["sg-public"]
    assert balancer.inputs["accessLogs"] == {
        "bucket": "logs-id",
        "prefix": "alb",
        "enabled": True,
    }


def test_http_is_redirected_and_an_unknown_host_is_not_found(made: Run) -> None:
    http, https = made.of(LISTENER)["http"].inputs, made.of(LISTENER)["https"].inputs
    (redirect,) = http["defaultActions"]
    assert (http["port"], redirect["type"], redirect["redirect"]["protocol"]) == (
        80,
        "redirect",
        "HTTPS",
    )
    (default,) = https["defaultActions"]
    assert default["type"] == "fixed-response"
    assert default["fixedResponse"]["statusCode"] == "404"
    assert (https["port"], https["protocol"]) == (443, "HTTPS")
    assert https["sslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"


def test_each_host_has_its_own_rules(made: Run) -> None:
    rules = [each.inputs for each in made.of(RULE).values()]
    assert len({rule["priority"] for rule in rules}) == len(rules)
    groups: dict[str, set[str]] = {}
    for rule in rules:
        assert rule["listenerArn"].endswith("listener/https")
        (name,) = host(rule)
        (action,) = rule["actions"]
        assert action["type"] == "forward"
        groups.setdefault(name, set()).add(action["targetGroupArn"].rsplit("/", 1)[1])
    assert groups == {"api.example.com": {"ingress"}, "argocd.example.com": {"argocd"}}


def test_argocd_is_for_the_operators_alone(made: Run) -> None:
    rules = [each.inputs for each in made.of(RULE).values()]
    argocd = [rule for rule in rules if host(rule) == ["argocd.example.com"]]
    assert len(argocd) == 3
    for rule in argocd:
        assert sources(rule)
        assert len(host(rule)) + len(sources(rule)) <= 5
    assert sorted(cidr for rule in argocd for cidr in sources(rule)) == sorted(map(str, OPERATORS))
    (api,) = [rule for rule in rules if host(rule) == ["api.example.com"]]
    assert not sources(api)


def test_target_groups_are_the_node_ports_of_every_target(made: Run) -> None:
    groups = made.of(GROUP)
    assert given(groups["ingress"], "protocol", "port", "targetType") == ("HTTP", 30080, "instance")
    assert given(groups["argocd"], "protocol", "port", "targetType") == ("HTTPS", 30443, "instance")
    assert groups["ingress"].inputs["healthCheck"]["path"] == "/healthz"
    for name in ("ingress", "argocd"):
        group = groups[name].inputs
        assert group["healthCheck"]["protocol"] == group["protocol"]
        # AWS replaces a group for another port; two of one name cannot be
        assert group["name"] == f"prod-{name}-{int(group['port'])}"
        assert {
            each.inputs["targetId"]
            for each in made.of(ATTACHMENT).values()
            if each.inputs["targetGroupArn"].endswith(f"/{name}")
        } == {"i-1", "i-2"}


@pytest.mark.parametrize(
    ("count", "portions"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (7, [3, 3, 1])]
)
def test_operators_are_portioned_and_none_lets_nobody_in(count: int, portions: list[int]) -> None:
    cidrs = OPERATORS[:count]
    found = source_groups(cidrs)
    assert [len(each) for each in found] == portions
    assert [cidr for each in found for cidr in each] == [str(cidr) for cidr in cidrs]
    assert all(len(each) <= CIDRS_PER_RULE for each in found)


# --- the load balancer of the Kubernetes API


def test_the_api_has_a_load_balancer_inside_the_vpc(made: Run) -> None:
    balancer = made.of("aws:lb/loadBalancer:LoadBalancer")["nlb"]
    assert given(balancer, "loadBalancerType", "internal", "enableCrossZoneLoadBalancing") == (
        "network",
        True,
        True,
    )
    assert balancer.inputs["subnets"] == ["subnet-c", "subnet-d"]
    assert balancer.inputs["securityGroups"] == ["sg-api"]
    listener = made.of(LISTENER)["kube-api"]
    assert given(listener, "port", "protocol") == (6443, "TCP")


def test_a_control_plane_reaches_itself_through_it(made: Run) -> None:
    group = made.of(GROUP)["kube-api"]
    assert given(group, "protocol", "port", "preserveClientIp") == ("TCP", 6443, "false")
    check = group.inputs["healthCheck"]  # a port that is open says nothing of etcd
    assert (check["protocol"], check["path"]) == ("HTTPS", "/readyz")
    assert {
        each.inputs["targetId"]
        for each in made.of(ATTACHMENT).values()
        if each.inputs["targetGroupArn"].endswith("/kube-api")
    } == {"i-3", "i-4"}


def test_aws_takes_the_names_of_load_balancers_and_groups(made: Run) -> None:
    for kind in ("aws:lb/loadBalancer:LoadBalancer", GROUP):
        for each in made.of(kind).values():
            name = each.inputs["name"]
            assert name.startswith("prod-") and len(name) <= len("prod-") + 14
