"""EC2: security group, and the default one of a VPC, with rules inline if the program has any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from rehearsal.plugins.aws.kinds import (
    Boolean,
    Cidr,
    Input,
    Integer,
    Protocol,
    Record,
    SetOf,
    String,
)
from rehearsal.plugins.aws.resources.ec2_common import (
    delete_when_free,
    filters,
    retag,
    retag_id,
    tag_map,
    tagged,
)
from rehearsal.plugins.aws.schema import AutoName, Operation, ResourceType
from rehearsal.plugins.protocol import Properties, ProviderError

_RULE = Record(
    {
        "protocol": Input(Protocol(), required=True),
        "fromPort": Input(Integer(-1, 65535), required=True),
        "toPort": Input(Integer(-1, 65535), required=True),
        "cidrBlocks": Input(SetOf(Cidr())),
        "ipv6CidrBlocks": Input(SetOf(Cidr(version=6))),
        "prefixListIds": Input(SetOf(String())),
        "securityGroups": Input(SetOf(String())),
        "self": Input(Boolean()),
        "description": Input(String(longest=255)),
    }
)
# A direction: input -> (what DescribeSecurityGroups calls it, the suffix of AWS's calls)
_DIRECTIONS = {
    "ingress": ("IpPermissions", "ingress"),
    "egress": ("IpPermissionsEgress", "egress"),
}
# field of a rule -> (list of a permission, key in it)
_SOURCES = {
    "cidrBlocks": ("IpRanges", "CidrIp"),
    "ipv6CidrBlocks": ("Ipv6Ranges", "CidrIpv6"),
    "prefixListIds": ("PrefixListIds", "PrefixListId"),
    "securityGroups": ("UserIdGroupPairs", "GroupId"),
}
_Atom = tuple[str, int, int, str, str, str]  # protocol, ports, field, source, description


def _atoms(rules: Iterable[Mapping[str, Any]], group: str) -> set[_Atom]:
    """Inline rules cut to one source each, as AWS keeps them."""
    atoms = set()
    for rule in rules:
        protocol = Protocol().normal(rule["protocol"])
        ports = (-1, -1) if protocol == "-1" else (rule["fromPort"], rule["toPort"])
        own = [*(rule.get("securityGroups") or ()), *([group] if rule.get("self") else ())]
        for field in _SOURCES:
            sources = own if field == "securityGroups" else rule.get(field) or ()
            text = rule.get("description") or ""
            atoms |= {(protocol, *ports, field, source, text) for source in sources}
    return atoms


def _live_atoms(permissions: Iterable[Mapping[str, Any]]) -> set[_Atom]:
    atoms = set()
    for entry in permissions:
        ports = (entry.get("FromPort", -1), entry.get("ToPort", -1))
        for field, (name, key) in _SOURCES.items():
            for source in entry.get(name) or ():
                text = source.get("Description") or ""
                atoms.add((entry["IpProtocol"], *ports, field, source[key], text))
    return atoms


def _permissions(atoms: Iterable[_Atom]) -> list[dict[str, Any]]:
    result = []
    for protocol, start, end, field, source, text in sorted(atoms):
        name, key = _SOURCES[field]
        entry: dict[str, Any] = {"IpProtocol": protocol}
        if protocol != "-1":
            entry |= {"FromPort": start, "ToPort": end}
        result.append(entry | {name: [{key: source} | ({"Description": text} if text else {})]})
    return result


def _as_rules(atoms: Iterable[_Atom], group: str) -> list[Properties]:
    """One inline rule for each: what a refresh shows when the rules are no longer the program's."""
    rules = []
    for protocol, start, end, field, source, text in sorted(atoms):
        ports = (0, 0) if protocol == "-1" else (start, end)
        rule: Properties = {"protocol": protocol, "fromPort": ports[0], "toPort": ports[1]}
        rule |= {"self": True} if source == group else {field: [source]}
        rules.append(rule | ({"description": text} if text else {}))
    return rules


def _group(op: Operation) -> Properties:
    group: Properties = op.ec2.describe_security_groups(GroupIds=[op.id])["SecurityGroups"][0]
    return group


def _set_rules(op: Operation, directions: Iterable[str]) -> None:
    """Makes the live rules those of the inputs, in the directions named."""
    group = _group(op)
    for direction in directions:
        name, suffix = _DIRECTIONS[direction]
        wanted = _atoms(op.inputs.get(direction) or (), op.id)
        live = _live_atoms(group[name])
        _change(op, f"revoke_security_group_{suffix}", live - wanted)
        _change(op, f"authorize_security_group_{suffix}", wanted - live)


def _change(op: Operation, call: str, atoms: set[_Atom]) -> None:
    if atoms:
        getattr(op.ec2, call)(GroupId=op.id, IpPermissions=_permissions(atoms))


def _live_rules(op: Operation, group: Properties, direction: str) -> Any:
    """The program's own words as long as they are true."""
    live = _live_atoms(group[_DIRECTIONS[direction][0]])
    kept = op.inputs.get(direction)
    if kept and _atoms(kept, op.id) == live:
        return kept
    return _as_rules(live, op.id) or None


