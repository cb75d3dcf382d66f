"""The provider's service: finds the type, plans, runs its functions, words its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version

from rehearsal.plugins.aws import arguments, plan
from rehearsal.plugins.aws.cloud import Cloud, Deadline, code, gone, words
from rehearsal.plugins.aws.functions import FUNCTIONS
from rehearsal.plugins.aws.kinds import Change
from rehearsal.plugins.aws.resources import TYPES
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import (
    Diff,
    Failure,
    InitFailed,
    Properties,
    Provider,
    ProviderError,
    ReadResult,
    Resource,
)

_READ_SECONDS = 60.0


class AwsProvider(Provider):
    """Stands in for pulumi-aws of the installed SDK's version."""

    name = "aws"

    def __init__(self) -> None:
        self.version = version("pulumi-aws")
        self._cloud: Cloud | None = None

    def check_config(self, news: Properties) -> list[Failure]:
        try:
            return arguments.check(news)
        except ProviderError as error:
            return [Failure("", str(error))]

    def configure(self, args: Properties) -> None:
        self._cloud = Cloud(arguments.parse(args))

    def invoke(self, token: str, args: Properties) -> Properties:
        function = FUNCTIONS.get(token)
        if function is None:
            raise ProviderError(f"{token}: this function is not handled by this stand-in")
        with _worded(f"invoking {token}"):
            return function(self._connected(), args)

    def check(
        self, resource: Resource, olds: Properties, news: Properties
    ) -> tuple[Properties, list[Failure]]:
        type = TYPES.get(resource.type)
        if type is None:
            reason = f"{resource.type}: this type is not handled by this stand-in"
            return news, [Failure("", reason)]
        region = self._cloud.region if self._cloud else None
        return plan.check(type, resource.name, region, olds, news)

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
    ) -> Diff:
        type = _type(resource)
        tags = self._tags(type, news)
        changed = plan.changes(type, old_inputs, old_outputs, news, tags)
        replaces = [key for key, change in changed.items() if change is Change.REPLACE]
        if type.also_replaces:
            replaces += [
                key
                for key in type.also_replaces(changed.keys(), old_inputs, news)
                if key not in replaces
            ]
        return Diff(
            changes=list(changed),
            replaces=replaces,
            delete_before_replace=bool(replaces) and plan.delete_first(type, old_inputs, news),
        )

    def create(
        self, resource: Resource, inputs: Properties, preview: bool, timeout: float
    ) -> tuple[str, Properties]:
        type = _type(resource)
        tags = self._tags(type, inputs)
        if preview:
            return "", plan.preview_create(type, inputs, tags)
        deadline = Deadline.within(timeout or type.create_seconds)
        cloud = self._cloud_of(type, inputs, {})
        operation = Operation(cloud, deadline, "", inputs, tags=tags)
        with _worded(f"creating {type.noun}"):
            operation = replace(operation, id=type.create(operation))
        try:
            with _worded(f"creating {type.noun} ({operation.id})"):
                if type.settle:
                    type.settle(operation)
                return operation.id, self._outputs(type, operation)
        except ProviderError as error:
            # Without outputs: their absence tells the next update that settling is still to do.
            raise InitFailed(operation.id, dict(inputs), [str(error)]) from None

    def read(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties
    ) -> ReadResult:
        type = _type(resource)
        if type.regional and not (inputs or outputs) and "@" in id:  # an import: <id>@<region>
            id, _, region = id.rpartition("@")
            outputs = {"region": region}
        cloud = self._cloud_of(type, inputs, outputs)
        deadline = Deadline.within(_READ_SECONDS)
        operation = Operation(cloud, deadline, id, inputs, state=outputs)
        with _worded(f"reading {type.noun} ({id})"):
            live = _live(type, operation)
        if live is None:
            return ReadResult("")
        found = plan.refreshed(type, cloud.arguments.default_tags, inputs, live)
        return ReadResult(id, plan.outputs(type, cloud.region, found, live), found)

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
        type = _type(resource)
        tags = self._tags(type, news)
        changed = plan.changes(type, old_inputs, old_outputs, news, tags)
        if preview:
            return plan.preview_update(type, old_outputs, old_inputs, news, tags, changed)
        deadline = Deadline.within(timeout or type.create_seconds)
        cloud = self._cloud_of(type, old_inputs, old_outputs)
        operation = Operation(
            cloud, deadline, id, news, olds=old_inputs, state=old_outputs, tags=tags
        )
        with _worded(f"updating {type.noun} ({id})"):
            _apply(type, operation, frozenset(changed) - {"tags", "tagsAll", "region"})
            return self._outputs(type, operation)

    def delete(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties, timeout: float
    ) -> None:
        type = _type(resource)
        deadline = Deadline.within(timeout or type.delete_seconds)
        cloud = self._cloud_of(type, inputs, outputs)
        operation = Operation(cloud, deadline, id, inputs, state=outputs)
        with _worded(f"deleting {type.noun} ({id})"):
            try:
                type.delete(operation)
            except Exception as error:
                if not gone(error):
                    raise

    def cancel(self) -> None:
        if self._cloud:
            self._cloud.cancelled.set()

    def _connected(self) -> Cloud:
        if self._cloud is None:
            raise ProviderError("aws provider: it was never configured")
        return self._cloud

    def _cloud_of(self, type: ResourceType, inputs: Properties, outputs: Properties) -> Cloud:
        """Where the resource is: in its own region if it has one."""
        cloud = self._connected()
        if not type.regional:
            return cloud
        return cloud.in_region(outputs.get("region") or inputs.get("region"))

    def _tags(self, type: ResourceType, inputs: Properties) -> Properties:
        defaults = self._cloud.arguments.default_tags if self._cloud else {}
        tags: Properties = plan.all_tags(type, defaults, inputs)
        return tags

    def _outputs(self, type: ResourceType, operation: Operation) -> Properties:
        live = _live(type, operation)
        if live is None:
            raise ProviderError("it does not exist (any more)")
        return plan.outputs(type, operation.cloud.region, operation.inputs, live)


def _type(resource: Resource) -> ResourceType:
    type = TYPES.get(resource.type)
    if type is None:
        raise ProviderError(f"{resource.type}: this type is not handled by this stand-in")
    return type


def _live(type: ResourceType, operation: Operation) -> Properties | None:
    try:
        return type.read(operation)
    except Exception as error:
        if gone(error):
            return None
        raise


def _apply(type: ResourceType, operation: Operation, changed: frozenset[str]) -> None:
    """Brings the live resource to new inputs; finishes a create that broke off, too."""
    before = operation.state.get("tagsAll") or {}
    if type.retag and before != operation.tags:
        fresh = {k: v for k, v in operation.tags.items() if before.get(k) != v}
        stale = sorted(before.keys() - operation.tags.keys())
        type.retag(operation, fresh, stale)
    if type.settle and not any(key in operation.state for key in type.outputs):
        type.settle(operation)
    if changed:
        if type.update is None:
            raise ProviderError(f"{', '.join(sorted(changed))} cannot be changed in place")
        type.update(operation, changed)


@contextmanager
def _worded(doing: str) -> Iterator[None]:
    """Errors of AWS, and of the way to it, as one line that begins with what was being done."""
    from botocore.exceptions import BotoCoreError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ProviderError as error:
        raise ProviderError(f"{doing}: {error}") from None
    except (BotoCoreError, ResponseParserError) as error:
        raise ProviderError(f"{doing}: {words(error)}") from None
    except Exception as error:
        if not code(error):
            raise
        raise ProviderError(f"{doing}: {words(error)}") from None
