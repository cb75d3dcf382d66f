"""EC2: instance."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping, Sequence, Set
from typing import Any

from rehearsal.plugins.aws.kinds import (
    Boolean,
    Input,
    Integer,
    MapOf,
    Record,
    SetOf,
    String,
)
from rehearsal.plugins.aws.resources.ec2_common import (
    filters,
    retag_id,
    tag_list,
    tag_map,
)
from rehearsal.plugins.aws.resources.ec2_root_volume import (
    ROOT,
    change_root,
    read_root,
    retag_root,
    root_mapping,
    volume_tags,
)
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import UNKNOWN, Properties, ProviderError

_USER_DATA_LIMIT = 16384  # bytes, before base64
_TAGS = Input(MapOf(String()))
_METADATA = Record(
    {
        "httpEndpoint": Input(String(choices=("enabled", "disabled")), computed=True),
        "httpTokens": Input(String(choices=("optional", "required")), computed=True),
        "httpPutResponseHopLimit": Input(Integer(1, 64), computed=True),
        "instanceMetadataTags": Input(String(choices=("enabled", "disabled")), computed=True),
        "httpProtocolIpv6": Input(String(choices=("enabled", "disabled")), default="disabled"),
    }
)
_METADATA_NAMES = {key: key[0].upper() + key[1:] for key in _METADATA.fields}
# In AWS a stop takes longer. moto needs no time: whoever makes hosts of instances must see it.
_STOPPED_SECONDS = 3.0
_RESTARTING = frozenset({"instanceType", "userData", "userDataBase64"})


def _user_data(inputs: Properties) -> bytes | None:
    if text := inputs.get("userData"):
        return str(text).encode()
    if encoded := inputs.get("userDataBase64"):
        return base64.b64decode(encoded, validate=True)
    return None


def _create(op: Operation) -> str:
    inputs = op.inputs
    request: dict[str, Any] = {
        "ImageId": inputs["ami"],
        "InstanceType": inputs["instanceType"],
        "BlockDeviceMappings": [root_mapping(op)],
        "MetadataOptions": _metadata(inputs.get("metadataOptions") or {}),
        "Monitoring": {"Enabled": bool(inputs.get("monitoring"))},
        "KeyName": inputs.get("keyName"),
        "UserData": _user_data(inputs),
        "InstanceInitiatedShutdownBehavior": inputs.get("instanceInitiatedShutdownBehavior"),
        "EbsOptimized": inputs.get("ebsOptimized"),
        **_place(op),
    }
    if profile := inputs.get("iamInstanceProfile"):
        request["IamInstanceProfile"] = {"Name": profile}
    tags = {"instance": op.tags, "volume": volume_tags(op)}
    request["TagSpecifications"] = [
        {"ResourceType": kind, "Tags": tag_list(each)} for kind, each in tags.items() if each
    ]
    request = {key: value for key, value in request.items() if value not in (None, [], {})}
    with op.cloud.choosing:  # moto's choice of a private address is not thread-safe
        made = op.ec2.run_instances(MinCount=1, MaxCount=1, **request)
    return str(made["Instances"][0]["InstanceId"])


def _place(op: Operation) -> dict[str, Any]:
    """Subnet, address and groups, always by an interface of the instance's own.

    moto gives a private address back on termination only if the interface ends with the instance.
    """
    inputs = op.inputs
    if _groups(inputs):  # refused by AWS if unknown; moto would make them up
        op.ec2.describe_security_groups(GroupIds=_groups(inputs))
    zone = {"AvailabilityZone": inputs.get("availabilityZone")}
    groups = {"Groups": list(inputs["vpcSecurityGroupIds"])} if _groups(inputs) else {}
    if not inputs.get("subnetId"):
        return {
            "Placement": {k: v for k, v in zone.items() if v},
            "SecurityGroupIds": _groups(inputs),
        }
    interface: dict[str, Any] = {
        "DeviceIndex": 0,
        "SubnetId": inputs["subnetId"],
        "DeleteOnTermination": True,
        **groups,
    }
    if private := inputs.get("privateIp"):
        _refuse_taken(op, private)
        interface["PrivateIpAddress"] = private
    if (public := inputs.get("associatePublicIpAddress")) is not None:
        interface["AssociatePublicIpAddress"] = public
    return {"NetworkInterfaces": [interface]}


def _groups(inputs: Properties) -> list[str]:
    return list(inputs.get("vpcSecurityGroupIds") or ())


def _refuse_taken(op: Operation, address: str) -> None:
    """AWS's own refusals; moto fails without words."""
    subnet = op.ec2.describe_subnets(SubnetIds=[op.inputs["subnetId"]])["Subnets"][0]
    if ipaddress.ip_address(address) not in ipaddress.ip_network(subnet["CidrBlock"]):
        raise ProviderError(
            f"InvalidParameterValue: Address {address} does not fall within the subnet's address "
            f"range {subnet['CidrBlock']}"
        )
    here = [*filters(subnet_id=subnet["SubnetId"]), *filters(private_ip_address=address)]
    if op.ec2.describe_network_interfaces(Filters=here)["NetworkInterfaces"]:
        raise ProviderError(f"InvalidIPAddress.InUse: Address {address} is in use")


