"""From a preview's document to the resources that will be there."""

from __future__ import annotations

from typing import Any

import pytest

from cost.charges import UNKNOWN
from cost.errors import CostError
from cost.preview import planned

PROVIDER = "urn:pulumi:prod::shop::groundwork:infra:Infra$pulumi:providers:aws::aws"
EIP = "urn:pulumi:prod::shop::groundwork:infra:Infra$groundwork:infra:Network$aws:ec2/eip:Eip::nat"


def step(
    urn: str, op: str = "create", kind: str = "aws:ec2/eip:Eip", **inputs: Any
) -> dict[str, Any]:
    state = {"type": kind, "inputs": inputs, "provider": f"{PROVIDER}::{UNKNOWN}"}
    return {"op": op, "urn": urn, "newState": state}


def provider(**inputs: Any) -> dict[str, Any]:
    return step(PROVIDER, kind="pulumi:providers:aws", **inputs)


def test_the_region_is_the_resources_or_its_providers_or_the_configurations() -> None:
    def region(*steps: dict[str, Any], **document: object) -> str | None:
        return planned({"steps": [*steps], **document})[-1].region

    assert region(provider(region="eu-west-1"), step(EIP, region="us-east-1")) == "us-east-1"
    assert region(provider(region="eu-west-1"), step(EIP)) == "eu-west-1"
    assert region(provider(region="eu-west-1"), step(EIP, region=UNKNOWN)) == "eu-west-1"
    assert region(step(EIP), config={"aws:region": "eu-west-2"}) == "eu-west-2"
    assert region(step(EIP)) is None


@pytest.mark.parametrize(
    ("chain", "layer"),
    [
        ("groundwork:infra:Infra$groundwork:infra:Network$aws:ec2/eip:Eip", "infra"),
        ("groundwork:cluster:Cluster$aws:ec2/eip:Eip", "cluster"),
        ("aws:ec2/eip:Eip", "other"),
    ],
)
def test_the_layer_is_that_of_the_outermost_component(chain: str, layer: str) -> None:
    (found,) = planned({"steps": [step(f"urn:pulumi:prod::shop::{chain}::nat")]})
    assert (found.layer, found.name) == (layer, "nat")


@pytest.mark.parametrize(
    ("operations", "there"),
    [
        (["create"], 1),
        (["same"], 1),
        (["update"], 1),
        (["create-replacement", "replace", "delete-replaced"], 1),
        (["delete"], 0),
        (["read"], 0),
    ],
)
def test_what_will_be_there(operations: list[str], there: int) -> None:
    assert len(planned({"steps": [step(EIP, op) for op in operations]})) == there


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "no preview"),
        ({"version": 3}, "no preview"),
        ({"steps": [{"op": "create", "newState": {"type": "x"}}]}, "form that is not known"),
        ({"steps": [step(EIP)], "changeSummary": {"same": 4}}, "4 unchanged .* --show-sames"),
    ],
)
def test_what_does_not_tell_all_is_refused(document: object, reason: str) -> None:
    with pytest.raises(CostError, match=reason):
        planned(document)
