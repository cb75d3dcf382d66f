"""What still exists in the rehearsal's cloud after a destroy: every service the program uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import jmespath  # type: ignore[import-untyped]  # botocore's own

from bootstrap.names import ISSUER, PATH, Names

# (what it is, service, operation, JMESPath of what tells it apart). What AWS itself put into the
# account is left out, and what lives and dies with another of these.
_PLAIN = (
    (
        "instance",
        "ec2",
        "describe_instances",
        "Reservations[].Instances[?State.Name != 'terminated'][].InstanceId",
    ),
    ("volume", "ec2", "describe_volumes", "Volumes[].VolumeId"),
    ("VPC", "ec2", "describe_vpcs", "Vpcs[?!IsDefault].VpcId"),
    ("address", "ec2", "describe_addresses", "Addresses[].PublicIp"),
    (
        "NAT gateway",
        "ec2",
        "describe_nat_gateways",
        "NatGateways[?State != 'deleted'].NatGatewayId",
    ),
    (
        "internet gateway",
        "ec2",
        "describe_internet_gateways",
        "InternetGateways[].InternetGatewayId",
    ),
    ("key pair", "ec2", "describe_key_pairs", "KeyPairs[].KeyName"),
    (
        "security group",
        "ec2",
        "describe_security_groups",
        "SecurityGroups[?GroupName != 'default'].GroupId",
    ),
    ("subnet", "ec2", "describe_subnets", "Subnets[?!DefaultForAz].SubnetId"),
    (
        "route table",
        "ec2",
        "describe_route_tables",
        "RouteTables[?!(Associations[?Main])].RouteTableId",
    ),
    (
        "network interface",
        "ec2",
        "describe_network_interfaces",
        "NetworkInterfaces[].NetworkInterfaceId",
    ),
    ("flow log", "ec2", "describe_flow_logs", "FlowLogs[].FlowLogId"),
    (
        "VPC endpoint",
        "ec2",
        "describe_vpc_endpoints",
        "VpcEndpoints[?State != 'deleted'].VpcEndpointId",
    ),
    ("load balancer", "elbv2", "describe_load_balancers", "LoadBalancers[].LoadBalancerName"),
    ("target group", "elbv2", "describe_target_groups", "TargetGroups[].TargetGroupName"),
    ("distribution", "cloudfront", "list_distributions", "DistributionList.Items[].Id"),
    (
        "origin access control",
        "cloudfront",
        "list_origin_access_controls",
        "OriginAccessControlList.Items[].Name",
    ),
    ("hosted zone", "route53", "list_hosted_zones", "HostedZones[].Name"),
    ("IAM role", "iam", "list_roles", f"Roles[?Path != '{PATH}'].RoleName"),
    (
        "instance profile",
        "iam",
        "list_instance_profiles",
        "InstanceProfiles[].InstanceProfileName",
    ),
    (
        "OIDC provider",
        "iam",
        "list_open_id_connect_providers",
        f"OpenIDConnectProviderList[?!ends_with(Arn, '/{ISSUER}')].Arn",
    ),
)
_CERTIFICATES = "CertificateSummaryList[].DomainName"
_CDN_REGION = "us-east-1"  # CloudFront's certificates are there
_AWS_ALIASES = "alias/aws/"

# A client of a service; the region is the rehearsal's own if none is given.
Connect = Callable[..., Any]


def find(connect: Connect, bootstrap: Names) -> Iterator[str]:
    """What exists beside what the bootstrap made, a line each, such as "VPC vpc-1".

    connect: `cloud.client`.
    """
    connect = cache(connect)
    for what, service, operation, names in _PLAIN:
        yield from (f"{what} {name}" for name in _all(connect(service), operation, names))
    names = f"Policies[?Path != '{PATH}'].PolicyName"
    local = _all(connect("iam"), "list_policies", names, Scope="Local")
    yield from (f"IAM policy {name}" for name in local)
    buckets = _all(connect("s3"), "list_buckets", "Buckets[].Name")
    kept = (bootstrap.state_bucket, bootstrap.logs_bucket)
    yield from (f"bucket {name}" for name in buckets if name not in kept)
    yield from _keys(connect("kms"), bootstrap.key_alias)
    for acm in (connect("acm"), connect("acm", _CDN_REGION)):
        domains = _all(acm, "list_certificates", _CERTIFICATES)
        yield from (f"certificate {domain} in {acm.meta.region_name}" for domain in domains)


def _keys(kms: Any, secrets_alias: str) -> Iterator[str]:
    """Aliases and keys; a key that waits for its end counts as gone, one behind an alias of AWS's
    as AWS's: moto makes that of EBS as if it were a customer's."""
    targets = {
        alias["AliasName"]: alias.get("TargetKeyId")
        for alias in _all(kms, "list_aliases", "Aliases[]")
    }
    kept = {targets.pop(secrets_alias, None)}
    for name in [name for name in targets if name.startswith(_AWS_ALIASES)]:
        kept.add(targets.pop(name))
    yield from (f"KMS alias {name}" for name in targets)
    for id in _all(kms, "list_keys", "Keys[].KeyId"):
        key = kms.describe_key(KeyId=id)["KeyMetadata"]
        own = key["KeyManager"] == "CUSTOMER" and key["KeyState"] != "PendingDeletion"
        if own and id not in kept:
            yield f"KMS key {id}"


def _all(client: Any, operation: str, names: str, **asked: str) -> list[Any]:
    """What `names` finds on all pages; its order is AWS's."""
    if client.can_paginate(operation):
        found = client.get_paginator(operation).paginate(**asked).search(names)
        return [each for each in found if each is not None]
    return list(jmespath.search(names, getattr(client, operation)(**asked)) or ())
