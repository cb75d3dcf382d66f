"""What a destroy left in the cloud is found, of each kind; what AWS and the state keep is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bootstrap.names import ISSUER, PATH
from rehearsal import cloud
from tests.rehearsal.moto_server import forget, moto_server

_CDN_REGION = "us-east-1"
_ROLE = {"Version": "2012-10-17", "Statement": []}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud with what the bootstrap makes, where the rehearsal's is looked for."""
    forget(endpoint)
    monkeypatch.setattr(cloud, "ENDPOINT", endpoint)
    s3, kms, iam = cloud.client("s3"), cloud.client("kms"), cloud.client("iam")
    for bucket in (cloud.STATE.state_bucket, cloud.STATE.logs_bucket):
        place = {"LocationConstraint": cloud.REGION}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=cloud.STATE.key_alias, TargetKeyId=key)
    trust = json.dumps(_ROLE)
    iam.create_role(RoleName=cloud.STATE.preview_role, Path=PATH, AssumeRolePolicyDocument=trust)
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = json.dumps({**_ROLE, "Statement": [allowed]})
    iam.create_policy(PolicyName="groundwork-look", Path=PATH, PolicyDocument=document)
    iam.create_open_id_connect_provider(Url=f"https://{ISSUER}", ThumbprintList=[])


def test_nothing_is_left_in_a_prepared_account(account: None) -> None:
    assert cloud.left_over() == []


def _network() -> dict[str, str]:
    """Makes one of each; what it is -> what tells it apart."""
    ec2, elb = cloud.client("ec2"), cloud.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    address = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address["AllocationId"])
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    group = ec2.create_security_group(GroupName="a", Description="a", VpcId=vpc)["GroupId"]
    card = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=f"com.amazonaws.{cloud.REGION}.s3", VpcEndpointType="Gateway"
    )["VpcEndpoint"]["VpcEndpointId"]
    log = ec2.create_flow_logs(
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        LogDestinationType="s3",
        LogDestination=f"arn:aws:s3:::{cloud.STATE.state_bucket}",
    )["FlowLogIds"][0]
    ec2.create_key_pair(KeyName="operator")
    volume = ec2.create_volume(AvailabilityZone=f"{cloud.REGION}a", Size=1)["VolumeId"]
    elb.create_load_balancer(Name="lb", Subnets=[subnet], Type="network")
    elb.create_target_group(Name="targets", Protocol="TCP", Port=80, VpcId=vpc)
    return {
        "VPC": vpc,
        "subnet": subnet,
        "address": address["PublicIp"],
        "NAT gateway": nat["NatGateway"]["NatGatewayId"],
        "route table": table,
        "internet gateway": gateway,
        "security group": group,
        "network interface": card["NetworkInterfaceId"],
        "VPC endpoint": endpoint,
        "flow log": log,
        "key pair": "operator",
        "volume": volume,
        "load balancer": "lb",
        "target group": "targets",
    }


def _services() -> dict[str, str]:
    """As `_network`, beside the network."""
    iam, kms = cloud.client("iam"), cloud.client("kms")
    iam.create_role(RoleName="node", AssumeRolePolicyDocument=json.dumps(_ROLE))
    iam.create_instance_profile(InstanceProfileName="node")
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = json.dumps({**_ROLE, "Statement": [allowed]})
    iam.create_policy(PolicyName="read", PolicyDocument=document)
    issuer = iam.create_open_id_connect_provider(Url="https://example.org", ThumbprintList=[])
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/data", TargetKeyId=key)
    place = {"LocationConstraint": cloud.REGION}
    cloud.client("s3").create_bucket(Bucket="assets", CreateBucketConfiguration=place)
    cloud.client("route53").create_hosted_zone(Name="example.org", CallerReference="a")
    control = cloud.client("cloudfront").create_origin_access_control(
        OriginAccessControlConfig={
            "Name": "assets",
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
    )["OriginAccessControl"]
    assert control["Id"]
    return {
        "IAM role": "node",
        "instance profile": "node",
        "IAM policy": "read",
        "OIDC provider": issuer["OpenIDConnectProviderArn"],
        "KMS key": key,
        "KMS alias": "alias/data",
        "bucket": "assets",
        "hosted zone": "example.org.",
        "origin access control": "assets",
        "distribution": _distribution(),
    }


def _distribution() -> str:
    behavior: dict[str, Any] = {"TargetOriginId": "a", "ViewerProtocolPolicy": "https-only"}
    made = cloud.client("cloudfront").create_distribution(
        DistributionConfig={
            "CallerReference": "a",
            "Comment": "",
            "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [{"Id": "a", "DomainName": "a.example.org"}]},
            "DefaultCacheBehavior": behavior,
        }
    )
    return str(made["Distribution"]["Id"])


def test_each_kind_is_found(account: None) -> None:
    expected = {f"{what} {name}" for what, name in (_network() | _services()).items()}
    for region in (cloud.REGION, _CDN_REGION):
        cloud.client("acm", region).request_certificate(DomainName="a.example.org")
        expected.add(f"certificate a.example.org in {region}")
    found = cloud.left_over()
    assert len(found) == len(set(found))
    # a NAT gateway has an interface of its own
    others = {line for line in found if not line.startswith("network interface ")}
    assert others == {line for line in expected if not line.startswith("network interface ")}
    assert expected <= set(found)


def test_what_waits_for_its_end_is_gone(account: None) -> None:
    ec2, kms = cloud.client("ec2"), cloud.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    card = {"DeviceIndex": 0, "SubnetId": subnet, "DeleteOnTermination": True}
    (instance,) = ec2.run_instances(
        ImageId="ami-1", MinCount=1, MaxCount=1, NetworkInterfaces=[card]
    )["Instances"]
    lines = {f"KMS key {key}", f"instance {instance['InstanceId']}"}
    assert lines <= set(cloud.left_over())
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    assert cloud.left_over() == []
