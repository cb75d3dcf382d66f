"""IAM's decision about a request, as far as the policies here need it; all else is refused.

Source: "Policy evaluation logic" and "IAM JSON policy elements: Condition operators", IAM's User
Guide. What it does not know (an operator, a variable in a policy) is a ValueError: a simulator
that guessed would prove nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Context = Mapping[str, str | Sequence[str]]
_KEYS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}


@dataclass(frozen=True)
class Request:
    """action: `service:Name`; resource: an ARN, or "*" for an action that has none."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource} {dict(self.context)}"


def allowed(documents: Iterable[str], request: Request, boundary: str | None = None) -> bool:
    """Whether identity policies allow it: one does, none denies, and the boundary does, too."""
    if boundary is not None and not allowed([boundary], request):
        return False
    effects = {
        statement["Effect"]
        for document in documents
        for statement in _statements(document)
        if _applies(statement, request)
    }
    return effects == {"Allow"}


def assumable(trust: str, context: Context) -> bool:
    """Whether a role's trust lets in a token with these claims."""
    return any(
        each["Effect"] == "Allow" and _conditions_hold(each, context)
        for each in json.loads(trust)["Statement"]
    )


def mentions(documents: Iterable[str], action: str) -> bool:
    """Whether any statement allows the action for whatever resource, under whatever condition."""
    return any(
        each["Effect"] == "Allow" and _acts(each, action)
        for document in documents
        for each in _statements(document)
    )


@cache
def _statements(document: str) -> tuple[dict[str, Any], ...]:
    found = json.loads(document)["Statement"]
    for each in found:
        if unknown := each.keys() - _KEYS:
            raise ValueError(f"element {', '.join(sorted(unknown))} is not known here")
        if "${" in json.dumps(each):
            raise ValueError(f"variables are not known here: {each}")
    return tuple(found)


def _applies(statement: Mapping[str, Any], request: Request) -> bool:
    return (
        _acts(statement, request.action)
        and _about(statement, request.resource)
        and _conditions_hold(statement, request.context)
    )


def _acts(statement: Mapping[str, Any], action: str) -> bool:
    named = "Action" in statement
    patterns = _list(statement["Action" if named else "NotAction"])
    return any(_like(each.lower(), action.lower()) for each in patterns) is named


def _about(statement: Mapping[str, Any], resource: str) -> bool:
    named = "Resource" in statement
    patterns = _list(statement["Resource" if named else "NotResource"])
    return any(_like(each, resource) for each in patterns) is named


def _conditions_hold(statement: Mapping[str, Any], context: Context) -> bool:
    lower = {key.lower(): value for key, value in context.items()}
    return all(
        _holds(operator, _list(wanted), lower.get(key.lower()))
        for operator, tests in statement.get("Condition", {}).items()
        for key, wanted in tests.items()
    )


def _holds(operator: str, wanted: Sequence[str], found: str | Sequence[str] | None) -> bool:
    if operator == "Null":
        return [str(found is None).lower()] == [each.lower() for each in wanted]
    quantifier, _, plain = operator.rpartition(":")
    if plain not in ("StringEquals", "StringNotEquals", "StringLike"):
        raise ValueError(f"operator {operator} is not known here")
    negated = plain == "StringNotEquals"
    if quantifier == "ForAllValues":  # also when there is none
        return all(_one(plain, wanted, each) is not negated for each in _list(found))
    if quantifier:
        raise ValueError(f"operator {operator} is not known here")
    if found is None:
        return negated
    if not isinstance(found, str):
        raise ValueError(f"{operator} without a quantifier meets several values: {found}")
    return _one(plain, wanted, found) is not negated


def _one(operator: str, wanted: Sequence[str], found: str) -> bool:
    if operator == "StringLike":
        return any(_like(each, found) for each in wanted)
    return found in wanted


def _like(pattern: str, text: str) -> bool:
    """`*` any characters, `?` any one."""
    return _pattern(pattern).fullmatch(text) is not None


@cache
def _pattern(text: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(each, re.escape(each)) for each in text), re.DOTALL)


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