def _create(op: Operation) -> str:
    vpc = op.inputs.get("vpcId")
    made = op.ec2.create_security_group(
        GroupName=op.inputs["name"],
        Description=op.inputs["description"],
        **({"VpcId": vpc} if vpc else {}),
        **tagged("security-group", op.tags),
    )
    return str(made["GroupId"])


def _settle(op: Operation) -> None:
    """Takes away AWS's "allow all" out of a new group, as the official provider does."""
    asked = [direction for direction in _DIRECTIONS if direction in op.inputs]
    _set_rules(op, {"egress", *asked})


def _read(op: Operation) -> Properties | None:
    group = _group(op)
    inline = [key for key in _DIRECTIONS if key in op.inputs]  # others have resources of their own
    return {
        "name": group["GroupName"],
        "description": group["Description"],
        "vpcId": group.get("VpcId"),
        "arn": op.cloud.arn("ec2", f"security-group/{op.id}"),
        "ownerId": group["OwnerId"],
        **{key: _live_rules(op, group, key) for key in inline},
        "tags": tag_map(group.get("Tags")),
    }


def _update(op: Operation, changed: frozenset[str]) -> None:
    _set_rules(op, [key for key in _DIRECTIONS if key in changed])


def _delete(op: Operation) -> None:
    if op.get("revokeRulesOnDelete"):
        _set_rules(replace(op, inputs={}), _DIRECTIONS)
    delete_when_free(op, lambda: op.ec2.delete_security_group(GroupId=op.id))


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    refusals = []
    for key in _DIRECTIONS:
        for index, rule in enumerate(inputs.get(key) or ()):
            if isinstance(rule, dict) and not any(rule.get(f) for f in (*_SOURCES, "self")):
                refusals.append((f"{key}[{index}]", "names no source or destination"))
    name = inputs.get("name")
    if isinstance(name, str) and name.startswith("sg-"):
        refusals.append(("name", "must not begin with 'sg-'"))
    return refusals


SECURITY_GROUP = ResourceType(
    token="aws:ec2/securityGroup:SecurityGroup",
    noun="EC2 security group",
    inputs={
        "name": Input(String(longest=255), force_new=True),
        "description": Input(String(longest=255), force_new=True, default="Managed by Pulumi"),
        "vpcId": Input(String(), force_new=True, computed=True),
        "ingress": Input(SetOf(_RULE), computed=True),
        "egress": Input(SetOf(_RULE), computed=True),
        "revokeRulesOnDelete": Input(Boolean(), default=False),
    },
    outputs=("arn", "ownerId"),
    create=_create,
    settle=_settle,
    read=_read,
    update=_update,
    delete=_delete,
    retag=retag,
    validate=_validate,
    autoname=AutoName("name", longest=255),
)


def _adopt(op: Operation) -> str:
    """A VPC's default group exists already; making this resource takes it over."""
    vpc = op.inputs.get("vpcId")
    if not vpc:
        vpcs = op.ec2.describe_vpcs(Filters=filters(is_default="true"))["Vpcs"]
        if not vpcs:
            raise ProviderError("there is no default VPC; set vpcId")
        vpc = vpcs[0]["VpcId"]
    named = filters(vpc_id=vpc, group_name="default")
    groups = op.ec2.describe_security_groups(Filters=named)["SecurityGroups"]
    if not groups:
        raise ProviderError(f"InvalidGroup.NotFound: {vpc} has no default security group")
    return str(groups[0]["GroupId"])


def _settle_default(op: Operation) -> None:
    # the tags first, as officially: who may change only what bears them may then change the rules
    before = tag_map(_group(op).get("Tags"))
    retag_id(op.ec2, op.id, op.tags, sorted(before.keys() - op.tags.keys()))
    _set_rules(op, _DIRECTIONS)


def _read_default(op: Operation) -> Properties | None:
    group = _group(op)
    return {
        "vpcId": group.get("VpcId"),
        "name": group["GroupName"],
        "description": group["Description"],
        "arn": op.cloud.arn("ec2", f"security-group/{op.id}"),
        "ownerId": group["OwnerId"],
        **{key: _live_rules(op, group, key) for key in _DIRECTIONS},
        "tags": tag_map(group.get("Tags")),
    }


DEFAULT_SECURITY_GROUP = ResourceType(
    token="aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    noun="EC2 default security group",
    inputs={
        "vpcId": Input(String(), force_new=True, computed=True),
        "ingress": Input(SetOf(_RULE)),
        "egress": Input(SetOf(_RULE)),
        "revokeRulesOnDelete": Input(Boolean(), default=False),
    },
    outputs=("arn", "name", "description", "ownerId"),
    create=_adopt,
    settle=_settle_default,
    read=_read_default,
    update=_update,
    delete=lambda op: None,  # AWS deletes it with its VPC; until then it stays as it is
    retag=retag,
    validate=_validate,
)

RESOURCE_TYPES = (SECURITY_GROUP, DEFAULT_SECURITY_GROUP)
