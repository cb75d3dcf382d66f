"""ELB v2: target group and what is attached to it."""

from __future__ import annotations

import re
from typing import Any

from rehearsal.plugins.aws.kinds import Boolean, Input, Integer, Record, String
from rehearsal.plugins.aws.resources.ec2_common import tag_list
from rehearsal.plugins.aws.resources.elbv2_common import (
    HTTP_PROTOCOLS,
    attribute_list,
    client,
    delete_when_unused,
    parsed,
    retag,
    tags,
)
from rehearsal.plugins.aws.schema import AutoName, Operation, ResourceType
from rehearsal.plugins.protocol import UNKNOWN, Properties, ProviderError

_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,32}(?<!-)")
# Property -> attribute: of all groups, of those that speak HTTP, and of the others.
_ATTRIBUTES = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "loadBalancingCrossZoneEnabled": "load_balancing.cross_zone.enabled",
}
_HTTP_ATTRIBUTES = {
    "loadBalancingAlgorithmType": "load_balancing.algorithm.type",
    "slowStart": "slow_start.duration_seconds",
}
_TCP_ATTRIBUTES = {
    "connectionTermination": "deregistration_delay.connection_termination.enabled",
    "preserveClientIp": "preserve_client_ip.enabled",
    "proxyProtocolV2": "proxy_protocol_v2.enabled",
}
_TEXTS = ("loadBalancingCrossZoneEnabled", "preserveClientIp")  # officially "true", not true
_CHECK = {
    "enabled": "HealthCheckEnabled",
    "healthyThreshold": "HealthyThresholdCount",
    "interval": "HealthCheckIntervalSeconds",
    "path": "HealthCheckPath",
    "port": "HealthCheckPort",
    "protocol": "HealthCheckProtocol",
    "timeout": "HealthCheckTimeoutSeconds",
    "unhealthyThreshold": "UnhealthyThresholdCount",
}


def _attribute_names(protocol: Any) -> dict[str, str]:
    own = _HTTP_ATTRIBUTES if protocol in HTTP_PROTOCOLS else _TCP_ATTRIBUTES
    return _ATTRIBUTES | own


def _group(op: Operation, arn: str) -> Properties:
    found: Properties = client(op).describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
    return found


def _health_check(op: Operation) -> dict[str, Any]:
    """The health check as the API takes it; AWS chooses what is left out."""
    given = op.inputs.get("healthCheck")
    if given is None:
        return {}
    fields = HEALTH_CHECK.fields
    values = {key: given.get(key, fields[key].default) for key in _CHECK}
    check = {_CHECK[key]: value for key, value in values.items() if value is not None}
    return check | ({"Matcher": {"HttpCode": given["matcher"]}} if given.get("matcher") else {})


def _create(op: Operation) -> str:
    inputs = op.inputs
    optional = {"ProtocolVersion": inputs.get("protocolVersion"), "Tags": tag_list(op.tags)}
    made = client(op).create_target_group(
        Name=inputs["name"],
        Port=inputs["port"],
        Protocol=inputs["protocol"],
        VpcId=inputs["vpcId"],
        TargetType=inputs["targetType"],
        **_health_check(op),
        **{key: value for key, value in optional.items() if value},
    )
    return str(made["TargetGroups"][0]["TargetGroupArn"])


def _set_attributes(op: Operation) -> None:
    names = _attribute_names(op.inputs["protocol"])
    values = {name: op.inputs[key] for key, name in names.items() if key in op.inputs}
    client(op).modify_target_group_attributes(
        TargetGroupArn=op.id, Attributes=attribute_list(values)
    )


