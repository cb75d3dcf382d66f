"""`command:remote:Command`, as Pulumi's official provider (1.2) behaves.

Kept on purpose: with `update` unset any change runs `create` again; `triggers` always replace;
`delete` goes over the connection stored in the state; a refresh sees no drift. Beside it: SSH
keep-alives, which the official one has not.
"""

from __future__ import annotations

import importlib.metadata
import uuid
from typing import Any

from rehearsal.plugins.command import inputs as model
from rehearsal.plugins.command.log import EngineLog
from rehearsal.plugins.command.ssh import Client
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

TYPE = "command:remote:Command"
_OUTPUTS = ("stdout", "stderr")


class Command(Provider):
    """engine: address of the engine's log service; empty for none."""

    name = "command"
    version = importlib.metadata.version("pulumi-command")

    def __init__(self, engine: str = "") -> None:
        self._client = Client()
        self._log = EngineLog(engine)

    def check(
        self, resource: Resource, olds: Properties, news: Properties
    ) -> tuple[Properties, list[Failure]]:
        if resource.type != TYPE:
            reason = f"{resource.type} is not handled by this stand-in; known: {TYPE}"
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
        outputs = self._run(resource, inputs, inputs.get("create"), {})
        return f"{resource.name}-{uuid.uuid4().hex[:8]}", outputs

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
        script = news.get("update") if news.get("update") is not None else news.get("create")
        return self._run(resource, news, script, old_outputs)

    def delete(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties, timeout: float
    ) -> None:
        if outputs.get("delete"):
            self._run(resource, outputs, outputs["delete"], outputs)

    def read(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties
    ) -> ReadResult:
        return ReadResult(id=id, outputs=outputs, inputs=inputs)

    def cancel(self) -> None:
        self._client.cancel()

    def _run(
        self, resource: Resource, inputs: Properties, script: Any, previous: Properties
    ) -> Properties:
        """Runs a script, if there is one; returns the resource's outputs."""
        own = {key: value for key, value in inputs.items() if key not in _OUTPUTS}
        if not script:
            return {**own, **{key: previous.get(key, "") for key in _OUTPUTS}}
        environment = dict(inputs.get("environment") or {})
        if inputs.get("addPreviousOutputInEnv", True):
            for key in _OUTPUTS:
                if previous.get(key):
                    environment[f"PULUMI_COMMAND_{key.upper()}"] = previous[key]
        logging = inputs.get("logging", "stdoutAndStderr")

        def show(stream: str, text: str) -> None:
            if logging in (stream, "stdoutAndStderr"):
                self._log.info(resource.urn, text)

        result = self._client.run(
            model.connection_of(inputs), script, inputs.get("stdin"), environment, show
        )
        if result.status != 0:
            raise ProviderError(
                f"Process exited with status {result.status}: running {script!r} over ssh:\n"
                f"{result.stdout}{result.stderr}"
            )
        outputs = {"stdout": result.stdout, "stderr": result.stderr}
        return {**own, **{key: text.removesuffix("\n") for key, text in outputs.items()}}
