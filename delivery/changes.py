"""Which properties of a resource change, from what to what; secrets as such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from delivery.events import SECRET_SIGNATURE, SIGNATURE, UNKNOWN, Properties, Step
from delivery.masking import masked, names_a_secret

_Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Secret:
    """A value that is not shown. known: it, if only its property's name says that it is secret;
    the engine tells nothing of its own secrets."""

    known: Any = None

    def __repr__(self) -> str:
        return "Secret()"


@dataclass(frozen=True)
class Unknown:
    """A value that is not known before the deployment."""


@dataclass(frozen=True)
class Absent:
    """No value."""


@dataclass(frozen=True)
class Change:
    """One property. path: `tags.Name`, `ingress[0].port`; replaces: it makes the resource anew."""

    path: str
    old: Any
    new: Any
    replaces: bool


def changes(step: Step) -> list[Change]:
    """Every property of a resource that changes, the deepest that differ. Empty for one that is
    made or goes."""
    if not step.old or not step.new:
        return []
    keys = step.changed or step.replaces or sorted({*step.old, *step.new})
    return [
        Change(_dotted(path), old, new, str(path[0]) in step.replaces)
        for key in keys
        for path, old, new in _of(step, key)
    ]


def differences(old: Properties, new: Properties) -> list[Change]:
    """As `changes`, of two maps such as a stack's outputs."""
    return [
        Change(_dotted(path), before, after, False)
        for path, before, after in _leaves((), plain(dict(old)), plain(dict(new)))
    ]


def _of(step: Step, key: str) -> Iterator[tuple[_Path, Any, Any]]:
    old, new = _get(step.old, key), _get(step.new, key)
    found = list(_leaves((key,), old, new))
    if not found and step.changed:
        # the provider sees a change that the inputs do not tell: in a secret, or in what exists
        found = [((key, *path), Secret(), Secret()) for path in _secrets(new)]
        if not found and key in step.old_outputs:
            found = list(_leaves((key,), _get(step.old_outputs, key), new))
    yield from found


def _get(properties: Properties, key: str) -> Any:
    return plain({key: properties[key]})[key] if key in properties else Absent()


def plain(value: Any) -> Any:
    """A value of the engine's, with Secret and Unknown for what it marks, and without what
    providers note for themselves (`__defaults`)."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return Secret()
        return {
            key: Secret(each) if isinstance(each, str) and names_a_secret(key) else plain(each)
            for key, each in value.items()
            if not key.startswith("__") and key != SIGNATURE
        }
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return Unknown() if value == UNKNOWN else masked(value)
    return value


def _leaves(path: _Path, old: Any, new: Any) -> Iterator[tuple[_Path, Any, Any]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _leaves((*path, key), old.get(key, Absent()), new.get(key, Absent()))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            sides = (side[index] if index < len(side) else Absent() for side in (old, new))
            yield from _leaves((*path, index), *sides)
    elif isinstance(old, Secret) or isinstance(new, Secret):
        # what was secret on one side is not shown on the other
        yield path, _hidden(old), _hidden(new)
    else:
        yield path, old, new


def _hidden(side: Any) -> Any:
    return side if isinstance(side, Absent) else Secret()


def _secrets(value: Any) -> Iterator[_Path]:
    if isinstance(value, Secret):
        yield ()
    items: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(value, dict):
        items = iter(value.items())
    elif isinstance(value, list):
        items = iter(enumerate(value))
    for key, each in items:
        for path in _secrets(each):
            yield (key, *path)


def _dotted(path: _Path) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("-", "").replace("_", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text
