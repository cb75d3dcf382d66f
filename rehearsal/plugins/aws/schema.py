"""How a resource type is declared: a table of inputs and outputs, and what talks to AWS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from rehearsal.plugins.aws.cloud import Cloud, Deadline
from rehearsal.plugins.aws.kinds import Input, MapOf, RegionName, String
from rehearsal.plugins.protocol import Properties

TAGS = Input(MapOf(String()))
REGION = Input(RegionName(), force_new=True, computed=True)


@dataclass(frozen=True)
class Operation:
    """One operation on one resource, as its type's functions see it.

    cloud: in the resource's own region. id: the resource's id; "" while it is created. inputs: what
    the program wants (for read and delete: what the state holds). olds: the inputs of before an
    update. state: the outputs in the state. tags: the tags to have, the provider's default tags
    among them.
    """

    cloud: Cloud
    deadline: Deadline
    id: str
    inputs: Properties
    olds: Properties = field(default_factory=dict)
    state: Properties = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def ec2(self) -> Any:
        return self.cloud.client("ec2")

    def get(self, name: str) -> Any:
        """An input, or what the state knows of it: for reads of an import, which has no inputs."""
        value = self.inputs.get(name)
        return self.state.get(name) if value is None else value

    def wait(self, what: str, probe: Callable[[], Any]) -> Any:
        """Asks `probe` again and again until it gives something true, and returns that.

        Raises ProviderError "waiting for <what>: …" at the deadline or when interrupted.
        """
        return self.cloud.wait(what, probe, self.deadline)


@dataclass(frozen=True)
class AutoName:
    """The property that becomes `<prefix><resource name>-<7 hex digits>` if it is not set."""

    property: str
    longest: int
    prefix: str = ""
    lower: bool = False


@dataclass(frozen=True)
class ResourceType:
    """A type of the provider. The functions raise botocore's errors; the provider words them.

    token: such as `aws:ec2/vpc:Vpc`. noun: the name in errors, such as "EC2 VPC".
    outputs: what AWS alone sets, always.
    create: makes it and returns its id; one API call where that can be.
    settle: brings what was just created to its full state (attributes that the create call cannot
        take, waiting until usable); may run again. A failure leaves the resource in the state.
    read: the live properties, None if it is gone. A property AWS has no value for is there with
        None; one that AWS does not tell is absent.
    update: `changed` names the inputs that differ (never force_new ones, never tags).
    delete: may raise AWS's not-found errors.
    retag: sets and removes tags; its presence makes the type a taggable one.
    validate: (property, reason) of refusals that concern several inputs together.
    also_replaces: of the changed inputs, those that ask for a replacement in this case; it gets
        their names, the old and the new inputs.
    unsettled: outputs that are unknown at preview when the input changes.
    regional: it is in a region, by its input `region`; of other types there is one world-wide.
    """

    token: str
    noun: str
    inputs: Mapping[str, Input]
    outputs: Sequence[str]
    create: Callable[[Operation], str]
    read: Callable[[Operation], Properties | None]
    delete: Callable[[Operation], None]
    update: Callable[[Operation, frozenset[str]], None] | None = None
    settle: Callable[[Operation], None] | None = None
    retag: Callable[[Operation, Mapping[str, str], Sequence[str]], None] | None = None
    validate: Callable[[Properties], Sequence[tuple[str, str]]] | None = None
    also_replaces: Callable[[Set[str], Properties, Properties], Sequence[str]] | None = None
    autoname: AutoName | None = None
    unsettled: Mapping[str, Sequence[str]] = field(default_factory=dict)
    regional: bool = True
    delete_before_replace: bool = False
    create_seconds: float = 600.0
    delete_seconds: float = 600.0

    @property
    def properties(self) -> Mapping[str, Input]:
        """All inputs, those that many types share among them."""
        shared = {"region": REGION} if self.regional else {}
        return {**self.inputs, **shared, **({"tags": TAGS} if self.retag else {})}

    @property
    def late(self) -> Sequence[str]:
        """What is known only after a create: outputs, and inputs that AWS chooses when missing."""
        computed = [key for key, spec in self.inputs.items() if spec.computed]
        return [*self.outputs, *computed]
