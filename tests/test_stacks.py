"""One environment in one stack and in three: the same resources, by the contract between them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from contract import VERSION, Contract
from settings.environments import LAYERS
from tests.program import CHECKOUT, COMMAND, Run, Secret, copy_project, plain, run

Outputs = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, key_pair: Path) -> Path:
    """Staging, as it is committed: in three stacks."""
    folder = copy_project(tmp_path_factory.mktemp("staging"), "staging", key_pair)
    for layer in LAYERS:
        shutil.copy(CHECKOUT / f"Pulumi.staging-{layer}.yaml", folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, key_pair: Path) -> Run:
    """Staging without the files of its stacks, so in one."""
    folder = copy_project(tmp_path_factory.mktemp("whole"), "staging", key_pair)
    return run(folder, "staging")


@pytest.fixture(scope="module")
def parts(project: Path) -> dict[str, Run]:
    """The three stacks, deployed in order; each sees what the ones before it published."""
    runs: dict[str, Run] = {}
    for layer in LAYERS:
        others = {f"staging-{name}": made.outputs for name, made in runs.items()}
        runs[layer] = run(project, f"staging-{layer}", others=others)
        assert runs[layer].error is None, runs[layer].error
    return runs


def made(found: Run) -> set[tuple[str, str]]:
    return {(each.type, each.name) for each in found.resources}


def changed(outputs: Outputs, stack: str, change: Callable[[dict[str, Any]], None]) -> Outputs:
    copy = {name: dict(values) for name, values in outputs.items()}
    change(copy[stack])
    return copy


def test_three_stacks_make_the_resources_of_one(whole: Run, parts: dict[str, Run]) -> None:
    assert whole.error is None
    assert set().union(*(made(part) for part in parts.values())) == made(whole)
    twice = {key for key in made(whole) if sum(key in made(part) for part in parts.values()) > 1}
    assert twice == {("pulumi:providers:aws", "aws")}


def test_what_resources_are_given_is_the_same_too(whole: Run, parts: dict[str, Run]) -> None:
    """But for what says which stack it is, and what the mocks make of it."""
    one = {(each.type, each.name): each for each in whole.resources}
    for part in parts.values():
        for each in part.resources:
            assert each.inputs == one[each.type, each.name].inputs, each.urn


def test_the_stacks_outputs_together_are_the_contract(whole: Run, parts: dict[str, Run]) -> None:
    together: dict[str, Any] = {}
    for part in parts.values():
        together |= part.outputs
    assert together == whole.outputs
    Contract.model_validate(plain(together))
    secret = {name for name, value in together.items() if isinstance(value, Secret)}
    assert secret == {"kubeconfig"}


def test_the_kubeconfig_stays_a_secret_on_its_way(parts: dict[str, Run]) -> None:
    provider = parts["gitops"].one("pulumi:providers:kubernetes")
    assert isinstance(provider.inputs["kubeconfig"], Secret)


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    ("stack", "others", "sentence"),
    [
        (
            "staging-cluster",
            {},
            "staging-cluster needs outputs of staging-infra, which does not exist yet; "
            "run `pulumi up --stack staging-infra` first",
        ),
        (
            "staging-gitops",
            {},
            "staging-gitops needs outputs of staging-infra, which does not exist yet; "
            "run `pulumi up --stack staging-infra` first",
        ),
        (
            "staging-cluster",
            {"staging-infra": {}},
            "staging-cluster needs outputs of staging-infra, which has not been deployed yet; "
            "run `pulumi up --stack staging-infra` first",
        ),
        (
            "staging-gitops",
            {"staging-infra": {"contract_version": "0.9.0"}, "staging-cluster": {}},
            "staging-gitops needs outputs of staging-infra, which has outputs of contract 0.9.0, "
            f"not {VERSION}; run `pulumi up --stack staging-infra` first",
        ),
    ],
)
def test_a_wrong_order_is_one_sentence(
    project: Path, stack: str, others: Outputs, sentence: str, preview: bool
) -> None:
    found = run(project, stack, preview, others)
    assert found.error == f"RunError: {sentence}"
    assert not found.of(COMMAND)


def test_a_node_that_infra_has_not_made_yet(project: Path, parts: dict[str, Run]) -> None:
    """A preview shows what will be; an update says what must be done before."""
    others = {"staging-infra": parts["infra"].outputs}

    def without_redis(outputs: dict[str, Any]) -> None:
        outputs["nodes"] = [node for node in outputs["nodes"] if node["name"] != "k8s-redis"]

    before = changed(others, "staging-infra", without_redis)
    preview = run(project, "staging-cluster", True, before)
    assert preview.error is None
    assert {"prepare-k8s-redis", "member-k8s-redis"} <= set(preview.of(COMMAND))
    update = run(project, "staging-cluster", False, before)
    assert update.error is not None and "k8s-redis" in update.error
    assert "run `pulumi up --stack staging-infra` first" in update.error


def test_environments_differ_in_data_alone() -> None:
    """No code knows an environment by its name."""
    names = [file.name.split(".")[1] for file in CHECKOUT.glob("Pulumi.*.yaml")]
    for package in ("settings", "infra", "cluster", "gitops", "contract", "policy"):
        for file in (CHECKOUT / package).rglob("*.py"):
            for line in file.read_text().splitlines():
                for name in names:
                    assert f'"{name}"' not in line, (file, line)


def test_a_stacks_own_file_says_its_layers_and_little_else() -> None:
    for layer in LAYERS:
        document = yaml.safe_load((CHECKOUT / f"Pulumi.staging-{layer}.yaml").read_text())
        assert document["config"]["groundwork:settings"] == {"layers": [layer]}
