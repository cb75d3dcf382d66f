"""Each rule: what keeps it, what breaks it, what it says, and where it waits for the update."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pulumi_policy import EnforcementLevel

from policy import names
from tests.policy import cases_edge, cases_iam, cases_network, cases_storage
from tests.policy.pack import (
    RULES,
    UNKNOWN,
    Case,
    Made,
    StackCase,
    Verdict,
    judge,
    judge_stack,
    provider,
)

# of the SDK's own modules, when they are imported
pytestmark = pytest.mark.filterwarnings(r"ignore:aws\..* has been deprecated:DeprecationWarning")

CASES = [*cases_network.CASES, *cases_storage.CASES, *cases_iam.CASES, *cases_edge.CASES]
STACK_CASES = [*cases_network.STACK_CASES, *cases_storage.STACK_CASES]
README = Path(names.__file__).with_name("README.md")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_about_one_resource(case: Case) -> None:
    assert judge(case.rule, case.type, case.keeps) == Verdict([])
    (message,) = judge(case.rule, case.type, case.breaks).said
    noun = case.type.rsplit(":", 1)[1]
    assert message.startswith(f"{noun} 'thing' ") and case.says in message


@pytest.mark.parametrize("case", STACK_CASES, ids=str)
def test_a_rule_about_several_resources(case: StackCase) -> None:
    assert judge_stack(case.rule, case.keeps) == Verdict([])
    ((about, message),) = judge_stack(case.rule, case.breaks).said
    assert about == case.about and f"'{about}' " in message and case.says in message


def test_every_rule_has_cases_and_is_documented() -> None:
    assert {each.rule for each in CASES} | {each.rule for each in STACK_CASES} == set(RULES)
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]*) \|", README.read_text(), re.M)
    told = {rule: ids.strip() for rule, ids in rows}
    assert told == {
        name: ", ".join(re.findall(r"CKV2?_AWS_\d+", rule.description)) or "ours"
        for name, rule in RULES.items()
    }


def test_every_rule_is_mandatory() -> None:
    assert {rule.enforcement_level for rule in RULES.values()} == {EnforcementLevel.MANDATORY}


@pytest.mark.parametrize(
    ("rule", "type", "props", "says"),
    [
        ("imds-v2", "aws:ec2/instance:Instance", {"metadataOptions": UNKNOWN}, "metadataOptions"),
        ("bucket-tls-only", "aws:s3/bucketPolicy:BucketPolicy", {"policy": UNKNOWN}, "policy"),
        ("iam-no-wildcard-action", "aws:iam/policy:Policy", {"policy": UNKNOWN}, "policy"),
        ("named-after-project", "aws:iam/role:Role", {"name": UNKNOWN}, "name"),
        ("tagged", "aws:ec2/vpc:Vpc", {"tags": UNKNOWN}, "tags"),
    ],
)
def test_what_a_preview_cannot_know_waits_for_the_update(
    rule: str, type: str, props: dict[str, Any], says: str
) -> None:
    verdict = judge(rule, type, props)
    assert verdict.said == [] and verdict.waits_for.startswith("not before the update")
    assert f".{says} can't be known" in verdict.waits_for


def test_an_unknown_value_hides_no_breach_of_another_resource() -> None:
    stack = [
        Made("aws:s3/bucket:Bucket", "late", {"bucket": "late"}),
        Made("aws:s3/bucket:Bucket", "bare", {"bucket": "bare"}),
        Made(
            "aws:s3/bucketVersioning:BucketVersioning",
            "versioning",
            {"bucket": "late", "versioningConfiguration": UNKNOWN},
        ),
    ]
    verdict = judge_stack("bucket-versioned", stack)
    assert [about for about, _ in verdict.said] == ["bare"]
    assert "late: string value at .versioningConfiguration" in verdict.waits_for


def test_tags_come_from_the_provider_or_the_resource() -> None:
    vpc, some = "aws:ec2/vpc:Vpc", provider({"Project": "shop"})
    (none,) = judge("tagged", vpc, {}, provider()).said
    assert "has no tag Project, Environment, ManagedBy:" in none
    (message,) = judge("tagged", vpc, {"tags": {"ManagedBy": "me"}}, some).said
    assert "has no tag Environment:" in message
    assert judge("tagged", "aws:ec2/route:Route", {}, provider()) == Verdict([])


def _sdk(token: str) -> Any:
    """The SDK's class of a resource type."""
    module, name = re.fullmatch(r"aws:(\w+)/\w+:(\w+)", token).groups()  # type: ignore[union-attr]
    return getattr(import_module(f"pulumi_aws.{module}"), name)


def _inputs(token: str) -> set[str]:
    return set(inspect.signature(_sdk(token)._internal_init).parameters)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def test_types_and_properties_are_those_of_the_sdk() -> None:
    used = {(case.type, key) for case in CASES for key in {**case.keeps, **case.breaks}}
    used |= {(type, name) for type, name in names.NAMES.items()}
    used |= {(made.type, key) for case in STACK_CASES for made in case.keeps for key in made.props}
    outputs = {"id"}
    assert [
        (type, key) for type, key in used if key not in outputs and _snake(key) not in _inputs(type)
    ] == []


def test_what_has_no_tags_in_aws_has_none_in_the_sdk() -> None:
    assert [type for type in names.UNTAGGED if "tags" in _inputs(type)] == []
