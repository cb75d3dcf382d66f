"""ELB v2: load balancer, application or network."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Set
from typing import Any

from rehearsal.plugins.aws.cloud import code
from rehearsal.plugins.aws.kinds import Boolean, Input, Integer, Record, SetOf, String
from rehearsal.plugins.aws.resources.ec2_common import tag_list
from rehearsal.plugins.aws.resources.elbv2_common import (
    attribute_list,
    balancer_of,
    client,
    parsed,
    retag,
    tags,
)
from rehearsal.plugins.aws.schema import AutoName, Operation, ResourceType
from rehearsal.plugins.protocol import Properties, ProviderError

_NAME = re.compile(r"(?!internal-|-)[A-Za-z0-9-]{1,32}(?<!-)")
_APPLICATION, _NETWORK = "application", "network"
_PROTECTION = "deletion_protection.enabled"
_LOGS = "access_logs.s3"
# Who writes the access logs: "Enable access logs" in the User Guides of either kind.
_LOG_WRITERS = {
    _APPLICATION: "logdelivery.elasticloadbalancing.amazonaws.com",
    _NETWORK: "delivery.logs.amazonaws.com",
}
# Property -> attribute, of both kinds and of one.
_COMMON_ATTRIBUTES = {"enableDeletionProtection": _PROTECTION}
_OWN_ATTRIBUTES = {
    _APPLICATION: {
        "clientKeepAlive": "client_keep_alive.seconds",
        "desyncMitigationMode": "routing.http.desync_mitigation_mode",
        "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
        "enableHttp2": "routing.http2.enabled",
        "enableTlsVersionAndCipherSuiteHeaders": (
            "routing.http.x_amzn_tls_version_and_cipher_suite.enabled"
        ),
        "enableWafFailOpen": "waf.fail_open.enabled",
        "enableXffClientPort": "routing.http.xff_client_port.enabled",
        "idleTimeout": "idle_timeout.timeout_seconds",
        "preserveHostHeader": "routing.http.preserve_host_header.enabled",
        "xffHeaderProcessingMode": "routing.http.xff_header_processing.mode",
    },
    _NETWORK: {
        "dnsRecordClientRoutingPolicy": "dns_record.client_routing_policy",
        "enableCrossZoneLoadBalancing": "load_balancing.cross_zone.enabled",
    },
}


def _attribute_names(kind: str) -> dict[str, str]:
    return _COMMON_ATTRIBUTES | _OWN_ATTRIBUTES[kind]


def _create(op: Operation) -> str:
    inputs, name = op.inputs, op.inputs["name"]
    _check_name_is_free(op, name)
    vpc = _check_subnets(op)
    _check_groups(op, vpc)
    optional = {
        "SecurityGroups": inputs.get("securityGroups"),
        "IpAddressType": inputs.get("ipAddressType"),
        "Tags": tag_list(op.tags),
    }
    made = client(op).create_load_balancer(
        Name=name,
        Type=inputs["loadBalancerType"],
        Scheme="internal" if inputs.get("internal") else "internet-facing",
        Subnets=inputs["subnets"],
        **{key: value for key, value in optional.items() if value},
    )
    return str(made["LoadBalancers"][0]["LoadBalancerArn"])


def _check_name_is_free(op: Operation, name: str) -> None:
    try:
        client(op).describe_load_balancers(Names=[name])
    except Exception as error:
        if code(error) != "LoadBalancerNotFound":
            raise
        return
    raise ProviderError(
        f"DuplicateLoadBalancerName: A load balancer with the same name '{name}' exists"
    )


def _check_subnets(op: Operation) -> str:
    """The VPC of the subnets; refuses those that AWS would refuse, of which moto takes some."""
    found = op.ec2.describe_subnets(SubnetIds=op.inputs["subnets"])["Subnets"]
    zones = [subnet["AvailabilityZone"] for subnet in found]
    if len(set(zones)) < len(zones):
        raise ProviderError(
            "InvalidConfigurationRequest: A load balancer cannot be attached to multiple subnets "
            "in the same Availability Zone"
        )
    if op.inputs["loadBalancerType"] == _APPLICATION and len(zones) < 2:
        raise ProviderError(
            "ValidationError: At least two subnets in two different Availability Zones must be "
            "specified"
        )
    vpcs = {subnet["VpcId"] for subnet in found}
    if len(vpcs) > 1:
        raise ProviderError("InvalidSubnet: All subnets must belong to the same VPC")
    vpc = str(vpcs.pop())
    if not op.inputs.get("internal"):
        gateways = op.ec2.describe_internet_gateways(
            Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}]
        )
        if not gateways["InternetGateways"]:
            raise ProviderError(f"InvalidSubnet: VPC {vpc} has no internet gateway")
    return vpc


def _check_groups(op: Operation, vpc: str) -> None:
    ids = op.inputs.get("securityGroups") or []
    groups = op.ec2.describe_security_groups(GroupIds=ids)["SecurityGroups"] if ids else []
    if any(group["VpcId"] != vpc for group in groups):
        raise ProviderError(
            "InvalidConfigurationRequest: One or more security groups are invalid: "
            f"they are not of {vpc}"
        )


def _settle(op: Operation) -> None:
    op.wait(
        f"load balancer {op.inputs['name']} to be active",
        lambda: balancer_of(op, op.id)["State"]["Code"] == "active",
    )
    _set_attributes(op, _attribute_names(op.inputs["loadBalancerType"]).keys())
    if op.inputs.get("accessLogs"):
        _set_logs(op)


def _set_attributes(op: Operation, properties: Set[str]) -> None:
    names = _attribute_names(op.inputs["loadBalancerType"])
    values = {names[key]: op.inputs[key] for key in names if key in properties & op.inputs.keys()}
    if values:
        client(op).modify_load_balancer_attributes(
            LoadBalancerArn=op.id, Attributes=attribute_list(values)
        )


def _set_logs(op: Operation) -> None:
    logs = op.inputs.get("accessLogs") or {}
    values: dict[str, Any] = {f"{_LOGS}.enabled": bool(logs.get("enabled"))}
    if logs.get("enabled"):
        _check_bucket(op, logs["bucket"])
        values[f"{_LOGS}.bucket"] = logs["bucket"]
        values[f"{_LOGS}.prefix"] = logs.get("prefix") or ""
    client(op).modify_load_balancer_attributes(
        LoadBalancerArn=op.id, Attributes=attribute_list(values)
    )


def _check_bucket(op: Operation, bucket: str) -> None:
    """AWS writes a test file first; here the bucket's policy must name the writer."""
    s3 = op.cloud.client("s3")
    writer = _LOG_WRITERS[op.inputs["loadBalancerType"]]
    s3.head_bucket(Bucket=bucket)
    try:
        statements = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    except Exception as error:
        if code(error) != "NoSuchBucketPolicy":
            raise
        statements = []
    if not any(_lets_write(statement, writer) for statement in statements):
        raise ProviderError(
            f"InvalidConfigurationRequest: Access Denied for bucket: {bucket}. Please check "
            f"S3bucket permission; its policy must let {writer} put objects"
        )


