"""EC2: an instance's root volume, as the instance's `rootBlockDevice` and `volumeTags` tell it."""

from __future__ import annotations

from typing import Any

from rehearsal.plugins.aws.kinds import Boolean, Input, Integer, MapOf, Record, String
from rehearsal.plugins.aws.resources.ec2_common import retag_id, tag_map
from rehearsal.plugins.aws.schema import Operation
from rehearsal.plugins.protocol import Properties, ProviderError

ROOT = Record(
    {
        "volumeType": Input(
            String(choices=("gp2", "gp3", "io1", "io2", "sc1", "st1", "standard")), computed=True
        ),
        "volumeSize": Input(Integer(1, 65536), computed=True),
        "iops": Input(Integer(100, 256000), computed=True),
        "throughput": Input(Integer(125, 2000), computed=True),
        "encrypted": Input(Boolean(), force_new=True, computed=True),
        "kmsKeyId": Input(String(), force_new=True, computed=True),
        "deleteOnTermination": Input(Boolean(), default=True),
        "tags": Input(MapOf(String())),
    },
    outputs=("deviceName", "volumeId"),
)


def root_mapping(op: Operation) -> dict[str, Any]:
    """The block device mapping of a launch: the image's root, changed as the inputs say."""
    image = op.ec2.describe_images(ImageIds=[op.inputs["ami"]])["Images"][0]
    device = image.get("RootDeviceName") or "/dev/sda1"
    mappings = {m["DeviceName"]: m.get("Ebs", {}) for m in image.get("BlockDeviceMappings", [])}
    root = op.inputs.get("rootBlockDevice") or {}
    ebs = {
        "VolumeSize": root.get("volumeSize") or mappings.get(device, {}).get("VolumeSize") or 8,
        "VolumeType": root.get("volumeType") or mappings.get(device, {}).get("VolumeType"),
        "Iops": root.get("iops"),
        "Throughput": root.get("throughput"),
        "Encrypted": root.get("encrypted"),
        "KmsKeyId": root.get("kmsKeyId"),
        "DeleteOnTermination": root.get("deleteOnTermination", True),
    }
    return {"DeviceName": device, "Ebs": {k: v for k, v in ebs.items() if v is not None}}


def volume_tags(op: Operation) -> dict[str, str]:
    """The root volume's tags: the provider's default ones come with rootBlockDevice alone."""
    root = op.inputs.get("rootBlockDevice")
    if root is None:
        return dict(op.inputs.get("volumeTags") or {})
    own = root.get("tags") or op.inputs.get("volumeTags") or {}
    return {**op.cloud.arguments.default_tags, **own}


def _root_device(instance: Properties) -> Properties | None:
    """The root device's mapping: moto may name another root than the one that is mapped."""
    mappings = instance.get("BlockDeviceMappings") or []
    named = [m for m in mappings if m["DeviceName"] == instance.get("RootDeviceName")]
    found: Properties | None = (named or mappings or [None])[0]
    return found


def read_root(op: Operation, instance: Properties) -> Properties:
    """`rootBlockDevice`, and `volumeTags` if the program sets them, of a live instance."""
    mapping = _root_device(instance)
    if mapping is None:
        return {}
    volume = op.ec2.describe_volumes(VolumeIds=[mapping["Ebs"]["VolumeId"]])["Volumes"][0]
    tags, defaults = tag_map(volume.get("Tags")), op.cloud.arguments.default_tags
    root: Properties = {
        "volumeId": volume["VolumeId"],
        "deviceName": mapping["DeviceName"],
        "volumeType": volume["VolumeType"],
        "volumeSize": volume["Size"],
        "iops": volume.get("Iops"),
        "encrypted": volume["Encrypted"],
        "kmsKeyId": volume.get("KmsKeyId"),
        "deleteOnTermination": mapping["Ebs"]["DeleteOnTermination"],
    }
    asked = op.inputs.get("rootBlockDevice") or {}
    # moto forgets the throughput of a launch: without one it says nothing.
    throughput = volume.get("Throughput") or asked.get("throughput")
    if throughput:
        root["throughput"] = throughput
    if "volumeTags" in op.inputs:
        own = op.inputs["volumeTags"]
        kept = {k: v for k, v in tags.items() if k in own or defaults.get(k) != v}
        return {"rootBlockDevice": root, "volumeTags": kept or None}
    own = asked.get("tags") or {}
    if kept := {k: v for k, v in tags.items() if k in own or defaults.get(k) != v}:
        root["tags"] = kept
    return {"rootBlockDevice": root}


def change_root(op: Operation, instance: Properties) -> None:
    """Brings the live root volume to the inputs, without a restart."""
    mapping = _root_device(instance)
    if mapping is None:
        raise ProviderError("it has no root volume")
    volume, root = mapping["Ebs"]["VolumeId"], op.inputs.get("rootBlockDevice") or {}
    now = (op.state.get("rootBlockDevice") or {}) if op.state else {}
    names = {"volumeSize": "Size", "volumeType": "VolumeType", "iops": "Iops"}
    names["throughput"] = "Throughput"
    sizes = {name: root[k] for k, name in names.items() if k in root and root[k] != now.get(k)}
    if sizes:
        op.ec2.modify_volume(VolumeId=volume, **sizes)
        op.wait("the volume's change", lambda: _volume_changed(op, volume))
    ends = root.get("deleteOnTermination", True)
    if ends != mapping["Ebs"]["DeleteOnTermination"]:
        entry = {"DeviceName": mapping["DeviceName"], "Ebs": {"DeleteOnTermination": ends}}
        op.ec2.modify_instance_attribute(InstanceId=op.id, BlockDeviceMappings=[entry])
    _retag_volume(op, volume)


def retag_root(op: Operation, instance: Properties) -> None:
    """Brings the root volume's tags, the provider's default ones among them, to the inputs."""
    if mapping := _root_device(instance):
        _retag_volume(op, mapping["Ebs"]["VolumeId"])


def _retag_volume(op: Operation, volume: str) -> None:
    live = tag_map(op.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0].get("Tags"))
    wanted = volume_tags(op)
    fresh = {key: value for key, value in wanted.items() if live.get(key) != value}
    retag_id(op.ec2, volume, fresh, sorted(live.keys() - wanted.keys()))


def _volume_changed(op: Operation, volume: str) -> bool:
    found = op.ec2.describe_volumes_modifications(VolumeIds=[volume])["VolumesModifications"]
    return bool(found[-1]["ModificationState"] in ("optimizing", "completed"))
