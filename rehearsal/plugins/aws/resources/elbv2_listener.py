"""ELB v2: listener and listener rule."""

from __future__ import annotations

from typing import Any

from rehearsal.plugins.aws.kinds import Input, Integer, String
from rehearsal.plugins.aws.resources.acm import check_usable
from rehearsal.plugins.aws.resources.ec2_common import tag_list
from rehearsal.plugins.aws.resources.elbv2_actions import (
    ACTIONS,
    CONDITIONS,
    actions_from_aws,
    actions_to_aws,
    check_actions,
    check_conditions,
    check_groups,
    conditions_from_aws,
    conditions_to_aws,
)
from rehearsal.plugins.aws.resources.elbv2_common import (
    HTTP_PROTOCOLS,
    balancer_of,
    client,
    retag,
    tags,
)
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import UNKNOWN, Properties, ProviderError

_ENCRYPTED = ("HTTPS", "TLS")


def _listener(op: Operation, arn: str) -> Properties:
    found: Properties = client(op).describe_listeners(ListenerArns=[arn])["Listeners"][0]
    return found


def _check(op: Operation) -> None:
    """Refuses what AWS would refuse behind this port; moto looks at little of it."""
    inputs, arn = op.inputs, op.inputs["loadBalancerArn"]
    port, protocol = inputs["port"], inputs["protocol"]
    kind = balancer_of(op, arn)["Type"]
    if (protocol in HTTP_PROTOCOLS) != (kind == "application"):
        raise ProviderError(
            f"UnsupportedProtocol: Listener protocol '{protocol}' is not supported on "
            f"{kind} load balancers"
        )
    for other in client(op).describe_listeners(LoadBalancerArn=arn)["Listeners"]:
        if other["Port"] == port and other["ListenerArn"] != op.id:
            raise ProviderError(
                "DuplicateListener: A listener already exists on this port for this load balancer "
                f"({port})"
            )
    if certificate := inputs.get("certificateArn"):
        check_usable(op.cloud, certificate)
    policy = inputs.get("sslPolicy")
    if policy and not client(op).describe_ssl_policies(Names=[policy])["SslPolicies"]:
        raise ProviderError(f"SSLPolicyNotFound: SSL policy '{policy}' not found")
    check_groups(op, inputs["defaultActions"], protocol)


def _create(op: Operation) -> str:
    _check(op)
    inputs = op.inputs
    optional = {"SslPolicy": inputs.get("sslPolicy"), "Tags": tag_list(op.tags)}
    if certificate := inputs.get("certificateArn"):
        optional["Certificates"] = [{"CertificateArn": certificate}]
    made = client(op).create_listener(
        LoadBalancerArn=inputs["loadBalancerArn"],
        Port=inputs["port"],
        Protocol=inputs["protocol"],
        DefaultActions=actions_to_aws(inputs["defaultActions"]),
        **{key: value for key, value in optional.items() if value},
    )
    return str(made["Listeners"][0]["ListenerArn"])


def _read(op: Operation) -> Properties | None:
    listener = _listener(op, op.id)
    encrypted = listener["Protocol"] in _ENCRYPTED
    certificates = listener.get("Certificates") if encrypted else None
    return {
        "loadBalancerArn": listener["LoadBalancerArn"],
        "port": listener["Port"],
        "protocol": listener["Protocol"],
        # moto tells a policy of every listener
        "sslPolicy": listener.get("SslPolicy") if encrypted else None,
        "certificateArn": certificates[0]["CertificateArn"] if certificates else None,
        "defaultActions": actions_from_aws(listener["DefaultActions"]),
        "arn": op.id,
        "tags": tags(op),
    }


def _update(op: Operation, changed: frozenset[str]) -> None:
    _check(op)
    inputs = op.inputs
    values: dict[str, Any] = {}
    for key, theirs in (("port", "Port"), ("protocol", "Protocol"), ("sslPolicy", "SslPolicy")):
        if key in changed and inputs.get(key):
            values[theirs] = inputs[key]
    if "certificateArn" in changed and inputs.get("certificateArn"):
        values["Certificates"] = [{"CertificateArn": inputs["certificateArn"]}]
    if "defaultActions" in changed:
        values["DefaultActions"] = actions_to_aws(inputs["defaultActions"])
    client(op).modify_listener(ListenerArn=op.id, **values)


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    refusals = check_actions("defaultActions", inputs["defaultActions"])
    protocol = inputs["protocol"]
    if protocol is UNKNOWN:
        return refusals
    if protocol in _ENCRYPTED and inputs.get("certificateArn") is None:
        refusals.append(("certificateArn", f"is required with protocol {protocol}"))
    for key in ("certificateArn", "sslPolicy"):
        if protocol not in _ENCRYPTED and inputs.get(key) is not None:
            refusals.append((key, f"cannot be set with protocol {protocol}"))
    if protocol not in HTTP_PROTOCOLS and inputs["defaultActions"] is not UNKNOWN:
        for index, action in enumerate(inputs["defaultActions"]):
            if action is not UNKNOWN and action["type"] not in (UNKNOWN, "forward"):
                reason = f"must be forward with protocol {protocol}"
                refusals.append((f"defaultActions[{index}].type", reason))
    return refusals


