"""The rehearsal's commands. One `up` or `down` at a time; Ctrl-C ends cleanly, `up` goes on."""

from __future__ import annotations

import argparse
import errno
import fcntl
import itertools
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from rehearsal import addons, cloud, empty_state, sources, status
from rehearsal import preview as previewing
from rehearsal.engine import STACK, Engine
from rehearsal.errors import RehearsalError
from rehearsal.namespace import OPERATOR, exists, inside, operator_command
from rehearsal.paths import Paths
from rehearsal.preflight import check, other_owner, system_problems
from rehearsal.progress import LAYERS, Progress
from rehearsal.stacks import Stacks
from rehearsal.toolchain import Toolchain
from rehearsal.world import World, clear_abandoned
from settings import SettingsError, environment, load

_LOCK = Path("/run/groundwork-rehearsal.lock")
NOT_REHEARSED = (
    "NetworkPolicies are applied, but the rehearsal's pod network does not enforce them",
    "IAM permissions, policies of buckets and keys, and instance metadata are stored, not enforced",
    "load balancers, CloudFront, certificates and flow logs are stored: nothing stands behind them",
    "the databases' backups: their CronJobs are suspended, so no dump is made or uploaded",
    "Calico: the rehearsal's pod network is a small one of its own, installed the same way",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="rehearsal", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in ("status", "preview"):
            command.add_argument("--json", action="store_true", help="for machines")
        if name == "preview":
            text = "an environment to preview from an empty state; no rehearsal or root is needed"
            command.add_argument("--stack", help=text)
        if name == "shell":
            command.add_argument("--stack", help="what pulumi acts on, of several stacks")
    chosen = parser.parse_args(arguments)
    paths = Paths()
    try:
        from_nothing = chosen.command == "preview" and chosen.stack
        for problem in () if from_nothing else system_problems():
            raise RehearsalError(problem)
        return _COMMANDS[chosen.command][0](paths, chosen)
    except (RehearsalError, SettingsError) as error:
        print(f"\n{chosen.command}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"\n{chosen.command}: the disk is full{where}; make room and run this again",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(
            "\nstopped. `make up` goes on from here; `make down` removes everything.",
            file=sys.stderr,
        )
        return 130


def up(paths: Paths, _: argparse.Namespace) -> int:
    """Rehearses the whole program."""
    with _alone():
        clock = Clock()
        clear_abandoned(paths, clock.say)
        check(paths)
        world, stacks = World(paths, clock.say), Stacks.of(paths)
        world.make_ssh_key()
        _refuse_bad_settings(paths)
        clock.phase("tools and images")
        world.build()
        clock.phase("region")
        fresh = not world.running()
        world.start()
        try:
            sources.check_as_operator(paths)
        except RehearsalError:
            if fresh:
                world.stop()
            raise
        stacks.prepare(clock.say)
        clock.phase("program")
        progress = list(stacks.up(clock.say))
        stacks.cluster.save_kubeconfig()
        world.tell(stacks.gitops.output("argocd_url"))
        clock.phase("applications")
        found = _settle(stacks.cluster, world, clock)
    print(f"\n{found.as_table()}\n")
    clock.summary(progress)
    gitops = load(paths.checkout, stacks.gitops.stack).gitops
    left_out = addons.not_rehearsed(paths.checkout, STACK, gitops.addons)
    print("\nNot rehearsed:", *(f"  - {line}" for line in (*NOT_REHEARSED, *left_out)), sep="\n")
    print("\nLook around: make status · make shell · README.md. Remove: make down.")
    return 0


def _refuse_bad_settings(paths: Paths) -> None:
    """Before anything is built or changed."""
    for stack in environment(paths.checkout, STACK).stacks:
        load(paths.checkout, stack.name)


def _settle(engine: Engine, world: World, clock: Clock, limit_s: float = 900) -> status.Status:
    """Waits until every Application is Synced and Healthy."""
    deadline, said = time.monotonic() + limit_s, ""
    while True:
        found = status.read(world.binaries["kubectl"], engine.kubeconfig)
        if found.well:
            return found
        waiting = ", ".join(
            [f"{a.name} ({a.sync}, {a.health})" for a in found.applications if not a.well]
            + [f"{n.name} (not Ready)" for n in found.nodes if not n.ready]
        )
        if time.monotonic() > deadline:
            raise RehearsalError(f"after {limit_s:.0f} s still waiting for {waiting}")
        if waiting != said:
            clock.say(f"  waiting for {waiting or 'the first Application'}")
            said = waiting
        time.sleep(1)


def show(paths: Paths, chosen: argparse.Namespace) -> int:
    """Nodes and Applications; exit code 0 only when all are well."""
    engine = Stacks.of(paths).cluster
    if not exists(OPERATOR) or not engine.kubeconfig.exists():
        raise RehearsalError("no rehearsal is running here; run `make up`")
    found = status.read(paths.tools / "bin" / "kubectl", engine.kubeconfig)
    print(found.as_json() if chosen.json else found.as_table())
    return 0 if found.well else 1


def preview(paths: Paths, chosen: argparse.Namespace) -> int:
    """Previews the rehearsal, or any environment from an empty state; nothing is created."""
    if chosen.stack:
        Toolchain(paths, _aside).ensure(["pulumi"])
        with empty_state.empty_stack(paths, chosen.stack) as workspace:
            plan = previewing.run(["pulumi"], workspace.environment, workspace.folder)
        found = previewing.data(plan, paths.checkout, chosen.stack)
    else:
        plan = _preview_against_the_cloud(paths, chosen)
        found = previewing.data(plan, paths.checkout, Stacks.of(paths).engines[0].stack)
        if not chosen.json:
            print(plan.output)
    print(previewing.as_json(found) if chosen.json else previewing.as_text(found))
    return 0


def _preview_against_the_cloud(paths: Paths, chosen: argparse.Namespace) -> previewing.Plan:
    """What `up` would change."""
    with _alone():
        report = _aside if chosen.json else Clock().say
        clear_abandoned(paths, report)
        check(paths)
        world, stacks = World(paths, report), Stacks.of(paths)
        fresh = not world.running()
        world.make_ssh_key()
        _refuse_bad_settings(paths)
        world.build()
        world.start()
        try:
            stacks.prepare(report)
            plans = [
                previewing.run(
                    operator_command(["pulumi"]),
                    engine.environment(),
                    paths.checkout,
                    "--diff" if sys.stdout.isatty() and not chosen.json else "--refresh=false",
                    log=engine.log_file("preview"),
                )
                for engine in stacks.engines
            ]
            return previewing.Plan(
                [step for plan in plans for step in plan.steps],
                "\n".join(plan.output for plan in plans),
            )
        finally:
            if fresh:
                world.stop()


def down(paths: Paths, _: argparse.Namespace) -> int:
    """Destroys what the program made, then the rehearsal, and proves that nothing is left."""
    with _alone():
        clock = Clock()
        clear_abandoned(paths, clock.say)
        for problem in other_owner(paths):
            raise RehearsalError(problem)
        world, stacks = World(paths, clock.say), Stacks.of(paths)
        left: list[str] = []
        if world.running() and stacks.engines[0].config_file.exists():
            clock.phase("destroy")
            stacks.prepare(clock.say)
            stacks.destroy(clock.say)
            with inside(OPERATOR):
                left = cloud.left_over()
        clock.phase("region")
        world.stop()
        if left:
            raise RehearsalError(
                "the program's destroy left these in the cloud (removed with it): "
                + ", ".join(left)
            )
        clock.say("nothing is left: no host, namespace, mount, cgroup, process or setting")
    return 0


def shell(paths: Paths, chosen: argparse.Namespace) -> int:
    """A shell where the operator sits: pulumi, kubectl, aws endpoints, SSH key."""
    engines = {engine.stack: engine for engine in Stacks.of(paths).engines}
    engine = engines.get(chosen.stack or next(iter(engines)))
    if engine is None:
        raise RehearsalError(f"no stack {chosen.stack} here; there is {', '.join(engines)}")
    if not exists(OPERATOR) or not engine.config_file.exists():
        raise RehearsalError("no rehearsal is running here; run `make up`")
    program = os.environ.get("SHELL", "/bin/bash")
    environment = {**engine.environment(), "PS1": "(rehearsal) \\w\\$ ", "SHELL": program}
    print("pulumi, kubectl, helm and ssh here act on the rehearsal; exit ends the shell, not it.")
    if len(engines) > 1:
        print(f"pulumi acts on {engine.stack}; for another: make shell STACK=…")
    os.chdir(paths.checkout)
    command = operator_command([program, *(["--norc"] if program.endswith("bash") else [])])
    os.execvpe(command[0], command, environment)


def clean(paths: Paths, chosen: argparse.Namespace) -> int:
    """`down`, then removes every cache: all that was put on the machine except packages."""
    down(paths, chosen)
    print(f"removing {paths.cache}")
    shutil.rmtree(paths.cache, ignore_errors=True)
    return 0


def _aside(line: str) -> None:
    """For what is done before output that machines may read."""
    print(line, file=sys.stderr)


class Clock:
    """Says what happens, when, and how long each phase took."""

    def __init__(self) -> None:
        self._begin = self._phase_begin = time.monotonic()
        self._phase = ""
        self.phases: list[tuple[str, float]] = []

    def say(self, text: str) -> None:
        """One line, with the minutes and seconds since the start."""
        seconds = int(time.monotonic() - self._begin)
        print(f"[{seconds // 60:02}:{seconds % 60:02}] {text}", flush=True)

    def phase(self, name: str) -> None:
        """Ends the phase in hand and begins the next."""
        self._end()
        self._phase, self._phase_begin = name, time.monotonic()
        self.say(name)

    def _end(self) -> None:
        if self._phase:
            self.phases.append((self._phase, time.monotonic() - self._phase_begin))

    def summary(self, runs: Sequence[Progress]) -> None:
        """A line a phase, and within the program a line a layer."""
        self._end()
        began = runs[0].begin
        for name, seconds in self.phases:
            print(f"{name:<18}{seconds:7.1f} s")
            if name == "program":
                for layer, progress in itertools.product(LAYERS, runs):
                    if layer in progress.layer_seconds:
                        first, last = progress.layer_seconds[layer]
                        later = progress.begin - began
                        print(f"  {layer:<16}{first + later:7.1f} - {last + later:.1f} s")
        total = time.monotonic() - self._begin
        changed, unchanged = (sum(len(p.changes) for p in runs), sum(p.unchanged for p in runs))
        print(f"{'all':<18}{total:7.1f} s   {changed} changes, {unchanged} unchanged")


@contextmanager
def _alone() -> Iterator[None]:
    """One command at a time on this machine; the lock goes with the process, however it ends."""
    with _open_lock() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock.fileno(), 100, 0).decode().strip()
            raise RehearsalError(
                f"another rehearsal command is at work (process {holder}); wait until it ends"
            ) from None
        os.ftruncate(lock.fileno(), 0)
        os.pwrite(lock.fileno(), str(os.getpid()).encode(), 0)
        yield


def _open_lock() -> BufferedRandom:
    try:
        return _LOCK.open("a+b")
    except OSError as error:
        raise RehearsalError(
            f"{_LOCK} cannot be opened ({error.strerror}); make {_LOCK.parent} writable"
        ) from None


_Command = Callable[[Paths, argparse.Namespace], int]
_COMMANDS: dict[str, tuple[_Command, str]] = {
    "up": (up, "rehearse the whole program: from empty account to synced root app"),
    "status": (show, "nodes and Applications; exit code 0 only when all are well"),
    "preview": (preview, "what `up` would change, where it comes from, what it costs"),
    "shell": (shell, "a shell where the operator sits"),
    "down": (down, "destroy everything and prove that nothing is left"),
    "clean": (clean, "down, and remove every cache"),
}
