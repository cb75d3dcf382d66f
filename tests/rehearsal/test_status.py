"""What the cluster says of its nodes and Applications, and whether all is well."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rehearsal import cli, status
from rehearsal.errors import RehearsalError
from rehearsal.paths import Paths
from rehearsal.status import ApplicationStatus, NodeStatus, Status, read

NODE = NodeStatus("k8s-master", True, "control-plane", "v1.34.4", "10.0.1.5", "")
APPLICATION = ApplicationStatus("root", "Synced", "Healthy", "0123456789abcdef", "")
Cluster = Callable[..., Status]

# answers `kubectl --kubeconfig=… --request-timeout=… get <what> … -o json` from files beside it
KUBECTL = """#!{python}
import pathlib, sys
folder = pathlib.Path(__file__).parent
assert sys.argv[1] == f"--kubeconfig={{folder / 'kubeconfig'}}", sys.argv
assert sys.argv[3] == "get" and sys.argv[-2:] == ["-o", "json"], sys.argv
if (folder / "error").exists():
    raise SystemExit((folder / "error").read_text())
answer = folder / f"{{sys.argv[4]}}.json"
if not answer.exists():
    raise SystemExit(f'error: the server doesn\\'t have a resource type "{{sys.argv[4]}}"')
print(answer.read_text())
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Reads the status of a cluster that holds just these objects (None: no such type there)."""
    monkeypatch.setattr(status, "operator_command", list)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL.format(python=sys.executable))
    kubectl.chmod(0o755)

    def ask(
        nodes: list[Any] | None, applications: list[Any] | None, error: str | None = None
    ) -> Status:
        for what, items in (("nodes", nodes), ("applications.argoproj.io", applications)):
            if items is not None:
                (tmp_path / f"{what}.json").write_text(json.dumps({"items": items}))
        if error is not None:
            (tmp_path / "error").write_text(error)
        return read(kubectl, tmp_path / "kubeconfig")

    return ask


def node(ready: str | None = "True", labels: dict[str, str] | None = None) -> dict[str, Any]:
    conditions = [{"type": "MemoryPressure", "status": "False", "message": "all is well"}]
    if ready is not None:
        conditions.append({"type": "Ready", "status": ready, "message": "no CNI config"})
    prefix = "node-role.kubernetes.io/"
    return {
        "metadata": {
            "name": "k8s-master",
            "labels": {f"{prefix}control-plane": "", f"{prefix}api": "", **(labels or {})},
        },
        "status": {
            "conditions": conditions,
            "addresses": [
                {"type": "Hostname", "address": "k8s-master"},
                {"type": "InternalIP", "address": "10.0.1.5"},
            ],
            "nodeInfo": {"kubeletVersion": "v1.34.4"},
        },
    }


def application(sync: str = "Synced", health: str = "Healthy", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "root"},
        "status": {
            "sync": {"status": sync, "revision": "0123456789abcdef"},
            "health": {"status": health},
            **more,
        },
    }


def test_a_cluster_that_is_well(cluster: Cluster) -> None:
    found = cluster([node(labels={"workload": "x"})], [application()])
    assert found.nodes == [replace(NODE, roles="api,control-plane")]
    assert found.applications == [APPLICATION]
    assert found.well


@pytest.mark.parametrize(
    ("ready", "reason"),
    [("False", "no CNI config"), ("Unknown", "no CNI config"), (None, "no condition yet")],
)
def test_a_node_that_is_not_ready_says_why(
    cluster: Cluster, ready: str | None, reason: str
) -> None:
    found = cluster([node(ready)], [application()])
    assert [(n.ready, n.reason) for n in found.nodes] == [(False, reason)]
    assert not found.well


def test_an_application_that_is_not_well_says_why_in_a_line(cluster: Cluster) -> None:
    unwell = application(
        "OutOfSync",
        "Degraded",
        conditions=[{"type": "SyncError", "message": "cannot\n render"}],
        operationState={"phase": "Failed", "message": "hook failed " + "x" * 200},
    )
    unwell["status"]["health"]["message"] = "pod crashed"
    found = cluster([node()], [unwell])
    (line,) = (a.reason for a in found.applications)
    assert line.startswith("pod crashed cannot render hook failed xxx")
    assert len(line) == 160
    assert not found.well


def test_an_operation_that_went_well_is_no_reason(cluster: Cluster) -> None:
    state = {"phase": "Succeeded", "message": "successfully synced"}
    found = cluster([node()], [application(operationState=state)])
    assert found.applications == [APPLICATION]


def test_an_application_that_argo_cd_has_not_looked_at_yet(cluster: Cluster) -> None:
    found = cluster([node()], [{"metadata": {"name": "root"}}])
    assert found.applications == [ApplicationStatus("root", "Unknown", "Unknown", "", "")]
    assert not found.well


def test_a_cluster_without_argo_cd_has_no_applications(cluster: Cluster) -> None:
    found = cluster([node()], None)
    assert found.applications == []
    assert not found.well


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("Unable to connect\n  to the server: EOF\n", "Unable to connect to the server: EOF"),
        ("", "no answer"),
    ],
)
def test_a_cluster_that_does_not_answer(cluster: Cluster, error: str, told: str) -> None:
    with pytest.raises(RehearsalError) as raised:
        cluster([node()], [application()], error or " ")
    assert str(raised.value) == f"the cluster does not answer ({told}); run `make up`"


@pytest.mark.parametrize(
    ("nodes", "applications", "well"),
    [
        ([NODE], [APPLICATION], True),
        ([NODE, replace(NODE, ready=False)], [APPLICATION], False),
        ([NODE], [APPLICATION, replace(APPLICATION, sync="OutOfSync")], False),
        ([NODE], [replace(APPLICATION, health="Progressing"), APPLICATION], False),
        ([], [APPLICATION], False),
        ([NODE], [], False),
        ([], [], False),
    ],
)
def test_it_is_well_when_all_is_and_there_is_something(
    nodes: list[NodeStatus], applications: list[ApplicationStatus], well: bool
) -> None:
    found = Status(nodes, applications)
    assert found.well is well
    assert json.loads(found.as_json())["well"] is well


def test_the_table() -> None:
    unready = NodeStatus("k8s-worker-long", False, "", "v1.34.4", "", "no CNI config")
    unwell = replace(APPLICATION, name="auth", sync="OutOfSync", health="Missing", reason="why")
    assert Status([NODE, unready], [APPLICATION, unwell]).as_table().splitlines() == [
        "NODE             READY  ROLES          VERSION  ADDRESS",
        "k8s-master       yes    control-plane  v1.34.4  10.0.1.5",
        "k8s-worker-long  NO                    v1.34.4            no CNI config",
        "",
        "APPLICATION  SYNC       HEALTH   REVISION",
        "root         Synced     Healthy  01234567",
        "auth         OutOfSync  Missing  01234567  why",
    ]


def test_the_table_of_nothing() -> None:
    assert Status([], []).as_table().splitlines() == [
        "NODE  READY  ROLES  VERSION  ADDRESS",
        "",
        "APPLICATION  SYNC  HEALTH  REVISION",
    ]


def test_the_json_is_whole() -> None:
    assert json.loads(Status([NODE], [APPLICATION]).as_json()) == {
        "well": True,
        "nodes": [
            {
                "name": "k8s-master",
                "ready": True,
                "roles": "control-plane",
                "version": "v1.34.4",
                "address": "10.0.1.5",
                "reason": "",
            }
        ],
        "applications": [
            {
                "name": "root",
                "sync": "Synced",
                "health": "Healthy",
                "revision": "0123456789abcdef",
                "reason": "",
            }
        ],
    }


@pytest.mark.parametrize(("ready", "code"), [(True, 0), (False, 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_the_commands_exit_code_is_the_status(
    ready: bool,
    code: int,
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    found = Status([replace(NODE, ready=ready)], [APPLICATION])
    (tmp_path / "kubeconfig").touch()
    monkeypatch.setattr(cli, "Paths", lambda: Paths(run=tmp_path))
    monkeypatch.setattr(cli, "exists", lambda _: True)
    monkeypatch.setattr(status, "read", lambda *_: found)
    assert cli.main(["status", *(["--json"] if as_json else [])]) == code
    expected = found.as_json() if as_json else found.as_table()
    assert capsys.readouterr() == (f"{expected}\n", "")
