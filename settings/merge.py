"""Reads YAML settings and merges them, remembering which file and line each key came from.

The rule: maps merge key by key; the list `nodes` merges by each node's name, and a node with
`absent: true` is left out; everything else replaces what stood before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from settings.errors import Problem, SettingsError

Key = tuple[str | int, ...]


@dataclass
class Layer:
    """Plain data and the origin ("file:line") of each key path in it."""

    data: dict[str, Any]
    origins: dict[Key, str] = field(default_factory=dict)

    def origin(self, key: Key) -> str:
        """The origin of `key`, or of the nearest key above it that has one."""
        for end in range(len(key), -1, -1):
            if key[:end] in self.origins:
                return self.origins[key[:end]]
        return "settings"


def read(file: Path, under: str | None = None) -> Layer:
    """One file as a layer; `under` names the key path in it that holds the settings.

    Raises SettingsError for what is not YAML, not a map, or says a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([Problem(file.name, "-", f"cannot be read: {error}")]) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file.name}:{mark.line + 1}" if mark else file.name
        reason = getattr(error, "problem", None) or str(error)
        raise SettingsError([Problem(where, "-", f"not valid YAML: {reason}")]) from None
    for name in (under or "").split("/") if under else []:
        _check_siblings(file, node, name)
        node = _child(node, name)
    layer = Layer(data={}, origins={(): file.name})
    if node is None:
        return layer
    if not isinstance(node, yaml.MappingNode):
        key = (under or "-").split("/")[-1]
        raise SettingsError([Problem(_mark(file, node), key, "must be a map of settings")])
    problems: list[Problem] = []
    _note(file, node, (), layer.origins, problems)
    if problems:
        raise SettingsError(problems)
    loader = yaml.SafeLoader("")
    try:
        layer.data = loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:  # an impossible date, say
        reason = f"a value cannot be read: {error}"
        raise SettingsError([Problem(_mark(file, node), "-", reason)]) from None
    return layer


def merge(base: Layer, over: Layer) -> Layer:
    """`over` laid upon `base` by the rule above; neither is changed."""
    origins = {**base.origins, **over.origins}
    merged = _merge_maps(base, over, (), origins)
    return Layer(data=merged, origins=origins)


def _check_siblings(file: Path, node: yaml.Node | None, name: str) -> None:
    """Refuses what would silently hide `name`: no map, or another key of the same project."""
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        return
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError([Problem(_mark(file, node), "-", f"must be a map that holds {name}")])
    project, colon, _ = name.partition(":")
    others = [
        Problem(_mark(file, key), key.value, f"unknown key; known: {name}")
        for key, _ in node.value
        if colon and key.value != name and key.value.startswith(f"{project}:")
    ]
    if others:
        raise SettingsError(others)


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name:
                return value  # type: ignore[no-any-return]
    return None


def _mark(file: Path, node: yaml.Node) -> str:
    return f"{file.name}:{node.start_mark.line + 1}"


def _note(
    file: Path, node: yaml.Node, at: Key, origins: dict[Key, str], problems: list[Problem]
) -> None:
    """Records where each key stands; nodes are known by name, so that a merge keeps them apart."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            path = (*at, str(key.value))
            if key.value in seen:
                problems.append(Problem(_mark(file, key), dotted(path), "is set twice"))
            seen.add(key.value)
            origins[path] = _mark(file, key)
            _note(file, value, path, origins, problems)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            name = _child(item, "name") if at == ("nodes",) else None
            part: str | int = name.value if isinstance(name, yaml.ScalarNode) else index
            origins.setdefault((*at, part), _mark(file, item))
            _note(file, item, (*at, part), origins, problems)


def _merge_maps(base: Layer, over: Layer, at: Key, origins: dict[Key, str]) -> dict[str, Any]:
    below, above = _get(base.data, at), _get(over.data, at)
    result = dict(below)
    for key, value in above.items():
        path = (*at, str(key))
        if path == ("nodes",) and isinstance(value, list) and isinstance(below.get(key), list):
            result[key] = _merge_nodes(below[key], value)
        elif isinstance(value, dict) and isinstance(below.get(key), dict):
            result[key] = _merge_maps(base, over, path, origins)
        else:
            result[key] = value
    return result


def _merge_nodes(below: list[Any], above: list[Any]) -> list[Any]:
    """Later fields win; a name said twice in one file stays twice, to be refused as a duplicate."""
    result = list(below)
    replaced: set[str] = set()
    for node in above:
        name = _name(node)
        index = next(
            (
                i
                for i, old in enumerate(result)
                if isinstance(old, dict) and old.get("name") == name
            ),
            None,
        )
        if name is None or index is None or name in replaced:
            result.append(node)
        else:
            result[index] = {**result[index], **node}
        if name is not None:
            replaced.add(name)
    return [node for node in result if not (isinstance(node, dict) and node.get("absent") is True)]


def _name(node: Any) -> Any:
    return node.get("name") if isinstance(node, dict) else None


def _get(data: dict[str, Any], at: Key) -> dict[str, Any]:
    for part in at:
        data = data[str(part)]
    return data


def dotted(key: Key) -> str:
    """`nodes[k8s-master].zone` for ("nodes", "k8s-master", "zone")."""
    text = ""
    for part in key:
        if text == "nodes" or isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text or "-"