def _metadata(options: Properties) -> dict[str, Any]:
    return {name: options[key] for key, name in _METADATA_NAMES.items() if key in options}


def _describe(op: Operation) -> Properties:
    found = op.ec2.describe_instances(InstanceIds=[op.id])["Reservations"]
    instance: Properties = found[0]["Instances"][0]
    return instance


def _await(op: Operation, state: str) -> Properties:
    """Waits for a state; one that no longer leads there ends the waiting at once."""
    dead = {"shutting-down", "terminated"} - {state}
    if state == "running":
        dead |= {"stopping", "stopped"}

    def reached() -> Properties | None:
        instance = _describe(op)
        now = instance["State"]["Name"]
        if now in dead and not (state == "terminated" and now == "shutting-down"):
            reason = (instance.get("StateReason") or {}).get("Message")
            raise ProviderError(f"it is {now}" + (f": {reason}" if reason else ""))
        return instance if now == state else None

    instance: Properties = op.wait(f"its state {state}", reached)
    return instance


def _settle(op: Operation) -> None:
    _await(op, "running")
    if _groups(op.inputs) and op.inputs.get("subnetId"):
        # moto tells an instance's groups only if they were set on the instance itself.
        op.ec2.modify_instance_attribute(InstanceId=op.id, Groups=_groups(op.inputs))
    if not op.inputs["sourceDestCheck"]:
        op.ec2.modify_instance_attribute(InstanceId=op.id, SourceDestCheck={"Value": False})
    if op.inputs.get("disableApiTermination"):
        op.ec2.modify_instance_attribute(InstanceId=op.id, DisableApiTermination={"Value": True})


def _read(op: Operation) -> Properties | None:
    instance = _describe(op)
    if instance["State"]["Name"] in ("terminated", "shutting-down"):
        return None
    interfaces = instance.get("NetworkInterfaces") or []
    primary: Properties = next((n for n in interfaces if n["Attachment"]["DeviceIndex"] == 0), {})
    groups = instance.get("SecurityGroups") or primary.get("Groups") or []
    profile = (instance.get("IamInstanceProfile") or {}).get("Arn")
    options = instance.get("MetadataOptions") or {}
    live: Properties = {
        "ami": instance["ImageId"],
        "instanceType": instance["InstanceType"],
        "subnetId": instance.get("SubnetId"),
        "availabilityZone": instance["Placement"]["AvailabilityZone"],
        "keyName": instance.get("KeyName"),
        "privateIp": instance.get("PrivateIpAddress"),
        "vpcSecurityGroupIds": sorted(group["GroupId"] for group in groups),
        "iamInstanceProfile": profile.rpartition("/")[2] if profile else None,
        "sourceDestCheck": instance.get("SourceDestCheck", True),
        "monitoring": instance["Monitoring"]["State"] in ("enabled", "pending"),
        "ebsOptimized": instance.get("EbsOptimized", False),
        "metadataOptions": {key: options.get(name) for key, name in _METADATA_NAMES.items()},
        "disableApiTermination": _attribute(op, "disableApiTermination"),
        "arn": op.cloud.arn("ec2", f"instance/{op.id}"),
        "instanceState": instance["State"]["Name"],
        "primaryNetworkInterfaceId": primary.get("NetworkInterfaceId"),
        "privateDns": instance.get("PrivateDnsName") or None,
        "publicDns": instance.get("PublicDnsName") or None,
        "publicIp": instance.get("PublicIpAddress"),
        "tags": tag_map(instance.get("Tags")),
        **read_root(op, instance),
        **_read_user_data(op),
    }
    if "associatePublicIpAddress" not in op.inputs:
        # AWS tells the address alone, and an Elastic IP that came later looks the same.
        live["associatePublicIpAddress"] = bool(instance.get("PublicIpAddress"))
    if "instanceInitiatedShutdownBehavior" in op.inputs:
        key = "instanceInitiatedShutdownBehavior"
        live[key] = _attribute(op, key)
    return live


