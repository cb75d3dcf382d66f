"""Which stacks an environment has, in which order, and how their files are merged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from settings import SettingsError, Stack, environment, environments, load
from settings.environments import LAYERS
from tests.conftest import CHECKOUT, ProjectMaker


def write(project: Path, stack: str, **settings: object) -> None:
    document = {"config": {"groundwork:settings": settings}}
    (project / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(document))


def layered(project: Path, *stacks: list[str]) -> Path:
    """The environment `test`, in a stack for each list of layers."""
    for layers in stacks:
        write(project, f"test-{layers[0]}", layers=layers)
    return project


def refusals(project: Path, name: str = "test") -> set[str]:
    with pytest.raises(SettingsError) as caught:
        environment(project, name)
    return {str(problem) for problem in caught.value.problems}


def test_an_environment_of_one_file_is_one_stack_with_all_layers(
    make_project: ProjectMaker,
) -> None:
    found = environment(make_project(), "test")
    assert found.stacks == (Stack("test", LAYERS),)
    assert found.owner("cluster").name == "test"
    assert found.files(found.stack("test")) == ("Pulumi.test.yaml",)


@pytest.mark.parametrize(
    "stacks",
    [
        (["infra"], ["cluster"], ["gitops"]),
        (["gitops"], ["infra", "cluster"]),
        (["cluster", "gitops"], ["infra"]),
    ],
)
def test_the_stacks_of_an_environment_come_in_order_of_deployment(
    make_project: ProjectMaker, stacks: tuple[list[str], ...]
) -> None:
    project = layered(make_project(), *stacks)
    found = environment(project, "test")
    assert [layer for stack in found.stacks for layer in stack.layers] == list(LAYERS)
    for stack in found.stacks:
        assert environment(project, stack.name) == found
        for layer in stack.layers:
            assert found.owner(layer) == stack


def test_the_file_of_a_stack_lies_over_that_of_its_environment(make_project: ProjectMaker) -> None:
    project = layered(make_project(name="low"), ["infra"], ["cluster"], ["gitops"])
    write(project, "test-cluster", layers=["cluster"], name="high")
    assert load(project, "test-infra").name == "low"
    assert load(project, "test-cluster").name == "high"


def test_an_environment_in_several_stacks_is_no_stack_itself(make_project: ProjectMaker) -> None:
    project = layered(make_project(), ["infra"], ["cluster"], ["gitops"])
    with pytest.raises(SettingsError, match="in several, test-infra, test-cluster, test-gitops"):
        load(project, "test")


@pytest.mark.parametrize(
    ("stacks", "expected"),
    [
        (
            {"infra": ["infra"], "cluster": ["cluster"]},
            {"Pulumi.test.yaml: layers: no stack owns gitops; each layer has one stack"},
        ),
        (
            {"infra": ["infra", "cluster"], "cluster": ["cluster", "gitops"]},
            {
                "Pulumi.test.yaml: layers: test-infra and test-cluster both own cluster; "
                "each layer has one stack"
            },
        ),
        (
            {"infra": ["infra", "gitops"], "cluster": ["cluster"]},
            {
                "Pulumi.test-infra.yaml: layers: must be next to each other and in this order: "
                "infra, cluster, gitops"
            },
        ),
        (
            {"infra": ["cluster"], "gitops": "gitops"},
            {
                "Pulumi.test-infra.yaml: layers: must have infra, which the stack is named after",
                "Pulumi.test-gitops.yaml: layers: must be a list of layers: infra, cluster, gitops",
            },
        ),
        (
            {"infra": None},
            {
                "Pulumi.test-infra.yaml: layers: is missing; say which layers this stack owns, "
                "such as [infra]"
            },
        ),
    ],
)
def test_stacks_that_do_not_make_up_an_environment_are_refused(
    make_project: ProjectMaker, stacks: dict[str, object], expected: set[str]
) -> None:
    project = make_project()
    for part, layers in stacks.items():
        write(project, f"test-{part}", layers=layers)
    assert {re.sub(r"yaml:\d+:", "yaml:", text) for text in refusals(project)} == expected


def test_layers_stand_in_the_file_of_a_stack_alone(make_project: ProjectMaker) -> None:
    project = make_project(layers=["infra"])
    with pytest.raises(SettingsError, match=r"layers: belongs into the file of a stack"):
        load(project, "test")


def test_a_dash_makes_no_stack_of_an_environment(make_project: ProjectMaker) -> None:
    """prod-eu is no part of prod, and eu-infra none of an environment that is not there."""
    project = make_project()
    write(project, "test-eu")
    write(project, "eu-infra")
    assert [each.name for each in environments(project)] == ["eu-infra", "test", "test-eu"]


def test_every_committed_environment_is_whole() -> None:
    found = {each.name: each for each in environments(CHECKOUT)}
    assert {"dev", "staging", "prod", "rehearsal"} <= set(found)
    assert len(found["staging"].stacks) == 3
