"""An environment brought to what its settings say, stack by stack, and taken down again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from delivery import drift, teardown
from delivery.engine import Deployed, Engine, Outcome
from delivery.errors import DeliveryError, DriftError, RefusedError
from delivery.progress import Progress
from settings import Environment, Stack

# What each layer reads of the ones before it (source: `__main__.py`).
NEEDS: Mapping[str, tuple[str, ...]] = {
    "infra": (),
    "cluster": ("infra",),
    "gitops": ("infra", "cluster"),
}
Say = Callable[[str], None]


def deploy(
    engine: Engine,
    environment: Environment,
    say: Say,
    *,
    accept_drift: bool = False,
    secrets_provider: str | None = None,
) -> None:
    """Looks for drift, then updates every stack in order, each with the policy pack.

    secrets_provider: for stacks that the backend does not have, which are made with it; None:
    they are refused. Raises DriftError, LockedError, RefusedError, DeliveryError.
    """
    missing = [stack.name for stack in environment.stacks if stack.name not in engine.stacks()]
    if missing and secrets_provider is None:
        raise RefusedError(
            f"{_named(missing)} not in the backend; look at PULUMI_BACKEND_URL, or make a new "
            "environment by the workflow `bootstrap` (`make deploy` with INIT=1)"
        )
    found = drift.find(engine, environment, say)
    check(found, say, accept_drift)
    for stack in environment.stacks:
        if stack.name in missing and secrets_provider is not None:
            say(f"{stack.name}: making the stack")
            engine.init(stack.name, secrets_provider)
        say(f"{stack.name}: updating")
        drifted = bool(found.stacks.get(stack.name))
        outcome = engine.update(stack.name, Progress(say).take, refresh=drifted)
        _hold("update", stack.name, outcome)
        say(f"{stack.name}: done: {_counted(outcome)}")


def check(found: drift.Drift, say: Say, accept: bool) -> None:
    """Refuses to go on over what somebody changed by hand. Raises DriftError with all of it."""
    if not found.count:
        return
    told = "\n".join(drift.lines(found))
    if not accept:
        raise DriftError(
            f"{_differing(found)} not what the state says:\n{told}\n"
            "If another deployment is at work, wait until it ends. Else write the change into the "
            "settings, or let the update put it back: --accept-drift (make: ACCEPT_DRIFT=1)"
        )
    say(f"{_differing(found)} not what the state says; the update puts back:\n{told}")


def _differing(found: drift.Drift) -> str:
    count = found.count
    return f"{count} resource{' is' if count == 1 else 's are'}"


def destroy(
    engine: Engine,
    environment: Environment,
    stacks: Sequence[Stack],
    say: Say,
    *,
    force: bool = False,
) -> None:
    """Deletes all that `stacks` (of `environment`) hold, the last deployed first; Applications
    before the stack that made them, which `force` leaves to a cluster that is dead.

    Raises RefusedError, before anything is deleted, if another stack needs one of them;
    DeliveryError, with the commands that remove it, if the cluster left something in AWS.
    """
    there = engine.stacks()
    refuse_needed(environment, stacks, there)
    going: list[Stack] = []
    for stack in reversed(environment.stacks):
        if stack not in stacks:
            continue
        if stack.name not in there or not there[stack.name].resources:
            say(f"{stack.name}: holds nothing")
            continue
        going.append(stack)
        if "gitops" in stack.layers and not force:
            teardown.applications(engine, environment, say)
        if "infra" in stack.layers:
            teardown.free_vpc(engine, environment)
        say(f"{stack.name}: destroying")
        outcome = engine.destroy(stack.name, Progress(say).take)
        _hold("destroy", stack.name, outcome)
        say(f"{stack.name}: done: {_counted(outcome)}")
    if any("infra" in stack.layers for stack in going):
        teardown.tell_rest(engine, environment)


def refuse_needed(
    environment: Environment, stacks: Sequence[Stack], there: Mapping[str, Deployed]
) -> None:
    """Raises RefusedError if a stack that holds something and stays reads a layer of `stacks`."""
    for going in stacks:
        needing = [
            other.name
            for other in environment.stacks
            if other not in stacks
            and other.name in there
            and there[other.name].resources
            and any(need in going.layers for layer in other.layers for need in NEEDS[layer])
        ]
        if needing:
            raise RefusedError(
                f"{going.name} is needed by {' and '.join(needing)}, which hold resources; "
                f"destroy {'them' if len(needing) > 1 else 'it'} first, the last of them first"
            )


def _hold(verb: str, stack: str, outcome: Outcome) -> None:
    if outcome.ok:
        return
    broken = [f"{each.policy}: {each.message}" for each in outcome.record.broken]
    told = "\n".join(f"  {reason}" for reason in [*broken, *outcome.errors])
    done = sum(step.changes and step.custom for step in outcome.record.done.values())
    raise DeliveryError(
        f"{stack}: the {verb} failed after {done} changes; what was done is in the state:\n{told}\n"
        "Mend it and run this again: it goes on from there"
    )


def _counted(outcome: Outcome) -> str:
    counts: dict[str, int] = {}
    for step in outcome.record.done.values():
        counts[step.op] = counts.get(step.op, 0) + 1
    return ", ".join(f"{count} {op}" for op, count in sorted(counts.items())) or "nothing to do"


def _named(stacks: Sequence[str]) -> str:
    return f"{' and '.join(stacks)} {'are' if len(stacks) > 1 else 'is'}"
