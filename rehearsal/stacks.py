"""The rehearsal's stacks: one with all layers, or several, each run by an engine of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rehearsal.engine import STACK, Engine
from rehearsal.errors import RehearsalError
from rehearsal.paths import Paths
from rehearsal.progress import Progress
from settings import environment


@dataclass(frozen=True)
class Stacks:
    """engines: in order of deployment. kubeconfig, argocd: of the stacks that own those layers."""

    engines: tuple[Engine, ...]
    cluster: Engine
    gitops: Engine

    @classmethod
    def of(cls, paths: Paths) -> Stacks:
        """As the stack files of the checkout have them. Raises SettingsError."""
        found = environment(paths.checkout, STACK)
        engines = {stack.name: Engine(paths, stack.name) for stack in found.stacks}
        return cls(
            tuple(engines.values()),
            engines[found.owner("cluster").name],
            engines[found.owner("gitops").name],
        )

    def prepare(self, report: Callable[[str], None]) -> None:
        """Makes the stacks that are not there, and frees those whose engine was killed."""
        self.engines[0].bootstrap(report)
        self._refuse_others()
        for engine in self.engines:
            engine.prepare()
            engine.clear_stale_lock(report)

    def up(self, report: Callable[[str], None]) -> Iterator[Progress]:
        """`pulumi up` of each stack, in order."""
        for engine in self.engines:
            self._say(engine, report)
            yield engine.run("up", report)

    def destroy(self, report: Callable[[str], None]) -> None:
        """`pulumi destroy` of each stack, the last one first."""
        for engine in reversed(self.engines):
            self._say(engine, report)
            engine.run("destroy", report)

    def _say(self, engine: Engine, report: Callable[[str], None]) -> None:
        if len(self.engines) > 1:
            report(f"  {engine.stack}")

    def _refuse_others(self) -> None:
        """What was brought up as one stack is no longer known to three, and the other way round."""
        names = {engine.stack for engine in self.engines}
        others = sorted(self.engines[0].deployed() - names)
        if others:
            raise RehearsalError(
                f"the rehearsal that runs is in {', '.join(others)}, and its stack files are now "
                f"for {', '.join(sorted(names))}; run `make down` with the files of before"
            )