def _attribute(op: Operation, name: str) -> Any:
    answer = op.ec2.describe_instance_attribute(InstanceId=op.id, Attribute=name)
    return answer[name[0].upper() + name[1:]].get("Value")


def _read_user_data(op: Operation) -> Properties:
    """userData or userDataBase64, whichever the program uses."""
    encoded = _attribute(op, "userData") or ""
    if op.get("userDataBase64"):
        return {"userDataBase64": encoded or None}
    try:
        return {"userData": base64.b64decode(encoded).decode() or None}
    except UnicodeDecodeError:
        return {"userDataBase64": encoded}


def _update(op: Operation, changed: frozenset[str]) -> None:
    ec2, inputs, modify = op.ec2, op.inputs, op.ec2.modify_instance_attribute
    if "monitoring" in changed:
        raise ProviderError("monitoring cannot be changed in place here: moto has no call for it")
    if "vpcSecurityGroupIds" in changed:
        interface = _describe(op)["NetworkInterfaces"][0]["NetworkInterfaceId"]
        modify(InstanceId=op.id, Groups=_groups(inputs))
        ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=_groups(inputs))
    if "sourceDestCheck" in changed:
        modify(InstanceId=op.id, SourceDestCheck={"Value": inputs["sourceDestCheck"]})
    if "disableApiTermination" in changed:
        value = {"Value": bool(inputs.get("disableApiTermination"))}
        modify(InstanceId=op.id, DisableApiTermination=value)
    if "instanceInitiatedShutdownBehavior" in changed:
        key = "instanceInitiatedShutdownBehavior"
        modify(InstanceId=op.id, Attribute=key, Value=inputs[key])
    if "iamInstanceProfile" in changed:
        _set_profile(op)
    if "metadataOptions" in changed:
        # All of them: moto takes what is left out as unset.
        old = op.state.get("metadataOptions") or {}
        options = _metadata({**old, **(inputs.get("metadataOptions") or {})})
        ec2.modify_instance_metadata_options(InstanceId=op.id, **options)
    if {"rootBlockDevice", "volumeTags"} & changed:
        change_root(op, _describe(op))
    if _RESTARTING & changed:
        _restart_with(op, changed)


def _retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    retag_id(op.ec2, op.id, fresh, stale)
    if "rootBlockDevice" in op.inputs:  # it bears the provider's default tags
        retag_root(op, _describe(op))


def _set_profile(op: Operation) -> None:
    ec2 = op.ec2
    here = [{"Name": "instance-id", "Values": [op.id]}]
    found = ec2.describe_iam_instance_profile_associations(Filters=here)
    for association in found["IamInstanceProfileAssociations"]:
        # Not "replace": moto would go on telling the old profile.
        ec2.disassociate_iam_instance_profile(AssociationId=association["AssociationId"])
    if profile := op.inputs.get("iamInstanceProfile"):
        ec2.associate_iam_instance_profile(InstanceId=op.id, IamInstanceProfile={"Name": profile})


