"""EC2: VPC endpoint of the type Gateway, which leads to S3 or DynamoDB by routes."""

from __future__ import annotations

from collections.abc import Iterable

from rehearsal.plugins.aws.kinds import Input, Json, SetOf, String
from rehearsal.plugins.aws.resources.ec2_common import filters, retag, tag_map, tagged
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import Properties, ProviderError

_GONE = ("deleting", "deleted")


def _create(op: Operation) -> str:
    inputs = op.inputs
    service = inputs["serviceName"]
    _refuse_unless_offered(op, service)
    policy = inputs.get("policy")
    made = op.ec2.create_vpc_endpoint(
        VpcId=inputs["vpcId"],
        ServiceName=service,
        VpcEndpointType=inputs["vpcEndpointType"],
        RouteTableIds=list(inputs.get("routeTableIds") or ()),
        **({"PolicyDocument": policy} if policy else {}),
        **tagged("vpc-endpoint", op.tags),
    )
    return str(made["VpcEndpoint"]["VpcEndpointId"])


def _refuse_unless_offered(op: Operation, service: str) -> None:
    """AWS's own refusal; moto makes an endpoint to anything."""
    named = op.ec2.describe_vpc_endpoint_services(ServiceNames=[service])["ServiceDetails"]
    if not any({"ServiceType": "Gateway"} in each["ServiceType"] for each in named):
        raise ProviderError(f"InvalidServiceName: {service} offers no endpoint of type Gateway")


def _endpoint(op: Operation) -> Properties:
    found = op.ec2.describe_vpc_endpoints(VpcEndpointIds=[op.id])["VpcEndpoints"]
    endpoint: Properties = found[0]
    return endpoint


def _settle(op: Operation) -> None:
    op.wait("its state available", lambda: _endpoint(op)["State"].lower() == "available")


def _prefix_list(op: Operation, endpoint: Properties) -> str:
    """The id of the list of the service's addresses, which the endpoint's routes lead to."""
    named = filters(prefix_list_name=endpoint["ServiceName"])
    found = op.ec2.describe_managed_prefix_lists(Filters=named)["PrefixLists"]
    return str(found[0]["PrefixListId"])


def _addresses(op: Operation, prefix_list: str) -> list[str]:
    pages = op.ec2.get_paginator("get_managed_prefix_list_entries").paginate(
        PrefixListId=prefix_list
    )
    return [entry["Cidr"] for page in pages for entry in page["Entries"]]


def _read(op: Operation) -> Properties | None:
    endpoint = _endpoint(op)
    if endpoint["State"].lower() in _GONE:
        return None
    prefix_list = _prefix_list(op, endpoint)
    return {
        "vpcId": endpoint["VpcId"],
        "serviceName": endpoint["ServiceName"],
        "vpcEndpointType": endpoint["VpcEndpointType"],
        "routeTableIds": sorted(endpoint["RouteTableIds"]),
        "policy": _policy(op, endpoint["PolicyDocument"]),
        "arn": op.cloud.arn("ec2", f"vpc-endpoint/{op.id}"),
        "ownerId": endpoint["OwnerId"],
        "prefixListId": prefix_list,
        "cidrBlocks": _addresses(op, prefix_list),
        "requesterManaged": endpoint.get("RequesterManaged", False),
        "state": endpoint["State"].lower(),
        "tags": tag_map(endpoint.get("Tags")),
    }


def _policy(op: Operation, live: str) -> str:
    """The program's own text of the policy as long as it means what AWS has."""
    kept = op.get("policy")
    return kept if kept and Json().normal(kept) == Json().normal(live) else live


def _update(op: Operation, changed: frozenset[str]) -> None:
    if "policy" in changed:
        op.ec2.modify_vpc_endpoint(VpcEndpointId=op.id, PolicyDocument=op.inputs["policy"])
    if "routeTableIds" in changed:
        endpoint = _endpoint(op)
        now, wanted = set(endpoint["RouteTableIds"]), set(op.inputs["routeTableIds"])
        _enter(op, endpoint, wanted - now)
        _leave(op, endpoint, now - wanted)


# moto changes the endpoint's list of tables without their routes, and fails to delete an endpoint
# one of whose routes is missing.
def _enter(op: Operation, endpoint: Properties, tables: Iterable[str]) -> None:
    for table in sorted(tables):
        op.ec2.modify_vpc_endpoint(VpcEndpointId=op.id, AddRouteTableIds=[table])
        op.ec2.create_route(
            RouteTableId=table,
            DestinationPrefixListId=_prefix_list(op, endpoint),
            GatewayId=op.id,
        )


def _leave(op: Operation, endpoint: Properties, tables: Iterable[str]) -> None:
    found = op.ec2.describe_route_tables(Filters=filters(vpc_id=endpoint["VpcId"]))["RouteTables"]
    routed = {
        table["RouteTableId"]
        for table in found
        if any(route.get("GatewayId") == op.id for route in table["Routes"])
    }
    for table in sorted(tables):
        if table in routed:
            op.ec2.delete_route(
                RouteTableId=table, DestinationPrefixListId=_prefix_list(op, endpoint)
            )
        op.ec2.modify_vpc_endpoint(VpcEndpointId=op.id, RemoveRouteTableIds=[table])


def _delete(op: Operation) -> None:
    endpoint = _endpoint(op)
    if endpoint["State"].lower() in _GONE:
        return
    _leave(op, endpoint, endpoint["RouteTableIds"])
    op.ec2.delete_vpc_endpoints(VpcEndpointIds=[op.id])
    op.wait("its end", lambda: _endpoint(op)["State"].lower() == "deleted")


VPC_ENDPOINT = ResourceType(
    token="aws:ec2/vpcEndpoint:VpcEndpoint",
    noun="EC2 VPC endpoint",
    inputs={
        "vpcId": Input(String(), required=True, force_new=True),
        "serviceName": Input(String(), required=True, force_new=True),
        "vpcEndpointType": Input(String(choices=("Gateway",)), force_new=True, default="Gateway"),
        "routeTableIds": Input(SetOf(String()), computed=True),
        "policy": Input(Json(), computed=True),
    },
    outputs=("arn", "ownerId", "prefixListId", "cidrBlocks", "requesterManaged", "state"),
    create=_create,
    settle=_settle,
    read=_read,
    update=_update,
    delete=_delete,
    retag=retag,
)

RESOURCE_TYPES = (VPC_ENDPOINT,)
