"""`python -m cost`: estimates and differences, of previews and of estimates."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cost.__main__ import main
from cost.errors import CostError
from cost.prices import TABLE, read_prices
from tests.cost.test_preview import step

Maker = Callable[..., str]
BASE = "urn:pulumi:prod::shop::groundwork:infra:Infra$aws:ec2/instance:Instance::"


def node(name: str, kind: str, size: int = 40) -> dict[str, Any]:
    disk = {"volumeType": "gp3", "volumeSize": size}
    instance = "aws:ec2/instance:Instance"
    region = "ap-northeast-2"
    return step(
        f"{BASE}{name}", kind=instance, instanceType=kind, rootBlockDevice=disk, region=region
    )


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Writes a preview of the steps; its path."""

    def write(name: str, *steps: dict[str, Any]) -> str:
        file = tmp_path / name
        file.write_text(json.dumps({"steps": steps}))
        return str(file)

    return write


def test_an_estimate_for_people(make: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([make("new.json", node("redis", "t3.small"))]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "cost a month: 22.63 USD"
    assert [line.split() for line in said[1:4]] == [
        ["infra", "22.63"],
        ["EBS", "3.65"],
        ["EC2", "18.98"],
    ]
    assert any(line.startswith("  not included: data transfer") for line in said)


def test_the_total_of_what_is_not_all_known_is_a_lower_bound(
    make: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([make("new.json", node("redis", "x9.huge"))]) == 0
    said = capsys.readouterr().out
    assert said.startswith("cost a month: at least 3.65 USD\n")
    assert "  unknown: redis: instance x9.huge: no price in the table for ap-northeast-2" in said


def test_a_difference_names_what_changed(make: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    old = make(
        "old.json", node("redis", "t3.small"), node("old", "t3.small"), node("api", "t3.large")
    )
    new = make(
        "new.json", node("redis", "t3.large"), node("new", "m9.odd"), node("api", "t3.large")
    )
    assert main(["--diff", old, new]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cost a month: 124.82 -> 162.78 USD (+37.96, as far as it is known)",
        "      +56.94  redis: instance t3.small 18.98 -> instance t3.large 75.92",
        "      -18.98  old: instance t3.small 18.98 -> nothing",
        "       +3.65  new: nothing -> root volume, gp3, 40 GiB 3.65",
        "       -3.65  old: root volume, gp3, 40 GiB 3.65 -> nothing",
        "     unknown  new: nothing -> instance m9.odd unknown",
        "  unknown: new: instance m9.odd: no price in the table for ap-northeast-2",
    ]


def test_differences_for_machines_of_estimates_too(
    make: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for name, size in (("old", 40), ("new", 50)):
        assert main(["--json", make(f"{name}.json", node("redis", "t3.small", size))]) == 0
        files.append(tmp_path / f"{name}-estimate.json")
        files[-1].write_text(capsys.readouterr().out)
    assert main(["--diff", "--json", *map(str, files)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["delta"], data["complete"], data["unknown"]) == (0.91, True, [])
    (change,) = data["changes"]
    assert change == {
        "layer": "infra",
        "type": "aws:ec2/instance:Instance",
        "name": "redis",
        "part": "root volume",
        "old": {"what": "root volume, gp3, 40 GiB", "monthly": 3.65},
        "new": {"what": "root volume, gp3, 50 GiB", "monthly": 4.56},
        "delta": 0.91,
    }


def test_from_stdin(
    make: Maker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = Path(make("new.json", node("redis", "t3.small"))).read_text()
    monkeypatch.setattr("sys.stdin", io.StringIO(content))
    assert main(["-"]) == 0
    assert "22.63" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file or directory"),
        ("warning: x", "is not JSON"),
        ("{}", "this is no preview"),
        ('{"resources": []}', "this is no estimate"),
    ],
)
def test_bad_input_is_one_line(
    content: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.json"
    if content is not None:
        file.write_text(content)
    assert main([str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cost: {file}: ") and told in line


def test_another_number_of_files_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--diff", "one.json"])
    assert "2 files are needed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("t3.small: 0.026", "t3.small: cheap", "instance_hour.t3.small"),
        ("t3.small: 0.026", "t3.small: 0", "greater than 0"),
        ("date: 2026", "day: 2026", "date: field required"),
        ("  kms_key_month: https://aws.amazon.com/kms/pricing/\n", "", "sources: kms_key_month"),
        ("currency: USD", "currency: [USD", "prices.yaml"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = TABLE.read_text()
    assert old in text
    file = tmp_path / "prices.yaml"
    file.write_text(text.replace(old, new))
    with pytest.raises(CostError, match=told):
        read_prices(file)
