"""EC2: route table, route, association of a table with a subnet."""

from __future__ import annotations

import zlib

from rehearsal.plugins.aws.kinds import Cidr, Input, String
from rehearsal.plugins.aws.resources.ec2_common import (
    delete_when_free,
    retag,
    tag_map,
    tagged,
)
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import UNKNOWN, Properties, ProviderError

_DESTINATIONS = {
    "destinationCidrBlock": "DestinationCidrBlock",
    "destinationIpv6CidrBlock": "DestinationIpv6CidrBlock",
}
_TARGETS = {
    "gatewayId": "GatewayId",
    "natGatewayId": "NatGatewayId",
    "networkInterfaceId": "NetworkInterfaceId",
}


def _table(op: Operation, id: str) -> Properties:
    table: Properties = op.ec2.describe_route_tables(RouteTableIds=[id])["RouteTables"][0]
    return table


def _create_table(op: Operation) -> str:
    made = op.ec2.create_route_table(VpcId=op.inputs["vpcId"], **tagged("route-table", op.tags))
    return str(made["RouteTable"]["RouteTableId"])


def _read_table(op: Operation) -> Properties | None:
    table = _table(op, op.id)
    return {
        "vpcId": table["VpcId"],
        "arn": op.cloud.arn("ec2", f"route-table/{op.id}"),
        "ownerId": table["OwnerId"],
        "tags": tag_map(table.get("Tags")),
    }


ROUTE_TABLE = ResourceType(
    token="aws:ec2/routeTable:RouteTable",
    noun="EC2 route table",
    inputs={"vpcId": Input(String(), required=True, force_new=True)},
    outputs=("arn", "ownerId"),
    create=_create_table,
    read=_read_table,
    delete=lambda op: delete_when_free(op, lambda: op.ec2.delete_route_table(RouteTableId=op.id)),
    retag=retag,
)


def _destination(op: Operation) -> dict[str, str]:
    return {name: value for key, name in _DESTINATIONS.items() if (value := op.get(key))}


def _target(op: Operation) -> dict[str, str]:
    return {name: value for key, name in _TARGETS.items() if (value := op.inputs.get(key))}


def _create_route(op: Operation) -> str:
    table, destination = op.inputs["routeTableId"], _destination(op)
    if _find_route(op, table, destination):  # moto would overwrite routes of IPv6
        (block,) = destination.values()
        raise ProviderError(f"RouteAlreadyExists: {table} has a route to {block} already")
    op.ec2.create_route(RouteTableId=table, **destination, **_target(op))
    (block,) = destination.values()
    return f"r-{table}{zlib.crc32(block.encode())}"  # as the official provider forms it


def _find_route(op: Operation, table: str, destination: dict[str, str]) -> Properties | None:
    for route in _table(op, table)["Routes"]:
        if route["Origin"] == "CreateRoute" and destination.items() <= route.items():
            found: Properties = route
            return found
    return None


def _read_route(op: Operation) -> Properties | None:
    table, destination = op.get("routeTableId"), _destination(op)
    if not table:  # an import: <table>_<destination>
        table, _, block = op.id.partition("_")
        name = "DestinationIpv6CidrBlock" if ":" in block else "DestinationCidrBlock"
        destination = {name: block}
    route = _find_route(op, table, destination)
    if route is None:
        return None
    return {
        "routeTableId": table,
        **{key: route.get(name) for key, name in (_DESTINATIONS | _TARGETS).items()},
        "instanceId": route.get("InstanceId"),
        "instanceOwnerId": route.get("InstanceOwnerId"),
        "origin": route["Origin"],
        "state": route["State"],
    }


def _update_route(op: Operation, changed: frozenset[str]) -> None:
    op.ec2.replace_route(RouteTableId=op.inputs["routeTableId"], **_destination(op), **_target(op))


def _delete_route(op: Operation) -> None:
    if _find_route(op, op.get("routeTableId"), _destination(op)):
        op.ec2.delete_route(RouteTableId=op.get("routeTableId"), **_destination(op))


def _validate_route(inputs: Properties) -> list[tuple[str, str]]:
    refusals = []
    for property, names in (("destinationCidrBlock", _DESTINATIONS), ("gatewayId", _TARGETS)):
        given = [key for key in names if inputs.get(key)]
        known = [key for key in given if inputs[key] is not UNKNOWN]
        if not given or len(known) > 1:
            refusals.append((property, f"or another of {', '.join(names)}: exactly one is needed"))
    return refusals


ROUTE = ResourceType(
    token="aws:ec2/route:Route",
    noun="EC2 route",
    inputs={
        "routeTableId": Input(String(), required=True, force_new=True),
        "destinationCidrBlock": Input(Cidr(), force_new=True),
        "destinationIpv6CidrBlock": Input(Cidr(version=6), force_new=True),
        "gatewayId": Input(String()),
        "natGatewayId": Input(String()),
        "networkInterfaceId": Input(String(), computed=True),
    },
    outputs=("instanceId", "instanceOwnerId", "origin", "state"),
    create=_create_route,
    read=_read_route,
    update=_update_route,
    delete=_delete_route,
    validate=_validate_route,
)


def _association(op: Operation) -> Properties | None:
    """The subnet's association. Its id changes with its table, the resource's id cannot."""
    subnet = op.get("subnetId") or op.id.partition("/")[0]  # an import: <subnet>/<table>
    here = [{"Name": "association.subnet-id", "Values": [subnet]}]
    for table in op.ec2.describe_route_tables(Filters=here)["RouteTables"]:
        for association in table["Associations"]:
            if association.get("SubnetId") == subnet:
                found: Properties = association
                return found
    return None


def _create_association(op: Operation) -> str:
    taken = _association(op)
    if taken:  # moto would answer with the other table's association
        raise ProviderError(
            f"Resource.AlreadyAssociated: {op.inputs['subnetId']} is associated with "
            f"{taken['RouteTableId']} already"
        )
    made = op.ec2.associate_route_table(
        SubnetId=op.inputs["subnetId"], RouteTableId=op.inputs["routeTableId"]
    )
    return str(made["AssociationId"])


def _read_association(op: Operation) -> Properties | None:
    found = _association(op)
    if found is None:
        return None
    return {"subnetId": found["SubnetId"], "routeTableId": found["RouteTableId"]}


def _update_association(op: Operation, changed: frozenset[str]) -> None:
    found = _association(op)
    if found is None:
        raise ProviderError(f"{op.inputs['subnetId']} is no longer associated; refresh the stack")
    op.ec2.replace_route_table_association(
        AssociationId=found["RouteTableAssociationId"], RouteTableId=op.inputs["routeTableId"]
    )


def _delete_association(op: Operation) -> None:
    if found := _association(op):
        op.ec2.disassociate_route_table(AssociationId=found["RouteTableAssociationId"])


ROUTE_TABLE_ASSOCIATION = ResourceType(
    token="aws:ec2/routeTableAssociation:RouteTableAssociation",
    noun="EC2 route table association",
    inputs={
        "subnetId": Input(String(), required=True, force_new=True),
        "routeTableId": Input(String(), required=True),
    },
    outputs=(),
    create=_create_association,
    read=_read_association,
    update=_update_association,
    delete=_delete_association,
)

RESOURCE_TYPES = (ROUTE_TABLE, ROUTE, ROUTE_TABLE_ASSOCIATION)
