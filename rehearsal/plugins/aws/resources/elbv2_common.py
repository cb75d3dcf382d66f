"""What the load balancer types share: tags, attributes, ARNs, waiting for users to go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rehearsal.plugins.aws.cloud import Deadline
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.schema import Operation

HTTP_PROTOCOLS = ("HTTP", "HTTPS")
_IN_USE_SECONDS = 60.0  # a listener that is being deleted goes in this time, another never


def client(op: Operation) -> Any:
    """The application and network load balancers of the resource's region."""
    return op.cloud.client("elbv2")


def tags(op: Operation) -> dict[str, str]:
    """The tags of the resource whose id is its ARN."""
    return tag_map(client(op).describe_tags(ResourceArns=[op.id])["TagDescriptions"][0]["Tags"])


def retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    """`ResourceType.retag` of types whose id is their ARN."""
    if stale:
        client(op).remove_tags(ResourceArns=[op.id], TagKeys=list(stale))
    if fresh:
        client(op).add_tags(ResourceArns=[op.id], Tags=tag_list(fresh))


def attribute_list(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Attributes as the API takes them: all are text."""
    return [
        {"Key": key, "Value": str(value).lower() if isinstance(value, bool) else str(value)}
        for key, value in values.items()
    ]


def parsed(value: str) -> bool | int | str:
    """An attribute's text as the property it stands for."""
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdigit() else value


def balancer_of(op: Operation, arn: str) -> Mapping[str, Any]:
    """The load balancer with this ARN. Raises botocore's LoadBalancerNotFound."""
    found: Mapping[str, Any] = client(op).describe_load_balancers(LoadBalancerArns=[arn])[
        "LoadBalancers"
    ][0]
    return found


def delete_when_unused(op: Operation, call: Callable[[], Any]) -> None:
    """Deletes; while a listener or a rule uses it, again, for a minute at most."""
    deadline = Deadline.within(min(_IN_USE_SECONDS, op.deadline.left))
    op.cloud.retry(("ResourceInUse",), call, deadline)
