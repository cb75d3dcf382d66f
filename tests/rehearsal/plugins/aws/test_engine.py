"""The stand-in under the real engine: a small program's whole life."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from rehearsal.paths import CHECKOUT, Paths
from tests.rehearsal.plugins.aws.conftest import Aws
from tests.rehearsal.plugins.harness import BIN

_PULUMI = Paths().tools / "bin" / "pulumi"
_PROGRAM = """
    import json
    import os
    import pulumi
    import pulumi_aws as aws

    config = pulumi.Config()
    url = os.environ["TEST_AWS_URL"]
    services = ("acm", "cloudfront", "ec2", "elbv2", "iam", "kms", "route53", "s3", "sts")
    provider = aws.Provider(
        "aws",
        region="eu-west-1",
        access_key="test",
        secret_key="test",
        endpoints=[aws.ProviderEndpointArgs(**{service: url for service in services})],
        default_tags=aws.ProviderDefaultTagsArgs(tags={"env": config.require("env")}),
        skip_credentials_validation=True,
        skip_requesting_account_id=True,
        skip_metadata_api_check=True,
    )
    opts = pulumi.ResourceOptions(provider=provider)
    image = aws.ec2.get_ami_output(
        owners=["136693071363"],
        filters=[{"name": "name", "values": ["debian-12-amd64-*"]}],
        most_recent=True,
        opts=pulumi.InvokeOutputOptions(provider=provider),
    )
    vpc = aws.ec2.Vpc("main", cidr_block="10.0.0.0/16", enable_dns_hostnames=True, opts=opts)
    gateway = aws.ec2.InternetGateway("main", vpc_id=vpc.id, opts=opts)
    subnet = aws.ec2.Subnet("a", vpc_id=vpc.id, cidr_block="10.0.1.0/24", opts=opts)
    table = aws.ec2.RouteTable("public", vpc_id=vpc.id, opts=opts)
    aws.ec2.Route(
        "out",
        route_table_id=table.id,
        destination_cidr_block="0.0.0.0/0",
        gateway_id=gateway.id,
        opts=opts,
    )
    aws.ec2.RouteTableAssociation("a", subnet_id=subnet.id, route_table_id=table.id, opts=opts)
    group = aws.ec2.SecurityGroup("nodes", vpc_id=vpc.id, opts=opts)
    aws.vpc.SecurityGroupIngressRule(
        "ssh",
        security_group_id=group.id,
        ip_protocol="tcp",
        from_port=22,
        to_port=22,
        cidr_ipv4="198.51.100.0/24",
        opts=opts,
    )
    nodes = {
        name: aws.ec2.Instance(
            name,
            ami=image.id,
            instance_type="t3.small",
            subnet_id=subnet.id,
            vpc_security_group_ids=[group.id],
            metadata_options=aws.ec2.InstanceMetadataOptionsArgs(http_tokens="required"),
            root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(volume_size=20),
            tags={"Name": name},
            opts=pulumi.ResourceOptions(provider=provider, ignore_changes=["ami"]),
        )
        for name in json.loads(config.require("nodes"))
    }
    address = aws.ec2.Eip("one", domain="vpc", opts=opts)
    aws.ec2.EipAssociation(
        "one", allocation_id=address.id, instance_id=nodes["one"].id, opts=opts
    )
    zone = aws.route53.Zone(
        "private",
        name="k8s.internal",
        vpcs=[aws.route53.ZoneVpcArgs(vpc_id=vpc.id)],
        opts=opts,
    )
    record = aws.route53.Record(
        "api",
        zone_id=zone.zone_id,
        name="api.k8s.internal",
        type="A",
        ttl=60,
        records=[nodes["one"].private_ip],
        opts=opts,
    )
    pulumi.export("address", address.public_ip)
    pulumi.export("fqdn", record.fqdn)
"""


class Stack:
    """A stack of the program above, in a folder of its own."""

    def __init__(self, folder: Path, aws: Aws) -> None:
        self.folder = folder
        (folder / "state").mkdir()
        (folder / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
        (folder / "__main__.py").write_text(dedent(_PROGRAM))
        self.environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(folder),
            "GROUNDWORK_PYTHON": sys.executable,
            "PYTHONPATH": str(CHECKOUT),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "TEST_AWS_URL": aws.url,
        }

    def run(self, *arguments: str) -> str:
        """The command's output; fails the test if the command does."""
        done = subprocess.run(
            [str(_PULUMI), *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        return done.stdout

    def steps(self) -> dict[str, str]:
        """What an `up` would do: resource name -> operation, without those that stay."""
        planned = json.loads(self.run("preview", "--json"))["steps"]
        return {
            f"{step['urn'].split('::')[2]}::{step['urn'].split('::')[3]}": step["op"]
            for step in planned
            if step["op"] not in ("same", "read")
        }

    def set(self, **values: Any) -> None:
        """Configuration values; what is no string travels as JSON."""
        for key, value in values.items():
            text = value if isinstance(value, str) else json.dumps(value)
            self.run("config", "set", key, text)


@pytest.mark.slow
@pytest.mark.skipif(not _PULUMI.exists(), reason="the rehearsal's pulumi is not built yet")
def test_a_program_lives(aws: Aws, tmp_path: Path) -> None:
    stack = Stack(tmp_path, aws)
    stack.run("stack", "init", "test")
    stack.set(env="a", nodes=["one", "two"])
    planned = stack.steps()
    assert set(planned.values()) == {"create"} and len(planned) == 16

    stack.run("up", "--yes", "--skip-preview")
    outputs = json.loads(stack.run("stack", "output", "--json"))
    assert outputs["fqdn"] == "api.k8s.internal"
    assert outputs["address"].startswith("203.0.113.")
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    found = aws.ec2.describe_instances(Filters=[*running, *_named("one", "two")])
    assert len(found["Reservations"]) == 2

    stack.run("up", "--yes", "--skip-preview", "--expect-no-changes")
    stack.run("refresh", "--preview-only", "--expect-no-changes")
    stack.run("refresh", "--yes", "--skip-preview")
    assert stack.steps() == {}

    stack.set(nodes=["one", "two", "three"])
    assert stack.steps() == {"aws:ec2/instance:Instance::three": "create"}
    stack.run("up", "--yes", "--skip-preview")
    stack.set(nodes=["one", "three"])
    assert stack.steps() == {"aws:ec2/instance:Instance::two": "delete"}
    stack.run("up", "--yes", "--skip-preview")

    stack.set(env="b")
    retagged = stack.steps()
    assert set(retagged.values()) == {"update"} and len(retagged) == 11
    stack.run("up", "--yes", "--skip-preview")
    stack.run("refresh", "--preview-only", "--expect-no-changes")

    three = aws.ec2.describe_instances(Filters=[*running, *_named("three")])
    id = three["Reservations"][0]["Instances"][0]["InstanceId"]
    aws.ec2.terminate_instances(InstanceIds=[id])
    stack.run("refresh", "--yes", "--skip-preview")
    assert stack.steps() == {"aws:ec2/instance:Instance::three": "create"}

    stack.run("destroy", "--yes", "--skip-preview")
    left = [v for v in aws.ec2.describe_vpcs()["Vpcs"] if _tag(v, "env") == "b"]
    assert not left
    assert not aws.ec2.describe_instances(Filters=[*running, *_named("one")])["Reservations"]


def _named(*names: str) -> list[dict[str, Any]]:
    return [{"Name": "tag:Name", "Values": list(names)}]


def _tag(resource: dict[str, Any], key: str) -> str | None:
    return next((t["Value"] for t in resource.get("Tags", ()) if t["Key"] == key), None)
