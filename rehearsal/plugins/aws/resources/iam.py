"""IAM: role, its inline policies and attachments, instance profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.plugins.aws.cloud import gone
from rehearsal.plugins.aws.kinds import Boolean, Input, Integer, Json, String
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.resources.iam_common import iam, moment, same_document, too_long
from rehearsal.plugins.aws.schema import AutoName, Operation, ResourceType
from rehearsal.plugins.protocol import Properties

_LONGEST_TRUST, _LONGEST_INLINE = 2048, 10240  # characters of a policy


def _create_role(op: Operation) -> str:
    optional = {
        "Description": op.inputs.get("description"),
        "PermissionsBoundary": op.inputs.get("permissionsBoundary"),
    }
    made = iam(op).create_role(
        RoleName=op.inputs["name"],
        AssumeRolePolicyDocument=op.inputs["assumeRolePolicy"],
        Path=op.inputs["path"],
        MaxSessionDuration=op.inputs["maxSessionDuration"],
        Tags=tag_list(op.tags),
        **{key: value for key, value in optional.items() if value},
    )
    return str(made["Role"]["RoleName"])


def _read_role(op: Operation) -> Properties | None:
    role = iam(op).get_role(RoleName=op.id)["Role"]
    boundary = role.get("PermissionsBoundary") or {}
    return {
        "name": role["RoleName"],
        "assumeRolePolicy": same_document(
            op.get("assumeRolePolicy"), role["AssumeRolePolicyDocument"]
        ),
        "description": role.get("Description") or None,
        "path": role["Path"],
        "maxSessionDuration": role.get("MaxSessionDuration"),
        "permissionsBoundary": boundary.get("PermissionsBoundaryArn"),
        "arn": role["Arn"],
        "createDate": moment(role["CreateDate"]),
        "uniqueId": role["RoleId"],
        "tags": tag_map(role.get("Tags")),
    }


def _update_role(op: Operation, changed: frozenset[str]) -> None:
    client, inputs = iam(op), op.inputs
    if "assumeRolePolicy" in changed:
        client.update_assume_role_policy(RoleName=op.id, PolicyDocument=inputs["assumeRolePolicy"])
    if {"description", "maxSessionDuration"} & changed:
        client.update_role(
            RoleName=op.id,
            Description=inputs.get("description") or "",
            MaxSessionDuration=inputs["maxSessionDuration"],
        )
    if "permissionsBoundary" in changed:
        if boundary := inputs.get("permissionsBoundary"):
            client.put_role_permissions_boundary(RoleName=op.id, PermissionsBoundary=boundary)
        else:
            client.delete_role_permissions_boundary(RoleName=op.id)


def _delete_role(op: Operation) -> None:
    client = iam(op)
    for profile in _pages(client, "list_instance_profiles_for_role", "InstanceProfiles", op.id):
        client.remove_role_from_instance_profile(
            InstanceProfileName=profile["InstanceProfileName"], RoleName=op.id
        )
    if op.get("forceDetachPolicies"):
        for policy in _pages(client, "list_attached_role_policies", "AttachedPolicies", op.id):
            client.detach_role_policy(RoleName=op.id, PolicyArn=policy["PolicyArn"])
        for name in _pages(client, "list_role_policies", "PolicyNames", op.id):
            client.delete_role_policy(RoleName=op.id, PolicyName=name)
    op.cloud.retry(("DeleteConflict",), lambda: client.delete_role(RoleName=op.id), op.deadline)


def _pages(client: Any, call: str, key: str, role: str) -> list[Any]:
    pages = client.get_paginator(call).paginate(RoleName=role)
    return [item for page in pages for item in page[key]]


def _retag_role(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    if stale:
        iam(op).untag_role(RoleName=op.id, TagKeys=list(stale))
    if fresh:
        iam(op).tag_role(RoleName=op.id, Tags=tag_list(fresh))


ROLE = ResourceType(
    token="aws:iam/role:Role",
    noun="IAM role",
    inputs={
        "name": Input(String(longest=64), force_new=True),
        "assumeRolePolicy": Input(Json(), required=True),
        "description": Input(String(longest=1000)),
        "path": Input(String(), force_new=True, default="/"),
        "maxSessionDuration": Input(Integer(3600, 43200), default=3600),
        "permissionsBoundary": Input(String()),
        "forceDetachPolicies": Input(Boolean(), default=False),
    },
    outputs=("arn", "createDate", "uniqueId"),
    create=_create_role,
    read=_read_role,
    update=_update_role,
    delete=_delete_role,
    retag=_retag_role,
    validate=lambda inputs: too_long(inputs, "assumeRolePolicy", _LONGEST_TRUST),
    autoname=AutoName("name", longest=64),
    regional=False,
    delete_seconds=30.0,
)


def _put_policy(op: Operation) -> str:
    role, name = op.inputs["role"], op.inputs["name"]
    iam(op).put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=op.inputs["policy"])
    return f"{role}:{name}"


def _read_policy(op: Operation) -> Properties | None:
    role, _, name = op.id.partition(":")
    found = iam(op).get_role_policy(RoleName=role, PolicyName=name)
    policy = same_document(op.get("policy"), found["PolicyDocument"])
    return {"role": role, "name": name, "policy": policy}


def _delete_policy(op: Operation) -> None:
    role, _, name = op.id.partition(":")
    iam(op).delete_role_policy(RoleName=role, PolicyName=name)


def _update_policy(op: Operation, changed: frozenset[str]) -> None:
    _put_policy(op)


ROLE_POLICY = ResourceType(
    token="aws:iam/rolePolicy:RolePolicy",
    noun="IAM role policy",
    inputs={
        "role": Input(String(), required=True, force_new=True),
        "name": Input(String(longest=128), force_new=True),
        "policy": Input(Json(), required=True),
    },
    outputs=(),
    create=_put_policy,
    read=_read_policy,
    update=_update_policy,
    delete=_delete_policy,
    validate=lambda inputs: too_long(inputs, "policy", _LONGEST_INLINE),
    autoname=AutoName("name", longest=128),
    regional=False,
)


def _attach(op: Operation) -> str:
    role, policy = op.inputs["role"], op.inputs["policyArn"]
    iam(op).attach_role_policy(RoleName=role, PolicyArn=policy)
    return f"{role}/{policy}"


def _read_attachment(op: Operation) -> Properties | None:
    role, _, policy = op.id.partition("/")
    attached = _pages(iam(op), "list_attached_role_policies", "AttachedPolicies", role)
    if any(item["PolicyArn"] == policy for item in attached):
        return {"role": role, "policyArn": policy}
    return None


def _detach(op: Operation) -> None:
    role, _, policy = op.id.partition("/")
    iam(op).detach_role_policy(RoleName=role, PolicyArn=policy)


ROLE_POLICY_ATTACHMENT = ResourceType(
    token="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    noun="IAM role policy attachment",
    inputs={
        "role": Input(String(), required=True, force_new=True),
        "policyArn": Input(String(), required=True, force_new=True),
    },
    outputs=(),
    create=_attach,
    read=_read_attachment,
    delete=_detach,
    regional=False,
)


def _profile(op: Operation) -> Properties:
    found = iam(op).get_instance_profile(InstanceProfileName=op.id)
    profile: Properties = found["InstanceProfile"]
    return profile


def _create_profile(op: Operation) -> str:
    made = iam(op).create_instance_profile(
        InstanceProfileName=op.inputs["name"], Path=op.inputs["path"], Tags=tag_list(op.tags)
    )
    return str(made["InstanceProfile"]["InstanceProfileName"])


def _set_role(op: Operation) -> None:
    """The profile holds the role of the inputs, and no other."""
    client, wanted = iam(op), op.inputs.get("role")
    now = [role["RoleName"] for role in _profile(op).get("Roles", [])]
    for role in now:
        if role != wanted:
            client.remove_role_from_instance_profile(InstanceProfileName=op.id, RoleName=role)
    if wanted and wanted not in now:
        client.add_role_to_instance_profile(InstanceProfileName=op.id, RoleName=wanted)


def _read_profile(op: Operation) -> Properties | None:
    profile = _profile(op)
    roles = profile.get("Roles") or [{}]
    return {
        "name": profile["InstanceProfileName"],
        "path": profile["Path"],
        "role": roles[0].get("RoleName"),
        "arn": profile["Arn"],
        "createDate": moment(profile["CreateDate"]),
        "uniqueId": profile["InstanceProfileId"],
        "tags": tag_map(profile.get("Tags")),
    }


def _delete_profile(op: Operation) -> None:
    client = iam(op)
    for role in _profile(op).get("Roles", []):
        try:
            client.remove_role_from_instance_profile(
                InstanceProfileName=op.id, RoleName=role["RoleName"]
            )
        except Exception as error:
            if not gone(error):
                raise
    client.delete_instance_profile(InstanceProfileName=op.id)


def _retag_profile(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    if stale:
        iam(op).untag_instance_profile(InstanceProfileName=op.id, TagKeys=list(stale))
    if fresh:
        iam(op).tag_instance_profile(InstanceProfileName=op.id, Tags=tag_list(fresh))


INSTANCE_PROFILE = ResourceType(
    token="aws:iam/instanceProfile:InstanceProfile",
    noun="IAM instance profile",
    inputs={
        "name": Input(String(longest=128), force_new=True),
        "path": Input(String(), force_new=True, default="/"),
        "role": Input(String()),
    },
    outputs=("arn", "createDate", "uniqueId"),
    create=_create_profile,
    settle=_set_role,
    read=_read_profile,
    update=lambda op, changed: _set_role(op),
    delete=_delete_profile,
    retag=_retag_profile,
    autoname=AutoName("name", longest=128),
    regional=False,
)

RESOURCE_TYPES = (ROLE, ROLE_POLICY, ROLE_POLICY_ATTACHMENT, INSTANCE_PROFILE)
