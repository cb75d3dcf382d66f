"""A rehearsal of another checkout that was killed: in nobody's way, and gone whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rehearsal import world
from rehearsal.namespace import exists
from rehearsal.network import Layout, create, destroy
from rehearsal.paths import Paths
from rehearsal.preflight import read_owner
from rehearsal.world import clear_abandoned
from tests.rehearsal.netns import server

LAYOUT = Layout(prefix="gwtest-abandoned-")


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """What is left of a rehearsal of `tmp_path`/other: its record, namespaces and run folder."""
    checkout = tmp_path / "other"
    run = checkout / ".rehearsal"
    (run / "hosts").mkdir(parents=True)
    (run / "pids").mkdir()
    (run / "pids" / "cloud.json").write_text(json.dumps({"pid": 1, "start": "another"}))
    record = tmp_path / "owner"
    record.write_text(f"{checkout}\n")
    monkeypatch.setattr(world, "OWNER", record)
    monkeypatch.setattr(world, "read_owner", lambda: read_owner(record))
    monkeypatch.setattr(world, "Layout", lambda: LAYOUT)
    # this machine's own hosts may run
    monkeypatch.setattr(world, "remove_all_cgroups", (tmp_path / "cgroups removed").touch)
    create(LAYOUT)
    yield Paths(checkout=checkout, run=run, cache=tmp_path / "cache")
    destroy(LAYOUT)


def ours(other: Paths) -> Paths:
    folder = other.checkout.parent / "ours"
    return replace(other, checkout=folder, run=folder / ".rehearsal")


def test_it_is_removed_and_said(other: Paths) -> None:
    said: list[str] = []
    clear_abandoned(ours(other), said.append)
    assert said == [f"removing what is left of the rehearsal of {other.checkout}, which was killed"]
    assert read_owner(other.checkout.parent / "owner") is None
    assert not other.run.exists()
    assert not exists(LAYOUT.internet)
    assert not exists(LAYOUT.vpc)
    assert (other.checkout.parent / "cgroups removed").exists()
    clear_abandoned(ours(other), said.append)
    assert len(said) == 1


def test_one_whose_checkout_is_gone(other: Paths) -> None:
    for folder in (other.run / "hosts", other.run / "pids"):
        for entry in folder.iterdir():
            entry.unlink()
        folder.rmdir()
    other.run.rmdir()
    other.checkout.rmdir()
    clear_abandoned(ours(other), lambda _: None)
    assert read_owner(other.checkout.parent / "owner") is None
    assert not exists(LAYOUT.internet)
    assert not other.checkout.exists()


def test_one_that_runs_is_left_alone(other: Paths) -> None:
    with server(LAYOUT.internet, "127.0.0.1"):
        clear_abandoned(ours(other), pytest.fail)
    assert read_owner(other.checkout.parent / "owner") == other.checkout
    assert not (other.checkout.parent / "cgroups removed").exists()
    assert other.run.exists()
    assert exists(LAYOUT.internet)


def test_this_checkouts_own_goes_on_from_where_it_was(other: Paths) -> None:
    clear_abandoned(other, pytest.fail)
    assert other.run.exists()
    assert exists(LAYOUT.internet)
