"""The Pulumi engine on PATH, as the machine that runs this is set up for it: backend, credentials.

Its events are read from `--json`, which has them as JSON lines for every verb and without secrets.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.errors import DeliveryError, LockedError
from delivery.events import Event, Record, one_line

POLICY = "policy"
_TAIL = 10  # lines of output that stand for an error of which the engine gave no event
_LOOK_S = 0.2
_LOCKED = "the stack is currently locked by"
_HOLDER = re.compile(r"created by (.+)@(\S+) \(pid (\d+)\) at (\S+)")
_ENGINE = "pulumi"

Take = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome:
    """What a run told, and how it ended. ok: exit code 0; errors: none if ok."""

    record: Record
    ok: bool
    errors: tuple[str, ...]


@dataclass(frozen=True)
class Deployed:
    """A stack that the backend knows. resources: how many it holds; 0 before its first update."""

    name: str
    resources: int


@dataclass(frozen=True)
class Engine:
    """Runs `pulumi` in the project's folder."""

    project: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The machine's own, and what every run here needs."""
        return {
            **os.environ,
            "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",  # events of previews as of updates
            # a key that `stack init` made and nobody has committed yet is in the state too
            "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def stacks(self) -> dict[str, Deployed]:
        """The project's stacks in the backend, by name."""
        found = json.loads(self.ask("stack", "ls", "--json"))
        return {
            each["name"]: Deployed(each["name"], each.get("resourceCount") or 0) for each in found
        }

    def types(self, stack: str) -> set[str]:
        """The types of what a stack holds."""
        found = json.loads(self.ask("stack", "export", "--stack", stack))
        return {each["type"] for each in found["deployment"].get("resources") or ()}

    def init(self, stack: str, secrets_provider: str) -> None:
        """Makes an empty stack; the engine writes its encrypted data key into the stack's file."""
        self.ask("stack", "init", stack, "--no-select", "--secrets-provider", secrets_provider)

    def preview(self, stack: str, take: Take | None = None) -> Outcome:
        """What an update would do, with the policy pack."""
        return self._run("preview", stack, *self._policies, take=take)

    def drift(self, stack: str) -> Outcome:
        """What differs from the state in what exists; the state is left as it is."""
        return self._run("refresh", stack, "--preview-only", take=None)

    def update(self, stack: str, take: Take, refresh: bool = False) -> Outcome:
        """Previews, then updates unless a policy is broken. refresh: what differs from the state
        is put back; without, only what the program changed is looked at."""
        extra = ("--yes", *self._policies, *(["--refresh"] if refresh else []))
        return self._run("up", stack, *extra, take=take)

    def destroy(self, stack: str, take: Take) -> Outcome:
        """Deletes all that the stack holds; the stack itself stays, with its history."""
        return self._run("destroy", stack, "--yes", "--skip-preview", take=take)

    @property
    def _policies(self) -> tuple[str, ...]:
        return ("--policy-pack", str(self.project / POLICY))

    def ask(self, *arguments: str) -> str:
        """The output of a command that must succeed. Raises DeliveryError."""
        done = subprocess.run(
            [_pulumi(), "--non-interactive", "--color=never", *arguments],
            cwd=self.project,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = one_line(_tail(done.stderr or done.stdout))
            raise DeliveryError(f"pulumi {' '.join(arguments[:2])} failed: {reason}")
        return done.stdout

    def _run(self, verb: str, stack: str, *extra: str, take: Take | None) -> Outcome:
        """One run; `take` sees every event as it comes.

        Ctrl-C is passed on: the engine finishes the steps in hand, saves its state and ends; at
        another one it ends at once. Then KeyboardInterrupt. Raises LockedError.
        """
        command = [_pulumi(), verb, "--non-interactive", "--color=never", "--json"]
        command += ["--stack", stack, *extra]
        record = Record()

        def both(event: Event) -> None:
            record.take(event)
            if take is not None:
                take(event)

        # files, not pipes: an engine whose reader was killed goes on to save its state
        with tempfile.TemporaryDirectory(prefix="delivery-") as private:
            events, said = Path(private, "events"), Path(private, "said")
            with events.open("wb") as out, said.open("wb") as err:
                process = subprocess.Popen(
                    command,
                    cwd=self.project,
                    env=dict(self.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,  # Ctrl-C reaches it from here alone, once
                )
                try:
                    with _followed(events, both):
                        _wait(process)
                finally:
                    if process.poll() is None:
                        process.send_signal(signal.SIGINT)
                        process.wait()
            text = said.read_text(errors="replace")
        return concluded(stack, record, process.returncode, text)


def concluded(stack: str, record: Record, status: int, said: str) -> Outcome:
    """What a run comes to by its exit code and by what it said besides its events (stderr).

    Raises LockedError.
    """
    if _LOCKED in said:
        raise LockedError(locked(stack, said))
    if status == 0:
        return Outcome(record, True, ())
    errors = tuple(record.errors)
    if not errors and not record.broken:
        errors = (one_line(_tail(said)) or f"exit code {status}",)
    return Outcome(record, False, errors)


def locked(stack: str, said: str) -> str:
    """One sentence a lock: who holds the stack, since when, and how to clear it safely."""
    holders = [_holder(*found) for found in _HOLDER.findall(said)] or ["somebody"]
    return (
        f"{stack} is locked by {' and by '.join(holders)}. Wait until that process ends. Only if "
        f"you have made sure that it is gone: `pulumi cancel --yes --stack {stack}`, then run "
        "this again"
    )


def _holder(user: str, host: str, pid: str, since: str) -> str:
    told = f"{user}@{host} (process {pid}) since {since}"
    if host != socket.gethostname():
        return told
    return f"{told}, which {'still runs here' if _runs(int(pid)) else 'is gone from this machine'}"


def _runs(pid: int) -> bool:
    """Whether a process of this machine is an engine: its number may have been given anew."""
    listed = subprocess.run(
        ["ps", "-o", "stat=,comm=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    return len(listed) == 2 and not listed[0].startswith("Z") and _ENGINE in listed[1]


def _pulumi() -> str:
    found = shutil.which(_ENGINE)
    if found is None:
        raise DeliveryError("pulumi is not on PATH; install it (docs/real-account.md says which)")
    return found


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Until it ends, whatever happens meanwhile: a state must not be left locked behind."""
    interrupted = False
    while True:
        try:
            process.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
            with contextlib.suppress(ProcessLookupError):  # it may just have ended
                os.kill(process.pid, signal.SIGINT)
    if interrupted:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _followed(file: Path, take: Take) -> Iterator[None]:
    """Hands over every event of a growing file until the block and the file end."""
    done = threading.Event()
    failed: list[BaseException] = []

    def read() -> None:
        try:
            _follow(file, take, done)
        except BaseException as error:  # said where it can be
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        done.set()
        reader.join()
    if failed:
        raise failed[0]


def _follow(file: Path, take: Callable[[Event], None], done: threading.Event) -> None:
    with file.open(encoding="utf-8", errors="replace") as lines:
        rest = ""
        while True:
            last = done.is_set()
            chunk = lines.read()
            *whole, rest = (rest + chunk).split("\n")
            for line in whole:
                if event := _event(line):
                    take(event)
            if last and not chunk:
                return
            if not chunk:
                done.wait(_LOOK_S)


def _event(line: str) -> dict[str, Any] | None:
    """None for what is no event: the engine prints a word between some."""
    if not line.startswith("{"):
        return None
    found = json.loads(line)
    return found if isinstance(found, dict) else None


def _tail(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("warning: ")]
    return "\n".join(lines[-_TAIL:])
