"""The rehearsal, whole: up, look, change, kill, interrupt, down, and nothing left.

One rehearsal, booted once; the tests act on it in the order in which they stand here.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from operations.takedown import take_down
from rehearsal import cloud, status
from rehearsal.engine import STACK, Engine
from rehearsal.hosts.host import list_hosts
from rehearsal.namespace import OPERATOR, inside, operator_command
from settings import Settings, load
from tests.rehearsal import (
    scenarios_addons,
    scenarios_consumers,
    scenarios_databases,
    scenarios_gitops,
)
from tests.rehearsal.gitops_tree import Tree
from tests.rehearsal.running import (
    PATHS,
    STACK_FILE,
    TOKEN,
    CommandLines,
    answer,
    booted,
    kubectl,
    logins,
    node_data,
    nodes,
    operator,
    ready,
    rehearse,
    steps,
    until,
)
from tests.rehearsal.scenarios_control_planes import one_becomes_three_and_one_again
from tests.rehearsal.scenarios_new_domain import a_new_domain_is_one_line_and_its_folders

pytestmark = [pytest.mark.rehearsal, pytest.mark.slow]

API = "app.kubernetes.io/component=api"
FIFTEENTH = (
    "{name: k8s-worker-batch, role: worker, instance_type: t3.medium, zone: ap-northeast-2c, "
    'labels: {workload: batch}, taints: ["workload=batch:NoSchedule"]}'
)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(PATHS.checkout, STACK)


@pytest.fixture(scope="module", autouse=True)
def rehearsal() -> Iterator[CommandLines]:
    """A rehearsal brought up from nothing, and taken down at the end whatever happens."""
    rehearse("down")
    try:
        with CommandLines() as lines:
            rehearse("up")
        yield lines
    finally:
        rehearse("down", check=None)


@pytest.fixture
def fifteenth() -> Iterator[None]:
    with node_data(FIFTEENTH):
        yield


def test_every_node_is_ready_with_its_labels_and_taints(settings: Settings) -> None:
    found = nodes()
    assert set(found) == {node.name for node in settings.nodes}
    assert len(found) == 14
    for node in settings.nodes:
        item = found[node.name]
        assert ready(item), node.name
        labels = item["metadata"]["labels"]
        assert labels[f"node-role.kubernetes.io/{node.role}"] == ""
        assert all(labels[key] == value for key, value in node.labels.items())
        taints = {
            f"{t['key']}={t.get('value', '')}:{t['effect']}" for t in item["spec"].get("taints", [])
        }
        wanted = set(node.taints)
        if node.role == "control-plane":
            wanted.add("node-role.kubernetes.io/control-plane=:NoSchedule")
        assert taints == wanted, node.name
        assert item["spec"]["providerID"].startswith(f"aws:///{node.zone}/i-")


def test_applications_are_synced_and_healthy_in_waves() -> None:
    found = {
        item["metadata"]["name"]: item
        for item in kubectl("get", "applications.argoproj.io", "-n", "argocd")["items"]
    }
    assert len(found) == 16 and "root" in found
    for name, item in found.items():
        assert item["status"]["sync"]["status"] == "Synced", name
        assert item["status"]["health"]["status"] == "Healthy", name
        assert item["spec"]["project"] != "default", name
    waves = (["infrastructure", "addons"], ["databases"], ["workers"], ["auth", "my", "scan"])
    phases = (waves[-1], ["character", "location"], ["info", "chat"])
    named = {name.removeprefix("ecoeco-api-"): item for name, item in found.items()}

    def begun(names: list[str]) -> str:
        return str(min(named[name]["metadata"]["creationTimestamp"] for name in names))

    for before, after in itertools.pairwise(waves):
        done = max(named[name]["status"]["history"][0]["deployedAt"] for name in before)
        assert done <= begun(after), (before, after)
    # a phase waits for the health of the one before, and not for its smoke tests
    for before, after in itertools.pairwise(phases):
        assert begun(before) < begun(after)


def test_workers_and_apis_waited_for_the_slowest_database() -> None:
    scenarios_gitops.workers_and_apis_waited_for_the_slowest_database()


def test_the_auth_api_runs_on_its_node_and_answers() -> None:
    def pods() -> list[dict[str, Any]]:
        return list(kubectl("get", "pods", "-n", "auth", "-l", API)["items"])

    until("its autoscaler has made two of it", lambda: len(pods()) == 2)
    assert {pod["spec"]["nodeName"] for pod in pods()} == {"k8s-api-auth"}
    assert answer("auth")["service"] == "auth"


def test_argo_cd_answers_at_its_address() -> None:
    url = operator("pulumi", "stack", "output", "argocd_url").strip()
    assert operator("curl", "-ks", f"{url}/healthz").strip() == "ok"


def test_status_says_that_all_is_well() -> None:
    found = json.loads(rehearse("status", "--json").stdout)
    assert found["well"] and len(found["nodes"]) == 14
    assert "Synced" in rehearse("status").stdout


def test_no_secret_was_on_a_command_line(rehearsal: CommandLines) -> None:
    assert rehearsal.samples > 100
    assert not rehearsal.found


def test_no_secret_is_in_the_state_or_the_logs() -> None:
    kubeconfig = Engine(PATHS).kubeconfig.read_text()
    client_key = re.search(r"client-key-data: (\S+)", kubeconfig)
    assert client_key
    private = PATHS.ssh_key.read_text().splitlines()[2]
    planted = [
        client_key[1],
        base64.b64decode(client_key[1]).decode().splitlines()[1],
        private,
    ]
    exported = operator("pulumi", "stack", "export")
    texts = {"state": exported}
    texts |= {file.name: file.read_text(errors="replace") for file in PATHS.logs.iterdir()}
    for where, text in texts.items():
        assert not [secret[:12] for secret in planted if secret in text], where
        assert "PRIVATE KEY" not in text, where
        assert not TOKEN.search(text.encode()), where
    assert "ciphertext" in exported


def test_a_second_up_changes_nothing_and_runs_no_command() -> None:
    before = logins()
    rehearse("up")
    assert steps() == []
    assert logins() == before + 1  # this very question


def test_a_refresh_sees_no_drift() -> None:
    operator("pulumi", "refresh", "--preview-only", "--expect-no-changes", "--non-interactive")


def test_a_second_command_at_the_same_time_is_refused() -> None:
    first = subprocess.Popen(
        [sys.executable, "-m", "rehearsal", "up"],
        cwd=PATHS.checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout is not None
        for line in first.stdout:  # it holds the lock once it says anything
            if line.strip():
                break
        second = rehearse("up", check=1)
        assert f"another rehearsal command is at work (process {first.pid})" in second.stderr
    finally:
        first.communicate(timeout=600)
    assert first.returncode == 0


def test_a_broken_stack_file_changes_nothing() -> None:
    before = STACK_FILE.read_text()
    STACK_FILE.write_text(before.replace("aws:", "awz:", 1))
    try:
        refused = rehearse("up", check=1)
    finally:
        STACK_FILE.write_text(before)
    assert re.search(r"Pulumi\.rehearsal\.yaml:\d+: awz: unknown key", refused.stderr)
    assert "nothing was changed" in refused.stderr and "Traceback" not in refused.stderr
    assert len(nodes()) == 14


def test_one_more_line_is_one_more_node_even_if_interrupted(fifteenth: None) -> None:
    first = subprocess.Popen(
        [sys.executable, "-m", "rehearsal", "up"],
        cwd=PATHS.checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert first.stdout is not None
    said = ""
    for line in first.stdout:
        said += line
        if "create prepare-k8s-worker-batch" in line:
            os.kill(first.pid, signal.SIGINT)
    assert first.wait(timeout=600) == 130, said
    assert "make up` goes on from here" in said
    touched = {urn for _, urn in steps()}

    rehearse("up")
    touched |= {urn for _, urn in steps()}
    others = {u for u in touched if "k8s-worker-batch" not in u and "pulumi:pulumi:Stack" not in u}
    assert others == set()
    added = nodes()["k8s-worker-batch"]
    assert ready(added)
    assert added["metadata"]["labels"]["workload"] == "batch"
    assert "batch" in [taint.get("value") for taint in added["spec"]["taints"]]
    assert len(nodes()) == 15


def test_a_removed_line_is_a_removed_node_although_its_host_is_dead() -> None:
    instance = next(
        entry["id"]
        for entry in json.loads((PATHS.run / "reconciler.json").read_text())["instances"]
        if entry["name"] == "k8s-worker-batch"
    )
    next(host for host in list_hosts(PATHS) if host.spec.name == instance).kill()
    rehearse("up")
    done = steps()
    assert {op for op, _ in done} == {"delete"}
    assert all("k8s-worker-batch" in urn for _, urn in done)
    assert "k8s-worker-batch" not in nodes()
    assert len(nodes()) == 14


def test_another_instance_type_restarts_that_machine_alone() -> None:
    for kind in ("t3.large", "t3.small"):  # there and back
        line = f"{{name: k8s-redis, instance_type: {kind}}}"
        with node_data(line):
            rehearse("up")
        (done,) = (step for step in steps() if "pulumi:pulumi:Stack" not in step[1])
        assert done[0] == "update" and done[1].endswith("aws:ec2/instance:Instance::k8s-redis")
        until("its host runs as the new type", lambda: booted("k8s-redis")["booted_as"] == kind)  # noqa: B023
        until("the node is Ready again", lambda: ready(nodes()["k8s-redis"]))
    assert len(nodes()) == 14


def test_a_rule_that_is_taken_away_closes_its_port_at_once() -> None:
    url = operator("pulumi", "stack", "output", "argocd_url").strip()
    answers = ("curl", "-ks", "--max-time", "2", "-o", "/dev/null", "-w", "%{http_code}")

    def open_() -> bool:
        return (
            subprocess.run(
                operator_command([*answers, f"{url}/healthz"]), capture_output=True, text=True
            ).stdout
            == "200"
        )

    assert open_()
    with inside(OPERATOR):
        ec2 = cloud.client("ec2")
        rules = ec2.describe_security_group_rules()["SecurityGroupRules"]
        (rule,) = (
            each
            for each in rules
            if each.get("FromPort") == 30443 and each.get("CidrIpv4", "").startswith("198.51.100.")
        )
        group = rule["GroupId"]
        ec2.revoke_security_group_ingress(
            GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]]
        )
    until("the port is closed", lambda: not open_(), 60)
    assert operator("kubectl", "get", "--raw", "/readyz") == "ok"  # its neighbours are not
    with inside(OPERATOR):
        ec2.authorize_security_group_ingress(
            GroupId=group,
            IpPermissions=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": 30443,
                    "ToPort": 30443,
                    "IpRanges": [{"CidrIp": rule["CidrIpv4"], "Description": rule["Description"]}],
                }
            ],
        )
    until("the port is open again", open_, 60)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree.clone(tmp_path_factory.mktemp("tree") / "clone")


@pytest.mark.parametrize("scenario", scenarios_gitops.SCENARIOS, ids=lambda s: s.__name__)
def test_gitops(scenario: Callable[[Tree], None], tree: Tree) -> None:
    scenario(tree)


def test_a_new_domain_is_one_line_and_its_folders() -> None:
    a_new_domain_is_one_line_and_its_folders()


@pytest.mark.parametrize("scenario", scenarios_databases.SCENARIOS, ids=lambda s: s.__name__)
def test_databases(scenario: Callable[[], None]) -> None:
    scenario()


@pytest.mark.parametrize("scenario", scenarios_addons.SCENARIOS, ids=lambda s: s.__name__)
def test_addons(scenario: Callable[[], None]) -> None:
    scenario()


@pytest.mark.parametrize("scenario", scenarios_consumers.SCENARIOS, ids=lambda s: s.__name__)
def test_other_teams(scenario: Callable[[Path], None], tmp_path: Path) -> None:
    scenario(tmp_path)


def test_one_control_plane_becomes_three_and_one_again_though_a_host_died() -> None:
    one_becomes_three_and_one_again()


def test_the_applications_go_in_the_safe_order_and_take_their_volumes_with_them() -> None:
    asked = status.cluster(PATHS.tools / "bin" / "kubectl", Engine(PATHS).kubeconfig)
    assert asked.get("persistentvolumes")
    said: list[str] = []
    assert list(take_down(asked, said.append)) == []
    assert said
    assert asked.get("applications.argoproj.io", "--namespace=argocd") == []
    assert asked.get("persistentvolumes") == []
    assert "argocd" in {item["metadata"]["name"] for item in asked.get("namespaces")}


def test_down_leaves_nothing() -> None:
    said = rehearse("down").stdout
    assert "nothing is left" in said
    assert not PATHS.run.exists()
    netns = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"^gw-", netns, re.M)
    assert str(PATHS.run) not in Path("/proc/self/mountinfo").read_text()
    groups = [p for p in Path("/sys/fs/cgroup").glob("**/groundwork") if any(p.iterdir())]
    assert not [g for g in groups if any(child.is_dir() for child in g.iterdir())]
    mine = str(PATHS.checkout)
    left = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if re.search(r"rehearsal\.(names|mirrors|reconciler)|moto_server", line) and mine in line:
            left.append(line)
    assert not left
    assert not Path("/etc/netns/gw-internet").exists()
    assert not Path("/run/groundwork-rehearsal.owner").exists()