def _restart_with(op: Operation, changed: frozenset[str]) -> None:
    """What AWS changes on a stopped instance alone."""
    op.ec2.stop_instances(InstanceIds=[op.id])
    _await(op, "stopped")
    op.cloud.pause(_STOPPED_SECONDS)
    modify = op.ec2.modify_instance_attribute
    if "instanceType" in changed:
        modify(InstanceId=op.id, InstanceType={"Value": op.inputs["instanceType"]})
    if {"userData", "userDataBase64"} & changed:
        # Encoded here and once more on the way: moto decodes twice.
        encoded = base64.b64encode(_user_data(op.inputs) or b"")
        modify(InstanceId=op.id, UserData={"Value": encoded})
    op.ec2.start_instances(InstanceIds=[op.id])
    _await(op, "running")


def _delete(op: Operation) -> None:
    if op.get("forceDestroy"):
        op.ec2.modify_instance_attribute(InstanceId=op.id, DisableApiTermination={"Value": False})
    op.ec2.terminate_instances(InstanceIds=[op.id])
    _await(op, "terminated")


def _also_replaces(changed: Set[str], olds: Properties, news: Properties) -> list[str]:
    if not news.get("userDataReplaceOnChange"):
        return []
    return sorted({"userData", "userDataBase64"} & changed)


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    refusals = []
    if "userData" in inputs and "userDataBase64" in inputs:
        refusals.append(("userDataBase64", "cannot be set together with userData"))
    if (inputs.get("rootBlockDevice") or {}).get("tags") and inputs.get("volumeTags"):
        refusals.append(("volumeTags", "cannot be set together with rootBlockDevice.tags"))
    try:
        known = {key: value for key, value in inputs.items() if value is not UNKNOWN}
        size = len(_user_data(known) or b"")
    except binascii.Error as error:
        return [*refusals, ("userDataBase64", f"is not valid base64: {error}")]
    if size > _USER_DATA_LIMIT:
        key = "userData" if "userData" in inputs else "userDataBase64"
        refusals.append((key, f"must have at most {_USER_DATA_LIMIT} bytes, not {size}"))
    return refusals


INSTANCE = ResourceType(
    token="aws:ec2/instance:Instance",
    noun="EC2 instance",
    inputs={
        "ami": Input(String(), required=True, force_new=True),
        "instanceType": Input(String(), required=True),
        "subnetId": Input(String(), force_new=True, computed=True),
        "availabilityZone": Input(String(), force_new=True, computed=True),
        "keyName": Input(String(), force_new=True, computed=True),
        "privateIp": Input(String(), force_new=True, computed=True),
        "associatePublicIpAddress": Input(Boolean(), force_new=True, computed=True),
        "vpcSecurityGroupIds": Input(SetOf(String()), computed=True),
        "iamInstanceProfile": Input(String(), computed=True),
        "userData": Input(String()),
        "userDataBase64": Input(String()),
        "userDataReplaceOnChange": Input(Boolean(), default=False),
        "metadataOptions": Input(_METADATA, computed=True),
        "rootBlockDevice": Input(ROOT, computed=True),
        "volumeTags": _TAGS,
        "sourceDestCheck": Input(Boolean(), default=True),
        "disableApiTermination": Input(Boolean(), computed=True),
        "instanceInitiatedShutdownBehavior": Input(
            String(choices=("stop", "terminate")), computed=True
        ),
        "monitoring": Input(Boolean(), computed=True),
        "ebsOptimized": Input(Boolean(), force_new=True, computed=True),
        "forceDestroy": Input(Boolean(), default=False),
    },
    outputs=(
        "arn",
        "instanceState",
        "primaryNetworkInterfaceId",
        "privateDns",
        "publicDns",
        "publicIp",
    ),
    create=_create,
    settle=_settle,
    read=_read,
    update=_update,
    delete=_delete,
    retag=_retag,
    validate=_validate,
    also_replaces=_also_replaces,
    unsettled={key: ("publicDns", "publicIp") for key in _RESTARTING},
)

RESOURCE_TYPES = (INSTANCE,)
