"""EBS volumes in the rehearsal's EC2, and the folders that hold what is on them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rehearsal.volumes.claims import VolumeRequest

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

_CLUSTER = "kubernetes.io/cluster/"


@dataclass(frozen=True)
class Ebs:
    """folder: of all volumes; a folder by volume id each."""

    ec2: EC2Client
    folder: Path

    def cluster(self) -> str | None:
        """The cluster's id, from the tags of the instances, as the driver is told it."""
        for page in self.ec2.get_paginator("describe_instances").paginate():
            for reservation in page["Reservations"]:
                for instance in reservation["Instances"]:
                    for tag in instance.get("Tags", ()):
                        if tag["Key"].startswith(_CLUSTER):
                            return tag["Key"].removeprefix(_CLUSTER)
        return None

    def ensure(self, asked: VolumeRequest) -> str:
        """The id of the volume of that name, which is made if it is not there."""
        found = self.ec2.describe_volumes(
            Filters=[{"Name": "tag:CSIVolumeName", "Values": [asked.name]}]
        )["Volumes"]
        volume_id = found[0]["VolumeId"] if found else self._create(asked)
        # as mkfs.ext4 leaves it: PostgreSQL, for one, wants a folder of its own in it
        (self.folder / volume_id / "lost+found").mkdir(mode=0o700, parents=True, exist_ok=True)
        return volume_id

    def delete(self, volume_id: str) -> None:
        """Removes a volume and what is on it. Fine if it is gone."""
        present = self.ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [volume_id]}])[
            "Volumes"
        ]
        if present:
            self.ec2.delete_volume(VolumeId=volume_id)
        # last: a folder whose volume is gone is nobody's
        if (self.folder / volume_id).exists():
            shutil.rmtree(self.folder / volume_id)

    def _create(self, asked: VolumeRequest) -> str:
        tags = [{"Key": key, "Value": value} for key, value in sorted(asked.tags.items())]
        options: dict[str, Any] = {
            "AvailabilityZone": asked.zone,
            "Size": asked.size_gib,
            "VolumeType": asked.type,
            "Encrypted": asked.encrypted,
            "KmsKeyId": asked.kms_key_id,
            "Iops": asked.iops,
            "Throughput": asked.throughput,
            "TagSpecifications": [{"ResourceType": "volume", "Tags": tags}],
        }
        given = {key: value for key, value in options.items() if value is not None}
        return self.ec2.create_volume(**given)["VolumeId"]
