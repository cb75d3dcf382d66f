"""The contract's model, its schema, and how outputs are published."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pulumi
import pytest

from contract import Contract, NodeOutput
from contract.promises import promised
from contract.publish import SECRETS, publish
from contract.schema import FILE, schema, text


def test_the_schema_in_the_repository_is_the_models() -> None:
    assert FILE.read_text() == text(), "run: .venv/bin/python -m contract.schema"


def test_the_schema_has_the_outputs_in_the_models_order() -> None:
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


def test_the_readme_tells_of_each_output_in_the_stack_where_it_is() -> None:
    parts = re.split(r"\n(?=Of every stack:|With the )", (FILE.parent / "README.md").read_text())[
        1:
    ]
    layers = [("infra", "cluster", "gitops"), ("infra",), ("cluster",), ("gitops",)]
    told = {
        name: (kind, where)
        for where, part in zip(layers, parts, strict=True)
        for name, kind in re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", part, re.MULTILINE)
    }
    outputs = {name: each for name, each in promised().items() if "[" not in name}
    assert told == {name: (each.type, each.layers) for name, each in outputs.items()}
