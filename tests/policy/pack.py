"""Runs single rules of the pack by the SDK's own policy objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pulumi_policy import (
    Policy,
    PolicyCustomTimeouts,
    PolicyProviderResource,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policy import compute, edge, iam, names, network, storage

UNKNOWN = UNKNOWN_STRING_VALUE
RULES: dict[str, Policy] = {
    rule.name: rule
    for module in (network, compute, storage, iam, edge, names)
    for rule in module.RULES
}
TAGS = {"Project": "shop", "Environment": "test", "ManagedBy": "pulumi"}
_OPTIONS = PolicyResourceOptions(False, [], None, [], PolicyCustomTimeouts(0, 0, 0), [])


@dataclass(frozen=True)
class Case:
    """A resource type's properties that keep a rule, and some that break it in one way.

    says: a part of what is said of that.
    """

    rule: str
    type: str
    keeps: Mapping[str, Any]
    breaks: Mapping[str, Any]
    says: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.says}"


@dataclass(frozen=True)
class Made:
    """A resource of a stack. refers: which resources its properties are made of."""

    type: str
    name: str
    props: Mapping[str, Any] = field(default_factory=dict)
    refers: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class StackCase:
    """Stacks that keep and break a rule; only the resource called `about` is said to break it."""

    rule: str
    keeps: Sequence[Made]
    breaks: Sequence[Made]
    about: str
    says: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.says}"


@dataclass(frozen=True)
class Verdict:
    """What a rule says, and, where it needs a value that a preview cannot know, for which."""

    said: list[Any]
    waits_for: str = ""


def provider(tags: Mapping[str, str] | None = None) -> PolicyProviderResource:
    """An AWS provider with these default tags, as the engine tells of one."""
    props = {"region": "eu-west-1", "defaultTags": json.dumps({"tags": tags})} if tags else {}
    return PolicyProviderResource(
        "pulumi:providers:aws", unknown_checking_proxy(props), "urn", "aws"
    )


def judge(
    rule: str,
    type: str,
    props: Mapping[str, Any],
    by: PolicyProviderResource | None = None,
    name: str = "thing",
) -> Verdict:
    """What a rule about one resource says of it: messages."""
    policy = RULES[rule]
    assert isinstance(policy, ResourceValidationPolicy)
    found: list[str] = []
    proxied = unknown_checking_proxy(dict(props))
    args = ResourceValidationArgs(
        type, proxied, f"urn::{name}", name, _OPTIONS, by or provider(TAGS)
    )

    def report(message: str, urn: str | None = None) -> None:
        found.append(message)

    return _verdict(found, lambda: policy.validate(args, report))


def judge_stack(rule: str, stack: Sequence[Made]) -> Verdict:
    """What a rule about several resources says: (resource's name, message)."""
    policy = RULES[rule]
    assert isinstance(policy, StackValidationPolicy)
    found: list[tuple[str, str]] = []
    resources = {
        made.name: PolicyResource(
            made.type,
            unknown_checking_proxy(dict(made.props)),
            made.name,
            made.name,
            _OPTIONS,
            None,
            None,
            [],
            {},
        )
        for made in stack
    }
    for made in stack:
        for key, targets in made.refers.items():
            resources[made.name].property_dependencies[key] = [
                resources[name] for name in targets if name in resources
            ]
    args = StackValidationArgs(list(resources.values()))

    def report(message: str, urn: str | None = None) -> None:
        found.append((urn or "", message))

    return _verdict(found, lambda: policy.validate(args, report))


def _verdict(found: list[Any], validate: Callable[[], object]) -> Verdict:
    """The SDK's own way out of a rule that does not apply is an exception with a reason."""
    try:
        validate()
    except Exception as left:
        if (reason := getattr(left, "reason", None)) is None:
            raise
        return Verdict(found, reason)
    return Verdict(found)
