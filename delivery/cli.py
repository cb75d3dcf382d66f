"""What pull requests and deployments run.

Each command works in the checkout, with the Pulumi engine on PATH (a destroy: kubectl too) and the
machine's own backend (PULUMI_BACKEND_URL) and AWS credentials.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from delivery import affected, drift, github, keys, request
from delivery import comment as comments
from delivery import deploy as deploying
from delivery import preview as previewing
from delivery.engine import Engine
from delivery.errors import DeliveryError, Exit, RefusedError
from settings import SettingsError, environment

PROJECT = Path(__file__).resolve().parent.parent
_WHOLE = 1 << 40  # bytes; more than any text has


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code (delivery.errors.Exit)."""
    chosen = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _as_interrupt)  # a job that is cancelled is told by both
    run: Callable[[argparse.Namespace], Exit] = chosen.run
    try:
        return run(chosen)
    except DeliveryError as error:
        print(f"{chosen.command}: {error}", file=sys.stderr)
        return error.exit
    except SettingsError as error:
        print(f"{chosen.command}: {error}", file=sys.stderr)
        return Exit.FAILED
    except KeyboardInterrupt:
        print(
            f"{chosen.command}: stopped; what was done is in the state: run it again to go on",
            file=sys.stderr,
        )
        return Exit.INTERRUPTED


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _affected(chosen: argparse.Namespace) -> Exit:
    _put(environments=affected.affected(PROJECT, chosen.base))
    return Exit.DONE


def _environments(_: argparse.Namespace) -> Exit:
    _put(environments=affected.delivered(PROJECT))
    return Exit.DONE


def _preview(chosen: argparse.Namespace) -> Exit:
    try:
        plan = previewing.preview(Engine(PROJECT), _of(chosen), _Clock().say)
    except (DeliveryError, SettingsError) as error:
        _write(chosen.out, comments.failure(chosen.environment, str(error), chosen.commit))
        raise
    print(comments.comment(plan, chosen.commit, limit=_WHOLE))
    _write(chosen.out, comments.comment(plan, chosen.commit))
    return Exit.FAILED if plan.failed else Exit.DONE


def _comment(chosen: argparse.Namespace) -> Exit:
    try:
        body = chosen.file.read_text(encoding="utf-8")
    except OSError as error:
        raise DeliveryError(f"{chosen.file} cannot be read: {error.strerror}") from None
    mark = comments.marker(chosen.environment)
    if not body.startswith(mark):
        raise DeliveryError(f"{chosen.file} is no preview of {chosen.environment}")
    print(github.from_environment().comment(chosen.pull, mark, body))
    return Exit.DONE


def _request(_: argparse.Namespace) -> Exit:
    api = github.from_environment()
    name, file = os.environ.get("GITHUB_EVENT_NAME"), os.environ.get("GITHUB_EVENT_PATH")
    if not name or not file:
        raise DeliveryError("GITHUB_EVENT_NAME, GITHUB_EVENT_PATH not set; a job has them")
    event = json.loads(Path(file).read_text(encoding="utf-8"))
    pull = request.pull_of(event) if name == "issue_comment" else None
    try:
        asked = request.read(PROJECT, name, event, os.environ.get("GITHUB_SHA", ""), api)
    except RefusedError as error:
        if pull is not None:
            api.comment(pull, comments.ANSWER, comments.answer(f"Not deployed: {error}."))
        raise
    if asked.pull is not None:
        told = f"Deploying {asked.environments[0]} from {asked.commit[:12]}: {_run_address()}"
        api.comment(asked.pull, comments.ANSWER, comments.answer(told))
    _put(environments=list(asked.environments), commit=asked.commit)
    return Exit.DONE


def _deploy(chosen: argparse.Namespace) -> Exit:
    provider = None
    if chosen.init and not (provider := os.environ.get("PULUMI_SECRETS_PROVIDER")):
        raise DeliveryError(
            "PULUMI_SECRETS_PROVIDER not set; it names the key of a new stack's secrets: "
            "awskms://alias/groundwork-secrets?region=…"
        )
    deploying.deploy(
        Engine(PROJECT),
        _of(chosen),
        _Clock().say,
        accept_drift=chosen.accept_drift,
        secrets_provider=provider,
    )
    return Exit.DONE


