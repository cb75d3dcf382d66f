"""How long a preview of an unchanged environment takes, by what the engine needs for nothing.

The program runs unchanged on the real engine, for 14, 100 and 500 nodes; AWS is moto on the
loopback address, and the hosts' and the cluster's providers take whatever they are given (`up`
needs neither then). README.md beside this file says what is measured and what is not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import yaml

from benchmarks.processors import Processors
from rehearsal import cloud
from rehearsal.paths import CHECKOUT, Paths

_BIN = CHECKOUT / "rehearsal" / "plugins" / "bin"
_PACKAGES = ("settings", "infra", "cluster", "gitops", "contract")
_STACK = "bench"
# What takes part in a preview, by a part of its command line.
_KINDS = {
    "program": "language_program.py",
    "language host": "language_python",
    "aws": "rehearsal.plugins.aws",
    "command": "benchmarks.accepting command",
    "kubernetes": "benchmarks.accepting kubernetes",
    "engine": "pulumi --non-interactive",
}
_NODE = {"role": "worker", "instance_type": "t3.small", "zone": "ap-northeast-2a"}


@dataclass(frozen=True)
class Preview:
    """One preview. seconds: in all; first: until the program's first resource is registered
    (engine and language host start, the program is imported); resources: components too;
    processors: seconds of processor time by what used them."""

    seconds: float
    first: float
    resources: int
    processors: Mapping[str, float]


@dataclass(frozen=True)
class Project:
    """A program in a folder of its own, with its state in it."""

    folder: Path
    environment: Mapping[str, str]

    def start(self) -> None:
        """Makes the stack."""
        (self.folder / "state").mkdir()
        self.pulumi("stack", "init", _STACK)

    def pulumi(self, *arguments: str) -> Mapping[str, float]:
        """Runs it; processor time by what used it."""
        processors = Processors(_KINDS)
        process = subprocess.Popen(
            ["pulumi", "--non-interactive", *arguments],
            cwd=self.folder,
            env={**self.environment, "PULUMI_BACKEND_URL": f"file://{self.folder}/state"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        processors.watch(process.pid)
        try:
            output, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)  # it ends its plugins
            process.wait()
            raise
        if process.returncode != 0:
            _, found, reasons = output.rpartition("Diagnostics:")  # the outputs come after them
            said = reasons[:4000] if found else output[-4000:]
            raise SystemExit(f"pulumi {arguments[0]}: exit {process.returncode}\n{said}")
        return processors.seconds()

    def preview(self) -> Preview:
        """Fails when anything would change: then it is not what is to be measured."""
        events = self.folder / "events"
        events.unlink(missing_ok=True)
        begin = time.monotonic()
        began_at = time.time()
        used = self.pulumi("preview", "--expect-no-changes", "--event-log", str(events))
        seconds = time.monotonic() - begin
        steps = [
            event
            for event in map(json.loads, events.read_text().splitlines())
            if "resourcePreEvent" in event
        ]
        own = [event for event in steps if "pulumi:pulumi:Stack" not in json.dumps(event)]
        first = _when(own[0]) - began_at if own else seconds
        return Preview(seconds, first, len(own), used)


def _when(event: Mapping[str, Any]) -> float:
    return float(event["timestamp"])


@contextlib.contextmanager
def _moto(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    amis = folder / "amis.json"
    cloud.write_amis(amis)
    process = subprocess.Popen(
        [sys.executable, "-m", "rehearsal.moto_server", "--listen", f"127.0.0.1:{port}"],
        cwd=CHECKOUT,
        env={**os.environ, "MOTO_AMIS_PATH": str(amis), "MOTO_ACM_VALIDATION_WAIT": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit("moto did not start")


def _environment(folder: Path, endpoint: str) -> dict[str, str]:
    """Stand-ins alone on PATH, the accepting ones before the rehearsal's."""
    plugins = folder / "bin"
    plugins.mkdir()
    for name in ("command", "kubernetes"):
        file = plugins / f"pulumi-resource-{name}"
        file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m benchmarks.accepting {name} "$@"\n')
        file.chmod(0o755)
    path = [plugins, Paths().tools / "bin", _BIN, Path(sys.executable).parent]
    return {
        **cloud.ENVIRONMENT,
        "AWS_ENDPOINT_URL": endpoint,
        "HOME": str(folder),
        "PATH": os.pathsep.join([*map(str, path), "/usr/bin:/bin"]),
        "PYTHONPATH": str(CHECKOUT),
        "GROUNDWORK_PYTHON": sys.executable,
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_STACK": _STACK,
        "PULUMI_CONFIG_PASSPHRASE": "benchmark",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DEBUG_COMMANDS": "true",  # for --event-log
        # an `up` writes its state once, at its end, and not whole after each step
        "PULUMI_SKIP_CHECKPOINTS": "true",
    }


