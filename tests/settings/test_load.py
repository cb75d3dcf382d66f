"""Settings: merged by one rule, refused all at once, with file, line, key and reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from settings import SettingsError, load
from tests.conftest import ProjectMaker


def refusals(project: Path) -> dict[str, str]:
    """Key -> the whole refusal."""
    with pytest.raises(SettingsError) as caught:
        load(project, "test")
    return {problem.key: str(problem) for problem in caught.value.problems}


def api_node(**labels: str) -> dict[str, Any]:
    return {
        "name": "k8s-api-shop",
        "role": "api",
        "instance_type": "t3.small",
        "zone": "ap-northeast-2a",
        "labels": labels,
    }


def test_defaults_alone_are_a_whole_environment(make_project: ProjectMaker) -> None:
    settings = load(make_project(), "test")
    assert len(settings.nodes) == 14
    assert settings.cluster.package_version == "1.34.4-1.1"


def test_a_node_is_merged_by_its_name_and_keeps_its_place(make_project: ProjectMaker) -> None:
    settings = load(
        make_project(nodes=[{"name": "k8s-api-my", "instance_type": "t3.large"}]), "test"
    )
    node = settings.nodes[2]
    assert (node.name, node.instance_type, node.labels["domain"]) == (
        "k8s-api-my",
        "t3.large",
        "my",
    )


def test_a_new_line_is_a_new_node(make_project: ProjectMaker) -> None:
    line = {
        "name": "k8s-worker-batch",
        "role": "worker",
        "instance_type": "t3.medium",
        "zone": "ap-northeast-2a",
    }
    settings = load(make_project(nodes=[line]), "test")
    assert [node.name for node in settings.nodes][14:] == ["k8s-worker-batch"]


def test_an_absent_node_is_left_out(make_project: ProjectMaker) -> None:
    settings = load(make_project(nodes=[{"name": "k8s-redis", "absent": True}]), "test")
    assert "k8s-redis" not in [node.name for node in settings.nodes]


def test_lists_other_than_nodes_replace(make_project: ProjectMaker) -> None:
    project = make_project(
        network={"zones": ["ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c"]}
    )
    assert len(load(project, "test").network.zones) == 3


@pytest.mark.parametrize(
    ("change", "key", "reason"),
    [
        ({"network": {"cidr": "10.0.0.0/8"}}, "network.cidr", "/16 to /28"),
        ({"network": {"cidr": "10.0.0.1/16"}}, "network.cidr", "host bits"),
        ({"network": {"cidr": "8.8.0.0/16"}}, "network.cidr", "not a private range"),
        ({"network": {"subnet_prefix": 16}}, "network.subnet_prefix", "do not fit"),
        ({"network": {"colour": 1}}, "network.colour", "unknown key; known: cidr"),
        ({"cluster": {"pod_cidr": "10.0.128.0/17"}}, "cluster.pod_cidr", "overlaps 10.0.0.0/16"),
        ({"cluster": {"kubernetes_version": "v1.34"}}, "cluster.kubernetes_version", "pattern"),
        ({"access": {"operator_cidrs": ["0.0.0.0/0"]}}, "access.operator_cidrs", "to the world"),
        ({"access": {"operator_cidrs": []}}, "access.operator_cidrs", "nobody could reach"),
        ({"access": {"bastion": "k8s-redis"}}, "access.bastion", "has role redis"),
        ({"nodes": [{"name": "k8s-master", "public": False}]}, "access.bastion", "not public"),
        ({"access": {"bastion": "nobody"}}, "access.bastion", "not among the nodes"),
        (
            {"access": {"bastion": None, "session_manager": False}},
            "access.session_manager",
            "people have no shell",
        ),
        (
            {"access": {"bastion": None, "operator_cidrs": ["8.8.8.0/24"]}},
            "access.operator_cidrs",
            "8.8.8.0/24 is on the internet",
        ),
        ({"ssh": {"private_key_file": "/none"}}, "ssh.private_key_file", "ssh-keygen -t ed25519"),
        ({"aws": {"region": "moon"}}, "aws.region", "pattern"),
        ({"aws": {"region": "us-east-1"}}, "network.zones", "no availability zone of us-east-1"),
        ({"colour": {}}, "colour", "unknown key"),
        ({"nodes": 3}, "nodes", "must be a list"),
        (
            {"nodes": [{"name": "k8s-redis", "instance_type": "t3.huge"}]},
            "nodes[k8s-redis].instance_type",
            "unknown instance type 't3.huge'; did you mean",
        ),
        ({"nodes": [{"name": "x"}]}, "nodes[x].role", "is missing"),
        ({"nodes": [{"name": "k8s-redis", "zone": "b"}]}, "nodes[k8s-redis].zone", "has no subnet"),
        (
            {"nodes": [{"name": "k8s-redis", "taints": ["a:Never"]}]},
            "nodes[k8s-redis].taints[0]",
            "pattern",
        ),
        (
            {"nodes": [{"name": "k8s-redis"}, {"name": "k8s-redis"}]},
            "nodes[k8s-redis].role",
            "is missing",
        ),
        (
            {"nodes": [{"name": "k8s-redis", "role": "control-plane"}]},
            "nodes",
            "1 or 3 nodes of role control-plane",
        ),
        ({"name": "a-name-that-is-too-long"}, "name", "room for 18"),
        ({"name": "internal-tools"}, "name", "keeps names that begin with internal-"),
        ({"aws": {"region": "cn-north-1"}}, "aws.region", "another partition"),
        ({"network": {"nat_gateways": 2}}, "network.nat_gateways", "'one' or 'per-zone'"),
        ({"network": {"flow_logs": "NONE"}}, "network.flow_logs", "'ALL', 'REJECT' or 'ACCEPT'"),
        ({"network": {"zones": ["ap-northeast-2a"] * 2}}, "network.zones", "is named 2 times"),
        ({"instances": {"metadata_hop_limit": 0}}, "instances.metadata_hop_limit", "equal to 1"),
        ({"identity": {"pods": False}}, "instances.metadata_hop_limit", "takes 2 hops"),
        ({"storage": {"logs_expire_days": 0}}, "storage.logs_expire_days", "equal to 1"),
        ({"cdn": {"price_class": "cheap"}}, "cdn.price_class", "PriceClass_100"),
        ({"ingress": {"node_port": 80}}, "ingress.node_port", "equal to 30000"),
        ({"ingress": {"node_port": 30443}}, "ingress.node_port", "is gitops.argocd.node_port"),
        ({"ingress": {"health_path": "ready"}}, "ingress.health_path", "pattern"),
        ({"dns": {"public": {}}}, "dns.public.domain", "is missing"),
        ({"dns": {"public": {"domain": "com"}}}, "dns.public.domain", "pattern"),
        (
            {"dns": {"public": {"domain": "example.com", "zone_id": "zone"}}},
            "dns.public.zone_id",
            "pattern",
        ),
        (
            {"dns": {"public": {"domain": "example.com", "api": "www", "cdn": "www"}}},
            "dns.public",
            "names of their own, not www",
        ),
        (
            {"dns": {"zone": "in.example.com", "public": {"domain": "example.com"}}},
            "dns.zone",
            "would hide example.com",
        ),
        (
            {
                "network": {"zones": ["ap-northeast-2a"]},
                "dns": {"public": {"domain": "example.com"}},
            },
            "network.zones",
            "a load balancer needs two zones",
        ),
        (
            {"nodes": [api_node(domain="shop")]},
            "nodes[k8s-api-shop].labels",
            "domain shop has no phase",
        ),
        (
            {"nodes": [api_node(domain="auth", phase="3")]},
            "nodes[k8s-api-shop].labels.phase",
            "3, but 1 on k8s-api-auth",
        ),
        (
            {"nodes": [api_node(domain="shop", phase="4")]},
            "nodes[k8s-api-shop].labels.phase",
            "'4' is no phase",
        ),
        (
            {"nodes": [api_node(domain="shop", phase=""), {"name": "broken"}]},
            "nodes[k8s-api-shop].labels.phase",
            "'' is no phase",
        ),
    ],
)
def test_what_is_refused(
    make_project: ProjectMaker, change: dict[str, object], key: str, reason: str
) -> None:
    found = refusals(make_project(**change))
    assert key in found, found
    assert reason in found[key]


def test_the_file_and_line_are_named(make_project: ProjectMaker) -> None:
    project = make_project(network={"colour": 1})
    file = project / "Pulumi.test.yaml"
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "colour" in text)
    assert refusals(project)["network.colour"].startswith(f"Pulumi.test.yaml:{line}: ")


def test_all_refusals_come_at_once(make_project: ProjectMaker) -> None:
    project = make_project(
        network={"cidr": "x"}, aws={"region": 7}, colour=1, nodes=[{"name": "a"}, {"name": "b"}]
    )
    found = refusals(project)
    assert {"network.cidr", "aws.region", "colour", "nodes[a].role", "nodes[b].zone"} <= set(found)


def test_refusals_stand_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.test.yaml").write_text("\n" * 8 + _TWO_UNKNOWN)
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, "test")
    lines = [p.file for p in caught.value.problems if p.file.startswith("Pulumi.test.yaml:")]
    assert lines == ["Pulumi.test.yaml:9", "Pulumi.test.yaml:10"]


_TWO_UNKNOWN = """config: {'groundwork:settings': {zebra: 1,
  ape: 2}}
