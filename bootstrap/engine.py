"""The Pulumi engine, by the SDK's Automation API, with nothing of it left in the checkout."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pulumi import automation

from bootstrap.errors import BootstrapError
from bootstrap.foundation import Cloud, Report
from bootstrap.names import Names

PROJECT, STACK = "groundwork-bootstrap", "account"
_POLICIES = Path(__file__).resolve().parent.parent / "policy"
_QUIET = ("same", "read", "refresh")


@dataclass(frozen=True)
class State:
    """Where a stack's state lies, as `pulumi login` and `--secrets-provider` take it."""

    backend_url: str
    secrets_provider: str

    @staticmethod
    def of(names: Names, endpoint_url: str | None) -> State:
        """In the account's bucket and under its key."""
        extra = ""
        if endpoint_url is not None:
            url = urlsplit(endpoint_url)
            extra = f"&endpoint={url.netloc}&s3ForcePathStyle=true"
            extra += "&disable_https=true" if url.scheme == "http" else ""
        return State(
            f"s3://{names.state_bucket}?region={names.region}{extra}",
            f"awskms://{names.key_alias}?region={names.region}",
        )


@dataclass
class Outcome:
    """What the engine did, or would do. steps: operation, type and name, in its order."""

    steps: list[tuple[str, str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> dict[str, int]:
        """How many of each operation that changes something."""
        counted = Counter(op for op, _, _ in self.steps if op not in _QUIET)
        return dict(sorted(counted.items()))


@contextmanager
def stack(state: State | None, environment: Mapping[str, str]) -> Iterator[automation.Stack]:
    """The account's stack; without a state it is an empty one, gone afterwards.

    environment: of the engine, beside this process's own. Raises BootstrapError.
    """
    with tempfile.TemporaryDirectory(prefix="bootstrap-") as folder:
        kept = state or State(f"file://{folder}", "passphrase")
        variables = {
            "PULUMI_BACKEND_URL": kept.backend_url,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            **({} if state else {"PULUMI_CONFIG_PASSPHRASE": ""}),
            **environment,
        }
        # what is set for the program's own stacks is not for this one
        stray = ("PULUMI_OPTION_CONFIG_FILE", "PULUMI_OPTION_POLICY_PACK", "PULUMI_STACK")
        with _without(*stray):
            with _worded("the state cannot be opened"):
                made = automation.create_or_select_stack(
                    STACK,
                    project_name=PROJECT,
                    program=lambda: None,
                    opts=automation.LocalWorkspaceOptions(
                        work_dir=folder,
                        env_vars=variables,
                        secrets_provider=kept.secrets_provider,
                        stack_settings={
                            STACK: automation.StackSettings(secrets_provider=kept.secrets_provider)
                        },
                    ),
                )
            yield made


def up(made: automation.Stack, program: Callable[[], None], report: Report) -> Outcome:
    """Brings the account to what the program says, whatever was changed by hand."""
    outcome = Outcome()
    with _worded("pulumi up failed", outcome):
        result = made.up(
            program=program,
            on_event=_taker(outcome, report),
            refresh=True,
            policy_packs=[str(_POLICIES)],
            suppress_progress=True,
        )
        outcome.outputs = {key: output.value for key, output in result.outputs.items()}
    return outcome


def preview(made: automation.Stack, program: Callable[[], None], report: Report) -> Outcome:
    """What `up` would do."""
    outcome = Outcome()
    with _worded("pulumi preview failed", outcome):
        made.preview(
            program=program,
            on_event=_taker(outcome, report),
            refresh=True,
            policy_packs=[str(_POLICIES)],
            suppress_progress=True,
        )
    return outcome


def outputs(made: automation.Stack) -> dict[str, Any]:
    """Of the last run; none before the first."""
    with _worded("the stack's outputs cannot be read"):
        return {key: output.value for key, output in made.outputs().items()}


def unlock(made: automation.Stack, cloud: Cloud, names: Names, report: Report) -> None:
    """Removes the lock of a run on this machine that has ended. Raises BootstrapError if somebody
    holds one."""
    s3 = cloud.client("s3")
    prefix = f".pulumi/locks/organization/{PROJECT}/{STACK}/"
    held = s3.list_objects_v2(Bucket=names.state_bucket, Prefix=prefix).get("Contents", [])
    if not held:
        return
    for each in held:
        body = s3.get_object(Bucket=names.state_bucket, Key=each["Key"])["Body"].read()
        lock = json.loads(body)
        if lock["hostname"] != socket.gethostname() or not _ended(int(lock["pid"])):
            raise BootstrapError(
                f"another run holds the state ({lock['username']} on {lock['hostname']}, process "
                f"{lock['pid']}, since {lock['timestamp']}); wait until it ends, or if it has, "
                f"delete s3://{names.state_bucket}/{each['Key']}"
            )
    report("a run before this one was killed; taking its lock away")
    with _worded("its lock cannot be taken away"):
        made.cancel()
        # what it was making is forgotten here, found in the account, and taken over
        made.refresh(clear_pending_creates=True, suppress_progress=True)


def _ended(pid: int, patience_s: float = 10) -> bool:
    """Whether a process has ended, or does at once: one that was killed takes a moment."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        time.sleep(0.1)
    return False


def _taker(outcome: Outcome, report: Report) -> Callable[[Any], None]:
    def take(event: Any) -> None:
        if (step := event.resource_pre_event) is not None:
            told = step.metadata
            kind, _, name = told.urn.rpartition("::")
            op, kind = str(told.op.value), kind.rpartition("::")[2].rpartition("$")[2]
            outcome.steps.append((op, kind, name))
            if op not in _QUIET and kind.startswith("aws:"):
                report(f"{op} {kind.rpartition(':')[2]} {name}")
        elif (said := event.diagnostic_event) is not None and said.severity == "error":
            outcome.errors.append(" ".join(said.message.split()))
        elif (broken := event.policy_event) is not None and (
            broken.enforcement_level == "mandatory"
        ):
            outcome.errors.append(f"{broken.policy_name}: {' '.join(broken.message.split())}")

    return take


@contextmanager
def _worded(doing: str, outcome: Outcome | None = None) -> Iterator[None]:
    """The engine's errors on one line."""
    try:
        yield
    except automation.CommandError as error:
        reasons = outcome.errors if outcome else []
        text = "; ".join(dict.fromkeys(reasons)) or " ".join(str(error).split())[-600:]
        raise BootstrapError(f"{doing}: {text}") from None
    except FileNotFoundError as error:
        if error.filename != "pulumi":
            raise
        raise BootstrapError(
            "pulumi is not on PATH; install the Pulumi CLI (docs/real-account.md says which)"
        ) from None


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """This process's environment without some variables."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
