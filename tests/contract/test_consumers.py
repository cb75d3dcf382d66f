"""Other teams' programs on the real engine, reading stacks that publish the contract."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import boto3
import pytest
import yaml

from contract import VERSION, model
from rehearsal.paths import CHECKOUT
from tests.contract import teams
from tests.contract.teams import PLUGINS, TOOLS, Site, Team
from tests.rehearsal.moto_server import moto_server
from tests.rehearsal.plugins.kubernetes.api_server import ApiServer, api_server
from tests.rehearsal.plugins.project import needs_engine

REGION = "eu-west-1"
TOKEN = "admin-token-of-the-tests"  # in the kubeconfig of `api_server`
ABSENT = {name for name, each in model.Contract.model_fields.items() if not each.is_required()} - {
    "cdn_url"
}
MAJOR, MINOR, _ = map(int, VERSION.split("."))
# Publishes what values.json has: by the models that it names, and what they lack as it is.
PLATFORM = """
    import json
    import sys

    sys.path.insert(0, {checkout!r})
    import pulumi

    given = json.load(open("values.json"))
    values = given["values"]
    if given["models"]:
        from contract import model
        from contract.publish import publish
    for name in given["models"]:
        part = getattr(model, name)
        publish({{key: values.pop(key, None) for key in part.model_fields}}, part)
    for name, value in values.items():
        pulumi.export(name, value)
"""


@dataclass(frozen=True)
class Platform:
    """The platform's project. values: what an environment publishes."""

    site: Site
    folder: Path
    values: dict[str, Any]
    cluster: ApiServer

    def deploy(self, stack: str, *models: str, **changes: Any) -> str:
        """A stack with the parts of the contract that `models` are, and `changes` in its values;
        its full name."""
        values = {key: self.values[key] for key in _names(*models)} | changes
        given = {"models": models, "values": values}
        (self.folder / "values.json").write_text(json.dumps(given))
        Team(self.site, self.folder, stack).begin().pulumi("up", "--yes", "--skip-preview")
        return f"organization/groundwork/{stack}"


def _names(*models: str) -> set[str]:
    """Outputs of those parts of the contract that this environment has."""
    return {name for each in models for name in getattr(model, each).model_fields} - ABSENT


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform's team, an AWS account with a VPC, and a Kubernetes API."""
    folder = tmp_path_factory.mktemp("teams")
    (folder / "state").mkdir()
    own = folder / "platform"
    own.mkdir()
    (own / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "groundwork", "runtime": "python"}))
    (own / "__main__.py").write_text(dedent(PLATFORM).format(checkout=str(CHECKOUT)))
    with moto_server() as cloud, api_server(tmp_path_factory.mktemp("api-server")) as cluster:
        variables = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": cloud,
            "PATH": f"{PLUGINS}:{TOOLS}:/usr/bin:/bin",
            "HOME": str(folder),
            "GROUNDWORK_PYTHON": sys.executable,
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        yield Platform(Site(variables), own, _values(cloud, cluster.kubeconfig), cluster)


def _values(cloud: str, kubeconfig: str) -> dict[str, Any]:
    ec2 = boto3.client(
        "ec2",
        region_name=REGION,
        endpoint_url=cloud,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="node", Description="nodes", VpcId=vpc)["GroupId"]
    subnets = {
        each["AvailabilityZone"]: each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]
    }
    node = {"zone": f"{REGION}a", "instance_id": "i-1", "public_ip": None}
    values = {
        "contract_version": VERSION,
        "cluster_name": "shop",
        "region": REGION,
        "vpc_id": vpc,
        "public_subnet_ids": subnets,
        "private_subnet_ids": subnets,
        "security_group_ids": {"node": group, "control-plane": group},
        "api_endpoint": "api.shop.internal",
        "backups_bucket": "shop-backups",
        "cdn_url": "https://cdn.shop.example",
        "nodes": [
            {**node, "name": "k8s-master", "role": "control-plane", "private_ip": "10.0.0.10"},
            {**node, "name": "k8s-redis", "role": "redis", "private_ip": "10.0.0.11"},
        ],
        "api_server": "https://api.shop.example:6443",
        "kubeconfig": kubeconfig,
        "argocd_url": "https://argocd.shop.example",
    }
    model.Contract.model_validate(values)
    return values


@pytest.fixture(scope="module")
def whole(platform: Platform) -> dict[str, str]:
    """An environment in one stack: where a program finds the layers."""
    stack = platform.deploy("prod", "Contract")
    return {"infra": stack, "cluster": stack}


@pytest.fixture(scope="module")
def parts(platform: Platform) -> dict[str, str]:
    """An environment in several stacks, of a later minor version, which has more to tell."""
    later = f"{MAJOR}.{MINOR + 1}.0"
    nodes = [{**node, "disk_gib": 20} for node in platform.values["nodes"]]
    more = {"nodes": nodes, "colour": "green", "cdn_url": None}
    return {
        "infra": platform.deploy("staging-infra", "InfraContract", contract_version=later, **more),
        "cluster": platform.deploy("staging-cluster", "ClusterContract", contract_version=later),
    }


