"""The two ways from hosts that answer SSH to a cluster whose every node is Ready, timed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machines import Machine, ssh, write_ssh_config
from cluster import render
from rehearsal.engine import Engine
from rehearsal.errors import RehearsalError
from rehearsal.namespace import operator_command
from rehearsal.paths import Paths
from settings import Role, Settings

Report = Callable[[str], None]
_BARE = Path(__file__).parent / "bare.sh"
_CLUSTER = "**groundwork:cluster:**"
# Not the component itself: an excluded one with a provider inside breaks the engine's state.
_GITOPS = "**groundwork:gitops:*$kubernetes:**"
_COMMAND = "groundwork:cluster:Cluster$command:remote:Command::"


@dataclass(frozen=True)
class Phase:
    """One measurement. seconds: from hosts that answer SSH to every node Ready; milestones: of
    these, seconds at which each was passed; command_seconds: the whole command, with what comes
    before the cluster's first step and after its last."""

    seconds: float
    milestones: dict[str, float]
    command_seconds: float


def by_program(engine: Engine, report: Report) -> Phase:
    """The program's cluster layer by the real engine; the layer that follows is left out."""
    begin = time.monotonic()
    engine.run("up", report, "--exclude", _GITOPS)
    return _of_steps(engine.steps_file("up"), time.monotonic() - begin)


def forget_cluster(engine: Engine, report: Report) -> None:
    """Takes the cluster layer out of the program's state, so that the next run makes it anew."""
    engine.run("destroy", report, "--target", _CLUSTER, "--target-dependents")


def _of_steps(file: Path, command_seconds: float) -> Phase:
    """From the start of the cluster's first command to the end of its last."""
    began: list[float] = []
    ended: dict[str, float] = {}
    for line in file.read_text().splitlines():
        step = json.loads(line)
        if _COMMAND not in step["urn"]:
            continue
        if step["op"] != "create":
            raise RehearsalError(
                f"the program's run was to create {step['urn']} and did {step['op']}; "
                "the benchmark measures a cluster made from nothing"
            )
        if step["event"] == "resourcePreEvent":
            began.append(step["seconds"])
        elif step["event"] == "resOutputsEvent":
            ended[step["urn"].rsplit("::", 1)[-1]] = step["seconds"]
    first = min(began)
    prepared = max(end for name, end in ended.items() if name.startswith("prepare-"))
    milestones = {
        "control plane initialised": ended["cni"],
        "hosts prepared": prepared,
        "nodes Ready": max(ended.values()),
    }
    milestones = {name: round(end - first, 1) for name, end in milestones.items()}
    return Phase(milestones["nodes Ready"], milestones, round(command_seconds, 1))


@contextmanager
def bare_inputs(
    paths: Paths, settings: Settings, machines: Sequence[Machine]
) -> Iterator[tuple[Path, list[str], dict[str, str]]]:
    """The folder, arguments and environment that `bare.sh` asks for; the folder goes at the end.

    What kubeadm and containerd are told is the program's own, so that both make one cluster.
    """
    master = control_plane(machines)
    cluster = settings.cluster
    folder = Path(tempfile.mkdtemp(prefix="bare-", dir="/tmp"))  # sockets need a short path
    try:
        write_ssh_config(folder, paths, settings, machines, shared=True)
        (folder / "nodes").write_text("".join(_node_line(machine) for machine in machines))
        (folder / "containerd.toml").write_text(render.containerd_config(cluster.containerd))
        (folder / "init.yaml").write_text(
            render.init_configuration(
                master.node, cluster, settings.name, settings.api_endpoint, master.provider_id
            )
        )
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PACKAGES_URL": cluster.packages.url,
            "PACKAGES_KEY_URL": cluster.packages.key_url,
            "PACKAGE_VERSION": cluster.package_version,
            "IMAGE_MIRROR": cluster.image_mirror or "",
            "CNI_MANIFEST": cluster.cni_manifest,
        }
        yield folder, [master.node.name, f"{settings.api_endpoint}:6443"], environment
    finally:
        shutil.rmtree(folder)


def by_script(
    paths: Paths, settings: Settings, machines: Sequence[Machine], report: Report
) -> Phase:
    """`bare.sh` on the same hosts. Raises RehearsalError with the end of what it wrote."""
    with bare_inputs(paths, settings, machines) as (folder, arguments, environment):
        log = folder / "log"
        milestones: dict[str, float] = {}
        with log.open("wb") as errors:
            begin = time.monotonic()
            process = subprocess.Popen(
                operator_command([str(_BARE), str(folder), *arguments]),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    milestones[line.rstrip()] = round(time.monotonic() - begin, 1)
                    report(f"  script: {line.rstrip()}")
                status = process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
                raise
            seconds = round(time.monotonic() - begin, 1)
        if status != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise RehearsalError(f"benchmarks/bare.sh ended with status {status}:\n{tail}")
    return Phase(milestones["nodes Ready"], milestones, seconds)


def check_cluster(config: Path, machines: Sequence[Machine], settings: Settings) -> None:
    """Raises RehearsalError unless the cluster is what the settings ask for: every node Ready, of
    the right version, with its labels, taints and provider id. The same check for both ways."""
    kubectl = "sudo -n kubectl --kubeconfig=/etc/kubernetes/admin.conf get nodes -o json"
    items: list[dict[str, Any]] = json.loads(
        ssh(config, control_plane(machines).node.name, kubectl)
    )["items"]
    found = {item["metadata"]["name"]: item for item in items}
    problems = [f"{name} is no node of the settings" for name in found.keys() - _names(machines)]
    for machine in machines:
        name = machine.node.name
        problems += (
            [f"{name}: {problem}" for problem in _problems(machine, found[name], settings)]
            if name in found
            else [f"{name} is missing"]
        )
    if problems:
        raise RehearsalError("the cluster is not as asked for: " + "; ".join(problems))


def _problems(machine: Machine, item: dict[str, Any], settings: Settings) -> Iterator[str]:
    spec, status = item["spec"], item["status"]
    if not any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"]):
        yield "not Ready"
    if status["nodeInfo"]["kubeletVersion"] != f"v{settings.cluster.kubernetes_version}":
        yield f"kubelet {status['nodeInfo']['kubeletVersion']}"
    if spec.get("providerID") != machine.provider_id:
        yield f"provider id {spec.get('providerID')}"
    labels: dict[str, str] = item["metadata"]["labels"]
    if not render.labels(machine.node).items() <= labels.items():
        yield f"labels {labels}"
    taints = [
        {key: taint[key] for key in ("key", "value", "effect") if taint.get(key)}
        for taint in spec.get("taints", [])
        # the node lifecycle controller's own follow a node's readiness a moment later
        if not taint["key"].startswith("node.kubernetes.io/")
    ]
    if sorted(taints, key=str) != sorted(render.taints(machine.node), key=str):
        yield f"taints {taints}"


def control_plane(machines: Sequence[Machine]) -> Machine:
    """The first control-plane node's machine."""
    return next(m for m in machines if m.node.role is Role.CONTROL_PLANE)


def _node_line(machine: Machine) -> str:
    labels = " ".join(
        f"{key}={value}" for key, value in sorted(render.labels(machine.node).items())
    )
    return f"{machine.node.name}|{machine.provider_id}|{labels}|{' '.join(machine.node.taints)}\n"


def _names(machines: Sequence[Machine]) -> set[str]:
    return {machine.node.name for machine in machines}
