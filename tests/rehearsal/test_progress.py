"""What is said and kept of the engine's events."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rehearsal.progress import Progress, follow, layer, name
from tests.rehearsal.netns import until

STACK_URN = "urn:pulumi:rehearsal::groundwork::pulumi:pulumi:Stack::groundwork-rehearsal"
VPC = "urn:pulumi:rehearsal::groundwork::groundwork:infra:Network$aws:ec2/vpc:Vpc::groundwork"
JOIN = (
    "urn:pulumi:rehearsal::groundwork::groundwork:cluster:Cluster$groundwork:cluster:Member$"
    "command:remote:Command::join-k8s-worker-1"
)
RELEASE = (
    "urn:pulumi:rehearsal::groundwork::groundwork:gitops:ArgoCd$"
    "kubernetes:helm.sh/v3:Release::argocd"
)
SECRET = "hunter2-and-hunter3"
STATE = {"custom": True, "inputs": {"stdin": SECRET}, "outputs": {"stdout": SECRET}}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def progress(said: list[str]) -> Progress:
    return Progress(said.append, io.StringIO())


def event(kind: str, urn: str, op: str, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """As the engine writes it: the type is the last of the URN's chain."""
    meta = {"urn": urn, "op": op, "type": urn.split("::")[2].split("$")[-1]}
    which = "old" if op.startswith("delete") else "new"
    return {"sequence": 1, "timestamp": 1, kind: {"metadata": {**meta, which: state or STATE}}}


