"""IAM policy documents, read into statements whose lists are always lists."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Statement:
    """One statement. principals: kind ("AWS", "Service", "Federated") to names; "*" alone is
    {"AWS": ["*"]}. conditions: operator to key to values, keys in lower case."""

    allows: bool
    actions: Sequence[str]
    all_actions_but: Sequence[str]
    resources: Sequence[str]
    all_resources_but: Sequence[str]
    principals: Mapping[str, Sequence[str]]
    all_principals_but: Mapping[str, Sequence[str]]
    conditions: Mapping[str, Mapping[str, Sequence[str]]]

    @property
    def everybody(self) -> bool:
        """Whether it is about anybody at all."""
        return "*" in self.principals.get("AWS", ()) or bool(self.all_principals_but)

    def condition_keys(self) -> set[str]:
        """The keys that any condition looks at."""
        return {key for keys in self.conditions.values() for key in keys}


def statements(document: str | Mapping[str, Any]) -> list[Statement]:
    """The statements of a document. Raises ValueError if it is none."""
    parsed = json.loads(document) if isinstance(document, str) else document
    if not isinstance(parsed, Mapping) or "Statement" not in parsed:
        raise ValueError("has no Statement")
    return [
        Statement(
            allows=found.get("Effect") == "Allow",
            actions=_list(found.get("Action")),
            all_actions_but=_list(found.get("NotAction")),
            resources=_list(found.get("Resource")),
            all_resources_but=_list(found.get("NotResource")),
            principals=_principals(found.get("Principal")),
            all_principals_but=_principals(found.get("NotPrincipal")),
            conditions={
                operator: {key.lower(): _list(values) for key, values in keys.items()}
                for operator, keys in (found.get("Condition") or {}).items()
            },
        )
        for found in _statements(parsed["Statement"])
    ]


def _statements(value: Any) -> Sequence[Mapping[str, Any]]:
    return [value] if isinstance(value, Mapping) else value


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in items]


def _principals(value: Any) -> dict[str, list[str]]:
    if value is None:
        return {}
    if isinstance(value, str):
        return {"AWS": [value]}
    return {kind: _list(names) for kind, names in value.items()}
