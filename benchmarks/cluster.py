"""The cluster phase by the program against a bare parallel-SSH script, on the same hosts.

Starts a rehearsal, measures both ways in turn, each from new disks, and takes all down again.
README.md beside this file says what is measured and what is not.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machines import Machine, machines, renew, wait_until_up, write_ssh_config
from benchmarks.phases import Phase, by_program, by_script, check_cluster, forget_cluster
from rehearsal import cli, sources
from rehearsal.engine import STACK, Engine
from rehearsal.errors import RehearsalError
from rehearsal.namespace import OPERATOR, exists
from rehearsal.paths import Paths
from rehearsal.preflight import check, memory_gib, read_owner
from rehearsal.world import World
from settings import Settings, SettingsError, load

AIM = 1.3  # the program's time by the script's, at most


@dataclass(frozen=True)
class Round:
    """A pair: the program, then the script."""

    program: Phase
    script: Phase

    @property
    def ratio(self) -> float:
        return self.program.seconds / self.script.seconds


@dataclass(frozen=True)
class Benchmark:
    """A running rehearsal to measure in."""

    world: World
    engine: Engine
    settings: Settings
    clock: cli.Clock

    def run(self, rounds: int) -> list[Round]:
        """Program, script, program, script, …: what changes with time touches both alike."""
        self._start()
        found = machines(self.world.paths, self.settings)
        done: list[Round] = []
        for number in range(1, rounds + 1):
            program = self._program(found, f"{number}/{rounds}")
            script = self._script(found, f"{number}/{rounds}")
            done.append(Round(program, script))
            self.clock.say(
                f"round {number}: program {program.seconds:.1f} s, script {script.seconds:.1f} s, "
                f"ratio {done[-1].ratio:.2f}"
            )
        return done

    def _start(self) -> None:
        """Makes instances by the program's infra layer, and a first cluster that isn't measured:
        it warms what the later ones read."""
        self.clock.phase("region")
        self.world.start()
        sources.check_as_operator(self.world.paths)
        self.engine.prepare()
        self.clock.phase("first cluster, not measured")
        by_program(self.engine, self.clock.say)
        forget_cluster(self.engine, _silent)

    def _program(self, found: Sequence[Machine], number: str) -> Phase:
        self._renew(found)
        self.clock.phase(f"program {number}")
        phase = by_program(self.engine, self.clock.say)
        self._check(found)
        forget_cluster(self.engine, _silent)
        return phase

    def _script(self, found: Sequence[Machine], number: str) -> Phase:
        self._renew(found)
        self.clock.phase(f"script {number}")
        phase = by_script(self.world.paths, self.settings, found, self.clock.say)
        self._check(found)
        return phase

    def _renew(self, found: Sequence[Machine]) -> None:
        self.clock.phase("new hosts")
        renew(self.world, found)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            wait_until_up(self._ssh_config(folder, found), found)

    def _check(self, found: Sequence[Machine]) -> None:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            check_cluster(self._ssh_config(folder, found), found, self.settings)

    def _ssh_config(self, folder: str, found: Sequence[Machine]) -> Path:
        return write_ssh_config(Path(folder), self.world.paths, self.settings, found, shared=False)


def main() -> int:
    """Runs it all; returns the exit code. Whatever happens, the rehearsal it started is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=_count, default=2, metavar="N", help="pairs (default 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the results for machines")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    paths = Paths()
    started, rounds, status = False, [], 0
    try:
        with cli._alone():
            _refuse_if_running()
            check(paths)
            clock = cli.Clock()
            world = World(paths, clock.say)
            started = True
            world.make_ssh_key()
            settings = load(paths.checkout, STACK)
            clock.phase("tools and images")
            world.build()
            rounds = Benchmark(world, Engine(paths), settings, clock).run(options.rounds)
            if options.json:
                options.json.write_text(json.dumps(_as_json(rounds, settings), indent=2) + "\n")
    except (RehearsalError, SettingsError) as error:
        print(f"\nbenchmark: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("\nstopped: taking the rehearsal down", file=sys.stderr)
        status = 130
    finally:
        if started:
            status = cli.main(["down"]) or status
    if rounds:
        print(_as_table(rounds))
    return status


def _refuse_if_running() -> None:
    """Somebody else's cluster isn't to be wiped, nor to take processors from the measurement."""
    if exists(OPERATOR) or read_owner() is not None:
        raise RehearsalError(
            f"a rehearsal is running (of {read_owner() or 'an unknown checkout'}), and the "
            "benchmark needs the machine for itself; run `make down` first"
        )


def _as_table(rounds: Sequence[Round]) -> str:
    lines = ["", f"{'':8}{'program':>10}{'script':>10}{'ratio':>8}"]
    rows = [
        (f"round {i}", r.program.seconds, r.script.seconds, r.ratio) for i, r in _numbered(rounds)
    ]
    rows.append(("median", *_medians(rounds)))
    lines += [f"{name:8}{a:8.1f} s{b:8.1f} s{ratio:8.2f}" for name, a, b, ratio in rows]
    for i, r in _numbered(rounds):
        for way, phase in (("program", r.program), ("script", r.script)):
            passed = ", ".join(
                f"{name} {seconds:.1f} s" for name, seconds in phase.milestones.items()
            )
            lines.append(
                f"round {i}, {way} (whole command {phase.command_seconds:.1f} s): {passed}"
            )
    met = "met" if _medians(rounds)[2] <= AIM else "missed"
    lines.append(f"aim: a ratio of at most {AIM}: {met}")
    return "\n".join(lines)


def _as_json(rounds: Sequence[Round], settings: Settings) -> dict[str, object]:
    program, script, ratio = _medians(rounds)
    return {
        "nodes": len(settings.nodes),
        "processors": os.cpu_count(),
        "free_memory_gib": round(memory_gib(), 1),
        "rounds": [{**asdict(r), "ratio": round(r.ratio, 3)} for r in rounds],
        "median": {"program_s": program, "script_s": script, "ratio": round(ratio, 3)},
        "aim": AIM,
        "met": ratio <= AIM,
    }


def _medians(rounds: Sequence[Round]) -> tuple[float, float, float]:
    """Of the program's seconds, of the script's, and of the ratios pair by pair."""
    return (
        statistics.median(r.program.seconds for r in rounds),
        statistics.median(r.script.seconds for r in rounds),
        statistics.median(r.ratio for r in rounds),
    )


def _numbered(rounds: Sequence[Round]) -> enumerate[Round]:
    return enumerate(rounds, 1)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rounds; give 1 or more")
    return int(text)


def _silent(_: str) -> None:
    """For what is of no interest."""


if __name__ == "__main__":
    sys.exit(main())
