"""EC2: Elastic IP address, its association with an instance, NAT gateway."""

from __future__ import annotations

import random
from ipaddress import IPv4Network
from typing import Any

from rehearsal.plugins.aws.cloud import Cloud, gone
from rehearsal.plugins.aws.kinds import Boolean, Input, String
from rehearsal.plugins.aws.resources.ec2_common import (
    delete_when_free,
    filters,
    retag,
    tag_map,
    tagged,
)
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import Properties, ProviderError

# Kept for documentation: never anybody's real address.
_POOL = IPv4Network("203.0.113.0/24")


def _address(op: Operation) -> Properties:
    address: Properties = op.ec2.describe_addresses(AllocationIds=[op.id])["Addresses"][0]
    return address


def _create_address(op: Operation) -> str:
    with op.cloud.choosing:
        made = op.ec2.allocate_address(
            Domain=op.inputs.get("domain") or "vpc",
            Address=op.inputs.get("address") or _free_address(op),
            **tagged("elastic-ip", op.tags),
        )
    return str(made["AllocationId"])


def _free_address(op: Operation) -> str:
    """A public address that nobody has: moto's own choice is one of the loopback network."""
    taken = {address["PublicIp"] for address in op.ec2.describe_addresses()["Addresses"]}
    free = [str(address) for address in _POOL.hosts() if str(address) not in taken]
    if not free:
        raise ProviderError(f"AddressLimitExceeded: all addresses of {_POOL} are allocated")
    return random.choice(free)


def _associate_address(op: Operation) -> None:
    """Associated with what the inputs name; anything else is left as it is."""
    instance, interface = op.inputs.get("instance"), op.inputs.get("networkInterface")
    now = _address(op)
    if instance and now.get("InstanceId") != instance:
        target = {"InstanceId": instance}
    elif interface and not instance and now.get("NetworkInterfaceId") != interface:
        target = {"NetworkInterfaceId": interface}
    else:
        return
    op.ec2.associate_address(AllocationId=op.id, AllowReassociation=True, **target)


def _dns(cloud: Cloud, address: str | None, kind: str) -> str | None:
    """The name AWS gives an address. kind: `public` or `private`."""
    if not address:
        return None
    dashed = address.replace(".", "-")
    if kind == "private":
        zone = "ec2" if cloud.region == "us-east-1" else f"{cloud.region}.compute"
        return f"ip-{dashed}.{zone}.internal"
    zone = "compute-1" if cloud.region == "us-east-1" else f"{cloud.region}.compute"
    return f"ec2-{dashed}.{zone}.amazonaws.com"


def _read_address(op: Operation) -> Properties | None:
    address = _address(op)
    private = address.get("PrivateIpAddress") or None
    return {
        "domain": address["Domain"],
        "instance": address.get("InstanceId") or None,
        "networkInterface": address.get("NetworkInterfaceId") or None,
        "allocationId": op.id,
        "arn": op.cloud.arn("ec2", f"elastic-ip/{op.id}"),
        "associationId": address.get("AssociationId") or None,
        "publicIp": address["PublicIp"],
        "publicDns": _dns(op.cloud, address["PublicIp"], "public"),
        "privateIp": private,
        "privateDns": _dns(op.cloud, private, "private"),
        "tags": tag_map(address.get("Tags")),
    }


def _delete_address(op: Operation) -> None:
    if association := _address(op).get("AssociationId"):
        _disassociate(op, association)
    delete_when_free(op, lambda: op.ec2.release_address(AllocationId=op.id))


def _disassociate(op: Operation, association: str) -> None:
    try:
        op.ec2.disassociate_address(AssociationId=association)
    except Exception as error:
        if not gone(error):
            raise


EIP = ResourceType(
    token="aws:ec2/eip:Eip",
    noun="EC2 Elastic IP",
    inputs={
        "domain": Input(String(choices=("vpc",)), force_new=True, computed=True),
        "address": Input(String(), force_new=True),
        "instance": Input(String(), computed=True),
        "networkInterface": Input(String(), computed=True),
    },
    outputs=(
        "allocationId",
        "arn",
        "associationId",
        "publicIp",
        "publicDns",
        "privateIp",
        "privateDns",
    ),
    create=_create_address,
    settle=_associate_address,
    read=_read_address,
    update=lambda op, changed: _associate_address(op),
    delete=_delete_address,
    retag=retag,
)


