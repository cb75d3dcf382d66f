"""An environment in three stacks, rehearsed whole: in order, read by the next, and taken down.

A small cluster, booted once; the tests act on it in the order in which they stand here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from contract import Contract
from rehearsal.engine import STACK, Engine
from settings.environments import LAYERS
from tests.program import copy_project, run
from tests.rehearsal.running import (
    PATHS,
    STACK_FILE,
    asked,
    node_data,
    nodes,
    operator,
    ready,
    rehearse,
    steps,
)

pytestmark = [pytest.mark.rehearsal, pytest.mark.slow]

STACKS = [f"{STACK}-{layer}" for layer in LAYERS]
INFRA, CLUSTER, GITOPS = STACKS
# one API, and what the tree asks for beside the APIs
KEPT = (
    *("k8s-master", "k8s-api-auth", "k8s-worker-storage", "k8s-worker-ai"),
    *("k8s-postgresql", "k8s-redis", "k8s-rabbitmq", "k8s-monitoring"),
)
NEW = "{name: k8s-worker-extra, role: worker, instance_type: t3.medium, zone: ap-northeast-2c}"


@pytest.fixture(scope="module", autouse=True)
def rehearsal() -> Iterator[None]:
    """The rehearsal's environment in three stacks, with few nodes and without add-ons, while these
    tests run."""
    defaults = yaml.safe_load((PATHS.checkout / "settings/defaults.yaml").read_text())
    absent = [node["name"] for node in defaults["nodes"] if node["name"] not in KEPT]
    before = STACK_FILE.read_text()
    lines = "".join(f"      - {{name: {name}, absent: true}}\n" for name in absent)
    without = before.replace("    gitops:\n", "    gitops:\n      addons: false\n")
    assert without != before
    files = {PATHS.checkout / f"Pulumi.{stack}.yaml": stack.rpartition("-")[2] for stack in STACKS}
    rehearse("down")
    STACK_FILE.write_text(f"{without}    nodes:\n{lines}")
    for file, layer in files.items():
        settings = {"groundwork:settings": {"layers": [layer]}}
        file.write_text(yaml.safe_dump({"config": settings}))
    try:
        yield
        rehearse("down", check=None)
    finally:
        for file in files:
            file.unlink()
        STACK_FILE.write_text(before)


def resources(stack: str) -> set[tuple[str, str]]:
    """(type, name) of what the state of `stack` has, but for the stack, its references, and the
    providers that the engine adds itself."""
    state = json.loads(operator("pulumi", "stack", "export", stack=stack))
    found = {
        (each["type"], each["urn"].rpartition("::")[2])
        for each in state["deployment"]["resources"]
        if not each["type"].startswith("pulumi:pulumi:")
    }
    return {
        (kind, name)
        for kind, name in found
        if not (kind.startswith("pulumi:providers:") and name.startswith("default"))
    }


def test_the_stacks_come_up_one_after_the_other() -> None:
    said = rehearse("up").stdout
    order = [line.strip().split()[-1] for line in said.splitlines() if line.endswith(tuple(STACKS))]
    assert order == STACKS
    assert all(steps(stack) for stack in STACKS)
    found = nodes()
    assert set(found) == set(KEPT) and all(ready(node) for node in found.values())


def test_together_they_have_the_resources_of_one_stack(tmp_path: Path) -> None:
    given = yaml.safe_load(STACK_FILE.read_text())["config"]["groundwork:settings"]
    project = copy_project(tmp_path, STACK, PATHS.ssh_key, nodes=given["nodes"])
    one = {(each.type, each.name) for each in run(project, STACK).resources}
    assert set().union(*(resources(stack) for stack in STACKS)) == one


def test_their_outputs_are_the_contract() -> None:
    together: dict[str, object] = {}
    for stack in STACKS:
        shown = operator("pulumi", "stack", "output", "--json", "--show-secrets", stack=stack)
        together |= json.loads(shown)
    contract = Contract.model_validate(together)
    assert [node.name for node in contract.nodes] == list(KEPT)


def test_the_kubeconfig_is_in_no_state_in_the_clear() -> None:
    key = Engine(PATHS, CLUSTER).kubeconfig.read_text().split("client-key-data: ")[1].split()[0]
    for stack in STACKS:
        assert key not in operator("pulumi", "stack", "export", stack=stack)


def test_a_second_up_changes_nothing_in_any_of_them() -> None:
    rehearse("up")
    assert {stack: steps(stack) for stack in STACKS} == {stack: [] for stack in STACKS}


def test_a_change_in_one_layer_is_previewed_in_the_others() -> None:
    with node_data(NEW):
        preview = json.loads(rehearse("preview", "--json").stdout)
        early = asked("pulumi", "up", "--yes", "--non-interactive", stack=CLUSTER)
    changes = {
        (change["layer"], change["op"], change["name"])
        for change in preview["plan"]["changes"]
        if change["layer"] != "stack"
    }
    assert {layer for layer, _, _ in changes} == {"infra", "cluster"}
    assert {("infra", "create", "k8s-worker-extra")} <= changes
    assert {
        ("cluster", "create", "prepare-k8s-worker-extra"),
        ("cluster", "create", "member-k8s-worker-extra"),
    } <= changes
    assert early.returncode != 0
    assert (
        f"{CLUSTER} needs outputs of {INFRA}, which has no k8s-worker-extra in its nodes; "
        f"run `pulumi up --stack {INFRA}` first" in early.stdout
    )
    assert set(nodes()) == set(KEPT)


def test_down_takes_them_down_in_reverse() -> None:
    said = rehearse("down").stdout
    order = [line.strip().split()[-1] for line in said.splitlines() if line.endswith(tuple(STACKS))]
    assert order == list(reversed(STACKS))
    assert "nothing is left" in said