LISTENER = ResourceType(
    token="aws:lb/listener:Listener",
    noun="ELB v2 listener",
    inputs={
        "loadBalancerArn": Input(String(), required=True, force_new=True),
        "port": Input(Integer(1, 65535), required=True),
        "protocol": Input(
            String(choices=("HTTP", "HTTPS", "TCP", "TCP_UDP", "TLS", "UDP")), required=True
        ),
        "sslPolicy": Input(String(), computed=True),
        "certificateArn": Input(String()),
        "defaultActions": Input(ACTIONS, required=True),
    },
    outputs=("arn",),
    create=_create,
    read=_read,
    update=_update,
    delete=lambda op: client(op).delete_listener(ListenerArn=op.id),
    retag=retag,
    validate=_validate,
)


def _create_rule(op: Operation) -> str:
    inputs, listener = op.inputs, op.inputs["listenerArn"]
    protocol = _listener(op, listener)["Protocol"]
    check_groups(op, inputs["actions"], protocol)
    made = client(op).create_rule(
        ListenerArn=listener,
        Priority=inputs.get("priority") or _next_priority(op, listener),
        Conditions=conditions_to_aws(inputs["conditions"]),
        Actions=actions_to_aws(inputs["actions"]),
        **({"Tags": tag_list(op.tags)} if op.tags else {}),
    )
    return str(made["Rules"][0]["RuleArn"])


def _next_priority(op: Operation, listener: str) -> int:
    """One more than the last rule's, as officially."""
    pages = client(op).get_paginator("describe_rules").paginate(ListenerArn=listener)
    taken = [rule["Priority"] for page in pages for rule in page["Rules"]]
    return 1 + max((int(priority) for priority in taken if priority.isdigit()), default=0)


def _read_rule(op: Operation) -> Properties | None:
    rule = client(op).describe_rules(RuleArns=[op.id])["Rules"][0]
    return {
        "listenerArn": op.id.replace(":listener-rule/", ":listener/").rpartition("/")[0],
        "priority": int(rule["Priority"]),
        "conditions": conditions_from_aws(rule["Conditions"]),
        "actions": actions_from_aws(rule["Actions"]),
        "arn": op.id,
        "tags": tags(op),
    }


def _update_rule(op: Operation, changed: frozenset[str]) -> None:
    inputs = op.inputs
    if "priority" in changed:
        client(op).set_rule_priorities(
            RulePriorities=[{"RuleArn": op.id, "Priority": inputs["priority"]}]
        )
    if "actions" in changed:
        check_groups(op, inputs["actions"], _listener(op, inputs["listenerArn"])["Protocol"])
        client(op).modify_rule(RuleArn=op.id, Actions=actions_to_aws(inputs["actions"]))
    if "conditions" in changed:
        client(op).modify_rule(RuleArn=op.id, Conditions=conditions_to_aws(inputs["conditions"]))


def _validate_rule(inputs: Properties) -> list[tuple[str, str]]:
    return [
        *check_actions("actions", inputs["actions"]),
        *check_conditions(inputs["conditions"]),
    ]


LISTENER_RULE = ResourceType(
    token="aws:lb/listenerRule:ListenerRule",
    noun="ELB v2 listener rule",
    inputs={
        "listenerArn": Input(String(), required=True, force_new=True),
        "priority": Input(Integer(1, 50000), computed=True),
        "conditions": Input(CONDITIONS, required=True),
        "actions": Input(ACTIONS, required=True),
    },
    outputs=("arn",),
    create=_create_rule,
    read=_read_rule,
    update=_update_rule,
    delete=lambda op: client(op).delete_rule(RuleArn=op.id),
    retag=retag,
    validate=_validate_rule,
)

RESOURCE_TYPES = (LISTENER, LISTENER_RULE)