def _drift(chosen: argparse.Namespace) -> Exit:
    api = github.from_environment() if chosen.issue else None
    found = drift.find(Engine(PROJECT), _of(chosen), _Clock().say)
    for stack in found.absent:
        print(f"{stack}: not deployed yet")
    print("\n".join(drift.lines(found)) if found.count else f"{found.environment}: no drift")
    if api is None:
        return Exit.DRIFT if found.count else Exit.DONE
    mark = drift.marker(found.environment)
    if found.count:
        print(api.open_issue(mark, drift.title(found.environment), drift.body(found)))
    elif address := api.close_issue(mark, "The last check found nothing."):
        print(f"closed {address}")
    return Exit.DONE


def _destroy(chosen: argparse.Namespace) -> Exit:
    if chosen.confirm != chosen.name:
        raise RefusedError(
            f"this deletes all that {chosen.name} holds; say so by --confirm {chosen.name} "
            f"(make: CONFIRM={chosen.name})"
        )
    own = environment(PROJECT, chosen.name)
    whole = own.name == chosen.name
    stacks = own.stacks if whole else (own.stack(chosen.name),)
    deploying.destroy(Engine(PROJECT), own, stacks, _Clock().say, force=chosen.force)
    return Exit.DONE


def _ssh_key(chosen: argparse.Namespace) -> Exit:
    for file in keys.plant(PROJECT, _of(chosen)):
        print(f"wrote {file}")
    return Exit.DONE


def _of(chosen: argparse.Namespace) -> Any:
    found = environment(PROJECT, chosen.environment)
    if found.name != chosen.environment:
        raise DeliveryError(
            f"{chosen.environment} is a stack of the environment {found.name}; name that"
        )
    return found


def _put(**outputs: object) -> None:
    """A job's outputs: to its file if there is one, and as JSON for whoever looks."""
    print(json.dumps(outputs if len(outputs) > 1 else next(iter(outputs.values()))))
    if file := os.environ.get("GITHUB_OUTPUT"):
        lines = [f"{name}={_word(value)}" for name, value in outputs.items()]
        with Path(file).open("a", encoding="utf-8") as out:
            print("\n".join(lines), file=out)


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _write(file: Path | None, text: str) -> None:
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def _run_address() -> str:
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (os.environ.get(name, "") for name in names)
    return f"{server}/{repository}/actions/runs/{run}"


class _Clock:
    """Says what happens, with the minutes and seconds since the start; aside, as the output may be
    for others."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """One line."""
        seconds = int(time.monotonic() - self._began)
        print(f"[{seconds // 60:02}:{seconds % 60:02}] {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="delivery",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit codes: " + ", ".join(f"{each.value} {each.name.lower()}" for each in Exit),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[argparse.Namespace], Exit], text: str, of: bool = True
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        if of:
            command.add_argument("environment", metavar="ENV", help="as in Pulumi.ENV.yaml")
        return command

    command = add("affected", _affected, "environments that a change touches", of=False)
    command.add_argument("base", metavar="BASE", help="the commit that it is compared with")
    add("environments", _environments, "all environments in AWS", of=False)
    command = add("preview", _preview, "what a deployment would do, as a comment")
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="also there, cut to GitHub's limit"
    )
    command.add_argument("--commit", default="", help="the pull request's, to be named in it")
    command = add("comment", _comment, "put a preview on a pull request, in place of the last one")
    command.add_argument("file", type=Path, metavar="FILE", help="of `preview --out`")
    command.add_argument("--pull", type=int, required=True, metavar="NUMBER", help="pull request")
    add("request", _request, "what the event of a job asks to deploy, if it may", of=False)
    command = add("deploy", _deploy, "look for drift, then update every stack in order")
    command.add_argument("--accept-drift", action="store_true", help="put back what was changed")
    text = "make stacks that the backend does not have, with PULUMI_SECRETS_PROVIDER"
    command.add_argument("--init", action="store_true", help=text)
    command = add("drift", _drift, "what was changed by hand")
    text = "open, change or close the environment's issue instead of failing"
    command.add_argument("--issue", action="store_true", help=text)
    command = add("destroy", _destroy, "delete all that an environment or a stack holds", of=False)
    command.add_argument("name", metavar="ENV|STACK", help="as in Pulumi.NAME.yaml")
    command.add_argument("--confirm", metavar="NAME", help="the same name again")
    text = "the cluster is dead: leave its Applications, which nothing can take down any more"
    command.add_argument("--force", action="store_true", help=text)
    text = f"write the SSH key pair that {keys.VARIABLE} holds to where the settings look for it"
    add("ssh-key", _ssh_key, text)
    return parser
