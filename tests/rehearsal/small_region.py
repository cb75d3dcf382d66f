"""A small region in a real moto, whose hosts answer at `tests.rehearsal.netns.PORT`."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from tests.rehearsal.netns import PORT

REGION = "eu-central-1"
PUBLIC, PRIVATE = IPv4Network("10.9.0.0/24"), IPv4Network("10.9.1.0/24")
OPERATOR = "192.0.2.0/24"
EIP, NAT = "203.0.113.5", "203.0.113.9"


@dataclass(frozen=True)
class Cloud:
    """A VPC with a public and a private subnet, their gateways and routes, and a key pair."""

    ec2: Any
    vpc: str
    public: str
    private: str
    image: str

    @classmethod
    def build(cls, ec2: Any) -> Cloud:
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=str(cidr))["Subnet"]["SubnetId"]
            for cidr in (PUBLIC, PRIVATE)
        ]
        igw = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=igw)
        address = ec2.allocate_address(Domain="vpc", Address=NAT)["AllocationId"]
        nat = ec2.create_nat_gateway(SubnetId=subnets[0], AllocationId=address)["NatGateway"]
        ways = ({"GatewayId": igw}, {"NatGatewayId": nat["NatGatewayId"]})
        for subnet, way in zip(subnets, ways, strict=True):
            table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
            ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
            ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **way)
        cls._open(ec2, vpc)
        key = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHaRVwlfL85Jq6Mb7VJ/2B901zOKQHpglwG0L3sOTZLH"
        ec2.import_key_pair(KeyName="operator", PublicKeyMaterial=key)
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        return cls(ec2, vpc, subnets[0], subnets[1], image)

    @staticmethod
    def _open(ec2: Any, vpc: str) -> None:
        """The operator may ask the hosts, and they each other: moto's default groups are empty."""
        named = [
            {"Name": "vpc-id", "Values": [vpc]},
            {"Name": "group-name", "Values": ["default"]},
        ]
        group = ec2.describe_security_groups(Filters=named)["SecurityGroups"][0]["GroupId"]
        for block in (OPERATOR, "10.9.0.0/16"):
            ec2.authorize_security_group_ingress(
                GroupId=group, IpProtocol="tcp", FromPort=PORT, ToPort=PORT, CidrIp=block
            )

    def launch(self, name: str, subnet: str, address: str, **more: Any) -> str:
        made = self.ec2.run_instances(
            ImageId=self.image,
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
            PrivateIpAddress=address,
            KeyName="operator",
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}
            ],
            **more,
        )
        return str(made["Instances"][0]["InstanceId"])

    def change_type(self, instance: str, type: str) -> None:
        """As the AWS provider does it: stop, modify, start. moto needs milliseconds."""
        self.ec2.stop_instances(InstanceIds=[instance])
        self.ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": type})
        self.ec2.start_instances(InstanceIds=[instance])

    def state(self, instance: str) -> str:
        found = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]
        return str(found["Instances"][0]["State"]["Name"])