def _lets_write(statement: Mapping[str, Any], writer: str) -> bool:
    def listed(value: Any) -> list[Any]:
        return value if isinstance(value, list) else [value]

    principal = statement.get("Principal")
    services = listed(principal.get("Service")) if isinstance(principal, Mapping) else []
    actions = listed(statement.get("Action"))
    return statement["Effect"] == "Allow" and writer in services and "s3:PutObject" in actions


def _read(op: Operation) -> Properties | None:
    balancer = balancer_of(op, op.id)
    told = client(op).describe_load_balancer_attributes(LoadBalancerArn=op.id)["Attributes"]
    values = {attribute["Key"]: attribute["Value"] for attribute in told}
    own = {
        key: parsed(values[name])
        for key, name in _attribute_names(balancer["Type"]).items()
        if name in values
    }
    return {
        **own,
        "name": balancer["LoadBalancerName"],
        "loadBalancerType": balancer["Type"],
        "internal": balancer["Scheme"] == "internal",
        "ipAddressType": balancer["IpAddressType"],
        "subnets": [zone["SubnetId"] for zone in balancer["AvailabilityZones"]],
        "securityGroups": balancer.get("SecurityGroups") or None,
        "accessLogs": _live_logs(op, values),
        "arn": op.id,
        "arnSuffix": op.id.partition(":loadbalancer/")[2],
        "dnsName": balancer["DNSName"],
        "vpcId": balancer["VpcId"],
        "zoneId": balancer["CanonicalHostedZoneId"],
        "tags": tags(op),
    }


def _live_logs(op: Operation, values: Mapping[str, str]) -> Properties | None:
    kept = op.get("accessLogs")
    if values.get(f"{_LOGS}.enabled") == "true":
        return {
            "enabled": True,
            "bucket": values[f"{_LOGS}.bucket"],
            "prefix": values[f"{_LOGS}.prefix"] or None,
        }
    return kept if kept and not kept.get("enabled") else None


