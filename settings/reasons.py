"""What pydantic refuses, as problems with file, line and key; its words, or ours if clearer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from settings.errors import Problem
from settings.merge import Key, Layer, dotted


def problems(layer: Layer, at: Key, error: ValidationError, model: Any) -> Iterator[Problem]:
    """Every error below the key `at` of a layer, whose value was to be a `model`."""
    for item in error.errors(include_url=False):
        key = (*at, *(part for part in item["loc"] if not str(part).startswith("function-")))
        yield Problem(layer.origin(key), dotted(key), _reason(dict(item), model))


def _reason(item: dict[str, Any], model: Any) -> str:
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