def _read(op: Operation) -> Properties | None:
    group = _group(op, op.id)
    told = client(op).describe_target_group_attributes(TargetGroupArn=op.id)["Attributes"]
    values = {attribute["Key"]: attribute["Value"] for attribute in told}
    own = {
        key: values[name] if key in _TEXTS else parsed(values[name])
        for key, name in _attribute_names(group["Protocol"]).items()
        if name in values
    }
    check = {key: group.get(theirs) for key, theirs in _CHECK.items()}
    return {
        **own,
        "name": group["TargetGroupName"],
        "port": group["Port"],
        "protocol": group["Protocol"],
        "protocolVersion": group.get("ProtocolVersion"),
        "vpcId": group["VpcId"],
        "targetType": group["TargetType"],
        "healthCheck": check | {"matcher": group.get("Matcher", {}).get("HttpCode")},
        "arn": op.id,
        "arnSuffix": op.id.rpartition(":")[2],
        "loadBalancerArns": sorted(set(group["LoadBalancerArns"])),
        "tags": tags(op),
    }


def _update(op: Operation, changed: frozenset[str]) -> None:
    if "healthCheck" in changed:
        check = _health_check(op)
        if op.inputs["protocol"] not in HTTP_PROTOCOLS and _matcher(op.inputs) != _matcher(op.olds):
            raise ProviderError(
                "healthCheck.matcher cannot be changed here: moto ignores it for a group of "
                f"protocol {op.inputs['protocol']}"
            )
        if check:
            client(op).modify_target_group(TargetGroupArn=op.id, **check)
    if changed - {"healthCheck"}:
        _set_attributes(op)


def _matcher(inputs: Properties) -> Any:
    return (inputs.get("healthCheck") or {}).get("matcher")


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    refusals, name, protocol = [], inputs["name"], inputs["protocol"]
    if isinstance(name, str) and not _NAME.fullmatch(name):
        reason = f"{name!r} is no name: 1 to 32 of A-Z, a-z, 0-9 and '-', no '-' at the ends"
        refusals.append(("name", reason))
    if protocol is UNKNOWN:
        return refusals
    others = _TCP_ATTRIBUTES if protocol in HTTP_PROTOCOLS else _HTTP_ATTRIBUTES
    for key in (*others, *(() if protocol in HTTP_PROTOCOLS else ("protocolVersion",))):
        if inputs.get(key) not in (None, INPUTS[key].default):
            refusals.append((key, f"is not for target groups of protocol {protocol}"))
    if inputs["slowStart"] in range(1, 30):
        refusals.append(("slowStart", "must be 0, or 30 and more"))
    check = inputs.get("healthCheck")
    if isinstance(check, dict) and check.get("protocol") == "TCP":
        for key in ("path", "matcher"):
            if check.get(key):
                refusals.append((f"healthCheck.{key}", "is not for health checks by TCP"))
        if protocol in HTTP_PROTOCOLS:
            reason = f"cannot be TCP for a group of protocol {protocol}"
            refusals.append(("healthCheck.protocol", reason))
    return refusals


HEALTH_CHECK = Record(
    {
        "enabled": Input(Boolean(), default=True),
        "healthyThreshold": Input(Integer(2, 10), default=3),
        "interval": Input(Integer(5, 300), default=30),
        "matcher": Input(String(), computed=True),
        "path": Input(String(longest=1024), computed=True),
        "port": Input(String(), default="traffic-port"),
        "protocol": Input(String(choices=("HTTP", "HTTPS", "TCP")), default="HTTP"),
        "timeout": Input(Integer(2, 120), computed=True),
        "unhealthyThreshold": Input(Integer(2, 10), default=3),
    }
)

INPUTS = {
    "name": Input(String(longest=32), force_new=True),
    "port": Input(Integer(1, 65535), required=True, force_new=True),
    "protocol": Input(
        String(choices=("HTTP", "HTTPS", "TCP", "TCP_UDP", "TLS", "UDP")),
        required=True,
        force_new=True,
    ),
    "protocolVersion": Input(
        String(choices=("HTTP1", "HTTP2", "GRPC")), force_new=True, computed=True
    ),
    "vpcId": Input(String(), required=True, force_new=True),
    "targetType": Input(String(choices=("instance", "ip")), force_new=True, default="instance"),
    "healthCheck": Input(HEALTH_CHECK, computed=True),
    "deregistrationDelay": Input(Integer(0, 3600), default=300),
    "loadBalancingCrossZoneEnabled": Input(
        String(choices=("true", "false", "use_load_balancer_configuration")), computed=True
    ),
    "loadBalancingAlgorithmType": Input(
        String(choices=("round_robin", "least_outstanding_requests", "weighted_random")),
        computed=True,
    ),
    "slowStart": Input(Integer(0, 900), default=0),
    "connectionTermination": Input(Boolean(), computed=True),
    "preserveClientIp": Input(String(choices=("true", "false")), computed=True),
    "proxyProtocolV2": Input(Boolean(), default=False),
}

