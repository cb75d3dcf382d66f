"""How a rule is stated, what it looks at, and what it says.

A check looks at one resource and yields, for each breach, the rest of a sentence that begins with
the resource: what is wrong, and how to mend it. A value that a preview cannot know ends the check
of that resource; the engine runs it again in the update, where all values are known: a rule about
one resource before that resource is made, a rule about several when all are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyComplianceFramework,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

Findings = Iterator[str]
# What names a resource where another refers to it.
_IDENTITIES = ("id", "bucket")


@dataclass(frozen=True)
class Stack:
    """All resources of a stack, with their outputs as properties."""

    resources: Sequence[PolicyResource]

    def of(self, types: Collection[str]) -> list[PolicyResource]:
        """The resources of these types."""
        return [found for found in self.resources if found.resource_type in types]

    def about(
        self, target: PolicyResource, types: Collection[str], key: str
    ) -> list[PolicyResource]:
        """The resources of these types whose property `key` refers to `target`."""
        return [found for found in self.of(types) if refers(found, key, target)]


def resource_rule(
    name: str,
    description: str,
    types: Collection[str],
    check: Callable[[ResourceValidationArgs], Findings],
    *,
    checkov: Sequence[str] = (),
) -> ResourceValidationPolicy:
    """A rule about the inputs of each resource of these types; no types: all of AWS."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if not (args.resource_type in types if types else args.resource_type.startswith("aws:")):
            return
        try:
            for finding in check(args):
                report(f"{_noun(args)} {finding}", None)
        except UnknownValueError as unknown:
            args.not_applicable(f"not before the update: {unknown.message}")

    return ResourceValidationPolicy(
        name,
        _described(description, checkov),
        validate,
        EnforcementLevel.MANDATORY,
        framework=_framework(checkov),
    )


def stack_rule(
    name: str,
    description: str,
    types: Collection[str],
    check: Callable[[PolicyResource, Stack], Findings],
    *,
    checkov: Sequence[str] = (),
) -> StackValidationPolicy:
    """A rule about each resource of these types among all others of the stack."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        stack = Stack(args.resources)
        late = []
        for resource in stack.of(types):
            try:
                for finding in check(resource, stack):
                    report(f"{_noun(resource)} {finding}", resource.urn)
            except UnknownValueError as unknown:
                late.append(f"{resource.name}: {unknown.message}")
        if late:
            args.not_applicable(f"not before the update: {'; '.join(late)}")

    return StackValidationPolicy(
        name,
        _described(description, checkov),
        validate,
        EnforcementLevel.MANDATORY,
        framework=_framework(checkov),
    )


def refers(resource: PolicyResource, key: str, target: PolicyResource) -> bool:
    """Whether a property, or an item of it, is `target`: by value where both are known, by the
    program's own dependencies where not."""
    mine = _texts(resource.props, key)
    theirs = [_texts(target.props, identity) for identity in _IDENTITIES]
    named = {text for texts in theirs if texts for text in texts}
    if mine is not None and named & set(mine):
        return True
    if mine is not None and all(texts is not None for texts in theirs) and named:
        return False
    return target in resource.property_dependencies.get(key, ())


def _texts(props: Mapping[str, Any], key: str) -> list[str] | None:
    """The strings of a property, of a list or alone; None when not all are known."""
    try:
        value = props.get(key)
        items = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
        return [item for item in items if isinstance(item, str)]
    except UnknownValueError:
        return None


def given(props: Mapping[str, Any], key: str) -> bool:
    """Whether the program sets this property, be its value known yet or not."""
    return any(name == key for name in props) and (_texts(props, key) is None or bool(props[key]))


def _noun(resource: ResourceValidationArgs | PolicyResource) -> str:
    return f"{resource.resource_type.rsplit(':', 1)[-1]} '{resource.name}'"


def _described(description: str, checkov: Sequence[str]) -> str:
    return f"{description} ({', '.join(checkov)})." if checkov else f"{description}."


def _framework(checkov: Sequence[str]) -> PolicyComplianceFramework | None:
    if not checkov:
        return None
    return PolicyComplianceFramework(name="checkov", reference=", ".join(checkov))
