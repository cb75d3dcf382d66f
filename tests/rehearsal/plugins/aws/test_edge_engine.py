"""The edge types under the real engine: a public name, its certificates, load balancer and CDN."""

from __future__ import annotations

import json
from pathlib import Path

from tests.rehearsal.plugins.aws.conftest import Aws
from tests.rehearsal.plugins.project import Project, needs_engine

_PROGRAM = """
    import json
    import os

    import pulumi
    import pulumi_aws as aws

    provider = aws.Provider("aws", **json.loads(os.environ["TEST_AWS"]))
    opts = pulumi.ResourceOptions(provider=provider)
    domain = "example.org"


    def certificate(label, region=None):
        made = aws.acm.Certificate(
            label,
            domain_name=f"{label}.{domain}",
            validation_method="DNS",
            region=region,
            opts=opts,
        )
        asked = made.domain_validation_options.apply(lambda options: options[0])
        record = aws.route53.Record(
            f"validate-{label}",
            zone_id=zone.zone_id,
            name=asked.resource_record_name,
            type=asked.resource_record_type,
            records=[asked.resource_record_value],
            ttl=300,
            opts=opts,
        )
        return aws.acm.CertificateValidation(
            label,
            certificate_arn=made.arn,
            validation_record_fqdns=[record.fqdn],
            region=region,
            opts=opts,
        ).certificate_arn


    def alias(label, target, zone_id):
        aws.route53.Record(
            label,
            zone_id=zone.zone_id,
            name=f"{label}.{domain}",
            type="A",
            aliases=[
                aws.route53.RecordAliasArgs(
                    name=target, zone_id=zone_id, evaluate_target_health=False
                )
            ],
            opts=opts,
        )


    zone = aws.route53.Zone("public", name=domain, opts=opts)
    found = aws.route53.get_zone_output(
        zone_id=zone.zone_id, opts=pulumi.InvokeOutputOptions(provider=provider)
    )
    vpc = aws.ec2.Vpc("main", cidr_block="10.0.0.0/16", opts=opts)
    gateway = aws.ec2.InternetGateway("main", vpc_id=vpc.id, opts=opts)
    subnets = [
        aws.ec2.Subnet(
            zone,
            vpc_id=gateway.vpc_id,
            cidr_block=f"10.0.{index}.0/24",
            availability_zone=f"eu-west-1{zone}",
            opts=opts,
        )
        for index, zone in enumerate("ab")
    ]
    balancer = aws.lb.LoadBalancer("alb", subnets=[subnet.id for subnet in subnets], opts=opts)
    group = aws.lb.TargetGroup(
        "ingress",
        port=int(os.environ["TEST_PORT"]),
        protocol="HTTP",
        vpc_id=vpc.id,
        health_check=aws.lb.TargetGroupHealthCheckArgs(path="/healthz", matcher="200"),
        opts=opts,
    )
    listener = aws.lb.Listener(
        "https",
        load_balancer_arn=balancer.arn,
        port=443,
        protocol="HTTPS",
        ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        certificate_arn=certificate("api"),
        default_actions=[
            aws.lb.ListenerDefaultActionArgs(
                type="fixed-response",
                fixed_response=aws.lb.ListenerDefaultActionFixedResponseArgs(
                    content_type="text/plain", status_code="404"
                ),
            )
        ],
        opts=opts,
    )
    aws.lb.ListenerRule(
        "ingress",
        listener_arn=listener.arn,
        priority=10,
        conditions=[
            aws.lb.ListenerRuleConditionArgs(
                host_header=aws.lb.ListenerRuleConditionHostHeaderArgs(values=[f"api.{domain}"])
            )
        ],
        actions=[aws.lb.ListenerRuleActionArgs(type="forward", target_group_arn=group.arn)],
        opts=opts,
    )
    control = aws.cloudfront.OriginAccessControl(
        "assets",
        origin_access_control_origin_type="s3",
        signing_behavior="always",
        signing_protocol="sigv4",
        opts=opts,
    )
    cdn = aws.cloudfront.Distribution(
        "assets",
        enabled=True,
        aliases=[f"cdn.{domain}"],
        origins=[
            aws.cloudfront.DistributionOriginArgs(
                origin_id="bucket",
                domain_name="assets.s3.eu-west-1.amazonaws.com",
                origin_access_control_id=control.id,
            )
        ],
        default_cache_behavior=aws.cloudfront.DistributionDefaultCacheBehaviorArgs(
            target_origin_id="bucket",
            viewer_protocol_policy="redirect-to-https",
            allowed_methods=["GET", "HEAD"],
            cached_methods=["GET", "HEAD"],
            cache_policy_id="658327ea-f89d-4fab-a63d-7e88639e58f6",
        ),
        restrictions=aws.cloudfront.DistributionRestrictionsArgs(
            geo_restriction=aws.cloudfront.DistributionRestrictionsGeoRestrictionArgs(
                restriction_type="none"
            )
        ),
        viewer_certificate=aws.cloudfront.DistributionViewerCertificateArgs(
            acm_certificate_arn=certificate("cdn", "us-east-1"),
            minimum_protocol_version="TLSv1.2_2021",
            ssl_support_method="sni-only",
        ),
        opts=opts,
    )
    alias("api", balancer.dns_name, balancer.zone_id)
    alias("cdn", cdn.domain_name, cdn.hosted_zone_id)
    pulumi.export("found", found.name)
"""
_COUNT = 21  # resources, the provider and the stack among them


@needs_engine
def test_edge_from_nothing_to_nothing(aws: Aws, tmp_path: Path) -> None:
    arguments = {
        "region": "eu-west-1",
        "access_key": "test",
        "secret_key": "test",
        "endpoints": json.loads(aws.arguments["endpoints"]),
        "skip_credentials_validation": True,
        "skip_requesting_account_id": True,
    }
    variables = {"TEST_AWS": json.dumps(arguments), "TEST_PORT": "30080"}
    project = Project(tmp_path / "project", _PROGRAM, variables=variables)
    assert {step["op"] for step in project.preview()} == {"create"}
    assert project.up() == {"create": _COUNT}
    assert project.outputs() == {"found": "example.org"}
    assert project.up("--refresh") == {"same": _COUNT}
    project.variables["TEST_PORT"] = "30090"
    changes = {step["urn"].split("::")[-1]: step["op"] for step in project.preview()}
    assert {name for name, op in changes.items() if op != "same"} == {"ingress"}
    assert project.up() == {"same": _COUNT - 2, "replace": 1, "update": 1}
    assert project.destroy() == {"delete": _COUNT}
    left = aws.client("cloudfront").list_distributions()["DistributionList"].get("Items", [])
    assert not [each for each in left if each["Aliases"].get("Items") == ["cdn.example.org"]]
