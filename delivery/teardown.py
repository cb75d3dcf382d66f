"""What a destroy needs besides the engine: Applications gone before their cluster is, and nothing
in AWS that the cluster left and that would hold the VPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from delivery.engine import Engine
from delivery.errors import DeliveryError
from operations.account import answering, connect
from operations.cluster import Kubectl
from operations.errors import OperationsError
from operations.leftovers import Leftover, find
from operations.stacks import kubeconfig, place
from operations.takedown import take_down
from settings import Environment

APPLICATION = "kubernetes:argoproj.io/v1alpha1:Application"

Say = Callable[[str], None]


def applications(engine: Engine, environment: Environment, say: Say) -> None:
    """Takes the Applications down, if the stack that has them made any.

    Raises DeliveryError if they cannot go, or the cluster does not answer.
    """
    stack = environment.owner("gitops").name
    if APPLICATION not in engine.types(stack):
        return
    say(f"{stack}: taking the Applications down")
    try:
        with kubeconfig(engine.project, environment.name) as file:
            there = take_down(Kubectl(file), say)
    except OperationsError as error:
        raise DeliveryError(
            f"{stack}: {error}\nNo stack was destroyed. Mend it and run this again; if the cluster "
            "is dead, leave the Applications to die with it: --force (make: FORCE=1)"
        ) from None
    for line in there:
        say(f"  still there: {line}")


def free_vpc(engine: Engine, environment: Environment) -> None:
    """Raises DeliveryError, with the commands, if the cluster left in AWS what holds the VPC."""
    held = [each for each in leftovers(engine, environment) if each.holds_vpc]
    if held:
        raise DeliveryError(
            f"the cluster of {environment.name} left in AWS what holds the VPC:\n{_listed(held)}\n"
            "Remove it in this order, then run this again: it goes on from there"
        )


def tell_rest(engine: Engine, environment: Environment) -> None:
    """Raises DeliveryError, with the commands, if the cluster left anything at all in AWS."""
    if found := leftovers(engine, environment):
        raise DeliveryError(
            f"{environment.name} is destroyed, but its cluster left in AWS what goes on costing "
            f"money:\n{_listed(found)}"
        )


def leftovers(engine: Engine, environment: Environment) -> Sequence[Leftover]:
    """All that the environment's cluster made in AWS and has not removed. Raises DeliveryError."""
    try:
        where = place(engine.project, environment.name)
        with answering(where.region):
            client = connect(where.region, where.endpoint_url)
            return find(client, where.cluster, where.region)
    except OperationsError as error:
        raise DeliveryError(str(error)) from None


def _listed(found: Sequence[Leftover]) -> str:
    return "\n".join(each.as_text() for each in found)
