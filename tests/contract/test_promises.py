"""The version rule: each way to break what a version promised is told by name and by the rule."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import GenericAlias
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

import contract.promises
import contract.schema
from contract import VERSION
from contract.promises import FILE, MAJOR_RULE, MINOR_RULE, Promise, broken, load, promised, text
from contract.schema import main
from tests.program import CHECKOUT

Models = dict[str, type[BaseModel]]


class Node(BaseModel):
    name: str
    zone: str
    address: str | None = None


class Infra(BaseModel):
    region: str
    vpc_id: str
    subnet_ids: dict[str, str]
    url: str | None = None
    nodes: list[Node]


class Cluster(BaseModel):
    region: str
    kubeconfig: str


SECRETS = {"kubeconfig"}
BEFORE = promised({"infra": Infra, "cluster": Cluster}, SECRETS)


def other(model: type[BaseModel], without: str = "", **fields: Any) -> Any:
    """The model with some fields changed or added, and one left out."""
    kept = {k: (f.annotation, f) for k, f in model.model_fields.items() if k != without}
    return create_model(model.__name__, **{**kept, **fields})


def listed(node: type[BaseModel]) -> Any:
    """A field that is a list of such nodes."""
    return (GenericAlias(list, node), ...)


def told(models: Models, version: str, secrets: set[str] = SECRETS) -> list[str]:
    return broken({"2.4.1": BEFORE}, version, promised(models, secrets))


TAKEN = [
    (other(Infra, "vpc_id"), "vpc_id is gone"),
    (other(Infra, "url"), "url is gone"),
    (other(Infra, "nodes"), "nodes is gone"),
    (other(Infra, vpc_id=(str | None, None)), "vpc_id was always there and is optional"),
    (other(Infra, vpc_id=(str | None, ...)), "vpc_id was always there and is optional"),
    (other(Infra, vpc_id=(int, ...)), "vpc_id is integer and was string"),
    (other(Infra, url=(list[str] | None, None)), "url is list of string and was string"),
    (other(Infra, nodes=(list[str], ...)), "nodes is list of string and was list of object"),
    (
        other(Infra, subnet_ids=(dict[str, list[str]], ...)),
        "subnet_ids is map of list of string and was map of string",
    ),
    (other(Infra, nodes=listed(other(Node, "zone"))), "nodes[].zone is gone"),
    (
        other(Infra, nodes=listed(other(Node, zone=(int, ...)))),
        "nodes[].zone is integer and was string",
    ),
    (
        other(Infra, nodes=listed(other(Node, zone=(str | None, None)))),
        "nodes[].zone was always there and is optional",
    ),
]


@pytest.mark.parametrize(("infra", "what"), TAKEN, ids=[what for _, what in TAKEN])
def test_what_is_taken_away_needs_a_major_version(infra: type[BaseModel], what: str) -> None:
    models: Models = {"infra": infra, "cluster": Cluster}
    rule = f"{MAJOR_RULE}: make VERSION 3.0.0, or keep what 2.4.1 promised"
    for version in ("2.4.1", "2.4.2", "2.5.0"):
        assert f"{what}; {rule}" in told(models, version)
    assert told(models, "3.0.0") == []


def test_a_type_that_is_narrowed_is_another_type() -> None:
    (said,) = told({"infra": other(Infra, vpc_id=(Literal["a"], ...)), "cluster": Cluster}, "2.5.0")
    assert re.match(r'vpc_id is \{"const": "a".*\} and was string; ', said)
    assert MAJOR_RULE in said


def test_a_secret_stays_one_and_nothing_becomes_one() -> None:
    models: Models = {"infra": Infra, "cluster": Cluster}
    (said,) = told(models, "2.5.0", secrets=set())
    assert said.startswith("kubeconfig was secret and is shown in the clear; " + MAJOR_RULE)
    (said,) = told(models, "2.5.0", secrets={"kubeconfig", "url"})
    assert said.startswith("url was in the clear and is secret, ") and MAJOR_RULE in said


def test_an_output_stays_in_the_stack_where_it_is_read() -> None:
    models: Models = {
        "infra": other(Infra, "vpc_id"),
        "cluster": other(Cluster, vpc_id=(str, ...)),
    }
    said = told(models, "2.5.0")
    assert len(said) == 1
    assert said[0].startswith("vpc_id is no longer in the stack of infra; " + MAJOR_RULE)


GIVEN: list[tuple[Models, str]] = [
    ({"infra": other(Infra, more=(str, ...)), "cluster": Cluster}, "more is new"),
    ({"infra": other(Infra, more=(str | None, None)), "cluster": Cluster}, "more is new"),
    (
        {
            "infra": other(Infra, nodes=listed(other(Node, disk=(int, ...)))),
            "cluster": Cluster,
        },
        "nodes[].disk is new",
    ),
    ({"infra": other(Infra, url=(str, ...)), "cluster": Cluster}, "url is always there"),
    (
        {"infra": Infra, "cluster": other(Cluster, vpc_id=(str, ...))},
        "vpc_id is in the stack of cluster too",
    ),
]


@pytest.mark.parametrize(("models", "what"), GIVEN, ids=[what for _, what in GIVEN])
def test_what_is_added_needs_a_minor_version(models: Models, what: str) -> None:
    rule = f"{MINOR_RULE}: make VERSION 2.5.0"
    for version in ("2.4.1", "2.4.2"):
        assert told(models, version) == [f"{what} since 2.4.1; {rule}"]
    assert told(models, "2.5.0") == []


def test_nothing_changed_needs_no_version_and_allows_any_later_one() -> None:
    models: Models = {"infra": Infra, "cluster": Cluster}
    for version in ("2.4.1", "2.4.2", "2.10.0", "3.0.0"):
        assert told(models, version) == []
    assert told(models, "2.4.0") == [
        "VERSION is 2.4.0, and 2.4.1 is published already; it only goes up"
    ]
    with pytest.raises(ValueError, match=r"'2\.4' is not of the form"):
        told(models, "2.4")


def test_words_for_people_and_names_of_classes_are_no_promise() -> None:
    renamed = create_model("Machine", __base__=Node)
    infra = other(Infra, vpc_id=(str, Field(description="another")), nodes=listed(renamed))
    assert promised({"infra": infra, "cluster": Cluster}, SECRETS) == BEFORE


@pytest.mark.parametrize("name", sorted(promised()))
def test_each_promise_of_this_version_is_held(name: str) -> None:
    made = dict(promised())
    kept: Promise = made.pop(name)
    published = {VERSION: {**made, name: kept}}
    assert [each for each in broken(published, VERSION, made) if each.startswith(f"{name} is gone")]


def test_this_version_is_published_as_it_is() -> None:
    published = load()
    assert broken(published, VERSION, promised()) == []
    assert published[VERSION] == promised()
    assert FILE.read_text() == text(published)


def test_the_command_tells_ci_what_was_broken(tmp_path: Path) -> None:
    """In a folder with the contract alone; the other packages are this checkout's."""
    shutil.copytree(CHECKOUT / "contract", tmp_path / "contract", ignore=lambda *_: ["examples"])
    for package in ("settings", "infra", "cluster", "gitops"):
        (tmp_path / package).symlink_to(CHECKOUT / package)
    model = tmp_path / "contract" / "model.py"
    model.write_text(model.read_text().replace("    vpc_id: str = ", "    vpc: str = "))
    done = subprocess.run(
        [sys.executable, "-m", "contract.schema", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    major = VERSION.split(".")[0]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert (
        f"contract: vpc_id is gone; {MAJOR_RULE}: make VERSION {int(major) + 1}.0.0, "
        f"or keep what {VERSION} promised\n" in done.stderr
    )


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Copies of what the command writes, for it to write."""
    copies = []
    for module in (contract.schema, contract.promises):
        copies.append(Path(shutil.copy(module.FILE, tmp_path)))
        monkeypatch.setattr(module, "FILE", copies[-1])
    return copies


def test_the_command_refuses_or_adds_but_writes_nothing_over(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [file.read_text() for file in files]
    assert main(["--check"]) == 0

    more = {**promised(), "colour": Promise("string", True, False, ("infra",))}
    monkeypatch.setattr(contract.promises, "promised", lambda: more)
    major, minor, _ = map(int, VERSION.split("."))
    later = f"{major}.{minor + 1}.0"
    for arguments in (["--check"], []):
        assert main(arguments) == 1
        said = capsys.readouterr().err
        assert said == (
            f"contract: colour is new since {VERSION}; {MINOR_RULE}: make VERSION {later}\n"
        )
    assert [file.read_text() for file in files] == texts

    monkeypatch.setattr(contract.schema, "VERSION", later)
    assert main(["--check"]) == 1
    assert capsys.readouterr().err == (
        f"contract: version {later} is not in promises.json yet; run `python -m contract.schema`\n"
        "contract: schema.json is not the model's; run `python -m contract.schema`\n"
    )
    assert main([]) == 0
    assert main(["--check"]) == 0
    published = load(files[1])
    assert published[VERSION] == load(CHECKOUT / "contract/promises.json")[VERSION]
    assert published[later] == more
