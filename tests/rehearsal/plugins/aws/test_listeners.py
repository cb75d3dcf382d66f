"""ELB v2: listeners and their rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rehearsal.plugins.protocol import UNKNOWN, Properties
from tests.rehearsal.plugins.aws.conftest import Aws
from tests.rehearsal.plugins.aws.edge import (
    CERTIFICATE,
    LISTENER,
    RULE,
    TARGETS,
    Network,
    make_balancer,
    make_certificate,
    make_network,
    make_targets,
    make_zone,
)
from tests.rehearsal.plugins.aws.made import Made, make
from tests.rehearsal.plugins.harness import Plugin, PluginError

POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
NOT_FOUND = {
    "type": "fixed-response",
    "fixedResponse": {"contentType": "text/plain", "messageBody": "no", "statusCode": "404"},
}
REDIRECT = {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"}
TO_HTTPS = {"type": "redirect", "redirect": REDIRECT}


@pytest.fixture(scope="module")
def network(plugin: Plugin) -> Network:
    return make_network(plugin)


@pytest.mark.parametrize(
    ("type", "inputs", "property"),
    [
        (LISTENER, {"protocol": "HTTPS", "defaultActions": [NOT_FOUND]}, "certificateArn"),
        (
            LISTENER,
            {"protocol": "HTTP", "defaultActions": [NOT_FOUND], "sslPolicy": POLICY},
            "sslPolicy",
        ),
        (LISTENER, {"protocol": "TCP", "defaultActions": [NOT_FOUND]}, "defaultActions[0].type"),
        (LISTENER, {"protocol": "HTTP", "defaultActions": [{"type": "forward"}]}, "defaultActions"),
        (
            LISTENER,
            {"protocol": "HTTP", "defaultActions": [{**NOT_FOUND, **TO_HTTPS}]},
            "defaultActions[0]",
        ),
        (RULE, {"conditions": [{}]}, "conditions[0]"),
        (RULE, {"conditions": [{"hostHeader": {"values": ["a"] * 6}}]}, "conditions"),
        (RULE, {"conditions": [{"queryStrings": []}]}, "conditions[0]"),
    ],
)
def test_bad_inputs_are_refused(
    plugin: Plugin, type: str, inputs: dict[str, Any], property: str
) -> None:
    needed: dict[str, Properties] = {
        LISTENER: {"loadBalancerArn": "arn", "port": 80},
        RULE: {"listenerArn": "arn", "actions": [NOT_FOUND]},
    }
    _, failures = plugin.check_failures(type, {**needed[type], **inputs})
    assert failures and failures[0][0].startswith(property), failures


def test_listeners_and_rules_live(aws: Aws, plugin: Plugin, network: Network) -> None:
    zone = make_zone(plugin)
    certificate = make_certificate(plugin, zone, "api")
    balancer = make_balancer(plugin, network)
    groups = [make_targets(plugin, network.vpc) for _ in range(2)]
    plain = make(
        plugin,
        LISTENER,
        loadBalancerArn=balancer.id,
        port=80,
        protocol="HTTP",
        defaultActions=[TO_HTTPS],
    )
    assert "sslPolicy" not in plain.outputs
    explicit = {"host": "#{host}", "path": "/#{path}", "query": "#{query}"}
    same = {"type": "redirect", "redirect": {**REDIRECT, **explicit}}
    assert not plain.diff(defaultActions=[same]).changes
    secure = make(
        plugin,
        LISTENER,
        loadBalancerArn=balancer.id,
        port=443,
        protocol="HTTPS",
        certificateArn=certificate.id,
        sslPolicy=POLICY,
        defaultActions=[NOT_FOUND],
        tags={"a": "b"},
    )
    assert secure.outputs["arn"] == secure.id and secure.outputs["sslPolicy"] == POLICY
    assert secure.diff(loadBalancerArn="arn").replaces == ["loadBalancerArn"]
    secure.update(port=8443, sslPolicy="ELBSecurityPolicy-TLS13-1-3-2021-06")
    secure.update(tags={"c": "d"})
    assert secure.imported()["certificateArn"] == certificate.id

    host = {"hostHeader": {"values": ["api.example.org", "www.example.org"]}}
    sources = {"sourceIp": {"values": ["198.51.100.0/24"]}}
    forward = {"type": "forward", "targetGroupArn": groups[0].id}
    rule = make(
        plugin,
        RULE,
        listenerArn=secure.id,
        priority=10,
        conditions=[host, sources],
        actions=[forward],
        tags={"a": "b"},
    )
    reversed_host = {"hostHeader": {"values": host["hostHeader"]["values"][::-1]}}
    assert not rule.diff(conditions=[sources, reversed_host]).changes
    assert rule.diff(listenerArn="arn").replaces == ["listenerArn"]
    rule.update(priority=20, conditions=[{"pathPattern": {"values": ["/a", "/b/*"]}}])
    shares = [{"arn": groups[0].id, "weight": 3}, {"arn": groups[1].id}]
    weighted = {"type": "forward", "forward": {"targetGroups": shares}}
    rule.update(actions=[weighted])
    assert rule.imported()["listenerArn"] == secure.id
    last = make(
        plugin,
        RULE,
        listenerArn=secure.id,
        conditions=[{"httpRequestMethod": {"values": ["PUT"]}}],
        actions=[NOT_FOUND],
    )
    assert last.outputs["priority"] == 21
    unknown = {"type": "forward", "targetGroupArn": groups[0].id + "x"}
    clashes: list[tuple[Made, Properties, str]] = [
        (rule, {"priority": 21}, "PriorityInUse"),
        (secure, {"port": 80}, "DuplicateListener"),
        (secure, {"port": 1, "defaultActions": [unknown]}, "TargetGroupNotFound"),
    ]
    for made, change, error in clashes:
        with pytest.raises(PluginError, match=error):
            make(plugin, made.type, **_given(made) | change)
    with pytest.raises(PluginError, match="ResourceInUse"):
        plugin.delete(TARGETS, groups[0].id, groups[0].inputs, groups[0].outputs, timeout=0.2)

    groups[0].refresh()
    assert groups[0].outputs["loadBalancerArns"] == [balancer.id]
    aws.client("elbv2").set_rule_priorities(RulePriorities=[{"RuleArn": rule.id, "Priority": 30}])
    assert rule.refresh() == {"priority": 30}
    aws.client("elbv2").delete_listener(ListenerArn=secure.id)
    assert rule.refresh() == {"": None}
    for made in (rule, last, plain, secure, *groups, balancer):
        made.delete()


def _given(made: Made) -> Properties:
    """What the program gave to make it."""
    defaults = {"__defaults", *made.inputs.get("__defaults", ())}
    return {key: value for key, value in made.inputs.items() if key not in defaults}


def test_listener_that_aws_would_refuse(plugin: Plugin, network: Network) -> None:
    application = make_balancer(plugin, network)
    group = make_targets(plugin, network.vpc, protocol="TCP", port=6443)
    to_group = {"type": "forward", "targetGroupArn": group.id}
    unproven = make(plugin, CERTIFICATE, domainName="a.example.org", validationMethod="DNS")
    secure = {"protocol": "HTTPS", "port": 443, "defaultActions": [NOT_FOUND]}
    cases: list[tuple[Mapping[str, Any], str]] = [
        ({"protocol": "TCP", "port": 1, "defaultActions": [to_group]}, "UnsupportedProtocol"),
        ({"protocol": "HTTP", "port": 1, "defaultActions": [to_group]}, "don't have a supported"),
        ({**secure, "certificateArn": unproven.id}, "is not issued"),
        ({**secure, "certificateArn": unproven.id + "x"}, "does not exist in eu-west-1"),
    ]
    for inputs, error in cases:
        given = {"loadBalancerArn": application.id, **inputs}
        with pytest.raises(PluginError, match=error):
            plugin.create(LISTENER, plugin.check(LISTENER, given))
    for made in (application, group, unproven):
        made.delete()


def test_previews_of_what_is_not_known_yet(plugin: Plugin) -> None:
    forward = {"type": "forward", "targetGroupArn": UNKNOWN}
    for type, inputs in (
        (
            LISTENER,
            {
                "loadBalancerArn": UNKNOWN,
                "port": 443,
                "protocol": "HTTPS",
                "certificateArn": UNKNOWN,
                "defaultActions": [forward],
            },
        ),
        (
            RULE,
            {
                "listenerArn": UNKNOWN,
                "conditions": [{"hostHeader": {"values": [UNKNOWN]}}, {"sourceIp": UNKNOWN}],
                "actions": [forward],
            },
        ),
    ):
        _, outputs = plugin.create(type, plugin.check(type, inputs), preview=True)
        assert outputs["arn"] is UNKNOWN
