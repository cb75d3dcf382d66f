"""Which stacks an environment is made of: one with all layers, or several, each with its own.

An environment is Pulumi.<environment>.yaml. If files Pulumi.<environment>-<layer>.yaml stand
beside it, its stacks are those, each of `layers` as its file says, and there is no stack
<environment>; else that is the only one, and has every layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings.errors import Problem, SettingsError
from settings.merge import Layer, read

LAYERS = ("infra", "cluster", "gitops")
UNDER = "config/groundwork:settings"
LAYERS_KEY = "layers"


@dataclass(frozen=True)
class Stack:
    """A stack by Pulumi's name for it; layers: what it owns, in order of deployment."""

    name: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """stacks: in order of deployment; together they own each layer once."""

    name: str
    stacks: tuple[Stack, ...]

    def owner(self, layer: str) -> Stack:
        """The stack that has `layer`."""
        (found,) = (stack for stack in self.stacks if layer in stack.layers)
        return found

    def stack(self, name: str) -> Stack:
        """The stack of this name. Raises SettingsError if it is none of this environment's."""
        for stack in self.stacks:
            if stack.name == name:
                return stack
        names = ", ".join(stack.name for stack in self.stacks)
        reason = f"{name} is no stack: the environment {self.name} is in several, {names}"
        raise SettingsError([Problem(f"Pulumi.{name}.yaml", "-", reason)])

    def files(self, stack: Stack) -> tuple[str, ...]:
        """The settings files of `stack` beside the defaults, from the most general on."""
        return tuple(f"Pulumi.{name}.yaml" for name in dict.fromkeys((self.name, stack.name)))


def environments(project: Path) -> tuple[Environment, ...]:
    """Every environment in `project`, by name. Raises SettingsError as `environment` does."""
    return tuple(
        environment(project, name) for name in sorted(_names(project)) if _of(project, name) == name
    )


def environment(project: Path, name: str) -> Environment:
    """The environment of this name, or with a stack of this name.

    Raises SettingsError if there is none, or its stacks do not own each layer once, in order.
    """
    if name not in _names(project):
        known = sorted(n for n in _names(project) if _of(project, n) == n)
        reason = f"no such file; environments here: {', '.join(known) or 'none'}"
        raise SettingsError([Problem(f"Pulumi.{name}.yaml", "-", reason)])
    own = _of(project, name)
    parts = [f"{own}-{layer}" for layer in LAYERS if f"{own}-{layer}" in _names(project)]
    if not parts:
        return Environment(own, (Stack(own, LAYERS),))
    problems: list[Problem] = []
    stacks = [Stack(part, _layers(project, own, part, problems)) for part in parts]
    if not problems:
        problems += _misfits(own, stacks)
    if problems:
        raise SettingsError(problems)
    return Environment(own, tuple(sorted(stacks, key=lambda s: LAYERS.index(s.layers[0]))))


def _names(project: Path) -> set[str]:
    return {
        file.name.removeprefix("Pulumi.").removesuffix(".yaml")
        for file in project.glob("Pulumi.*.yaml")
    }


def _of(project: Path, name: str) -> str:
    """The environment that the file of this name belongs to."""
    above, dash, layer = name.rpartition("-")
    return above if dash and layer in LAYERS and above in _names(project) else name


def _layers(project: Path, own: str, name: str, problems: list[Problem]) -> tuple[str, ...]:
    layer = read(project / f"Pulumi.{name}.yaml", under=UNDER)
    found: Any = layer.data.get(LAYERS_KEY)
    if reason := _unfit(found, name.removeprefix(f"{own}-")):
        problems.append(Problem(layer.origin((LAYERS_KEY,)), LAYERS_KEY, reason))
        return ()
    return tuple(found)


def _unfit(found: Any, part: str) -> str | None:
    if found is None:
        return f"is missing; say which layers this stack owns, such as [{part}]"
    if not isinstance(found, list) or any(each not in LAYERS for each in found):
        return f"must be a list of layers: {', '.join(LAYERS)}"
    if part not in found:
        return f"must have {part}, which the stack is named after"
    places = [LAYERS.index(each) for each in found]
    if places != list(range(places[0], places[0] + len(places))):
        return f"must be next to each other and in this order: {', '.join(LAYERS)}"
    return None


def _misfits(own: str, stacks: Sequence[Stack]) -> list[Problem]:
    """Layers that have no stack or several, told of the environment's own file."""
    problems = []
    for layer in LAYERS:
        owners = [stack.name for stack in stacks if layer in stack.layers]
        if len(owners) != 1:
            told = f"{' and '.join(owners)} both own" if owners else "no stack owns"
            reason = f"{told} {layer}; each layer has one stack"
            problems.append(Problem(f"Pulumi.{own}.yaml", LAYERS_KEY, reason))
    return problems


def said_too_early(layer: Layer, own: Environment) -> list[Problem]:
    """`layers` in the file that all stacks of an environment share."""
    if LAYERS_KEY not in layer.data:
        return []
    part = LAYERS[0]
    reason = f"belongs into the file of a stack, such as Pulumi.{own.name}-{part}.yaml"
    return [Problem(layer.origin((LAYERS_KEY,)), LAYERS_KEY, reason)]
