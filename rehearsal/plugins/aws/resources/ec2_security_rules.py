"""EC2 (module `vpc` of the SDK): one ingress or egress rule of a security group."""

from __future__ import annotations

from typing import Any

from rehearsal.plugins.aws.kinds import Cidr, Input, Integer, Protocol, String
from rehearsal.plugins.aws.resources.ec2_common import retag, tag_map, tagged
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import UNKNOWN, Properties

_SOURCES = ("cidrIpv4", "cidrIpv6", "referencedSecurityGroupId")


def _permission(inputs: Properties) -> dict[str, Any]:
    """The rule as AuthorizeSecurityGroup* takes it."""
    protocol = Protocol().normal(inputs["ipProtocol"])
    text = inputs.get("description")
    about = {"Description": text} if text else {}
    permission: dict[str, Any] = {"IpProtocol": protocol}
    if protocol != "-1":
        permission |= {"FromPort": inputs.get("fromPort", -1), "ToPort": inputs.get("toPort", -1)}
    if block := inputs.get("cidrIpv4"):
        permission["IpRanges"] = [{"CidrIp": block, **about}]
    elif block := inputs.get("cidrIpv6"):
        permission["Ipv6Ranges"] = [{"CidrIpv6": block, **about}]
    else:
        permission["UserIdGroupPairs"] = [{"GroupId": inputs["referencedSecurityGroupId"], **about}]
    return permission


def _authorize(op: Operation, call: str) -> str:
    answer = getattr(op.ec2, call)(
        GroupId=op.inputs["securityGroupId"],
        IpPermissions=[_permission(op.inputs)],
        **tagged("security-group-rule", op.tags),
    )
    return str(answer["SecurityGroupRules"][0]["SecurityGroupRuleId"])


def _find(op: Operation, egress: bool) -> Properties | None:
    found = op.ec2.describe_security_group_rules(SecurityGroupRuleIds=[op.id])
    for rule in found["SecurityGroupRules"]:
        if rule["IsEgress"] == egress:
            live: Properties = rule
            return live
    return None


def _read(op: Operation, egress: bool) -> Properties | None:
    rule = _find(op, egress)
    if rule is None:
        return None
    everything = rule["IpProtocol"] == "-1"
    live = {
        "securityGroupId": rule["GroupId"],
        "securityGroupRuleId": op.id,
        "arn": op.cloud.arn("ec2", f"security-group-rule/{op.id}"),
        "ipProtocol": rule["IpProtocol"],
        "fromPort": None if everything else rule.get("FromPort"),
        "toPort": None if everything else rule.get("ToPort"),
        "cidrIpv4": rule.get("CidrIpv4"),
        "cidrIpv6": rule.get("CidrIpv6"),
        "referencedSecurityGroupId": (rule.get("ReferencedGroupInfo") or {}).get("GroupId"),
        "tags": tag_map(rule.get("Tags")),
    }
    # moto tells no description of a rule that names a group, so that its absence says nothing.
    if rule.get("Description") or not live["referencedSecurityGroupId"]:
        live["description"] = rule.get("Description") or None
    return live


def _update(op: Operation, changed: frozenset[str]) -> None:
    inputs = op.inputs
    protocol = Protocol().normal(inputs["ipProtocol"])
    source = {
        "CidrIpv4": inputs.get("cidrIpv4"),
        "CidrIpv6": inputs.get("cidrIpv6"),
        "ReferencedGroupId": inputs.get("referencedSecurityGroupId"),
    }
    rule = {
        "IpProtocol": protocol,
        "FromPort": inputs.get("fromPort", -1),
        "ToPort": inputs.get("toPort", -1),
        "Description": inputs.get("description") or "",
        **{key: value for key, value in source.items() if value},
    }
    op.ec2.modify_security_group_rules(
        GroupId=inputs["securityGroupId"],
        SecurityGroupRules=[{"SecurityGroupRuleId": op.id, "SecurityGroupRule": rule}],
    )


def _revoke(op: Operation, egress: bool) -> None:
    if _find(op, egress) is None:
        return
    call = op.ec2.revoke_security_group_egress if egress else op.ec2.revoke_security_group_ingress
    call(GroupId=op.get("securityGroupId"), SecurityGroupRuleIds=[op.id])


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    refusals = []
    known = [key for key in _SOURCES if inputs.get(key, UNKNOWN) is not UNKNOWN]
    if len(known) > 1 or not any(key in inputs for key in _SOURCES):
        refusals.append(
            (_SOURCES[0], f"or another of {', '.join(_SOURCES)}: exactly one is needed")
        )
    protocol = inputs["ipProtocol"]
    if protocol is UNKNOWN:
        return refusals
    ports = [key for key in ("fromPort", "toPort") if key in inputs]
    if Protocol().normal(protocol) == "-1" and ports:
        refusals.append((ports[0], "must not be set when ipProtocol is -1 (all traffic)"))
    if Protocol().normal(protocol) in ("tcp", "udp") and len(ports) < 2:
        refusals.append(("fromPort", f"and toPort are needed when ipProtocol is {protocol}"))
    return refusals


def _rule_type(name: str, egress: bool) -> ResourceType:
    direction = "egress" if egress else "ingress"
    call = f"authorize_security_group_{direction}"
    return ResourceType(
        token=f"aws:vpc/securityGroup{name}Rule:SecurityGroup{name}Rule",
        noun=f"VPC security group {direction} rule",
        inputs={
            "securityGroupId": Input(String(), required=True, force_new=True),
            "ipProtocol": Input(Protocol(), required=True),
            "fromPort": Input(Integer(-1, 65535)),
            "toPort": Input(Integer(-1, 65535)),
            "cidrIpv4": Input(Cidr()),
            # In place officially; moto's ModifySecurityGroupRules leaves these two as they were.
            "cidrIpv6": Input(Cidr(version=6), force_new=True),
            "referencedSecurityGroupId": Input(String(), force_new=True),
            "description": Input(String(longest=255)),
        },
        outputs=("arn", "securityGroupRuleId"),
        create=lambda op: _authorize(op, call),
        read=lambda op: _read(op, egress),
        update=_update,
        delete=lambda op: _revoke(op, egress),
        retag=retag,
        validate=_validate,
    )


RESOURCE_TYPES = (_rule_type("Ingress", egress=False), _rule_type("Egress", egress=True))
