"""Flow logs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rehearsal.plugins.aws.conftest import DEFAULT_TAGS, Aws
from tests.rehearsal.plugins.aws.made import BUCKET, FLOW_LOG, VPC, make, make_subnet, unique
from tests.rehearsal.plugins.harness import Plugin, PluginError

_S3 = {"trafficType": "ALL", "logDestinationType": "s3"}


def test_flow_log_lives(aws: Aws, plugin: Plugin) -> None:
    vpc, subnet = make_subnet(plugin)
    bucket = make(plugin, BUCKET, bucket=unique("logs"))
    folder = f"{bucket.outputs['arn']}/vpc"
    log = make(plugin, FLOW_LOG, **_S3, vpcId=vpc.id, logDestination=folder, tags={"Name": "vpc"})
    (live,) = aws.ec2.describe_flow_logs(FlowLogIds=[log.id])["FlowLogs"]
    assert (live["ResourceId"], live["TrafficType"]) == (vpc.id, "ALL")
    assert live["MaxAggregationInterval"] == log.outputs["maxAggregationInterval"] == 600
    assert log.outputs["logDestination"] == folder
    assert log.outputs["arn"].endswith(f":vpc-flow-log/{log.id}")
    assert log.outputs["tagsAll"] == {"Name": "vpc", **DEFAULT_TAGS}

    log.update(tags={"Name": "all of it"})
    for changed in (
        {"trafficType": "REJECT"},
        {"maxAggregationInterval": 60},
        {"logDestination": f"{bucket.outputs['arn']}/elsewhere"},
    ):
        diff = log.diff(**changed)
        assert diff.replaces == list(changed) and diff.delete_before_replace
    with pytest.raises(PluginError, match=r"^creating EC2 flow log: FlowLogAlreadyExists: "):
        make(plugin, FLOW_LOG, **_S3, vpcId=vpc.id, logDestination=folder)
    inside = make(
        plugin,
        FLOW_LOG,
        **{**_S3, "trafficType": "REJECT"},
        subnetId=subnet.id,
        logDestination=folder,
        maxAggregationInterval=60,
    )
    found = plugin.read(FLOW_LOG, log.id)
    assert (found.inputs["vpcId"], found.inputs["trafficType"]) == (vpc.id, "ALL")
    aws.ec2.delete_flow_logs(FlowLogIds=[inside.id])
    assert inside.refresh() == {"": None}
    for made in (log, bucket, subnet, vpc):
        made.delete()


def test_flow_log_without_its_bucket_fails(plugin: Plugin) -> None:
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    with pytest.raises(PluginError, match=r"^creating EC2 flow log: vpc-\w+: .* does not exist"):
        make(plugin, FLOW_LOG, **_S3, vpcId=vpc.id, logDestination="arn:aws:s3:::nobodys-logs/vpc")
    vpc.delete()


@pytest.mark.parametrize(
    ("inputs", "property", "reason"),
    [
        ({"vpcId": None}, "vpcId", "exactly one is needed"),
        ({"subnetId": "subnet-1"}, "vpcId", "exactly one is needed"),
        ({"trafficType": None}, "trafficType", "is required"),
        ({"trafficType": "all"}, "trafficType", "one of ACCEPT, REJECT, ALL"),
        ({"logDestinationType": "cloud-watch-logs"}, "logDestinationType", "must be one of s3"),
        ({"logDestination": "logs"}, "logDestination", "not the ARN of an S3 bucket"),
        ({"maxAggregationInterval": 300}, "maxAggregationInterval", "must be 60 or 600, not 300"),
        ({"iamRoleArn": "arn:aws:iam::1:role/a"}, "iamRoleArn", "is not handled"),
    ],
)
def test_bad_flow_logs_are_refused(
    plugin: Plugin, inputs: dict[str, Any], property: str, reason: str
) -> None:
    plain = {**_S3, "vpcId": "vpc-1", "logDestination": "arn:aws:s3:::logs"}
    given = {key: value for key, value in {**plain, **inputs}.items() if value is not None}
    _, failures = plugin.check_failures(FLOW_LOG, given)
    assert [(where, reason in why) for where, why in failures] == [(property, True)], failures