def step(urn: str, op: str, state: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [event("resourcePreEvent", urn, op, state), event("resOutputsEvent", urn, op, state)]


def error(message: str, urn: str = "", severity: str = "error") -> dict[str, Any]:
    return {"diagnosticEvent": {"urn": urn, "message": message, "severity": severity}}


def take(progress: Progress, *events: dict[str, Any] | Sequence[dict[str, Any]]) -> None:
    for each in events:
        for one in [each] if isinstance(each, dict) else each:
            progress.take(one)


def test_what_a_provider_waits_for_is_told_and_nothing_else_of_its_words(
    progress: Progress, said: list[str]
) -> None:
    take(
        progress,
        error("<{%reset%}>progress: root: waiting for databases<{%reset%}>\n", severity="info#err"),
        error("a warning of its own", severity="info#err"),
    )
    assert said == ["  root: waiting for databases …"]
    assert progress.errors == []


def test_a_line_for_each_resource_by_layer_and_number(progress: Progress, said: list[str]) -> None:
    take(progress, step(VPC, "create"), step(JOIN, "update"), step(RELEASE, "delete"))
    take(progress, step(JOIN, "create-replacement"), step(VPC, "import"))
    assert said == [
        "  infra   1: created Vpc groundwork (0 s)",
        "  cluster: update join-k8s-worker-1 …",
        "  cluster   1: updated Command join-k8s-worker-1 (0 s)",
        "  gitops   1: deleted Release argocd (0 s)",
        "  cluster: create-replacement join-k8s-worker-1 …",
        "  cluster   2: created anew Command join-k8s-worker-1 (0 s)",
        "  infra   2: import Vpc groundwork (0 s)",
    ]
    assert progress.changes == [
        ("create", VPC),
        ("update", JOIN),
        ("delete", RELEASE),
        ("create-replacement", JOIN),
        ("import", VPC),
    ]


def test_a_step_whose_begin_was_not_told_took_no_time(progress: Progress, said: list[str]) -> None:
    take(progress, event("resOutputsEvent", VPC, "create"))
    assert said == ["  infra   1: created Vpc groundwork (0 s)"]


def test_what_stays_as_it_is_is_counted_and_not_said(progress: Progress, said: list[str]) -> None:
    take(progress, step(VPC, "same"), step(JOIN, "same"), step(RELEASE, "read"))
    assert (said, progress.changes, progress.unchanged) == ([], [], 3)


def test_components_are_changes_without_a_line(progress: Progress, said: list[str]) -> None:
    take(progress, step(STACK_URN, "create", {"custom": False}))
    assert said == []
    assert progress.changes == [("create", STACK_URN)]


def test_each_layers_time_is_from_its_first_to_its_last_event(progress: Progress) -> None:
    progress.begin -= 100
    take(progress, step(VPC, "create"))
    progress.begin -= 50
    take(progress, step(JOIN, "create"), step(VPC, "same"))
    first, last = progress.layer_seconds["infra"]
    assert 100 <= first < 130
    assert 150 <= last < 180
    assert progress.layer_seconds["cluster"][0] >= 150
    assert "gitops" not in progress.layer_seconds


def test_a_failure_is_said_at_once(progress: Progress, said: list[str]) -> None:
    take(progress, event("resourcePreEvent", JOIN, "create"))
    take(progress, event("resOpFailedEvent", JOIN, "create"))
    assert said[-1] == "  cluster: create join-k8s-worker-1 FAILED"
    assert progress.changes == []


def test_errors_are_kept_once_with_their_resource_and_without_the_script(
    progress: Progress,
) -> None:
    script = f'set -e\necho {SECRET} over ssh\nkubeadm join "$1"'
    take(
        progress,
        error(f"<{{%fg 1%}}>running {script!r} over ssh: exit status 3<{{%reset%}}>\n", JOIN),
        error(f"\x1b[31mrunning {script} over ssh: exit status 4\x1b[0m", JOIN),
        error("update failed", STACK_URN),
        error("update failed", STACK_URN),
        error("no plugin found"),
        error("just so you know", JOIN, "warning"),
        error(f"debug {SECRET}", JOIN, "debug"),
    )
    assert progress.errors == [
        "join-k8s-worker-1: running it over ssh: exit status 3",
        "join-k8s-worker-1: running it over ssh: exit status 4",
        "update failed",
        "no plugin found",
    ]


def test_a_broken_policy_is_an_error_with_its_name_and_the_fix(progress: Progress) -> None:
    for level in ("advisory", "mandatory"):
        message = f"<{{%fg 1%}}>Titles.<{{%reset%}}>\nOf {level}: set it.\n"
        progress.take(
            {
                "policyEvent": {
                    "policyName": "imds-v2",
                    "enforcementLevel": level,
                    "message": message,
                }
            }
        )
    assert progress.errors == ["imds-v2: Of mandatory: set it."]


def test_the_steps_kept_hold_no_input_output_or_message(progress: Progress) -> None:
    take(progress, step(JOIN, "create"), event("resOpFailedEvent", VPC, "create"))
    take(progress, error(f"leaks {SECRET}", JOIN))
    take(progress, {"stdoutEvent": {"message": SECRET}}, {"summaryEvent": {"resourceChanges": {}}})
    kept = progress.kept
    assert isinstance(kept, io.StringIO)
    assert SECRET not in kept.getvalue()
    lines = [json.loads(line) for line in kept.getvalue().splitlines()]
    assert [(line["event"], line["op"], line["urn"]) for line in lines] == [
        ("resourcePreEvent", "create", JOIN),
        ("resOutputsEvent", "create", JOIN),
        ("resOpFailedEvent", "create", VPC),
    ]
    assert all(set(line) == {"seconds", "event", "op", "urn"} for line in lines)


@pytest.mark.parametrize(
    ("urn", "expected"),
    [(VPC, "infra"), (JOIN, "cluster"), (RELEASE, "gitops"), (STACK_URN, "stack"), ("", "stack")],
)
def test_the_layer_is_that_of_the_parents(urn: str, expected: str) -> None:
    assert layer(urn) == expected


def test_a_name_in_another_layers_words_does_not_mislead() -> None:
    urn = "urn:pulumi:s::p::groundwork:infra:Hosts$aws:ec2/instance:Instance::groundwork:cluster:x"
    assert layer(urn) == "infra"
    assert name(VPC) == "groundwork"


def test_a_growing_file_is_followed_to_its_end(tmp_path: Path) -> None:
    file, done = tmp_path / "events", threading.Event()
    file.touch()
    taken: list[dict[str, Any]] = []
    reader = threading.Thread(target=follow, args=(file, taken.append, done))
    reader.start()
    with file.open("a") as out:
        out.write('{"n": 1}\n\n{"n":')
        out.flush()
        until(lambda: taken == [{"n": 1}])
        out.write(' 2}\n{"n": "ü')
        out.flush()
        until(lambda: taken == [{"n": 1}, {"n": 2}])
        out.write('"}\n{"n": 4}\n{"cut sho')
    done.set()
    reader.join(30)
    assert not reader.is_alive()
    assert taken == [{"n": 1}, {"n": 2}, {"n": "ü"}, {"n": 4}]
