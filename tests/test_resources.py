"""What each kind of environment is made of, as committed lists of types and names.

A change of the program shows here as a diff that a reviewer can read. After one that is meant:
`.venv/bin/python -m pytest tests/test_resources.py --write-expected`.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest

from settings.merge import read
from tests.conftest import EnvironmentMaker

EXPECTED = Path(__file__).parent / "expected"
_DEFAULTS: list[dict[str, Any]] = read(Path("settings/defaults.yaml")).data["nodes"]


def _in_zones(*zones: str) -> list[dict[str, str]]:
    """The nodes of the defaults, spread over other zones."""
    return [
        {"name": node["name"], "zone": zones[index % len(zones)]}
        for index, node in enumerate(_DEFAULTS)
    ]


_OREGON = ("us-west-2a", "us-west-2b", "us-west-2c")
_THREE = ("ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c")
_MASTERS = [
    {
        "name": f"k8s-master-{number}",
        "role": "control-plane",
        "instance_type": "t3.large",
        "zone": zone,
    }
    for number, zone in ((2, "ap-northeast-2c"), (3, "ap-northeast-2a"))
]

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "prod": ("prod", {}),
    "dev": ("dev", {}),
    "rehearsal": ("rehearsal", {}),
    "another-region": (
        "prod",
        {
            "aws": {"region": "us-west-2"},
            "network": {"zones": list(_OREGON)},
            "nodes": _in_zones(*_OREGON),
        },
    ),
    "three-zones": ("prod", {"network": {"zones": list(_THREE)}, "nodes": _in_zones(*_THREE)}),
    "nat-per-zone": ("prod", {"network": {"nat_gateways": "per-zone"}}),
    "three-control-planes": ("prod", {"nodes": _MASTERS}),
    "no-bastion": (
        "prod",
        {
            "access": {"bastion": None, "operator_cidrs": ["10.20.0.0/16"]},
            "nodes": [{"name": "k8s-master", "public": False}],
        },
    ),
    "nothing-public": ("prod", {"dns": {"public": None}}),
    "no-pod-identity": (
        "prod",
        {"identity": {"pods": False}, "instances": {"metadata_hop_limit": 2}},
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_environment_is_made_of(
    variant: str, make_environment: EnvironmentMaker, request: pytest.FixtureRequest
) -> None:
    stack, changes = VARIANTS[variant]
    run = make_environment(stack, preview=True, **changes).run
    assert run.error is None
    made = sorted(f"{each.type} {each.name}" for each in run.resources)
    file = EXPECTED / f"{variant}.txt"
    if request.config.getoption("--write-expected"):
        file.write_text("\n".join(made) + "\n")
    expected = file.read_text().splitlines()
    assert made == expected, "\n".join(
        difflib.unified_diff(expected, made, str(file), "the program", lineterm="", n=0)
    )


def test_no_list_is_of_nothing() -> None:
    assert {file.stem for file in EXPECTED.glob("*.txt")} == set(VARIANTS)
