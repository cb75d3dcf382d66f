"""What the engine wants to know before anything is touched: checks, differences, previews.

Pure functions over a type's table; nothing here talks to AWS.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from rehearsal.plugins.aws.kinds import Change, Record, complete
from rehearsal.plugins.aws.schema import AutoName, ResourceType
from rehearsal.plugins.protocol import UNKNOWN, Failure, Properties

_DEFAULTS = "__defaults"  # inputs that this provider filled in, as the official one marks them


def check(
    type: ResourceType, name: str, region: str | None, olds: Properties, news: Properties
) -> tuple[Properties, list[Failure]]:
    """Completed inputs and refusals. region: the provider's, None while it is not configured.

    A regional resource without a region of its own gets the provider's, so that a change of either
    replaces it, as officially.
    """
    given = {k: v for k, v in news.items() if v is not None and not k.startswith("__")}
    failures = _refusals(type, given)
    inputs = complete(type.inputs, given)
    if type.regional and region and "region" not in given:
        inputs["region"] = region
    named = type.autoname
    if named and named.property not in given:
        inputs[named.property] = _automatic_name(named, name, olds)
    if type.validate and not failures:
        for property, reason in type.validate(inputs):
            failures.append(_failure(type, property, reason))
    inputs[_DEFAULTS] = sorted(inputs.keys() - given.keys())
    return inputs, failures


def _refusals(type: ResourceType, given: Properties) -> list[Failure]:
    failures = []
    for key, value in given.items():
        spec = type.properties.get(key)
        if spec is None:
            failures.append(_failure(type, key, "is not handled by this stand-in"))
        elif value is not UNKNOWN:
            for path, reason in spec.kind.check(value):
                failures.append(_failure(type, key + path, reason))
    for key, spec in type.properties.items():
        if spec.required and key not in given:
            failures.append(_failure(type, key, "is required"))
    return failures


def _failure(type: ResourceType, property: str, reason: str) -> Failure:
    return Failure(property, f"{type.token}: property '{property}' {reason}")


def _automatic_name(named: AutoName, name: str, olds: Properties) -> str:
    """The name that the resource has already, or a fresh one."""
    if named.property in olds.get(_DEFAULTS, ()) and olds.get(named.property):
        return str(olds[named.property])
    suffix = "-" + secrets.token_hex(4)[:7]
    base = named.prefix + name
    base = base[: named.longest - len(suffix)] + suffix
    return base.lower() if named.lower else base


def all_tags(type: ResourceType, defaults: Mapping[str, str], inputs: Properties) -> Any:
    """The tags to have: the provider's defaults and the resource's own; maybe UNKNOWN."""
    if not type.retag:
        return {}
    own = inputs.get("tags") or {}
    return UNKNOWN if own is UNKNOWN else {**defaults, **own}


def changes(
    type: ResourceType, old_inputs: Properties, state: Properties, news: Properties, tags: Any
) -> dict[str, Change]:
    """What differs, property by property. state: the outputs; tags: the tags to have."""
    result = {}
    for key, spec in type.properties.items():
        old = _merged(state.get(key), old_inputs.get(key), spec.computed)
        change = spec.compare(old, news.get(key))
        if change:
            result[key] = change
    if type.retag and "tags" not in result and state.get("tagsAll", tags) != tags:
        result["tagsAll"] = Change.UPDATE
    return result


def _merged(output: Any, given: Any, computed: bool) -> Any:
    """The old value: what the program gave, filled up by what AWS added to it."""
    if isinstance(output, Mapping) and isinstance(given, Mapping):
        return {**output, **{k: v for k, v in given.items() if v is not None}}
    return output if given is None and computed else given


def delete_first(type: ResourceType, old_inputs: Properties, news: Properties) -> bool:
    """True if a replacement cannot exist beside the old one: its name is taken until then."""
    if type.delete_before_replace:
        return True
    if not type.autoname:
        return False
    key = type.autoname.property
    return key not in news.get(_DEFAULTS, ()) and old_inputs.get(key) == news.get(key)


def preview_create(type: ResourceType, inputs: Properties, tags: Any) -> Properties:
    """Outputs as far as a preview can tell."""
    late: Properties = {key: UNKNOWN for key in type.late}
    return late | _known(type, inputs, tags)


def preview_update(
    type: ResourceType,
    state: Properties,
    old_inputs: Properties,
    news: Properties,
    tags: Any,
    changed: Mapping[str, Change],
) -> Properties:
    """Outputs after an update as far as a preview can tell."""
    removed = {
        key
        for key in old_inputs.keys() - news.keys()
        if (spec := type.properties.get(key)) and not spec.computed
    }
    result = {key: value for key, value in state.items() if key not in removed}
    for key, value in _known(type, news, tags).items():
        spec, old, new = type.properties.get(key), result.get(key), news.get(key)
        if spec and isinstance(spec.kind, Record) and isinstance(old, dict) and new is not UNKNOWN:
            value = old | complete(spec.kind.fields, new or {})  # what AWS added to it stays
        result[key] = value
    for key in changed:
        result |= {output: UNKNOWN for output in type.unsettled.get(key, ())}
    return result


def _known(type: ResourceType, inputs: Properties, tags: Any) -> Properties:
    result = {
        key: type.properties[key].kind.preview(value)
        for key, value in inputs.items()
        if key in type.properties
    }
    return result | ({"tagsAll": tags} if type.retag else {})


def outputs(type: ResourceType, region: str, inputs: Properties, live: Properties) -> Properties:
    """The resource's outputs. live: as its type's `read` gave it; inputs: as refreshed."""
    told = {key: value for key, value in live.items() if value is not None and key != "tags"}
    kept = {k: v for k, v in inputs.items() if k in type.properties and k not in live}
    result = {**kept, **told}
    if type.regional:
        result["region"] = region
    if type.retag:
        result["tagsAll"] = user_tags(live)
        result["tags"] = inputs.get("tags")
    return {key: value for key, value in result.items() if value is not None}


def refreshed(
    type: ResourceType, defaults: Mapping[str, str], inputs: Properties, live: Properties
) -> Properties:
    """The inputs that would have made the live resource.

    What still means the same stays as the program wrote it, so that a refresh shows drift alone.
    Without inputs (an import) all that AWS tells becomes an input.
    """
    result = dict(inputs)
    for key, spec in type.inputs.items():
        if key not in live or (inputs and spec.computed and key not in inputs):
            continue
        value = live[key]
        if isinstance(value, Mapping) and isinstance(spec.kind, Record):
            value = _asked(spec.kind, inputs.get(key), value)
        if spec.kind.compare(inputs.get(key), value, Change.UPDATE):
            result[key] = value
    if type.retag:
        own = inputs.get("tags") or {}
        tags = {k: v for k, v in user_tags(live).items() if k in own or defaults.get(k) != v}
        if tags != own:
            result["tags"] = tags
    return {key: value for key, value in result.items() if value is not None}


def _asked(kind: Record, given: Any, live: Mapping[str, Any]) -> Properties:
    """The fields of a live record that are inputs; what AWS chose by itself is no drift."""
    return {
        key: value
        for key, value in live.items()
        if value is not None
        and (spec := kind.fields.get(key))
        and not (isinstance(given, Mapping) and spec.computed and key not in given)
    }


def user_tags(live: Properties) -> dict[str, str]:
    """The live resource's tags without those of AWS itself."""
    tags = live.get("tags") or {}
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}
