"""What keeps and what breaks the rules of policy/network.py and policy/compute.py."""

from __future__ import annotations

from policy.compute import DEFAULT_ENCRYPTION, INSTANCE, TEMPLATE, VOLUME
from policy.network import (
    DEFAULT_GROUP,
    EGRESS,
    FLOW_LOG,
    GROUP,
    INGRESS,
    LOAD_BALANCER,
    RULE,
    SUBNET,
    VPC,
)
from tests.policy.pack import UNKNOWN, Case, Made, StackCase

_TCP_22 = {"ipProtocol": "tcp", "fromPort": 22.0, "toPort": 22.0, "description": "SSH"}
_WEB = {"ipProtocol": "tcp", "fromPort": 443.0, "toPort": 443.0, "cidrIpv4": "0.0.0.0/0"}
_ROOT = {"rootBlockDevice": {"encrypted": True}}
_V2 = {"metadataOptions": {"httpTokens": "required"}}

CASES = [
    Case(
        "no-world-open-admin-port",
        INGRESS,
        {**_TCP_22, "cidrIpv4": "198.51.100.0/24"},
        {**_TCP_22, "cidrIpv4": "0.0.0.0/0"},
        "everybody (0.0.0.0/0) reach SSH (port 22): name the operators' CIDRs",
    ),
    Case(
        "no-world-open-admin-port",
        INGRESS,
        {**_TCP_22, "cidrIpv6": "2001:db8::/32"},
        {**_TCP_22, "cidrIpv6": "::/0"},
        "everybody (::/0) reach SSH",
    ),
    Case(
        "no-world-open-admin-port",
        INGRESS,
        {**_TCP_22, "cidrIpv4": "10.0.0.0/8"},
        {**_TCP_22, "cidrIpv4": "128.0.0.0/1"},  # half the world, twice
        "everybody (128.0.0.0/1)",
    ),
    Case(
        "no-world-open-admin-port",
        RULE,
        {"type": "egress", "protocol": "-1", "cidrBlocks": ["0.0.0.0/0"]},
        {
            "type": "ingress",
            "protocol": "tcp",
            "fromPort": 6000.0,
            "toPort": 7000.0,
            "cidrBlocks": ["10.0.0.0/16", "0.0.0.0/0"],
        },
        "reach the Kubernetes API (port 6443)",
    ),
    Case(
        "no-world-open-admin-port",
        GROUP,
        {"ingress": [{"protocol": "tcp", "fromPort": 443.0, "toPort": 443.0}]},
        {
            "ingress": [
                {"protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["0.0.0.0/0"]}
            ]
        },
        "reach SSH",
    ),
    Case(
        "no-world-open-port",
        INGRESS,
        _WEB,
        {**_WEB, "fromPort": 8443.0, "toPort": 8443.0},
        "opens tcp 8443 to everybody (0.0.0.0/0)",
    ),
    Case(
        "no-world-open-port",
        INGRESS,
        {**_WEB, "fromPort": 80.0, "toPort": 80.0},
        {**_WEB, "fromPort": 80.0, "toPort": 443.0},
        "opens tcp 80-443",
    ),
    Case(
        "no-world-open-port",
        INGRESS,
        {"ipProtocol": "-1", "referencedSecurityGroupId": "sg-1"},
        {"ipProtocol": "udp", "fromPort": 4789.0, "toPort": 4789.0, "cidrIpv4": "0.0.0.0/0"},
        "opens udp 4789",
    ),
    Case(
        "rules-described",
        GROUP,
        {"description": "Every node", "ingress": [{"description": "SSH"}]},
        {"description": "Managed by Pulumi"},
        "set description",
    ),
    Case(
        "rules-described",
        GROUP,
        {"description": "Every node"},
        {"description": "Every node", "egress": [{"protocol": "-1"}]},
        "egress[0]",
    ),
    Case("rules-described", INGRESS, {"description": "SSH"}, {}, "set description"),
    Case("rules-described", EGRESS, {"description": "All"}, {"description": ""}, "set description"),
    Case(
        "subnets-give-no-public-address",
        SUBNET,
        {"mapPublicIpOnLaunch": False},
        {"mapPublicIpOnLaunch": True},
        "map_public_ip_on_launch",
    ),
    Case(
        "default-group-empty",
        DEFAULT_GROUP,
        {"ingress": [], "vpcId": UNKNOWN},
        {"ingress": [{"protocol": "-1", "self": True}]},
        "(ingress) for whatever was given no group",
    ),
    Case(
        "imds-v2",
        INSTANCE,
        _V2,
        {"metadataOptions": {"httpTokens": "optional"}},
        'set metadata_options.http_tokens to "required"',
    ),
    Case("imds-v2", TEMPLATE, {"metadataOptions": {"httpEndpoint": "disabled"}}, {}, "IMDSv1"),
    Case("volumes-encrypted", INSTANCE, _ROOT, {}, "set root_block_device.encrypted to True"),
    Case(
        "volumes-encrypted",
        INSTANCE,
        {**_ROOT, "ebsBlockDevices": [{"encrypted": True}]},
        {**_ROOT, "ebsBlockDevices": [{"encrypted": True}, {"volumeSize": 8}]},
        "ebs_block_devices[1]",
    ),
    Case("volumes-encrypted", VOLUME, {"encrypted": True}, {"size": 8}, "the volume unencrypted"),
    Case(
        "volumes-encrypted",
        TEMPLATE,
        {"blockDeviceMappings": [{"ebs": {"encrypted": "true"}}]},
        {"blockDeviceMappings": [{"ebs": {"volumeSize": 8}}]},
        "block_device_mappings[0].ebs",
    ),
    Case("volumes-encrypted", DEFAULT_ENCRYPTION, {}, {"enabled": False}, "set enabled to True"),
    Case(
        "no-public-address-at-launch",
        INSTANCE,
        {"associatePublicIpAddress": False},
        {"associatePublicIpAddress": True},
        "give a node that must be reached an Elastic IP",
    ),
    Case(
        "no-public-address-at-launch",
        TEMPLATE,
        {"networkInterfaces": [{"subnetId": UNKNOWN}]},
        {"networkInterfaces": [{"associatePublicIpAddress": "true"}]},
        "network_interfaces[0].associate_public_ip_address",
    ),
]

# At a preview ids are not known yet, and who refers to what is told by dependencies alone.
_NEW_VPC = Made(VPC, "vpc", {"id": UNKNOWN})
_OLD_VPC = Made(VPC, "vpc", {"id": "vpc-1"})
_GROUPS = [
    Made(GROUP, "lb", {"id": UNKNOWN, "description": "Load balancer"}),
    Made(GROUP, "node", {"id": UNKNOWN, "description": "Nodes"}),
]
_BALANCER = Made(
    LOAD_BALANCER, "alb", {"securityGroups": [UNKNOWN]}, refers={"securityGroups": ["lb"]}
)


def _web(group: str) -> Made:
    props = {**_WEB, "securityGroupId": UNKNOWN}
    return Made(INGRESS, "web", props, refers={"securityGroupId": [group]})


STACK_CASES = [
    StackCase(
        "world-open-only-on-load-balancers",
        [*_GROUPS, _BALANCER, _web("lb")],
        [*_GROUPS, _BALANCER, _web("node")],
        "web",
        "on a group that no load balancer has",
    ),
    StackCase(
        "world-open-only-on-load-balancers",
        [
            Made(GROUP, "lb", {"id": "sg-1"}),
            Made(LOAD_BALANCER, "alb", {"securityGroups": ["sg-2", "sg-1"]}),
            Made(INGRESS, "web", {**_WEB, "securityGroupId": "sg-1"}),
        ],
        [
            Made(GROUP, "lb", {"id": "sg-1"}),
            Made(LOAD_BALANCER, "alb", {"securityGroups": ["sg-2"]}),
            Made(INGRESS, "web", {**_WEB, "securityGroupId": "sg-1"}),
        ],
        "web",
        "let that group in here",
    ),
    StackCase(
        "default-group-taken-over",
        [_NEW_VPC, Made(DEFAULT_GROUP, "default", {"vpcId": UNKNOWN}, {"vpcId": ["vpc"]})],
        [_NEW_VPC, Made(DEFAULT_GROUP, "default", {"vpcId": "vpc-of-another"})],
        "vpc",
        "an empty DefaultSecurityGroup",
    ),
    StackCase(
        "flow-logs",
        [_OLD_VPC, Made(FLOW_LOG, "log", {"vpcId": "vpc-1"})],
        [_OLD_VPC, Made(FLOW_LOG, "log", {"vpcId": "vpc-2"}, {"vpcId": ["vpc"]})],
        "vpc",
        "set network.flow_logs",
    ),
]