def _create_association(op: Operation) -> str:
    names = {
        "allocationId": "AllocationId",
        "instanceId": "InstanceId",
        "networkInterfaceId": "NetworkInterfaceId",
        "publicIp": "PublicIp",
    }
    arguments: dict[str, Any] = {
        name: op.inputs[key] for key, name in names.items() if op.inputs.get(key)
    }
    again = bool(op.inputs.get("allowReassociation"))
    made = op.ec2.associate_address(AllowReassociation=again, **arguments)
    return str(made["AssociationId"])


def _read_association(op: Operation) -> Properties | None:
    found = op.ec2.describe_addresses(Filters=filters(association_id=op.id))["Addresses"]
    if not found:
        return None
    return {
        "allocationId": found[0]["AllocationId"],
        "instanceId": found[0].get("InstanceId") or None,
        "networkInterfaceId": found[0].get("NetworkInterfaceId") or None,
        "privateIpAddress": found[0].get("PrivateIpAddress") or None,
        "publicIp": found[0]["PublicIp"],
    }


EIP_ASSOCIATION = ResourceType(
    token="aws:ec2/eipAssociation:EipAssociation",
    noun="EC2 Elastic IP association",
    inputs={
        "allocationId": Input(String(), force_new=True, computed=True),
        "instanceId": Input(String(), force_new=True, computed=True),
        "networkInterfaceId": Input(String(), force_new=True, computed=True),
        "publicIp": Input(String(), force_new=True, computed=True),
        "allowReassociation": Input(Boolean(), force_new=True),
    },
    outputs=("privateIpAddress",),
    create=_create_association,
    read=_read_association,
    delete=lambda op: _disassociate(op, op.id),
    delete_before_replace=True,  # an address has one association
)


def _nat(op: Operation) -> Properties | None:
    found = op.ec2.describe_nat_gateways(NatGatewayIds=[op.id])["NatGateways"]
    return found[0] if found else None


def _create_nat(op: Operation) -> str:
    allocation = op.inputs.get("allocationId")
    made = op.ec2.create_nat_gateway(
        SubnetId=op.inputs["subnetId"],
        ConnectivityType=op.inputs["connectivityType"],
        **({"AllocationId": allocation} if allocation else {}),
        **tagged("natgateway", op.tags),
    )
    return str(made["NatGateway"]["NatGatewayId"])


def _settle_nat(op: Operation) -> None:
    def available() -> bool:
        nat = _nat(op) or {"State": "gone"}
        if nat["State"] not in ("pending", "available"):
            reason = nat.get("FailureMessage") or f"its state is {nat['State']}"
            raise ProviderError(str(reason))
        return bool(nat["State"] == "available")

    op.wait("its state available", available)


def _read_nat(op: Operation) -> Properties | None:
    nat = _nat(op)
    if nat is None or nat["State"] in ("deleting", "deleted", "failed"):
        return None
    address = (nat.get("NatGatewayAddresses") or [{}])[0]
    return {
        "subnetId": nat["SubnetId"],
        "connectivityType": nat.get("ConnectivityType") or op.inputs.get("connectivityType"),
        "allocationId": address.get("AllocationId"),
        "associationId": address.get("AssociationId"),
        "networkInterfaceId": address.get("NetworkInterfaceId"),
        "privateIp": address.get("PrivateIp"),
        "publicIp": address.get("PublicIp"),
        "tags": tag_map(nat.get("Tags")),
    }


def _delete_nat(op: Operation) -> None:
    nat = _nat(op)
    if nat is None:
        return
    if nat["State"] != "deleted":
        op.ec2.delete_nat_gateway(NatGatewayId=op.id)
        op.wait("its end", lambda: (_nat(op) or {"State": "deleted"})["State"] == "deleted")
    for address in nat.get("NatGatewayAddresses") or ():  # AWS does this, moto does not
        if address.get("AssociationId"):
            _disassociate(op, address["AssociationId"])
        try:
            op.ec2.delete_network_interface(NetworkInterfaceId=address["NetworkInterfaceId"])
        except Exception as error:
            if not gone(error):
                raise


NAT_GATEWAY = ResourceType(
    token="aws:ec2/natGateway:NatGateway",
    noun="EC2 NAT gateway",
    inputs={
        "subnetId": Input(String(), required=True, force_new=True),
        "allocationId": Input(String(), force_new=True),
        "connectivityType": Input(
            String(choices=("public", "private")), force_new=True, default="public"
        ),
    },
    outputs=("associationId", "networkInterfaceId", "privateIp", "publicIp"),
    create=_create_nat,
    settle=_settle_nat,
    read=_read_nat,
    delete=_delete_nat,
    retag=retag,
    delete_before_replace=True,  # its address has one owner
)

RESOURCE_TYPES = (EIP, EIP_ASSOCIATION, NAT_GATEWAY)
