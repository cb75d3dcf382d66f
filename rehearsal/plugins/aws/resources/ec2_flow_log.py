"""EC2: flow log, into an S3 bucket."""

from __future__ import annotations

from typing import Any

from rehearsal.plugins.aws.kinds import Input, Integer, String
from rehearsal.plugins.aws.resources.ec2_common import retag, tag_map, tagged
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import UNKNOWN, Properties, ProviderError

# input -> (what EC2 calls such a resource, how the ids of these begin)
_WATCHED = {
    "vpcId": ("VPC", "vpc-"),
    "subnetId": ("Subnet", "subnet-"),
    "eniId": ("NetworkInterface", "eni-"),
}
_INTERVALS = (60, 600)  # seconds
_ARN = "arn:aws:s3:::"


def _bucket(destination: str) -> str:
    """The bucket's ARN, of a destination that may name a folder in it."""
    return destination.partition("/")[0]


def _create(op: Operation) -> str:
    inputs = op.inputs
    key = next(key for key in _WATCHED if inputs.get(key))
    optional = {"LogFormat": inputs.get("logFormat")}
    made = op.ec2.create_flow_logs(
        ResourceType=_WATCHED[key][0],
        ResourceIds=[inputs[key]],
        TrafficType=inputs["trafficType"],
        LogDestinationType=inputs["logDestinationType"],
        # moto takes a folder for a part of the bucket's name.
        LogDestination=_bucket(inputs["logDestination"]),
        MaxAggregationInterval=inputs["maxAggregationInterval"],
        **{key: value for key, value in optional.items() if value},
        **tagged("vpc-flow-log", op.tags),
    )
    for failed in made.get("Unsuccessful") or ():
        raise ProviderError(f"{failed['ResourceId']}: {failed['Error']['Message']}")
    return str(made["FlowLogIds"][0])


def _read(op: Operation) -> Properties | None:
    found = op.ec2.describe_flow_logs(FlowLogIds=[op.id])["FlowLogs"]
    if not found:
        return None
    log: Properties = found[0]
    watched: dict[str, Any] = {
        key: log["ResourceId"] if log["ResourceId"].startswith(prefix) else None
        for key, (_, prefix) in _WATCHED.items()
    }
    kept = op.get("logDestination")
    same = kept and _bucket(kept) == log["LogDestination"]
    return {
        **watched,
        "trafficType": log["TrafficType"],
        "logDestinationType": log["LogDestinationType"],
        "logDestination": kept if same else log["LogDestination"],
        "logFormat": log["LogFormat"],
        "maxAggregationInterval": log["MaxAggregationInterval"],
        "arn": op.cloud.arn("ec2", f"vpc-flow-log/{op.id}"),
        "tags": tag_map(log.get("Tags")),
    }


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    refusals = []
    given = [key for key in _WATCHED if key in inputs]
    if len(given) != 1:
        refusals.append(("vpcId", f"or another of {', '.join(_WATCHED)}: exactly one is needed"))
    interval = inputs["maxAggregationInterval"]
    if interval is not UNKNOWN and interval not in _INTERVALS:
        refusals.append(("maxAggregationInterval", f"must be 60 or 600, not {interval}"))
    destination = inputs["logDestination"]
    if destination is not UNKNOWN and not destination.startswith(_ARN):
        refusals.append(("logDestination", f"{destination!r} is not the ARN of an S3 bucket"))
    return refusals


FLOW_LOG = ResourceType(
    token="aws:ec2/flowLog:FlowLog",
    noun="EC2 flow log",
    inputs={  # AWS changes none of them in place
        **{key: Input(String(), force_new=True) for key in _WATCHED},
        "trafficType": Input(
            String(choices=("ACCEPT", "REJECT", "ALL")), required=True, force_new=True
        ),
        # Officially also cloud-watch-logs, which is what a missing one means there, and Firehose.
        "logDestinationType": Input(String(choices=("s3",)), required=True, force_new=True),
        "logDestination": Input(String(), required=True, force_new=True),
        "logFormat": Input(String(), force_new=True, computed=True),
        "maxAggregationInterval": Input(Integer(), force_new=True, default=600),
    },
    outputs=("arn",),
    create=_create,
    read=_read,
    delete=lambda op: op.ec2.delete_flow_logs(FlowLogIds=[op.id]),
    retag=retag,
    validate=_validate,
    delete_before_replace=True,  # one resource has one flow log of a destination
)

RESOURCE_TYPES = (FLOW_LOG,)
