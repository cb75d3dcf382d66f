"""The types of the stand-in, by token. A new one is one more table in one of the modules."""

from __future__ import annotations

from rehearsal.plugins.aws.resources import (
    ec2_addresses,
    ec2_instance,
    ec2_key_pair,
    ec2_network,
    ec2_routes,
    ec2_security_groups,
    ec2_security_rules,
    iam,
    kms,
    route53,
    s3,
)
from rehearsal.plugins.aws.schema import ResourceType

_MODULES = (
    ec2_addresses,
    ec2_instance,
    ec2_key_pair,
    ec2_network,
    ec2_routes,
    ec2_security_groups,
    ec2_security_rules,
    iam,
    kms,
    route53,
    s3,
)

TYPES: dict[str, ResourceType] = {
    type.token: type for module in _MODULES for type in module.RESOURCE_TYPES
}
