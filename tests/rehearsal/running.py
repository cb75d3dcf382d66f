"""What tests ask of the rehearsal that runs: commands, nodes, the engine's steps."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rehearsal.engine import STACK, Engine
from rehearsal.namespace import operator_command
from rehearsal.paths import Paths

PATHS = Paths()
STACK_FILE = PATHS.checkout / f"Pulumi.{STACK}.yaml"
TOKEN = re.compile(rb"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")  # kubeadm's bootstrap tokens


@dataclass
class CommandLines:
    """Watches every process's command line for what must not be in one."""

    found: set[str] = field(default_factory=set)
    samples: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        secrets = re.compile(rb"PRIVATE KEY|client-key-data|" + TOKEN.pattern)
        while not self._stop.wait(0.1):
            self.samples += 1
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    line = (folder / "cmdline").read_bytes()
                except OSError:
                    continue
                if secrets.search(line):
                    self.found.add(line[:300].decode(errors="replace"))

    def __enter__(self) -> CommandLines:
        threading.Thread(target=self.watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()


def rehearse(*arguments: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "rehearsal", *arguments],
        cwd=PATHS.checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=2400)
        except KeyboardInterrupt:
            process.wait(100)  # it got the signal too, and ends the engine in order
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, output, errors)
    if check is not None and done.returncode != check:
        pytest.fail(f"rehearsal {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def operator(*command: str, stack: str = STACK) -> str:
    """A command where the operator sits; its output."""
    done = asked(*command, stack=stack)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def asked(*command: str, stack: str = STACK) -> subprocess.CompletedProcess[str]:
    """A command where the operator sits, whatever becomes of it; `pulumi` acts on `stack`."""
    return subprocess.run(
        operator_command(command),
        env=Engine(PATHS, stack).environment(),
        cwd=PATHS.checkout,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def kubectl(*arguments: str) -> Any:
    return json.loads(operator("kubectl", *arguments, "-o", "json"))


def names(*what: str) -> set[str]:
    """Of the objects that `kubectl get WHAT` lists."""
    return {item["metadata"]["name"] for item in kubectl("get", *what)["items"]}


def answer(domain: str) -> dict[str, str]:
    """What an API says of itself, through its Service."""
    path = f"/api/v1/namespaces/{domain}/services/{domain}-api:80/proxy/"
    found: dict[str, str] = json.loads(operator("kubectl", "get", "--raw", path))
    return found


def nodes() -> dict[str, Any]:
    return {item["metadata"]["name"]: item for item in kubectl("get", "nodes")["items"]}


def ready(node: Any) -> bool:
    conditions = {c["type"]: c["status"] for c in node["status"]["conditions"]}
    return conditions.get("Ready") == "True"


def steps(stack: str = STACK) -> list[tuple[str, str]]:
    """(operation, URN) of what the last `up` of `stack` did, from the engine's own events."""
    lines = Engine(PATHS, stack).steps_file("up").read_text().splitlines()
    done = [json.loads(line) for line in lines]
    found = [(step["op"], step["urn"]) for step in done if step["event"] == "resOutputsEvent"]
    assert found, "the engine's events hold no step at all"
    return [(op, urn) for op, urn in found if op not in ("same", "read")]


def logins() -> int:
    """How often the bastion's sshd has let anybody in."""
    count = ssh("sudo journalctl -u ssh --no-pager | grep -c 'Accepted publickey'")
    return int(count)


def ssh(command: str) -> str:
    bastion = operator("pulumi", "stack", "output", "bastion_address").strip()
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-q"]
    return operator("ssh", "-i", str(PATHS.ssh_key), *options, f"admin@{bastion}", command)


@contextmanager
def node_data(line: str) -> Iterator[None]:
    """One more line of node data for a while."""
    before = STACK_FILE.read_text()
    heading = "" if "\n    nodes:\n" in before else "    nodes:\n"
    STACK_FILE.write_text(f"{before}{heading}      - {line}\n")
    try:
        yield
    finally:
        STACK_FILE.write_text(before)


def until(what: str, condition: Callable[[], object], patience_s: float = 300) -> None:
    """Waits until it holds; fails the test after `patience_s`."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.5)


def booted(name: str) -> dict[str, Any]:
    """What the reconciler knows of the host of a node."""
    entries = json.loads((PATHS.run / "reconciler.json").read_text())["instances"]
    return next(entry for entry in entries if entry["name"] == name)