def _project(folder: Path, environment: Mapping[str, str], name: str) -> Project:
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n")
    project = Project(folder, environment)
    project.start()
    return project


def _groundwork(folder: Path, environment: Mapping[str, str], endpoint: str, nodes: int) -> Project:
    """The program itself with the rehearsal's settings, and node data for `nodes` nodes."""
    folder.mkdir()
    shutil.copy(CHECKOUT / "__main__.py", folder)
    shutil.copy(CHECKOUT / "Pulumi.yaml", folder)
    for package in _PACKAGES:
        (folder / package).symlink_to(CHECKOUT / package)
    text = (folder / "Pulumi.yaml").read_text().replace("virtualenv: .venv", "toolchain: pip")
    (folder / "Pulumi.yaml").write_text(text)
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    document = yaml.safe_load((CHECKOUT / "Pulumi.rehearsal.yaml").read_text())
    settings = document["config"]["groundwork:settings"]
    settings["name"] = f"bench-{nodes}"  # all sizes share one account
    settings["aws"] = {"endpoint_url": endpoint}
    settings["ssh"] = {"private_key_file": str(key), "public_key_file": f"{key}.pub"}
    settings["nodes"] = [{"name": f"k8s-extra-{n}", **_NODE} for n in range(nodes - 14)]
    project = Project(folder, environment)
    file = folder / f"Pulumi.{_STACK}.yaml"
    project.start()
    own = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**document, **own}, sort_keys=False))
    return project


def measure(sizes: Sequence[int], rounds: int) -> dict[str, list[Preview]]:
    """Previews by case: `empty`, and the number of nodes. One of each a round."""
    with tempfile.TemporaryDirectory() as folder, _moto(Path(folder)) as endpoint:
        base = Path(folder)
        environment = _environment(base, endpoint)
        projects = {"empty": _project(base / "empty", environment, "empty")}
        (base / "empty" / "__main__.py").write_text("")
        for size in sizes:
            projects[str(size)] = _groundwork(base / str(size), environment, endpoint, size)
        for name, project in projects.items():
            print(f"{name}: up", file=sys.stderr, flush=True)
            project.pulumi("up", "--yes", "--skip-preview")
        results: dict[str, list[Preview]] = {name: [] for name in projects}
        for number in range(rounds):
            for name, project in projects.items():
                result = project.preview()
                results[name].append(result)
                shown = f"round {number + 1}: {name}: {result.seconds:.1f} s"
                print(shown, file=sys.stderr, flush=True)
        return results


def table(results: Mapping[str, Sequence[Preview]]) -> str:
    """Medians: seconds, by the empty program's, and processor time."""
    empty = statistics.median(each.seconds for each in results["empty"])
    lines = ["nodes   resources   seconds   until the first   by empty   ms a resource"]
    for name, previews in results.items():
        seconds = statistics.median(each.seconds for each in previews)
        first = statistics.median(each.first for each in previews)
        count = previews[0].resources
        each = (seconds - empty) / count * 1000 if count else 0.0
        lines.append(
            f"{name:<7} {count:>9}   {seconds:>7.1f}   {first:>15.1f}   {seconds / empty:>8.2f}"
            f"   {each:>13.1f}"
        )
    kinds = [*_KINDS, "other"]
    lines += ["", "nodes   " + "   ".join(f"{kind:>9}" for kind in kinds) + "   (processor s)"]
    for name, previews in results.items():
        used = [
            statistics.median(each.processors.get(kind, 0.0) for each in previews) for kind in kinds
        ]
        cells = (f"{each:>{max(9, len(kind))}.1f}" for kind, each in zip(kinds, used, strict=True))
        lines.append(f"{name:<7} " + "   ".join(cells))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", default="14,100,500", help="sizes (default 14,100,500)")
    parser.add_argument("--rounds", type=int, default=3, help="previews of each (default 3)")
    parser.add_argument("--json", type=Path, help="the results for machines")
    options = parser.parse_args()
    sizes = [int(size) for size in options.nodes.split(",")]
    if min(sizes) < 14:
        parser.error("--nodes: the settings have 14 nodes, no size may be smaller")
    results = measure(sizes, options.rounds)
    print(table(results))
    if options.json:
        found = {name: [asdict(each) for each in previews] for name, previews in results.items()}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
