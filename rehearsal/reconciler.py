"""`python -m rehearsal.reconciler`: makes Linux hosts and their network follow EC2's instances.

A loop reads EC2, brings the router to it, and boots, shuts down or removes hosts, a few at once.
It keeps nothing that a new reconciler couldn't find out: hosts outlive it and are adopted.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from rehearsal.bell import EC2_CHANGED, Bell, BellPull
from rehearsal.errors import RehearsalError
from rehearsal.hosts.base import USER, base_path
from rehearsal.hosts.host import Host, HostSpec, list_hosts
from rehearsal.network import Layout, Plan, apply, attach_host, detach_host
from rehearsal.network.ec2 import AWAY, Instance, client, read_region
from rehearsal.paths import Paths

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

AT_ONCE = 4
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 30.0
_SHUTDOWN_S = 30.0
_QUIET_AFTER_S = 30.0


class LinuxHost(Protocol):
    """What a reconciler needs of a host; `rehearsal.hosts.host.Host` is the real one."""

    @property
    def spec(self) -> HostSpec: ...
    @property
    def running(self) -> bool: ...
    def boot(self) -> None: ...
    def shutdown(self, timeout_s: float) -> None: ...
    def remove(self) -> None: ...


class Hosts(Protocol):
    """All hosts of a run. `create` gives the same host again for the same spec."""

    def create(self, spec: HostSpec) -> LinuxHost: ...
    def list(self) -> Sequence[LinuxHost]: ...


@dataclass(frozen=True)
class HostFolders:
    """The real hosts, each in its folder."""

    paths: Paths

    def create(self, spec: HostSpec) -> LinuxHost:
        self.paths.hosts.mkdir(parents=True, exist_ok=True)
        return Host.create(self.paths.hosts / spec.name, spec)

    def list(self) -> Sequence[LinuxHost]:
        return list_hosts(self.paths)


@dataclass(frozen=True)
class Settings:
    """run: where `reconciler.json` and the `ready` marker go. base: the hosts' image.
    step_s: seconds between two looks while no bell rings; half as long while hosts are being
    worked on, twice as long after half a minute without any change.
    """

    layout: Layout
    run: Path
    base: Path
    step_s: float = 1.0


class _Goal(Enum):
    UP = "up"
    DOWN = "down"
    GONE = "gone"


def _goal(instance: Instance | None) -> _Goal:
    if instance is None or instance.gone:
        return _Goal.GONE
    return _Goal.UP if instance.wanted else _Goal.DOWN


@dataclass
class _Node:
    """What is known of one instance and its host.

    booted: it has been up since it was last wanted. booted_as: the instance's type at that time.
    """

    instance: Instance | None = None
    host: LinuxHost | None = None
    attached: bool = False
    booted: bool = False
    booted_as: str | None = None
    goal: _Goal | None = None
    task: Future[None] | None = None
    failures: int = 0
    retry_at: float = 0.0
    error: str | None = None


class Reconciler:
    """One step after another until it's told to stop; see the module."""

    def __init__(self, settings: Settings, ec2: EC2Client, hosts: Hosts) -> None:
        self._settings, self._ec2, self._hosts = settings, ec2, hosts
        self._plan: Plan | None = None
        self._problems: tuple[str, ...] = ()
        self._nodes: dict[str, _Node] = {}
        self._published = ""
        self._changed_at = time.monotonic()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="host")
        settings.run.mkdir(parents=True, exist_ok=True)
        self._status, self._ready = settings.run / "reconciler.json", settings.run / "ready"
        self._ready.unlink(missing_ok=True)
        self._bell = Bell(settings.run / EC2_CHANGED)
        self._adopt()

    def run(self, stop: SimpleQueue[None]) -> None:
        """Work until `stop` holds something, which the bell, or the next look, makes known; then
        finish what is in hand. The hosts stay."""
        try:
            while stop.empty():
                try:
                    self.step()
                    self._ready.touch()
                except AWAY as error:
                    self._problems = (f"The cloud doesn't answer, hosts stay as they are: {error}",)
                except Exception as error:  # the loop goes on, whatever the cloud says
                    self._fail(error)
                self._publish()
                self._bell.wait(self._pause_s())
        finally:
            self._ready.unlink(missing_ok=True)
            self._bell.close()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._collect()
            self._publish()

    def _pause_s(self) -> float:
        """A look costs the cloud 50 ms of processor time: fewer of them while all is quiet."""
        if any(node.task for node in self._nodes.values()):
            return self._settings.step_s / 2
        quiet = time.monotonic() - self._changed_at > _QUIET_AFTER_S
        return self._settings.step_s * (2 if quiet else 1)

    def _fail(self, error: Exception) -> None:
        problem = f"Unexpected {error!r}; the reconciler's log tells where."
        if self._problems != (problem,):
            traceback.print_exception(error)
        self._problems = (problem,)

    def step(self) -> None:
        """Look once and start what is to be done. Raises one of AWAY when it can't look."""
        region = read_region(self._ec2)
        self._collect()
        self._problems = (*region.problems, *self._route(region.plan))
        present = {instance.id: instance for instance in region.instances}
        for name in present.keys() - self._nodes.keys():
            if not present[name].gone:
                self._nodes[name] = _Node()
        for name, node in list(self._nodes.items()):
            node.instance = present.get(name)
            if node.goal is not (goal := _goal(node.instance)):
                node.goal, node.failures, node.retry_at = goal, 0, 0.0
            if node.task is None and time.monotonic() >= node.retry_at:
                self._consider(name, node)

    def _adopt(self) -> None:
        """Take up the hosts that are there, and how they have been up."""
        try:
            last = json.loads(self._status.read_text())["instances"]
        except (FileNotFoundError, ValueError, KeyError):
            last = []
        known = {entry["id"]: entry for entry in last}
        for host in self._hosts.list():
            entry = known.get(host.spec.name, {})
            self._nodes[host.spec.name] = _Node(
                host=host,
                attached=True,
                booted=entry.get("booted", False),
                booted_as=entry.get("booted_as"),
            )

    def _route(self, plan: Plan | None) -> tuple[str, ...]:
        if plan is None and self._plan is not None:
            plan = Plan(vpc=self._plan.vpc)  # it's gone: nothing of it is reachable any more
        if plan is None or plan == self._plan:
            return ()
        try:
            apply(self._settings.layout, plan)
        except RehearsalError as error:
            return (str(error),)
        self._plan = plan
        return ()

    def _consider(self, name: str, node: _Node) -> None:
        """One instance without work in hand: bring its host closer to what is wanted."""
        if node.goal is _Goal.GONE:
            if node.host is not None or node.attached:
                self._start(node, lambda: self._remove(name, node))
            else:
                del self._nodes[name]
        elif node.goal is _Goal.DOWN:
            node.booted = False
            if node.attached:
                self._start(node, lambda: self._shut_down(name, node))
        elif node.host is not None and node.host.running:
            self._keep_up(name, node, node.host)
        elif node.booted:
            _log(f"{name}: the host ended by itself; its instance is stopped")
            self._ec2.stop_instances(InstanceIds=[name])
            node.booted, node.error = False, "The host ended by itself; start its instance again."
        elif (instance := node.instance) is not None:
            self._start(node, lambda: self._boot(instance, node))

    def _keep_up(self, name: str, node: _Node, host: LinuxHost) -> None:
        """A running host whose instance is to be up.

        EC2 changes the type of a stopped instance alone. One that runs with another type than its
        host was booted with has been stopped and started, faster than the looks at it.
        """
        now = node.instance.type if node.instance else None
        if node.booted_as not in (None, now):
            _log(f"{name}: stopped as {node.booted_as}, started as {now}")
            node.booted = False
            self._start(node, lambda: self._shut_down(name, node))
        else:
            node.booted, node.booted_as, node.error = True, now, None

    def _start(self, node: _Node, work: Callable[[], None]) -> None:
        node.task = self._pool.submit(work)

    def _collect(self) -> None:
        """Take the results of what has ended; a failure is tried again, later and later."""
        for name, node in self._nodes.items():
            task = node.task
            if task is None or not task.done():
                continue
            node.task = None
            error = None if task.cancelled() else task.exception()
            if error is None:
                node.failures = 0
                continue
            delay = min(_FIRST_RETRY_S * 2**node.failures, _LAST_RETRY_S)
            node.failures, node.retry_at = node.failures + 1, time.monotonic() + delay
            node.error = str(error) if isinstance(error, RehearsalError) else repr(error)
            _log(f"{name}: {node.error} Next try in {delay:.0f} s.")
            if not isinstance(error, RehearsalError):
                traceback.print_exception(error)

    def _boot(self, instance: Instance, node: _Node) -> None:
        if node.host is None:
            node.host = self._hosts.create(self._spec(instance))
        node.attached = True
        attach_host(self._settings.layout, instance.id, instance.private_ip, instance.subnet)
        node.host.boot()
        node.booted, node.booted_as, node.error = True, instance.type, None
        _log(f"{instance.id}: {instance.name} is up at {instance.private_ip}")

    def _shut_down(self, name: str, node: _Node) -> None:
        if node.host is not None:
            node.host.shutdown(_SHUTDOWN_S)
        detach_host(self._settings.layout, name)
        node.attached = False
        _log(f"{name}: stopped")

    def _remove(self, name: str, node: _Node) -> None:
        if node.host is not None:
            node.host.remove()
            node.host = None
        detach_host(self._settings.layout, name)
        node.attached = False
        _log(f"{name}: removed")

    def _spec(self, instance: Instance) -> HostSpec:
        if self._plan is None:
            raise RehearsalError(f"Instance {instance.id} waits for its VPC's network.")
        return HostSpec(
            name=instance.id,
            netns=self._settings.layout.host(instance.id),
            hostname="ip-" + str(instance.private_ip).replace(".", "-"),
            user=USER,
            authorized_key=self._public_key(instance),
            user_data=self._user_data(instance),
            resolver=str(self._plan.resolver),
            base=self._settings.base,
        )

    def _public_key(self, instance: Instance) -> str:
        if instance.key_name is None:
            return ""
        pairs = self._ec2.describe_key_pairs(KeyNames=[instance.key_name], IncludePublicKey=True)
        return pairs["KeyPairs"][0]["PublicKey"].strip()

    def _user_data(self, instance: Instance) -> str | None:
        attribute = self._ec2.describe_instance_attribute(
            InstanceId=instance.id, Attribute="userData"
        )
        encoded = attribute["UserData"].get("Value")
        return base64.b64decode(encoded).decode() if encoded else None

    def _publish(self) -> None:
        """Write `reconciler.json`, whole or not at all, if it says anything new."""
        entries = [
            {
                "id": instance.id,
                "name": instance.name,
                "state": instance.state,
                "private_ip": str(instance.private_ip),
                "public_ip": str(instance.public_ip) if instance.public_ip else None,
                "booted": node.booted,
                "booted_as": node.booted_as,
                "error": node.error,
            }
            for node in self._nodes.values()
            if (instance := node.instance) is not None
        ]
        entries.sort(key=lambda entry: (entry["name"] or "", entry["id"] or ""))
        text = json.dumps(
            {"pid": os.getpid(), "problems": self._problems, "instances": entries}, indent=1
        )
        if text != self._published:
            fresh = self._status.with_suffix(".new")
            fresh.write_text(text + "\n")
            fresh.rename(self._status)
            self._published, self._changed_at = text, time.monotonic()


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.reconciler", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="URL of the AWS APIs")
    parser.add_argument("--region", default=os.environ.get("AWS_REGION"))
    parser.add_argument("--run", type=Path, default=Paths().run, help="folder of this run's state")
    options = parser.parse_args(arguments)
    if not options.region:
        parser.error("no region: give --region or set AWS_REGION")
    paths = Paths(run=options.run)
    stop: SimpleQueue[None] = SimpleQueue()  # unlike an Event, it may be used in a handler
    pull = BellPull(paths.run / EC2_CHANGED)

    def end(*_: object) -> None:
        stop.put(None)
        pull.ring()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    settings = Settings(Layout(), paths.run, base_path(paths))
    ec2 = client("ec2", options.endpoint, options.region)
    Reconciler(settings, ec2, HostFolders(paths)).run(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
