"""From files to Settings: defaults, sources, the stack's file; every refusal at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from settings.check import check
from settings.environments import LAYERS_KEY, UNDER, environment, said_too_early
from settings.errors import Problem, SettingsError
from settings.merge import Key, Layer, dotted, merge, read
from settings.models import Node, Settings
from settings.reasons import problems as reasons
from settings.sources import Sources, read_sources, unfit

DEFAULTS = Path(__file__).parent / "defaults.yaml"


def load(project: Path, stack: str) -> Settings:
    """The settings of `stack`: defaults.yaml <- sources.yaml <- Pulumi.<environment>.yaml
    <- Pulumi.<environment>-<layer>.yaml, if the environment is in several stacks.

    project: the folder with Pulumi.yaml; relative file names in the settings are relative to it.
    Raises SettingsError with every refusal: file and line, key, reason. Changes nothing.
    """
    sources = read_sources()
    layer = merged(project, stack, sources)
    sections, problems = _sections(layer)
    problems += _said_twice(sources, read(DEFAULTS))
    refused = [*check(sections, project)]
    if "cluster" in sections:
        refused += unfit(sections["cluster"])
    problems += [Problem(layer.origin(key), dotted(key), reason) for key, reason in refused]
    if problems:
        raise SettingsError(problems)
    return Settings.model_validate(sections)


def merged(project: Path, stack: str, sources: Sources) -> Layer:
    """The files of `stack`, merged and not yet checked, with the origin of each key.

    Raises SettingsError for a file that is missing or cannot be read as settings, and for stacks
    that do not make up an environment.
    """
    own = environment(project, stack)
    layer = merge(read(DEFAULTS), sources.layer)
    for file in own.files(own.stack(stack)):
        above = read(project / file, under=UNDER)
        if file == f"Pulumi.{own.name}.yaml" and (refused := said_too_early(above, own)):
            raise SettingsError(refused)
        above.data.pop(LAYERS_KEY, None)  # of the stack, and no setting
        layer = merge(layer, above)
    return layer


def _said_twice(sources: Sources, defaults: Layer) -> list[Problem]:
    """A value in both files would be changed in one of them."""
    keys: list[Key] = [tuple(name.split(".")) for name in sources.settings]
    reason = "is in sources.yaml too; leave it there alone"
    return [
        Problem(defaults.origins[key], dotted(key), reason)
        for key in keys
        if key in defaults.origins
    ]


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
                problems += reasons(layer, (name,), error, field.annotation)
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
            problems += reasons(layer, at, error, Node)
    return tuple(nodes), problems
