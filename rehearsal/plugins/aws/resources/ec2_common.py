"""What the EC2 types share: tags and deletes that wait for what still depends on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rehearsal.plugins.aws.cloud import Deadline
from rehearsal.plugins.aws.schema import Operation

_IN_USE = ("DependencyViolation", "InvalidGroup.InUse", "InvalidIPAddress.InUse")
_IN_USE_SECONDS = 60.0  # a dependency that is being deleted goes in this time, another never


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as most AWS APIs take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tag_map(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Tags as most AWS APIs give them."""
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def tagged(kind: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of a create call that tag what it makes; kind: EC2's name, such as `vpc`."""
    if not tags:
        return {}
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tag_list(tags)}]}


def retag_id(ec2: Any, id: str, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    """Sets and removes tags of the EC2 resource `id`."""
    if stale:
        ec2.delete_tags(Resources=[id], Tags=[{"Key": key} for key in stale])
    if fresh:
        ec2.create_tags(Resources=[id], Tags=tag_list(fresh))


def retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    """`ResourceType.retag` of types whose id is EC2's own."""
    retag_id(op.ec2, op.id, fresh, stale)


def delete_when_free(op: Operation, call: Callable[[], Any]) -> None:
    """Deletes; while something depends on the resource, again, for a minute at most."""
    deadline = Deadline.within(min(_IN_USE_SECONDS, op.deadline.left))
    op.cloud.retry(_IN_USE, call, deadline)


def filters(**values: str) -> list[dict[str, Any]]:
    """EC2 filters; `group_id="sg-1"` is the filter `group-id`."""
    return [{"Name": name.replace("_", "-"), "Values": [v]} for name, v in values.items()]
