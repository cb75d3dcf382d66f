"""The version rule: what a published version promised stays until the next major version.

contract/promises.json has what each version promised of each output, and of each field of an
output that is an object: its type, whether it is always there, whether it is secret, and which
layers' stacks have it. An entry is added with a new version and never changed: other teams have
built on it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from contract.model import ClusterContract, GitOpsContract, InfraContract
from contract.publish import SECRETS

FILE = Path(__file__).parent / "promises.json"
MODELS: Mapping[str, type[BaseModel]] = {
    "infra": InfraContract,
    "cluster": ClusterContract,
    "gitops": GitOpsContract,
}
MAJOR_RULE = "what a version promised changes only with a new major version"
MINOR_RULE = "what is added needs a new minor version"

Number = tuple[int, int, int]


@dataclass(frozen=True)
class Promise:
    """Of one output, or of a field inside one.

    type: in words, such as `map of string`. required: it is in every environment. layers: a stack
    that owns one of these has it.
    """

    type: str
    required: bool
    secret: bool
    layers: tuple[str, ...]


Promises = Mapping[str, Promise]


def promised(
    models: Mapping[str, type[BaseModel]] = MODELS, secrets: Collection[str] = SECRETS
) -> dict[str, Promise]:
    """What the models promise now, by output; a field of an object is `nodes[].name`.

    models: what the stack with a layer tells, by layer. secrets: names of outputs.
    """
    found: dict[str, Promise] = {}
    for layer, model in models.items():
        schema = model.model_json_schema()
        for path, type_, required in _fields(schema, schema.get("$defs", {}), ""):
            layers = (*found[path].layers, layer) if path in found else (layer,)
            secret = path.split("[")[0].split("{")[0] in secrets
            found[path] = Promise(type_, required, secret, layers)
    return found


def load(file: Path = FILE) -> dict[str, dict[str, Promise]]:
    """What each published version promised, by version."""
    return {
        version: {
            name: Promise(**{**promise, "layers": tuple(promise["layers"])})
            for name, promise in promises.items()
        }
        for version, promises in json.loads(file.read_text(encoding="utf-8")).items()
    }


def text(published: Mapping[str, Promises]) -> str:
    """contract/promises.json, a line an output."""
    versions = []
    for version in sorted(published, key=number):
        lines = [
            f"    {json.dumps(name)}: {json.dumps(asdict(promise))}"
            for name, promise in published[version].items()
        ]
        versions.append(f"  {json.dumps(version)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(versions) + "\n}\n"


def number(version: str) -> Number:
    """'2.10.0' -> (2, 10, 0). Raises ValueError for what is no semantic version."""
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"version {version!r} is not of the form 2.0.0")
    major, minor, patch = map(int, parts)
    return major, minor, patch


def broken(published: Mapping[str, Promises], version: str, made: Promises) -> list[str]:
    """Why `made` may not be published as `version`, a sentence each; empty if it may."""
    newest = max(published, key=number)
    if number(version) < number(newest):
        return [f"VERSION is {version}, and {newest} is published already; it only goes up"]
    major, minor, _ = number(version)
    same = [each for each in published if number(each)[0] == major]
    if not same:
        return []
    before = max(same, key=number)  # it has kept what the ones before it promised
    found = [
        f"{name} {what}; {MAJOR_RULE}: make VERSION {major + 1}.0.0, or keep what {before} promised"
        for name, what in _taken(published[before], made)
    ]
    if minor == number(before)[1]:
        found += [
            f"{name} {what} since {before}; {MINOR_RULE}: make VERSION {major}.{minor + 1}.0"
            for name, what in _given(published[before], made)
        ]
    return found


def _taken(before: Promises, made: Promises) -> Iterator[tuple[str, str]]:
    """Promises that are not kept: (name, what became of it)."""
    for name, promise in before.items():
        now = made.get(name)
        if now is None:
            if _parent(name) in made or _parent(name) == name:
                yield name, "is gone"
            continue
        if now.type != promise.type:
            yield name, f"is {now.type} and was {promise.type}"
        if promise.required and not now.required:
            yield name, "was always there and is optional"
        if promise.secret and not now.secret:
            yield name, "was secret and is shown in the clear"
        if now.secret and not promise.secret:
            yield name, "was in the clear and is secret, so that what is made of it is secret too"
        if gone := set(promise.layers) - set(now.layers):
            yield name, f"is no longer in the stack of {' and '.join(sorted(gone))}"


def _given(before: Promises, made: Promises) -> Iterator[tuple[str, str]]:
    """What is promised beyond the promises of before: (name, what)."""
    for name, promise in made.items():
        then = before.get(name)
        if then is None:
            yield name, "is new"
        elif promise.required and not then.required:
            yield name, "is always there"
        elif more := set(promise.layers) - set(then.layers):
            yield name, f"is in the stack of {' and '.join(sorted(more))} too"


def _parent(path: str) -> str:
    """The object that a field is of; an output is its own. `nodes[].name` -> `nodes`."""
    above = path.rpartition(".")[0] or path
    return above.removesuffix("[]").removesuffix("{}")


def _fields(
    schema: Mapping[str, Any], known: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, str, bool]]:
    """(path, type in words, whether it is always there) of an object's fields and theirs."""
    for name, definition in schema["properties"].items():
        given, nullable = _without_null(definition)
        path = f"{prefix}{name}"
        yield path, _words(given, known), name in schema["required"] and not nullable
        mark = ""
        while "items" in given or isinstance(given.get("additionalProperties"), dict):
            mark += "[]" if "items" in given else "{}"
            given = given["items"] if "items" in given else given["additionalProperties"]
        if "$ref" in given:
            yield from _fields(_referred(given, known), known, f"{path}{mark}.")


def _words(definition: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """A type in words; what has no word is told in JSON Schema's, so that no change is missed."""
    given = {k: v for k, v in definition.items() if k not in ("title", "description", "default")}
    match given:
        case {"type": "string" | "integer" | "number" | "boolean" as plain, **rest} if not rest:
            return str(plain)
        case {"type": "array", "items": items, **rest} if not rest:
            return f"list of {_words(items, known)}"
        case {"type": "object", "additionalProperties": dict(values), **rest} if not rest:
            return f"map of {_words(values, known)}"
        case {"$ref": _, **rest} if not rest and "properties" in _referred(given, known):
            return "object"
    return json.dumps(given, sort_keys=True)


def _without_null(definition: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """A definition without `or null`, and whether it had that."""
    choices = definition.get("anyOf", [])
    given = [each for each in choices if each != {"type": "null"}]
    return (given[0], True) if len(given) == 1 and len(choices) == 2 else (definition, False)


def _referred(definition: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = known[definition["$ref"].rpartition("/")[2]]
    return found
