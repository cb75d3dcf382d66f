"""Other teams' stacks, in the rehearsal's own state, build on the platform that runs there.

Scenarios for a rehearsal that runs, in one stack or in several: each is called with an empty folder
for the team's program, and leaves the rehearsal as it was.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rehearsal import cloud
from rehearsal.engine import STACK, Engine
from rehearsal.namespace import OPERATOR, inside, operator_command
from settings import environment
from tests.contract import teams
from tests.contract.teams import Site, Team
from tests.rehearsal.running import PATHS, kubectl, nodes, operator

# What is of the platform's own stack alone
_OWN = {
    "PULUMI_STACK",
    "PULUMI_OPTION_CONFIG_FILE",
    "PULUMI_OPTION_POLICY_PACK",
    "KUBECONFIG",
}


def a_python_stack_builds_on_the_platform(folder: Path) -> None:
    """A security group in the platform's VPC, which its nodes may reach; a namespace."""
    with _deployed(Team(_site(), teams.python(folder / "program"), "rehearsed")) as team:
        outputs = team.outputs()
        with inside(OPERATOR):
            ec2 = cloud.client("ec2")
            groups = ec2.describe_security_groups(GroupIds=[outputs["security_group_id"]])
            (group,) = groups["SecurityGroups"]
            subnets = ec2.describe_subnets(SubnetIds=list(outputs["subnet_ids"].values()))
            running = ec2.describe_instances(
                Filters=[
                    {"Name": "tag:Name", "Values": ["k8s-monitoring"]},
                    {"Name": "instance-state-name", "Values": ["running"]},
                ]
            )["Reservations"]
        assert {each["VpcId"] for each in subnets["Subnets"]} == {group["VpcId"]}
        (rule,) = group["IpPermissions"]
        (source,) = rule["UserIdGroupPairs"]
        (node,) = (each for reservation in running for each in reservation["Instances"])
        assert source["GroupId"] in {each["GroupId"] for each in node["SecurityGroups"]}
        assert kubectl("get", "namespace", outputs["namespace"])["status"]["phase"] == "Active"
        assert "ciphertext" in team.inputs()["platform"]["kubeconfig"]


def a_typescript_stack_reads_the_platform(folder: Path) -> None:
    """Prometheus' targets are the nodes that Kubernetes has, at their addresses."""
    with _deployed(Team(_site(), teams.typescript(folder / "program"), "rehearsed")) as team:
        outputs = team.outputs()
        told = {each["labels"]["node"]: each["targets"] for each in outputs["targets"]}
        assert told == {name: [f"{at}:9100"] for name, at in _addresses().items()}
        kubeconfig = Engine(PATHS, _stacks()["cluster"]).output("kubeconfig")
        assert outputs["kubeconfig"].rstrip("\n") == kubeconfig


def a_script_uses_the_kubeconfig(folder: Path) -> None:
    """What it lists is what Kubernetes has; what it writes opens the cluster, to its owner."""
    site, stacks = _site(), {layer: _full(name) for layer, name in _stacks().items()}
    done = teams.shell(site, folder, "nodes", stacks["infra"])
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert {name: address for name, _, _, address in lines} == _addresses()
    file = folder / "kubeconfig"
    done = teams.shell(site, folder, "kubeconfig", stacks["cluster"], str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert operator("kubectl", "--kubeconfig", str(file), "get", "--raw", "/readyz") == "ok"


SCENARIOS = (
    a_python_stack_builds_on_the_platform,
    a_typescript_stack_reads_the_platform,
    a_script_uses_the_kubeconfig,
)


@contextmanager
def _deployed(team: Team) -> Iterator[Team]:
    """The team's stack, reading the platform's; destroyed at the end. No secret of the platform is
    printed, nor in its state."""
    stacks = _stacks()
    team.begin()
    try:
        printed = team.up(infra=_full(stacks["infra"]), cluster=_full(stacks["cluster"]))
        yield team
        shown = printed + team.shown()
        kubeconfig = Engine(PATHS, stacks["cluster"]).kubeconfig.read_text()
        key = re.search(r"client-key-data: (\S+)", kubeconfig)
        assert key and key[1] not in shown
        assert "PRIVATE KEY" not in shown
    finally:
        team.end()


def _site() -> Site:
    """Where the operator sits, with the rehearsal's state and key."""
    variables = Engine(PATHS).environment()
    return Site(
        {name: value for name, value in variables.items() if name not in _OWN},
        f"awskms://{cloud.STATE.key_alias}?region={cloud.REGION}&awssdk=v2",
        operator_command,
    )


def _stacks() -> dict[str, str]:
    """The platform's stack that has each layer."""
    found = environment(PATHS.checkout, STACK)
    return {layer: found.owner(layer).name for layer in ("infra", "cluster")}


def _full(stack: str) -> str:
    return f"organization/groundwork/{stack}"


def _addresses() -> dict[str, str]:
    """The nodes' addresses, as Kubernetes has them."""
    return {
        name: address["address"]
        for name, node in nodes().items()
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP"
    }
