"""ELB v2: what listeners and rules do with a request, and which requests a rule is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.plugins.aws.kinds import (
    Boolean,
    Input,
    Integer,
    Kind,
    ListOf,
    Record,
    Refusals,
    SetOf,
    String,
    complete,
)
from rehearsal.plugins.aws.resources.elbv2_common import HTTP_PROTOCOLS, client
from rehearsal.plugins.aws.schema import Operation
from rehearsal.plugins.protocol import UNKNOWN, Properties, ProviderError

_MOST_VALUES = 5  # of all conditions of a rule: "Quotas for your Application Load Balancers"
_FORWARD, _REDIRECT, _FIXED = "forward", "redirect", "fixed-response"

_REDIRECTION = Record(
    {
        "statusCode": Input(String(choices=("HTTP_301", "HTTP_302")), required=True),
        "protocol": Input(String(choices=("#{protocol}", "HTTP", "HTTPS")), default="#{protocol}"),
        "host": Input(String(longest=128), default="#{host}"),
        "port": Input(String(), default="#{port}"),
        "path": Input(String(longest=128), default="/#{path}"),
        "query": Input(String(longest=128), default="#{query}"),
    }
)
ACTIONS = ListOf(
    Record(
        {
            "type": Input(String(choices=(_FORWARD, _REDIRECT, _FIXED)), required=True),
            "order": Input(Integer(1, 50000)),
            "targetGroupArn": Input(String()),
            "forward": Input(
                Record(
                    {
                        "targetGroups": Input(
                            SetOf(
                                Record(
                                    {
                                        "arn": Input(String(), required=True),
                                        "weight": Input(Integer(0, 999), default=1),
                                    }
                                )
                            ),
                            required=True,
                        ),
                        "stickiness": Input(
                            Record(
                                {
                                    "duration": Input(Integer(1, 604800), required=True),
                                    "enabled": Input(Boolean(), default=False),
                                }
                            )
                        ),
                    }
                )
            ),
            "redirect": Input(_REDIRECTION),
            "fixedResponse": Input(
                Record(
                    {
                        "contentType": Input(
                            String(
                                choices=(
                                    "text/plain",
                                    "text/css",
                                    "text/html",
                                    "application/javascript",
                                    "application/json",
                                )
                            ),
                            required=True,
                        ),
                        "statusCode": Input(String(longest=3), required=True),
                        "messageBody": Input(String(longest=1024)),
                    }
                )
            ),
        }
    )
)
_PARTS = {
    _FORWARD: ("targetGroupArn", "forward"),
    _REDIRECT: ("redirect",),
    _FIXED: ("fixedResponse",),
}
_REDIRECT_FIELDS = ("statusCode", "protocol", "host", "port", "path", "query")
_RESPONSE_FIELDS = ("contentType", "statusCode", "messageBody")


class _Condition(Record):
    """One of its fields: AWS has a condition for each."""

    def check(self, value: Any) -> Refusals:
        yield from super().check(value)
        if isinstance(value, Mapping):
            given = [key for key in self.fields if value.get(key) is not None]
            if len(given) != 1:
                yield "", f"must have one of {', '.join(self.fields)}, not {len(given)}"


def _values(kind: Kind) -> Input:
    return Input(Record({"values": Input(SetOf(kind), required=True)}))


CONDITIONS = SetOf(
    _Condition(
        {
            "hostHeader": _values(String(longest=128)),
            "httpRequestMethod": _values(String(longest=40)),
            "pathPattern": _values(String(longest=128)),
            "sourceIp": _values(String()),
        }
    )
)
_FIELDS = {
    "hostHeader": ("host-header", "HostHeaderConfig"),
    "httpRequestMethod": ("http-request-method", "HttpRequestMethodConfig"),
    "pathPattern": ("path-pattern", "PathPatternConfig"),
    "sourceIp": ("source-ip", "SourceIpConfig"),
}


def check_actions(property: str, actions: Any) -> list[tuple[str, str]]:
    """(property, reason) of actions that lack what their type needs, or have another's."""
    refusals = []
    for index, action in enumerate(actions if actions is not UNKNOWN else ()):
        if action is UNKNOWN or action["type"] is UNKNOWN:
            continue
        own = _PARTS[action["type"]]
        given = [key for keys in _PARTS.values() for key in keys if action.get(key) is not None]
        if len(given) != 1 or given[0] not in own:
            reason = f"of type {action['type']} needs {' or '.join(own)}, and nothing else"
            refusals.append((f"{property}[{index}]", reason))
    return refusals