"""


def test_phases_are_of_api_nodes_with_a_domain(make_project: ProjectMaker) -> None:
    other = {**api_node(domain="auth"), "name": "k8s-worker-x", "role": "worker"}
    spare = {**api_node(), "name": "k8s-api-spare"}
    second = api_node(domain="auth", phase="1")
    settings = load(make_project(nodes=[other, spare, second]), "test")
    assert len(settings.nodes) == 17


def test_two_nodes_of_one_name_are_refused(make_project: ProjectMaker) -> None:
    node = {"name": "n", "role": "worker", "instance_type": "t3.small", "zone": "ap-northeast-2a"}
    assert "2 times" in refusals(make_project(nodes=[node, node]))["nodes[n]"]


def test_a_private_key_of_another_pair_is_refused(
    make_project: ProjectMaker, key_pair: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pub"
    public = (Path(f"{key_pair}.pub")).read_text().split()[1]
    changed = public[:-4] + ("AAAA" if public[-4:] != "AAAA" else "BBBB")
    other.write_text(f"ssh-ed25519 {changed} x\n")
    found = refusals(make_project(ssh={"public_key_file": str(other)}))
    assert "is not the private half of" in found["ssh.private_key_file"]


def test_no_key_material_is_shown(make_project: ProjectMaker, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nSECRETMATERIAL\n")
    found = refusals(make_project(ssh={"private_key_file": str(broken)}))
    assert not re.search("SECRETMATERIAL", " ".join(found.values()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("config: [", "not valid YAML"),
        ("config: {'groundwork:settings': [1]}", "must be a map"),
        ("config: {'groundwork:settings': {a: 1, a: 2}}", "is set twice"),
        ("config: {'groundwork:settings': {a: 2026-13-40}}", "a value cannot be read: month"),
        ("config: ['groundwork:settings']", r"Pulumi.test.yaml:1: -: must be a map that holds"),
        ("[config]", "must be a map that holds config"),
        ("config: {'groundwork:setings': {}}", "groundwork:setings: unknown key; known: groundw"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "Pulumi.test.yaml").write_text(text)
    with pytest.raises(SettingsError, match=reason):
        load(tmp_path, "test")


def test_an_unknown_environment_names_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.prod.yaml").write_text("config: {}\n")
    with pytest.raises(SettingsError, match="environments here: prod"):
        load(tmp_path, "prd")
