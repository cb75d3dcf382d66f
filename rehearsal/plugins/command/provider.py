"""`command:remote:Command`, as Pulumi's official provider (1.2) behaves.

Kept on purpose: with `update` unset any change runs `create` again; `triggers` always replace;
`delete` goes over the connection stored in the state; a refresh sees no drift. Different: a silent
server is noticed by keep-alives, which the official provider has not; a cancel hangs up on running
commands; no SSH agent is asked; of what it does not handle nothing is ignored.
"""

from __future__ import annotations

import importlib.metadata
import json
import uuid
from typing import Any

from rehearsal.plugins.command import inputs as model
from rehearsal.plugins.command.log import EngineLog
from rehearsal.plugins.command.ssh import Client, Command, Listener, Result
from rehearsal.plugins.protocol import (
    UNKNOWN,
    Diff,
    Failure,
    Properties,
    Provider,
    ProviderError,
    ReadResult,
    Resource,
    changed_keys,
)

_OUTPUTS = ("stdout", "stderr")
_LOGGED = {
    "none": (),
    "stdout": ("stdout",),
    "stderr": ("stderr",),
    "stdoutAndStderr": _OUTPUTS,
}


class RemoteCommand(Provider):
    """engine: address of the engine's log service; empty for none."""

    name = "command"
    version = importlib.metadata.version("pulumi-command")

    def __init__(self, engine: str = "") -> None:
        self._client = Client()
        self._log = EngineLog(engine)

    def check_config(self, news: Properties) -> list[Failure]:
        return [
            Failure(key, "is not handled by this stand-in of the command provider")
            for key in news
            if key != "version"
        ]

    def check(
        self, resource: Resource, olds: Properties, news: Properties
    ) -> tuple[Properties, list[Failure]]:
        if resource.type != model.TYPE:
            reason = f"{resource.type} is not handled by this stand-in; known: {model.TYPE}"
            return news, [Failure("", reason)]
        return news, list(model.check(news))

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
    ) -> Diff:
        changes = changed_keys(old_inputs, news)
        return Diff(changes=changes, replaces=[key for key in changes if key == "triggers"])

    def create(
        self, resource: Resource, inputs: Properties, preview: bool, timeout: float
    ) -> tuple[str, Properties]:
        if preview:
            return "", {**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}
        outputs = self._run(resource, inputs, inputs.get("create"), {}, timeout)
        return f"{resource.name}{uuid.uuid4().hex[:8]}", outputs

    def read(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties
    ) -> ReadResult:
        return ReadResult(id=id, outputs=outputs, inputs=inputs)

    def update(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        preview: bool,
        timeout: float,
    ) -> Properties:
        if preview:
            return {**news, "stdout": UNKNOWN, "stderr": UNKNOWN}
        line = news.get("update") if news.get("update") is not None else news.get("create")
        return self._run(resource, news, line, old_outputs, timeout)

    def delete(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties, timeout: float
    ) -> None:
        self._run(resource, outputs, outputs.get("delete"), outputs, timeout)

    def cancel(self) -> None:
        self._client.cancel()

    def _run(
        self,
        resource: Resource,
        inputs: Properties,
        line: str | None,
        previous: Properties,
        timeout: float,
    ) -> Properties:
        """Runs a command line, if there is one; returns the resource's outputs."""
        own = {key: value for key, value in inputs.items() if key not in _OUTPUTS}
        if not line:
            return {**own, **{key: previous.get(key, "") for key in _OUTPUTS}}
        connection = model.connection_of(inputs)
        result = self._client.run(
            connection,
            Command(
                line=line,
                stdin=inputs.get("stdin") or "",
                environment=inputs.get("environment") or {},
                optional_environment=_previous_output(inputs, previous),
            ),
            self._listener(resource, inputs),
            timeout,
        )
        if result.status != 0:
            raise ProviderError(_failure(line, connection.target.name, result))
        outputs = {"stdout": result.stdout, "stderr": result.stderr}
        return {**own, **{key: text.removesuffix("\n") for key, text in outputs.items()}}

    def _listener(self, resource: Resource, inputs: Properties) -> Listener:
        logged = _LOGGED[inputs.get("logging") or "stdoutAndStderr"]

        def output(stream: str, text: str) -> None:
            if stream in logged:
                self._log.status(resource.urn, text)

        return Listener(
            output=output,
            retrying=lambda text: self._log.status(resource.urn, text),
            warning=lambda text: self._log.warning(resource.urn, text),
        )


def _previous_output(inputs: Properties, previous: Properties) -> dict[str, str]:
    if not inputs.get("addPreviousOutputInEnv", True):
        return {}
    return {f"PULUMI_COMMAND_{key.upper()}": previous[key] for key in _OUTPUTS if previous.get(key)}


def _failure(line: str, host: str, result: Result) -> str:
    """As officially: how it ended, the whole command, all its output. Never stdin."""
    if result.status is not None:
        ended: Any = f"Process exited with status {result.status}"
    elif result.lost:
        ended = f"The connection to {host} was lost"
    else:
        ended = "Process was ended by a signal"
    return f"{ended}: running {json.dumps(line, ensure_ascii=False)} over ssh:\n{result.both}"
