"""A provider plugin for `preview.py`: takes whatever it is given and does nothing.

`python -m benchmarks.accepting <name>`: it stands for the providers behind which there would be
hosts and a cluster; a preview of an unchanged environment asks them nothing but Check and Diff.
"""

from __future__ import annotations

import sys
from importlib import metadata

from rehearsal.plugins.protocol import (
    Diff,
    Failure,
    Properties,
    Provider,
    ReadResult,
    Resource,
    changed_keys,
    serve,
)

_ADMIN_CONF = """\
clusters: [{name: c, cluster: {server: 'https://api:6443'}}]
contexts: [{name: admin, context: {cluster: c, user: admin}}]
current-context: admin
users: [{name: admin, user: {}}]
"""


class Accepting(Provider):
    """Every resource exists as soon as it is asked for, with what the program reads of it."""

    def __init__(self, name: str) -> None:
        self.name, self.version = name, metadata.version(f"pulumi_{name}")

    def check(
        self, resource: Resource, olds: Properties, news: Properties
    ) -> tuple[Properties, list[Failure]]:
        return news, []

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
    ) -> Diff:
        return Diff(changes=changed_keys(old_inputs, news))

    def create(
        self, resource: Resource, inputs: Properties, preview: bool, timeout: float
    ) -> tuple[str, Properties]:
        stdout = _ADMIN_CONF if resource.name == "init" else f"ssh-ed25519 AAAA{resource.name}"
        return f"{resource.name}-id", {**inputs, "stdout": stdout, "stderr": ""}

    def read(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties
    ) -> ReadResult:
        return ReadResult(id, outputs, inputs)

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
        return {**old_outputs, **news}

    def delete(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties, timeout: float
    ) -> None:
        """Nothing was made."""


if __name__ == "__main__":
    serve(Accepting(sys.argv[1]))