TARGET_GROUP = ResourceType(
    token="aws:lb/targetGroup:TargetGroup",
    noun="ELB v2 target group",
    inputs=INPUTS,
    outputs=("arn", "arnSuffix", "loadBalancerArns"),
    create=_create,
    settle=_set_attributes,
    read=_read,
    update=_update,
    delete=lambda op: delete_when_unused(
        op, lambda: client(op).delete_target_group(TargetGroupArn=op.id)
    ),
    retag=retag,
    validate=_validate,
    autoname=AutoName("name", longest=32),
)

_GONE = ("Target.NotRegistered", "Target.DeregistrationInProgress")


def _target(id: str) -> tuple[str, dict[str, Any]]:
    """Group and target of an attachment's id, which is also how it is imported."""
    group, target, *port = id.split(",")
    return group, {"Id": target, **({"Port": int(port[0])} if port else {})}


def _attach(op: Operation) -> str:
    group, target, port = (op.inputs.get(key) for key in ("targetGroupArn", "targetId", "port"))
    id = ",".join(str(part) for part in (group, target, port) if part)
    _check_target(op, str(group), str(target), port)
    op.cloud.retry(
        ("InvalidTarget",),
        lambda: client(op).register_targets(TargetGroupArn=group, Targets=[_target(id)[1]]),
        op.deadline,
    )
    return id


def _check_target(op: Operation, arn: str, target: str, port: int | None) -> None:
    """Refuses what AWS would refuse, and what moto cannot hold."""
    group = _group(op, arn)
    if group["TargetType"] == "instance":
        found = op.ec2.describe_instances(InstanceIds=[target])["Reservations"][0]["Instances"][0]
        if found.get("VpcId") != group["VpcId"]:
            raise ProviderError(
                "InvalidTarget: The following targets are not in the target group VPC "
                f"'{group['VpcId']}': '{target}'"
            )
    registered = client(op).describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    for each in registered:
        if each["Target"]["Id"] == target and each["Target"]["Port"] != (port or group["Port"]):
            raise ProviderError(
                f"{target} is in the group with port {each['Target']['Port']} already; moto "
                "holds one port for each target"
            )


def _read_attachment(op: Operation) -> Properties | None:
    group, target = _target(op.id)
    answer = client(op).describe_target_health(TargetGroupArn=group, Targets=[target])
    (found,) = answer["TargetHealthDescriptions"]
    if found["TargetHealth"].get("Reason") in _GONE:
        return None
    if found["Target"]["Port"] != target.get("Port", found["Target"]["Port"]):
        return None
    return {"targetGroupArn": group, "targetId": target["Id"], "port": target.get("Port")}


def _detach(op: Operation) -> None:
    group, target = _target(op.id)
    if _read_attachment(op):  # what is not registered, AWS refuses to take out
        client(op).deregister_targets(TargetGroupArn=group, Targets=[target])


TARGET_GROUP_ATTACHMENT = ResourceType(
    token="aws:lb/targetGroupAttachment:TargetGroupAttachment",
    noun="ELB v2 target group attachment",
    inputs={
        "targetGroupArn": Input(String(), required=True, force_new=True),
        "targetId": Input(String(), required=True, force_new=True),
        "port": Input(Integer(1, 65535), force_new=True),
    },
    outputs=(),
    create=_attach,
    read=_read_attachment,
    delete=_detach,
    create_seconds=60.0,
)

RESOURCE_TYPES = (TARGET_GROUP, TARGET_GROUP_ATTACHMENT)
