"""Another team's program: the reports team's database, beside the platform's cluster.

The platform's nodes may reach it, and the team has a namespace of its own in the cluster.
"""

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
from platform_contract import ClusterContract, InfraContract
from platform_stack import read

config = pulumi.Config()
infra = read(config.require("infra"), InfraContract)
cluster = read(config.require("cluster"), ClusterContract)

database = aws.ec2.SecurityGroup(
    "database",
    description="Database of the reports team",
    vpc_id=infra.apply(lambda platform: platform.vpc_id),
    tags={"Name": "reports-database"},
)
aws.vpc.SecurityGroupIngressRule(
    "from-nodes",
    security_group_id=database.id,
    referenced_security_group_id=infra.apply(lambda platform: platform.security_group_ids["node"]),
    description="PostgreSQL from the nodes of the platform",
    ip_protocol="tcp",
    from_port=5432,
    to_port=5432,
)

in_cluster = kubernetes.Provider(
    "platform",
    kubeconfig=cluster.apply(lambda platform: platform.kubeconfig),  # a secret, and stays one
)
namespace = kubernetes.core.v1.Namespace(
    "reports", metadata={"name": "reports"}, opts=pulumi.ResourceOptions(provider=in_cluster)
)

pulumi.export("security_group_id", database.id)
pulumi.export("subnet_ids", infra.apply(lambda platform: platform.private_subnet_ids))
pulumi.export("namespace", namespace.metadata["name"])
