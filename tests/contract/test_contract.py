"""The contract: what a published version promised stays; the schema in the repository is its own.

A name gone or a type narrowed breaks the stacks that read it, so it needs a new major version.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pulumi
import pytest

import contract
from contract import Contract, NodeOutput
from contract.publish import SECRETS, publish
from contract.schema import FILE, schema, text

# What version 1 promised, in JSON Schema's words. Add lines; change one only with VERSION 2.
TEXT: dict[str, Any] = {"type": "string"}
BY_NAME: dict[str, Any] = {"type": "object", "additionalProperties": TEXT}
PROMISED = {
    1: {
        "contract_version": TEXT,
        "cluster_name": TEXT,
        "region": TEXT,
        "vpc_id": TEXT,
        "public_subnet_ids": BY_NAME,
        "private_subnet_ids": BY_NAME,
        "security_group_ids": BY_NAME,
        "api_endpoint": TEXT,
        "api_server": TEXT,
        "kubeconfig": TEXT,
        "argocd_url": TEXT,
        "bastion_address": TEXT,
        "nodes": {"type": "array", "items": {"$ref": "#/$defs/NodeOutput"}},
    }
}
PROMISED_OF_A_NODE = {1: {"name", "role", "zone", "instance_id", "private_ip"}}


def shape(definition: dict[str, Any]) -> dict[str, Any]:
    """A property without its words for people."""
    return {k: v for k, v in definition.items() if k not in ("title", "description", "writeOnly")}


def broken(promised: dict[str, Any], properties: dict[str, Any]) -> set[str]:
    """The promised names that are gone or of another type."""
    return {name for name, wanted in promised.items() if shape(properties.get(name, {})) != wanted}


def test_what_this_major_version_promised_is_kept() -> None:
    major = int(contract.VERSION.split(".")[0])
    made = schema()
    assert broken(PROMISED[major], made["properties"]) == set()
    assert set(made["required"]) >= set(PROMISED[major])
    node = made["$defs"]["NodeOutput"]
    assert set(node["required"]) >= PROMISED_OF_A_NODE[major]


@pytest.mark.parametrize("name", sorted(PROMISED[1]))
def test_a_name_that_goes_or_changes_its_type_is_seen(name: str) -> None:
    properties = dict(schema()["properties"])
    kept = properties.pop(name)
    assert broken(PROMISED[1], properties) == {name}
    assert broken(PROMISED[1], {**properties, name: {**kept, "type": "number"}}) == {name}


def test_the_schema_in_the_repository_is_the_models() -> None:
    assert FILE.read_text() == text(), "run: .venv/bin/python -m contract.schema"


def test_the_schema_is_the_same_every_time() -> None:
    assert text() == text()
    assert list(json.loads(text())["properties"]) == list(Contract.model_fields)


def test_every_output_and_field_is_described() -> None:
    for model in (Contract, NodeOutput):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_secrets_are_outputs_of_their_own_and_marked() -> None:
    properties = schema()["properties"]
    assert {name for name, each in properties.items() if each.get("writeOnly")} == SECRETS
    for name in SECRETS:  # a secret in an object would make the whole object one
        assert properties[name]["type"] == "string"


def test_a_secret_is_marked_though_its_maker_forgot(monkeypatch: pytest.MonkeyPatch) -> None:
    async def marked() -> set[str]:
        exported: dict[str, Any] = {}
        monkeypatch.setattr(pulumi, "export", exported.__setitem__)
        publish(dict.fromkeys(Contract.model_fields, "x"), Contract)
        assert set(exported) == set(Contract.model_fields)
        outputs = {k: v for k, v in exported.items() if isinstance(v, pulumi.Output)}
        return {name for name, output in outputs.items() if await output.is_secret()}

    assert asyncio.run(marked()) == {"kubeconfig"}


def test_outputs_that_do_not_fit_are_refused_before_any_is_exported() -> None:
    values: dict[str, Any] = dict.fromkeys(Contract.model_fields, "x")
    del values["region"]
    with pytest.raises(ValueError, match=r"missing \['region'\], unknown \['colour'\]"):
        publish({**values, "colour": "green"}, Contract)


def test_the_version_is_semantic() -> None:
    assert [part.isdigit() for part in contract.VERSION.split(".")] == [True, True, True]
