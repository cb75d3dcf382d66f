"""The types of the stand-in, by token. A new one is one more table in one of the modules; a new
module is a line in the import and a line in the tuple."""

from __future__ import annotations

from rehearsal.plugins.aws.resources import (
    acm,
    cloudfront,
    ec2_addresses,
    ec2_flow_log,
    ec2_instance,
    ec2_key_pair,
    ec2_network,
    ec2_routes,
    ec2_security_groups,
    ec2_security_rules,
    ec2_vpc_endpoint,
    elbv2_listener,
    elbv2_load_balancer,
    elbv2_target_group,
    iam,
    iam_oidc,
    iam_policy,
    kms,
    route53,
    route53_record,
    s3,
    s3_access,
    s3_lifecycle,
    s3_logging,
    s3_object,
    s3_settings,
)
from rehearsal.plugins.aws.schema import ResourceType

_MODULES = (
    acm,
    cloudfront,
    ec2_addresses,
    ec2_flow_log,
    ec2_instance,
    ec2_key_pair,
    ec2_network,
    ec2_routes,
    ec2_security_groups,
    ec2_security_rules,
    ec2_vpc_endpoint,
    elbv2_listener,
    elbv2_load_balancer,
    elbv2_target_group,
    iam,
    iam_oidc,
    iam_policy,
    kms,
    route53,
    route53_record,
    s3,
    s3_access,
    s3_lifecycle,
    s3_logging,
    s3_object,
    s3_settings,
)

TYPES: dict[str, ResourceType] = {
    type.token: type for module in _MODULES for type in module.RESOURCE_TYPES
}