def _update(op: Operation, changed: frozenset[str]) -> None:
    elb = client(op)
    if "ipAddressType" in changed:
        elb.set_ip_address_type(LoadBalancerArn=op.id, IpAddressType=op.inputs["ipAddressType"])
    if "subnets" in changed:
        _check_subnets(op)
        elb.set_subnets(LoadBalancerArn=op.id, Subnets=op.inputs["subnets"])
    if "securityGroups" in changed:
        _check_groups(op, balancer_of(op, op.id)["VpcId"])
        elb.set_security_groups(LoadBalancerArn=op.id, SecurityGroups=op.inputs["securityGroups"])
    if "accessLogs" in changed:
        _set_logs(op)
    _set_attributes(op, changed)


def _delete(op: Operation) -> None:
    told = client(op).describe_load_balancer_attributes(LoadBalancerArn=op.id)["Attributes"]
    if {"Key": _PROTECTION, "Value": "true"} in told:  # moto would delete it
        raise ProviderError(
            f"OperationNotPermitted: Load balancer '{op.id}' cannot be deleted because deletion "
            "protection is enabled"
        )
    client(op).delete_load_balancer(LoadBalancerArn=op.id)


def _network_replaces(changed: Set[str], olds: Properties, news: Properties) -> list[str]:
    """A network load balancer gets subnets but never loses one, and it has security groups from
    the beginning or never."""
    if news.get("loadBalancerType") != _NETWORK:
        return []
    replaced = []
    known = {key: [olds.get(key) or [], news.get(key) or []] for key in changed}
    if "subnets" in changed and len(known["subnets"][1]) <= len(known["subnets"][0]):
        replaced.append("subnets")
    if "securityGroups" in changed and not all(known["securityGroups"]):
        replaced.append("securityGroups")
    return replaced


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    kind, name = inputs["loadBalancerType"], inputs["name"]
    refusals = []
    if isinstance(name, str) and not _NAME.fullmatch(name):
        reason = f"{name!r} is no name: 1 to 32 of A-Z, a-z, 0-9 and '-', no '-' at the ends"
        refusals.append(("name", reason))
    for other in _OWN_ATTRIBUTES.keys() - {kind}:
        refusals += [
            (key, f"is of {other} load balancers alone")
            for key in _OWN_ATTRIBUTES.get(other, ())
            if kind in _OWN_ATTRIBUTES and inputs.get(key) != INPUTS[key].default
        ]
    return refusals


INPUTS = {
    "name": Input(String(longest=32), force_new=True),
    "loadBalancerType": Input(
        String(choices=(_APPLICATION, _NETWORK)), force_new=True, default=_APPLICATION
    ),
    "internal": Input(Boolean(), force_new=True, computed=True),
    "ipAddressType": Input(String(choices=("ipv4", "dualstack")), computed=True),
    "subnets": Input(SetOf(String()), required=True),
    "securityGroups": Input(SetOf(String()), computed=True),
    "accessLogs": Input(
        Record(
            {
                "bucket": Input(String(), required=True),
                "enabled": Input(Boolean(), default=False),
                "prefix": Input(String()),
            }
        )
    ),
    "enableDeletionProtection": Input(Boolean(), default=False),
    "clientKeepAlive": Input(Integer(60, 604800), default=3600),
    "desyncMitigationMode": Input(
        String(choices=("monitor", "defensive", "strictest")), default="defensive"
    ),
    "dropInvalidHeaderFields": Input(Boolean(), default=False),
    "enableHttp2": Input(Boolean(), default=True),
    "enableTlsVersionAndCipherSuiteHeaders": Input(Boolean(), default=False),
    "enableWafFailOpen": Input(Boolean(), default=False),
    "enableXffClientPort": Input(Boolean(), default=False),
    "idleTimeout": Input(Integer(1, 4000), default=60),
    "preserveHostHeader": Input(Boolean(), default=False),
    "xffHeaderProcessingMode": Input(
        String(choices=("append", "preserve", "remove")), default="append"
    ),
    "dnsRecordClientRoutingPolicy": Input(
        String(
            choices=(
                "any_availability_zone",
                "availability_zone_affinity",
                "partial_availability_zone_affinity",
            )
        ),
        default="any_availability_zone",
    ),
    "enableCrossZoneLoadBalancing": Input(Boolean(), default=False),
}

LOAD_BALANCER = ResourceType(
    token="aws:lb/loadBalancer:LoadBalancer",
    noun="ELB v2 load balancer",
    inputs=INPUTS,
    outputs=("arn", "arnSuffix", "dnsName", "vpcId", "zoneId"),
    create=_create,
    settle=_settle,
    read=_read,
    update=_update,
    delete=_delete,
    retag=retag,
    validate=_validate,
    also_replaces=_network_replaces,
    autoname=AutoName("name", longest=32),
)

RESOURCE_TYPES = (LOAD_BALANCER,)
