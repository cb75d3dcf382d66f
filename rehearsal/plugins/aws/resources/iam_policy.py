"""IAM: managed policy of the account's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.plugins.aws.kinds import Input, Json, String
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.resources.iam_common import iam, same_document, too_long
from rehearsal.plugins.aws.schema import AutoName, Operation, ResourceType
from rehearsal.plugins.protocol import Properties, ProviderError

_LONGEST = 6144  # characters
_VERSIONS = 5  # so many does AWS keep


def _create(op: Operation) -> str:
    text = op.inputs.get("description")
    made = iam(op).create_policy(
        PolicyName=op.inputs["name"],
        Path=op.inputs["path"],
        PolicyDocument=op.inputs["policy"],
        Tags=tag_list(op.tags),
        **({"Description": text} if text else {}),
    )
    return str(made["Policy"]["Arn"])


def _read(op: Operation) -> Properties | None:
    policy = iam(op).get_policy(PolicyArn=op.id)["Policy"]
    version = iam(op).get_policy_version(PolicyArn=op.id, VersionId=policy["DefaultVersionId"])
    return {
        "name": policy["PolicyName"],
        "path": policy["Path"],
        "description": policy.get("Description") or None,
        "policy": same_document(op.get("policy"), version["PolicyVersion"]["Document"]),
        "arn": policy["Arn"],
        "policyId": policy["PolicyId"],
        "attachmentCount": policy["AttachmentCount"],
        "tags": tag_map(policy.get("Tags")),
    }


def _versions(op: Operation) -> list[Any]:
    """The policy's versions that are not in force, the oldest first."""
    pages = iam(op).get_paginator("list_policy_versions").paginate(PolicyArn=op.id)
    versions = [version for page in pages for version in page["Versions"]]
    idle = [version for version in versions if not version["IsDefaultVersion"]]
    return sorted(idle, key=lambda version: int(version["VersionId"].removeprefix("v")))


def _update(op: Operation, changed: frozenset[str]) -> None:
    idle = _versions(op)
    if len(idle) + 1 >= _VERSIONS:
        iam(op).delete_policy_version(PolicyArn=op.id, VersionId=idle[0]["VersionId"])
    iam(op).create_policy_version(
        PolicyArn=op.id, PolicyDocument=op.inputs["policy"], SetAsDefault=True
    )


def _delete(op: Operation) -> None:
    count = iam(op).get_policy(PolicyArn=op.id)["Policy"]["AttachmentCount"]
    if count:  # moto would delete it all the same
        raise ProviderError(
            "DeleteConflict: Cannot delete a policy attached to entities; "
            f"it is attached to {count}"
        )
    for version in _versions(op):
        iam(op).delete_policy_version(PolicyArn=op.id, VersionId=version["VersionId"])
    iam(op).delete_policy(PolicyArn=op.id)


def _retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    if stale:
        iam(op).untag_policy(PolicyArn=op.id, TagKeys=list(stale))
    if fresh:
        iam(op).tag_policy(PolicyArn=op.id, Tags=tag_list(fresh))


POLICY = ResourceType(
    token="aws:iam/policy:Policy",
    noun="IAM policy",
    inputs={
        "name": Input(String(longest=128), force_new=True),
        "path": Input(String(longest=512), force_new=True, default="/"),
        "description": Input(String(longest=1000), force_new=True),
        "policy": Input(Json(), required=True),
    },
    outputs=("arn", "policyId", "attachmentCount"),
    create=_create,
    read=_read,
    update=_update,
    delete=_delete,
    retag=_retag,
    validate=lambda inputs: too_long(inputs, "policy", _LONGEST),
    autoname=AutoName("name", longest=128),
    regional=False,
)

RESOURCE_TYPES = (POLICY,)
