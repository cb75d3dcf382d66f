"""VPC endpoints."""

from __future__ import annotations

import json

import pytest

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.aws.conftest import REGION, Aws
from tests.rehearsal.plugins.aws.made import TABLE, VPC, VPC_ENDPOINT, Made, make
from tests.rehearsal.plugins.harness import Plugin, PluginError

_S3 = f"com.amazonaws.{REGION}.s3"


def _policy(action: str) -> str:
    statement = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _tables_leading_to(aws: Aws, endpoint: Made) -> set[str]:
    return {
        table["RouteTableId"]
        for table in aws.ec2.describe_route_tables()["RouteTables"]
        for route in table["Routes"]
        if route.get("GatewayId") == endpoint.id
    }


def test_endpoint_lives(aws: Aws, plugin: Plugin) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    tables = [make(plugin, TABLE, vpcId=vpc.id) for _ in range(3)]
    first, second, third = (table.id for table in tables)
    endpoint = make(
        plugin,
        VPC_ENDPOINT,
        vpcId=vpc.id,
        serviceName=_S3,
        routeTableIds=[first, second],
        tags={"Name": "s3"},
    )
    assert endpoint.outputs["state"] == "available"
    assert endpoint.outputs["prefixListId"].startswith("pl-") and endpoint.outputs["cidrBlocks"]
    assert json.loads(endpoint.outputs["policy"])["Statement"][0]["Action"] == "*"
    assert _tables_leading_to(aws, endpoint) == {first, second}
    assert not endpoint.diff(routeTableIds=[second, first]).changes

    endpoint.update(routeTableIds=[second, third])
    assert _tables_leading_to(aws, endpoint) == {second, third}
    endpoint.update(policy=_policy("s3:GetObject"))
    assert not endpoint.diff(
        policy=json.dumps(json.loads(_policy("s3:GetObject")), indent=1)
    ).changes
    endpoint.update(tags={"Name": "to-s3"})
    assert endpoint.diff(serviceName=f"com.amazonaws.{REGION}.dynamodb").replaces == ["serviceName"]
    aws.ec2.modify_vpc_endpoint(VpcEndpointId=endpoint.id, PolicyDocument=_policy("s3:*"))
    assert json.loads(endpoint.refresh()["policy"])["Statement"][0]["Action"] == "s3:*"
    assert endpoint.imported()["routeTableIds"] == sorted([second, third])
    endpoint.delete()
    assert not _tables_leading_to(aws, endpoint)
    for made in (*tables, vpc):
        made.delete()


@pytest.mark.parametrize("service", ["s4", "sts"])
def test_endpoint_to_a_service_without_one_fails(plugin: Plugin, service: str) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    name = f"com.amazonaws.{REGION}.{service}"
    with pytest.raises(PluginError, match=r"^creating EC2 VPC endpoint: InvalidServiceName: "):
        make(plugin, VPC_ENDPOINT, vpcId=vpc.id, serviceName=name)
    vpc.delete()


def test_refusals_and_preview(plugin: Plugin) -> None:
    plain = {"vpcId": UNKNOWN, "serviceName": _S3, "routeTableIds": [UNKNOWN]}
    _, failures = plugin.check_failures(VPC_ENDPOINT, {**plain, "vpcEndpointType": "Interface"})
    assert [where for where, _ in failures] == ["vpcEndpointType"]
    _, outputs = plugin.create(VPC_ENDPOINT, plugin.check(VPC_ENDPOINT, plain), preview=True)
    assert outputs["prefixListId"] is UNKNOWN and outputs["vpcEndpointType"] == "Gateway"
