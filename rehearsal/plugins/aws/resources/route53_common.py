"""What the Route 53 types share: record sets by name, and changes that take time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rehearsal.plugins.aws.schema import Operation
from rehearsal.plugins.protocol import Properties

_BUSY = ("PriorRequestNotComplete", "Throttling", "ConcurrentModification")


def client(op: Operation) -> Any:
    """The one Route 53 of all regions."""
    return op.cloud.client("route53")


def plain(name: str) -> str:
    """A name as it is compared: Route 53 ends it with a dot and escapes the asterisk."""
    return name.replace("\\052", "*").rstrip(".").lower()


def find_record(route53: Any, zone: str, name: str, type: str) -> Properties | None:
    """The live record set of exactly this name and type."""
    answer = route53.list_resource_record_sets(
        HostedZoneId=zone, StartRecordName=name, StartRecordType=type, MaxItems="1"
    )
    for record in answer["ResourceRecordSets"]:
        if plain(record["Name"]) == plain(name) and record["Type"] == type:
            found: Properties = record
            return found
    return None


def record_values(record: Mapping[str, Any] | None) -> list[str]:
    """The values of a record set; none of an alias, or if there is no record set."""
    return [item["Value"] for item in (record or {}).get("ResourceRecords", [])]


def synced(op: Operation, answer: Mapping[str, Any]) -> None:
    """Waits until all name servers know of a change."""
    change = answer["ChangeInfo"]
    if change["Status"] != "INSYNC":
        op.wait(
            "the change to reach all name servers",
            lambda: client(op).get_change(Id=change["Id"])["ChangeInfo"]["Status"] == "INSYNC",
        )


def change_record(op: Operation, zone: str, action: str, record: Mapping[str, Any]) -> None:
    """action: CREATE, UPSERT or DELETE."""
    batch = {
        "Comment": "Managed by Pulumi",
        "Changes": [{"Action": action, "ResourceRecordSet": record}],
    }
    answer = op.cloud.retry(
        _BUSY,
        lambda: client(op).change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch),
        op.deadline,
    )
    synced(op, answer)
