"""The real Pulumi engine, run as an operator runs it, with progress read from its event log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from rehearsal import cloud
from rehearsal.errors import RehearsalError
from rehearsal.namespace import OPERATOR, inside, operator_command
from rehearsal.paths import Paths
from rehearsal.process import start_time
from rehearsal.progress import Progress, follow

STACK = "rehearsal"  # the environment, and its stack's name while it is in one
# Joins and package installs are bound by two cores, not by waiting: more at once only makes each
# slower than its own time limit.
PARALLEL = 10


@dataclass(frozen=True)
class Engine:
    """Runs `pulumi` on a stack of the rehearsal; its state and key are in the rehearsal's cloud."""

    paths: Paths
    stack: str = STACK

    @property
    def _home(self) -> Path:
        return self.paths.run / "pulumi"

    @property
    def config_file(self) -> Path:
        """The stack's file plus the encrypted data key that the engine adds to it.

        The key is of this run alone, so it is kept out of the checkout.
        """
        return self._home / f"Pulumi.{self.stack}.yaml"

    def environment(self) -> dict[str, str]:
        """Everything `pulumi` needs, and nothing of the person's own Pulumi or AWS set-up."""
        plugins = self.paths.checkout / "rehearsal" / "plugins" / "bin"
        kept = {k: os.environ[k] for k in ("TERM", "LANG", "COLUMNS", "LINES") if k in os.environ}
        return {
            **kept,
            **cloud.ENVIRONMENT,
            "HOME": str(self._home),
            "PATH": os.pathsep.join(
                [
                    str(self.paths.tools / "bin"),
                    str(plugins),
                    str(self.paths.checkout / ".venv" / "bin"),
                    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                ]
            ),
            "PULUMI_HOME": str(self._home),
            "PULUMI_BACKEND_URL": f"s3://{cloud.STATE.state_bucket}?region={cloud.REGION}"
            f"&endpoint={cloud.ENDPOINT.removeprefix('http://')}"
            "&s3ForcePathStyle=true&disable_https=true",
            "PULUMI_STACK": self.stack,
            "PULUMI_OPTION_CONFIG_FILE": str(self.config_file),
            # --policy-pack of every preview and update, those typed in `make shell` among them
            "PULUMI_OPTION_POLICY_PACK": str(self.paths.checkout / "policy"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_COMMANDS": "true",  # for --event-log
            "PULUMI_PARALLEL": str(PARALLEL),
            "KUBECONFIG": str(self.kubeconfig),
        }

    @property
    def kubeconfig(self) -> Path:
        """The cluster's kubeconfig, written after `up`, for `make shell` and `make status`."""
        return self.paths.run / "kubeconfig"

    def bootstrap(self, report: Callable[[str], None]) -> None:
        """`python -m bootstrap` in the rehearsal's account, once: where the state will lie.

        Raises RehearsalError with what it said.
        """
        done, log = self._home / "bootstrapped", self.paths.logs / "bootstrap.log"
        if done.exists():
            return
        report("bootstrap of the account: state bucket, key, roles")
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.paths.logs.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "bootstrap", "--json", "--region", cloud.REGION]
        command += ["--repository", "example/groundwork", "--environment", STACK]
        with log.open("w") as out:
            ran = subprocess.run(
                operator_command(command),
                cwd=self.paths.checkout,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if ran.returncode != 0:
            raise RehearsalError(f"bootstrap failed; its output is in {log}:\n{_tail(log)}")
        done.touch()

    def prepare(self) -> None:
        """Makes the stack if there is none, and this run's config file from the checkout's."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.stack not in self.deployed()
        if fresh or not self.config_file.is_file():
            self._init_stack(fresh)
        self._write_config()

    def deployed(self) -> set[str]:
        """The stacks that the state knows, with or without resources."""
        return {each["name"] for each in json.loads(self._run(["stack", "ls", "--json"]).stdout)}

    def _init_stack(self, fresh: bool) -> None:
        """`stack init` writes into the project's folder, so it is given one to throw away."""
        if not fresh:
            raise RehearsalError(
                f"{self.config_file} is gone, and with it the key to the rehearsal's state; "
                "run `make down` and start again"
            )
        with tempfile.TemporaryDirectory(dir=self._home) as scratch:
            project = (self.paths.checkout / "Pulumi.yaml").read_text()
            Path(scratch, "Pulumi.yaml").write_text(project)
            provider = f"awskms://{cloud.STATE.key_alias}?region={cloud.REGION}&awssdk=v2"
            self._run(["stack", "init", self.stack, "--secrets-provider", provider], Path(scratch))
            Path(scratch, self.config_file.name).rename(self.config_file)

    def _write_config(self) -> None:
        own = yaml.safe_load(self.config_file.read_text())
        given = yaml.safe_load((self.paths.checkout / self.config_file.name).read_text())
        keys = {key: own[key] for key in ("secretsprovider", "encryptedkey")}
        new = self.config_file.with_suffix(".new")
        new.write_text(yaml.safe_dump({**given, **keys}, sort_keys=False))
        new.rename(self.config_file)

    def run(self, verb: str, report: Callable[[str], None], *extra: str) -> Progress:
        """`pulumi up|preview|destroy|refresh` with progress; output in `log_file(verb)`.

        Ctrl-C asks the engine to finish the steps in hand and to stop; then KeyboardInterrupt.
        Raises RehearsalError with the engine's first errors.
        """
        self.paths.logs.mkdir(parents=True, exist_ok=True)
        log = self.log_file(verb)
        # the engine's own event log has debug messages with secrets in the clear
        events = self._home / f"{self.stack}.{verb}.events"
        events.unlink(missing_ok=True)
        events.touch(mode=0o600)
        confirm = [] if verb == "preview" else ["--yes", "--skip-preview"]
        command = ["pulumi", verb, "--non-interactive", *confirm, *extra]
        command += ["--event-log", str(events)]
        steps = self.steps_file(verb)
        with log.open("wb") as out, steps.open("w") as kept:
            progress = Progress(report, kept)
            done = threading.Event()
            reader = threading.Thread(target=follow, args=(events, progress.take, done))
            reader.start()
            process: subprocess.Popen[bytes] | None = None
            try:
                process = subprocess.Popen(
                    operator_command(command),
                    cwd=self.paths.checkout,
                    env=self.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                status = process.wait()
            except KeyboardInterrupt:
                if process is not None:
                    _stop(process, report)
                raise
            finally:
                done.set()
                reader.join()
                events.unlink()
        if status != 0:
            reasons = progress.errors or [_tail(log)]
            raise RehearsalError(
                f"pulumi {verb} failed; the whole output is in {log}:\n" + "\n".join(reasons)
            )
        return progress

    def steps_file(self, verb: str) -> Path:
        """What the last run of `verb` did, JSON lines: seconds, event, operation, URN."""
        return self.log_file(verb).with_suffix(".steps")

    def log_file(self, verb: str) -> Path:
        """What the last run of `verb` printed: logs/pulumi-<verb>.log, with the layer in its name
        if the environment is in several stacks."""
        part = self.stack.removeprefix(STACK)
        return self.paths.logs / f"pulumi-{verb}{part}.log"

    def output(self, name: str) -> str:
        """One stack output, secrets shown."""
        return self._run(["stack", "output", name, "--show-secrets"]).stdout.rstrip("\n")

    def save_kubeconfig(self) -> None:
        """This stack's kubeconfig as a file of the run, for `make shell` and `make status`."""
        new = self.kubeconfig.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(self.output("kubeconfig") + "\n")
        new.rename(self.kubeconfig)

    def clear_stale_lock(self, report: Callable[[str], None]) -> None:
        """Removes the lock of an engine that is no more. Raises if its engine runs."""
        with inside(OPERATOR):
            held = cloud.locks(self.stack)
        for lock in held:
            pid = int(lock["pid"])
            if start_time(pid) is not None and "pulumi" in _command_of(pid):
                raise RehearsalError(
                    f"{self.stack} is locked by process {pid} ({lock['username']}, since "
                    f"{lock['timestamp']}); wait until it ends"
                )
            report(f"removing the lock of process {pid}, which ended without taking it back")
        if held:
            self._run(["cancel", "--yes", self.stack])
            # what it was creating is forgotten, and so made again: every step may run twice
            report("looking at what it left behind")
            self.run("refresh", report, "--clear-pending-creates")

    def _run(
        self, arguments: Sequence[str], cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            operator_command(["pulumi", "--non-interactive", *arguments]),
            cwd=cwd or self.paths.checkout,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = " ".join((done.stderr or done.stdout).split())
            raise RehearsalError(f"pulumi {arguments[0]} {arguments[1]} failed: {reason[:2000]}")
        return done


def _stop(process: subprocess.Popen[bytes], report: Callable[[str], None]) -> None:
    """Passes Ctrl-C on and gives the engine time to end its steps; at another one kills it."""
    try:
        report("stopping: the engine finishes the steps in hand (Ctrl-C again to kill it)")
        _signal(process, signal.SIGINT)
        process.wait()
    except KeyboardInterrupt:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may just have ended
        os.killpg(process.pid, number)


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
