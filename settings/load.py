"""From files to Settings: defaults, then the stack's file; every refusal at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from settings.check import check
from settings.errors import Problem, SettingsError
from settings.merge import Key, Layer, dotted, merge, read
from settings.models import Node, Settings

DEFAULTS = Path(__file__).parent / "defaults.yaml"
_UNDER = "config/groundwork:settings"


def load(project: Path, environment: str) -> Settings:
    """The settings of `environment`: settings/defaults.yaml <- Pulumi.<environment>.yaml.

    project: the folder with Pulumi.yaml; relative file names in the settings are relative to it.
    Raises SettingsError with every refusal: file and line, key, reason. Changes nothing.
    """
    stack_file = project / f"Pulumi.{environment}.yaml"
    if not stack_file.is_file():
        known = sorted(p.name.split(".")[1] for p in project.glob("Pulumi.*.yaml"))
        reason = f"no such file; environments here: {', '.join(known) or 'none'}"
        raise SettingsError([Problem(stack_file.name, "-", reason)])
    layer = merge(read(DEFAULTS), read(stack_file, under=_UNDER))
    sections, problems = _sections(layer)
    problems += [
        Problem(layer.origin(key), dotted(key), reason) for key, reason in check(sections, project)
    ]
    if problems:
        raise SettingsError(problems)
    return Settings.model_validate(sections)


def _sections(layer: Layer) -> tuple[dict[str, Any], list[Problem]]:
    """Each section validated by itself, so that one broken section hides no other's faults."""
    fields = Settings.model_fields
    found: dict[str, Any] = {}
    problems = [
        Problem(layer.origin((name,)), str(name), f"unknown key; known: {', '.join(fields)}")
        for name in layer.data
        if name not in fields
    ]
    for name, field in fields.items():
        if name not in layer.data:
            problems.append(Problem(layer.origin(()), name, "is missing"))
        elif name == "nodes":
            nodes, refused = _nodes(layer)
            problems += refused
            found[name if not refused else "valid nodes"] = nodes
        else:
            adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            try:
                found[name] = adapter.validate_python(layer.data[name])
            except ValidationError as error:
                problems += _problems(layer, (name,), error, field.annotation)
    return found, problems


def _nodes(layer: Layer) -> tuple[tuple[Node, ...], list[Problem]]:
    data = layer.data["nodes"]
    if not isinstance(data, list):
        return (), [Problem(layer.origin(("nodes",)), "nodes", "must be a list of nodes")]
    nodes: list[Node] = []
    problems: list[Problem] = []
    for index, item in enumerate(data):
        name = item.get("name") if isinstance(item, dict) else None
        try:
            nodes.append(Node.model_validate(item))
        except ValidationError as error:
            at: Key = ("nodes", name if isinstance(name, str) else index)
            problems += _problems(layer, at, error, Node)
    return tuple(nodes), problems


def _problems(layer: Layer, at: Key, error: ValidationError, model: Any) -> list[Problem]:
    result = []
    for item in error.errors(include_url=False):
        key = (*at, *(part for part in item["loc"] if not str(part).startswith("function-")))
        result.append(Problem(layer.origin(key), dotted(key), _reason(dict(item), model)))
    return result


def _reason(item: dict[str, Any], model: Any) -> str:
    """pydantic's words, in ours where ours are clearer."""
    kind, value = item["type"], item.get("input")
    if kind == "extra_forbidden":
        known = ", ".join(_fields(model, item["loc"][:-1]))
        return f"unknown key; known: {known}" if known else "unknown key"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    shown = "" if isinstance(value, dict | list) else f" (is {value!r})"
    return f"{item['msg'][0].lower()}{item['msg'][1:]}{shown}"


def _fields(model: Any, path: tuple[str | int, ...]) -> list[str]:
    for part in path:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
        found = model.model_fields.get(str(part))
        model = found.annotation if found else None
    if isinstance(model, type) and issubclass(model, BaseModel):
        return list(model.model_fields)
    return []
