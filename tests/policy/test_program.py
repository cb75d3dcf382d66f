"""The program keeps the pack's rules in every environment."""

from __future__ import annotations

import json

from pulumi_policy import ResourceValidationPolicy, StackValidationPolicy

from tests.conftest import Environment, EnvironmentMaker
from tests.policy.pack import RULES, Made, judge, judge_stack, provider


def test_every_resource_of_the_program_keeps_every_rule(environment: Environment) -> None:
    run = environment.run
    assert run.error is None
    (own,) = run.of("pulumi:providers:aws").values()
    tags = json.loads(own.inputs["defaultTags"])["tags"]
    made = [each for each in run.resources if each.type.startswith("aws:")]
    assert len(made) > 40
    assert [
        message
        for each in made
        for rule, policy in RULES.items()
        if isinstance(policy, ResourceValidationPolicy)
        for message in judge(rule, each.type, each.inputs, provider(tags), each.name).said
    ] == []


def test_all_resources_of_the_program_together_keep_every_rule(environment: Environment) -> None:
    assert environment.run.error is None
    made = [
        # the id that the mocks give
        Made(each.type, each.urn, {**each.inputs, "id": f"{each.name}-id"})
        for each in environment.run.resources
        if each.type.startswith("aws:")
    ]
    assert [
        message
        for rule, policy in RULES.items()
        if isinstance(policy, StackValidationPolicy)
        for _, message in judge_stack(rule, made).said
    ] == []


def test_an_environment_without_a_bastion_keeps_them_too(
    make_environment: EnvironmentMaker,
) -> None:
    inside = {"bastion": None, "operator_cidrs": ["10.20.0.0/16"]}
    nodes = [{"name": "k8s-master", "public": False}]
    environment = make_environment("prod", access=inside, nodes=nodes)
    test_every_resource_of_the_program_keeps_every_rule(environment)
    test_all_resources_of_the_program_together_keep_every_rule(environment)