@pytest.fixture(scope="module")
def reports(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """The Python example."""
    folder = teams.python(tmp_path_factory.mktemp("reports") / "program")
    return Team(platform.site, folder, "test").begin()


@pytest.fixture(scope="module")
def monitoring(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """The TypeScript example."""
    folder = teams.typescript(tmp_path_factory.mktemp("monitoring") / "program")
    return Team(platform.site, folder, "test").begin()


@needs_engine
def test_a_python_stack_builds_on_the_platform(
    platform: Platform, whole: dict[str, str], parts: dict[str, str], reports: Team
) -> None:
    printed = reports.up(**whole)
    outputs, inputs = reports.outputs(), reports.inputs()
    assert outputs["subnet_ids"] == platform.values["private_subnet_ids"]
    assert inputs["database"]["vpcId"] == platform.values["vpc_id"]
    node = platform.values["security_group_ids"]["node"]
    assert inputs["from-nodes"]["referencedSecurityGroupId"] == node
    assert platform.cluster.kubectl("get", "namespace", outputs["namespace"])
    assert "ciphertext" in inputs["platform"]["kubeconfig"]
    assert TOKEN not in printed + reports.shown()
    reports.pulumi("preview", "--expect-no-changes", **parts)


@needs_engine
def test_a_typescript_stack_reads_two_of_the_platforms(
    platform: Platform, whole: dict[str, str], parts: dict[str, str], monitoring: Team
) -> None:
    printed = monitoring.up(**parts)
    assert monitoring.outputs() == {
        "targets": [
            {
                "targets": [f"{node['private_ip']}:9100"],
                "labels": {"node": node["name"], "role": node["role"], "zone": node["zone"]},
            }
            for node in platform.values["nodes"]
        ],
        "probes": [platform.values["api_server"]],  # this environment has no CDN
        "kubeconfig": platform.values["kubeconfig"],
    }
    assert TOKEN not in printed + monitoring.shown()
    assert platform.values["cdn_url"] in monitoring.pulumi("preview", **whole)


@needs_engine
def test_a_script_reads_nodes_and_writes_a_kubeconfig(
    platform: Platform, whole: dict[str, str], parts: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "config"
    for environment in (whole, parts):
        done = teams.shell(platform.site, tmp_path, "nodes", environment["infra"])
        assert [line.split("\t") for line in done.stdout.splitlines()] == [
            ["k8s-master", "control-plane", f"{REGION}a", "10.0.0.10"],
            ["k8s-redis", "redis", f"{REGION}a", "10.0.0.11"],
        ]
        cluster = environment["cluster"]
        done = teams.shell(platform.site, tmp_path, "kubeconfig", cluster, str(file))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert yaml.safe_load(file.read_text()) == yaml.safe_load(platform.values["kubeconfig"])
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [file]
        file.unlink()


@needs_engine
def test_each_refuses_another_major_version_in_one_sentence(
    platform: Platform, reports: Team, monitoring: Team, tmp_path: Path
) -> None:
    later = platform.deploy("later", contract_version=f"{MAJOR + 1}.0.0")
    said = f"{later} has contract {MAJOR + 1}.0.0 and this "
    for team in (reports, monitoring):
        output = team.refused(infra=later, cluster=later).partition("Diagnostics:")[2]
        assert f"error: {said}program is written for {MAJOR}" in output
        assert "Traceback" not in output and "    at " not in output
    done = teams.shell(platform.site, tmp_path, "nodes", later)
    assert done.returncode == 1
    assert done.stderr.startswith(f"platform.sh: {said}script is written for {MAJOR}; ")


@needs_engine
def test_each_tells_that_it_asks_the_wrong_stack(
    platform: Platform, parts: dict[str, str], reports: Team, monitoring: Team, tmp_path: Path
) -> None:
    infra, cluster = parts["infra"], parts["cluster"]
    for team, said in (
        (reports, f"error: {cluster} is no InfraContract: vpc_id: Field required"),
        (monitoring, f"error: {cluster} has no nodes; is it the stack with that layer?"),
    ):
        output = team.refused(infra=cluster, cluster=cluster)
        assert said in output and TOKEN not in output
    file = tmp_path / "config"
    for arguments, lacks in (
        (["nodes", cluster], f"{cluster} has no nodes; is it the stack with the infra layer?"),
        (
            ["kubeconfig", infra, str(file)],
            f"{infra} has no kubeconfig; is it the stack with the cluster layer?",
        ),
    ):
        done = teams.shell(platform.site, tmp_path, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"platform.sh: {lacks}\n"
    assert not file.exists()
