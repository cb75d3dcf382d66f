"""Reads the names of the objects in a rendered chart.

A chart's definitions can be megabytes of YAML, so documents are not parsed: helm's templates put
what is needed in block style at the first two levels, and what is not so is parsed after all.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_SEPARATOR = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_TOP = re.compile(r"^(apiVersion|kind):[ \t]+(['\"]?)([\w./-]+)\2[ \t]*(?:#.*)?$", re.MULTILINE)
_METADATA = re.compile(r"^metadata:[ \t]*\n((?:[ \t]+.*\n|[ \t]*\n|#.*\n)*)", re.MULTILINE)
_FIELD = r"^{indent}{key}:[ \t]+(['\"]?)([\w.:-]+)\1[ \t]*(?:#.*)?$"


def resource_names(manifest: str) -> dict[str, list[str]]:
    """`Kind[.group]/apiVersion` -> sorted `[namespace/]name`s, as the official provider reports."""
    found: dict[str, set[str]] = {}
    for document in _SEPARATOR.split(manifest):
        named = _scan(document + "\n") or _parse(document)
        if named is None:
            continue
        version, kind, name = named
        group = version.rpartition("/")[0]
        found.setdefault(f"{kind}.{group}/{version}" if group else f"{kind}/{version}", set())
        found[f"{kind}.{group}/{version}" if group else f"{kind}/{version}"].add(name)
    return {key: sorted(names) for key, names in sorted(found.items())}


def _scan(document: str) -> tuple[str, str, str] | None:
    top = {match[1]: match[3] for match in _TOP.finditer(document)}
    metadata = _METADATA.search(document)
    if len(top) != 2 or metadata is None:
        return None
    block = metadata[1]
    indent = re.match(r"(?:[ \t]*\n|#.*\n)*([ \t]+)", block)
    if indent is None:
        return None
    values = {}
    for key in ("name", "namespace"):
        pattern = _FIELD.format(indent=re.escape(indent[1]), key=key)
        match = re.search(pattern, block, re.MULTILINE)
        values[key] = match[2] if match else ""
    if not values["name"]:
        return None
    return top["apiVersion"], top["kind"], _full(values["namespace"], values["name"])


def _parse(document: str) -> tuple[str, str, str] | None:
    try:
        data: Any = yaml.load(document, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return None  # helm has accepted it; its name is only missing from an output
    if not isinstance(data, dict) or not data.get("kind") or not data.get("apiVersion"):
        return None
    metadata = data.get("metadata") or {}
    full = _full(str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
    return str(data["apiVersion"]), str(data["kind"]), full


def _full(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name
