"""The pack under the real engine, run by the language host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.engine import Engine
from rehearsal.paths import Paths
from tests.rehearsal.moto_server import moto_server
from tests.rehearsal.plugins.project import Project, needs_engine

pytestmark = needs_engine

_PROGRAM = """
    import json
    import pulumi
    import pulumi_aws as aws

    config = pulumi.Config()
    services = ("acm", "cloudfront", "ec2", "elbv2", "iam", "kms", "route53", "s3", "sts")
    tags = {"Project": "shop", "Environment": "test", "ManagedBy": "pulumi"}
    provider = aws.Provider(
        "aws",
        region="eu-west-1",
        access_key="test",
        secret_key="test",
        endpoints=[aws.ProviderEndpointArgs(**{s: config.require("aws") for s in services})],
        default_tags=aws.ProviderDefaultTagsArgs(tags=tags),
        skip_credentials_validation=True,
        skip_requesting_account_id=True,
        skip_metadata_api_check=True,
    )
    opts = pulumi.ResourceOptions(provider=provider)

    def trust(principal, sid):
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        return json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": sid, **statement}]})

    principal = json.loads(config.require("principal"))
    address = aws.ec2.Eip("one", domain="vpc", opts=opts)
    aws.iam.Role(
        "later",
        name="shop-later",
        # an address that a preview cannot know makes the whole document unknown
        assume_role_policy=address.public_ip.apply(lambda ip: trust(principal, ip[:3])),
        opts=opts,
    )
    if config.get_bool("careless"):
        aws.iam.Role("now", name="now", assume_role_policy=trust({"AWS": "*"}, "a"), opts=opts)
        aws.ec2.Vpc("main", cidr_block="10.0.0.0/16", opts=opts)
"""
_EC2, _ANYBODY = '{"Service": "ec2.amazonaws.com"}', '{"AWS": "*"}'


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def project(cloud: str, tmp_path: Path) -> Project:
    project = Project(tmp_path / "project", _PROGRAM)
    pack = "PULUMI_OPTION_POLICY_PACK"  # turned on as the rehearsal turns it on
    project.variables[pack] = Engine(Paths()).environment()[pack]
    project.pulumi("config", "set", "aws", cloud)
    project.pulumi("config", "set", "principal", _EC2)
    return project


def test_what_breaks_a_rule_fails_the_preview(project: Project) -> None:
    project.pulumi("config", "set", "careless", "true")
    status, output = project.run("preview")
    assert status != 0
    said = " ".join(output.split())
    for rule, resource, message in (
        ("no-public-principal", "aws:iam:Role: now", "name the principals"),
        ("named-after-project", "aws:iam:Role: now", "begin its name with 'shop-'"),
        ("flow-logs", "aws:ec2:Vpc: main", "Vpc 'main' has no flow log: set network.flow_logs"),
    ):
        assert f"[mandatory] {rule} ({resource})" in said, output
        assert message in said
    assert "later" not in output.split("Policies:")[1].split("Diagnostics:")[0]


def test_what_keeps_them_passes_and_what_is_unknown_is_checked_in_the_update(
    project: Project,
) -> None:
    assert "✅ groundwork@v" in project.pulumi("preview")
    project.pulumi("config", "set", "principal", _ANYBODY)
    assert "✅ groundwork@v" in project.pulumi("preview")
    status, output = project.run("up", "--yes", "--skip-preview")
    assert status != 0
    assert "[mandatory]  no-public-principal  (aws:iam:Role: later)" in output
    assert "shop-later" not in project.pulumi("stack", "export")

    project.pulumi("config", "set", "principal", _EC2)
    project.up()
    assert "shop-later" in project.pulumi("stack", "export")