def check_conditions(conditions: Any) -> list[tuple[str, str]]:
    """(property, reason) of more values than a rule can have."""
    parts = [
        condition.get(key)
        for condition in (conditions if conditions is not UNKNOWN else ())
        if condition is not UNKNOWN
        for key in _FIELDS
    ]
    lists = [part["values"] for part in parts if isinstance(part, Mapping)]
    count = sum(len(values) for values in lists if values is not UNKNOWN)
    if count > _MOST_VALUES:
        return [("conditions", f"have {count} values; a rule can have {_MOST_VALUES}")]
    return []


def check_groups(op: Operation, actions: Sequence[Properties], protocol: str) -> None:
    """Refuses target groups that AWS would refuse behind a listener of this protocol."""
    for arn in (arn for action in actions for arn in _group_arns(action)):
        group = client(op).describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
        if (group["Protocol"] in HTTP_PROTOCOLS) != (protocol in HTTP_PROTOCOLS):
            raise ProviderError(
                "InvalidConfigurationRequest: The following target groups don't have a supported "
                f"protocol for a listener of {protocol}: {arn} has {group['Protocol']}"
            )


def _group_arns(action: Properties) -> list[str]:
    if arn := action.get("targetGroupArn"):
        return [arn]
    return [group["arn"] for group in (action.get("forward") or {}).get("targetGroups", ())]


def _upper(given: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    values = {key[:1].upper() + key[1:]: given.get(key) for key in keys}
    return {key: value for key, value in values.items() if value is not None}


def _lower(live: Mapping[str, Any], keys: Sequence[str]) -> Properties:
    return {key: live.get(key[:1].upper() + key[1:]) for key in keys}


def actions_to_aws(actions: Sequence[Properties]) -> list[dict[str, Any]]:
    """Actions as the API takes them."""
    return [_action_to_aws(action) for action in actions]


def _action_to_aws(action: Properties) -> dict[str, Any]:
    result = {"Type": action["type"]}
    if action.get("order"):
        result["Order"] = action["order"]
    if arn := action.get("targetGroupArn"):
        return result | {"TargetGroupArn": arn}
    if forward := action.get("forward"):
        config: dict[str, Any] = {
            "TargetGroups": [
                {"TargetGroupArn": group["arn"], "Weight": group.get("weight", 1)}
                for group in forward["targetGroups"]
            ]
        }
        if stickiness := forward.get("stickiness"):
            config["TargetGroupStickinessConfig"] = {
                "Enabled": bool(stickiness.get("enabled")),
                "DurationSeconds": stickiness["duration"],
            }
        return result | {"ForwardConfig": config}
    if redirect := action.get("redirect"):
        whole = complete(_REDIRECTION.fields, redirect)
        return result | {"RedirectConfig": _upper(whole, _REDIRECT_FIELDS)}
    return result | {"FixedResponseConfig": _upper(action["fixedResponse"], _RESPONSE_FIELDS)}


def actions_from_aws(actions: Sequence[Mapping[str, Any]]) -> list[Properties]:
    """The live actions as inputs."""
    return [_action_from_aws(action) for action in actions]


def _action_from_aws(action: Mapping[str, Any]) -> Properties:
    result: Properties = {"type": action["Type"], "order": action.get("Order")}
    if arn := action.get("TargetGroupArn"):
        result["targetGroupArn"] = arn
    elif forward := action.get("ForwardConfig"):
        stickiness = forward.get("TargetGroupStickinessConfig") or {}
        result["forward"] = {
            "targetGroups": [
                {"arn": group["TargetGroupArn"], "weight": group.get("Weight", 1)}
                for group in forward["TargetGroups"]
            ],
            "stickiness": {
                "enabled": stickiness.get("Enabled"),
                "duration": stickiness["DurationSeconds"],
            }
            if "DurationSeconds" in stickiness
            else None,
        }
    elif redirect := action.get("RedirectConfig"):
        result["redirect"] = _lower(redirect, _REDIRECT_FIELDS)
    else:
        result["fixedResponse"] = _lower(action["FixedResponseConfig"], _RESPONSE_FIELDS)
    return result


def conditions_to_aws(conditions: Sequence[Properties]) -> list[dict[str, Any]]:
    """Conditions as the API takes them."""
    return [
        {"Field": _FIELDS[key][0], _FIELDS[key][1]: {"Values": list(part["values"])}}
        for condition in conditions
        for key, part in condition.items()
        if key in _FIELDS and part
    ]


def conditions_from_aws(conditions: Sequence[Mapping[str, Any]]) -> list[Properties]:
    """The live conditions as inputs."""
    ours = {field: (key, config) for key, (field, config) in _FIELDS.items()}
    found = []
    for condition in conditions:
        if condition["Field"] not in ours:
            raise ProviderError(f"a condition on {condition['Field']} is not handled here")
        key, config = ours[condition["Field"]]
        found.append({key: {"values": condition[config]["Values"]}})
    return found
