"""Schemas for kubeconform, made from the pinned tools' own sources: nothing is downloaded for it.

Kubernetes' kinds come from its OpenAPI document, Argo CD's from its CRDs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from rehearsal.toolchain import Toolchain

LOCATION = "{{.Group}}_{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"

_EVERYWHERE = ("DeleteOptions", "WatchEvent")  # registered in every group
_REFERENCE = re.compile(r'"\$ref": "#/definitions/([^"]+)"')


def write(folder: Path, toolchain: Toolchain) -> None:
    """One file a kind of each into `folder`, named by LOCATION."""
    kubernetes = toolchain.module_directory("kubernetes") / "api/openapi-spec/swagger.json"
    definitions = json.loads(kubernetes.read_text())["definitions"]
    for each in definitions.values():
        _strict(each)
    for name, each in definitions.items():
        for kind in each.get("x-kubernetes-group-version-kind", ()):
            if kind["kind"] not in _EVERYWHERE:
                needed = {key: definitions[key] for key in _reachable(name, definitions)}
                made = {"$ref": f"#/definitions/{name}", "definitions": needed}
                _write(
                    folder, kind["group"] or kind["version"], kind["kind"], kind["version"], made
                )
    for file in (toolchain.module_directory("argocd") / "manifests/crds").glob("*-crd.yaml"):
        write_crd(folder, yaml.load(file.read_text(), Loader=yaml.CSafeLoader)["spec"])


def write_crd(folder: Path, spec: dict[str, Any]) -> None:
    """A file for each version of a CustomResourceDefinition; spec: its own, which is changed."""
    for version in spec["versions"]:
        made = version["schema"]["openAPIV3Schema"]
        _strict(made)
        made["properties"]["metadata"] = {"type": "object"}
        _write(folder, spec["group"], spec["names"]["kind"], version["name"], made)


def _reachable(name: str, definitions: dict[str, Any]) -> set[str]:
    """The definition's name and those that it refers to, however far."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += _REFERENCE.findall(json.dumps(definitions[name]))
    return found


def _write(folder: Path, group: str, kind: str, version: str, made: dict[str, Any]) -> None:
    (folder / f"{group}_{kind.lower()}_{version}.json").write_text(json.dumps(made))


def _strict(node: Any) -> None:
    """OpenAPI's words made JSON Schema's; what is not described is refused."""
    if isinstance(node, list):
        for each in node:
            _strict(each)
        return
    if not isinstance(node, dict):
        return
    for each in list(node.values()):
        _strict(each)
    either = node.get("format") == "int-or-string" or node.get("x-kubernetes-int-or-string")
    if either:
        node.pop("type", None)
        node.pop("format", None)
        node["anyOf"] = [{"type": "string"}, {"type": "integer"}]
    open_ended = node.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        node.setdefault("additionalProperties", bool(open_ended))
