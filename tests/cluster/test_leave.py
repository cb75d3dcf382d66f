"""How a node leaves: the script itself, with a kubectl that notes what it is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cluster import render
from tests.cluster.test_render import inner, node

# It answers for etcd too, and fails at the first deletion of a Node.
KUBECTL = """#!/bin/bash
echo "$*" >>"$NOTES"
case "$*" in
*"member list") printf 'aa, started, k8s-master, https://10.0.0.1:2380, , false\\n'
                printf 'bb, started, n, https://10.0.0.9:2380, , false\\n' ;;
*"get node"*) printf %s "$READY" ;;
*"delete node"*) [ -e "$NOTES.failed" ] || { touch "$NOTES.failed"; exit 1; } ;;
esac
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    file = tmp_path / "kubectl"
    file.write_text(KUBECTL)
    file.chmod(0o755)
    return file


def asked(kubectl: Path, first_control_plane: str | None, ready: str) -> list[str]:
    """What kubectl is asked while node `n` leaves, without the options of etcd's client."""
    notes = kubectl.parent / "notes"
    script = inner(render.leave(node(), first_control_plane))
    environment = {"PATH": f"{kubectl.parent}:/usr/bin:/bin", "NOTES": str(notes), "READY": ready}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    lines = notes.read_text().splitlines()
    return [" ".join(word for word in line.split() if not word.startswith("--")) for line in lines]


DELETED = ["delete node n", "delete node n"]  # the first fails


def test_a_node_that_lives_is_drained_and_one_that_does_not_is_not(kubectl: Path) -> None:
    for ready, drained in (("True", ["drain n"]), ("Unknown", []), ("", [])):
        (kubectl.parent / "notes").unlink(missing_ok=True)
        (kubectl.parent / "notes.failed").unlink(missing_ok=True)
        assert asked(kubectl, None, ready)[1:] == [*drained, *DELETED]


def test_a_control_plane_leaves_etcd_before_its_node_goes(kubectl: Path) -> None:
    etcd = "kube-system exec etcd-k8s-master etcdctl member"
    said = asked(kubectl, "k8s-master", "Unknown")
    assert said[1:] == [f"{etcd} list", f"{etcd} remove bb", *DELETED]
