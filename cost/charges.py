"""What AWS charges for a resource by its type and inputs, as far as that stands before any use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cost.prices import Prices, Region

Inputs = Mapping[str, Any]
Item = tuple[str, str, str]  # service, part, what
Find = Callable[[Region], Decimal | None]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # the engine's word for what is not known yet
_GP3_INCLUDED = {"iops": 3000, "throughput": 125}  # throughput: MiB/s


@dataclass(frozen=True)
class Charge:
    """service: AWS's; part: of the resource, the same after a change; what: that part as it is
    now; quantity: of `unit`; price: of one unit, USD; monthly: all of it."""

    service: str
    part: str
    what: str
    quantity: Decimal
    unit: str
    price: Decimal
    monthly: Decimal


@dataclass(frozen=True)
class Gap:
    """A part whose cost is unknown, and why."""

    service: str
    part: str
    what: str
    reason: str


@dataclass(frozen=True)
class Book:
    """The prices of the region that a resource is in; None: the preview does not tell it."""

    prices: Prices
    region: str | None

    def hourly(self, item: Item, find: Find, count: int = 1) -> Charge | Gap:
        """`count` of what is billed by the hour."""
        return self._charge(item, find, Decimal(count * self.prices.hours_per_month), "hour")

    def monthly(
        self, item: Item, find: Find, quantity: int = 1, unit: str = "month"
    ) -> Charge | Gap:
        """`quantity` of what is billed by the month."""
        return self._charge(item, find, Decimal(quantity), unit)

    def _charge(self, item: Item, find: Find, quantity: Decimal, unit: str) -> Charge | Gap:
        if self.region is None:
            return Gap(*item, "the preview does not say in which region it is")
        region = self.prices.regions.get(self.region)
        if region is None:
            return Gap(*item, f"no prices of region {self.region} in the table")
        price = find(region)
        if price is None:
            return Gap(*item, f"no price in the table for {self.region}")
        return Charge(*item, quantity, unit, price, quantity * price)


Charges = Iterator[Charge | Gap]


def _instance(inputs: Inputs, book: Book) -> Charges:
    kind = str(inputs.get("instanceType", UNKNOWN))
    item = ("EC2", "instance", f"instance {kind}")
    if kind == UNKNOWN:
        yield Gap("EC2", "instance", "instance", "its type is not known yet")
    elif inputs.get("tenancy", "default") != "default":
        yield Gap(*item, f"no prices of tenancy {inputs['tenancy']}")
    elif inputs.get("instanceMarketOptions"):
        yield Gap(*item, "prices of the spot market are no list prices")
    else:
        yield book.hourly(item, lambda region: region.instance_hour.get(kind))
    if inputs.get("associatePublicIpAddress") is True:
        yield _addresses(book)
    yield from _volume("root volume", inputs.get("rootBlockDevice") or {}, book)
    for device in inputs.get("ebsBlockDevices") or ():
        yield from _volume(f"volume {device.get('deviceName')}", device, book)


def _volume(part: str, device: Inputs, book: Book) -> Charges:
    """device: in the words of an instance's block devices."""
    kind, size = device.get("volumeType", UNKNOWN), device.get("volumeSize")
    if kind == UNKNOWN or not isinstance(size, int | float):
        yield Gap("EBS", part, part, "its type and size are left to the image, or not known yet")
        return
    for key, included in _GP3_INCLUDED.items():
        if device.get(key) not in (None, included):
            yield Gap("EBS", f"{part}: {key}", f"{part}: {key}", "no price in the table")
    item = ("EBS", part, f"{part}, {kind}, {int(size)} GiB")
    yield book.monthly(
        item, lambda region: region.volume_gib_month.get(kind), int(size), "GiB-month"
    )


def _own_volume(inputs: Inputs, book: Book) -> Charges:
    words = {"volumeType": inputs.get("type", UNKNOWN), "volumeSize": inputs.get("size")}
    return _volume("volume", {**inputs, **words}, book)


def _addresses(book: Book, count: int = 1) -> Charge | Gap:
    what = "public IPv4 address" if count == 1 else f"{count} public IPv4 addresses"
    return book.hourly(("VPC", "public IPv4", what), lambda region: region.public_ipv4_hour, count)


def _eip(_: Inputs, book: Book) -> Charges:
    yield _addresses(book)


def _nat_gateway(_: Inputs, book: Book) -> Charges:
    item = ("VPC", "NAT gateway", "NAT gateway")
    yield book.hourly(item, lambda region: region.nat_gateway_hour)


def _endpoint(inputs: Inputs, _: Book) -> Charges:
    """Gateway endpoints are free of charge (source: "Gateway endpoints", AWS PrivateLink Guide)."""
    kind = inputs.get("vpcEndpointType", "Gateway")
    if kind != "Gateway":
        yield Gap("VPC", "endpoint", f"{kind} endpoint", "no prices of endpoints in the table")


def _load_balancer(inputs: Inputs, book: Book) -> Charges:
    """Its hours, and its public addresses: one a subnet if it faces the internet."""
    kind = str(inputs.get("loadBalancerType", "application"))
    item = ("Elastic Load Balancing", "load balancer", f"{kind} load balancer")
    yield book.hourly(item, lambda region: region.load_balancer_hour.get(kind))
    if inputs.get("internal") is True:
        return
    subnets = inputs.get("subnets") or inputs.get("subnetMappings")
    if isinstance(subnets, list):
        yield _addresses(book, len(subnets))
    else:
        what = "public IPv4 addresses"
        yield Gap("VPC", "public IPv4", what, "its subnets are not known yet")


def _key(_: Inputs, book: Book) -> Charges:
    yield book.monthly(("KMS", "key", "key"), lambda region: region.kms_key_month)


def _zone(_: Inputs, book: Book) -> Charges:
    """The same in every region."""
    price = book.prices.hosted_zone_month
    yield Charge("Route 53", "zone", "hosted zone", Decimal(1), "month", price, price)


PRICED: Mapping[str, Callable[[Inputs, Book], Charges]] = {
    "aws:ebs/volume:Volume": _own_volume,
    "aws:ec2/eip:Eip": _eip,
    "aws:ec2/instance:Instance": _instance,
    "aws:ec2/natGateway:NatGateway": _nat_gateway,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:kms/key:Key": _key,
    "aws:lb/loadBalancer:LoadBalancer": _load_balancer,
    "aws:route53/zone:Zone": _zone,
}

# What is billed by use alone, with nothing to pay for its being there.
BY_USE: Mapping[str, str] = {
    "aws:cloudfront/distribution:Distribution": "CloudFront: requests and data out",
    "aws:ec2/flowLog:FlowLog": "CloudWatch: delivery of flow logs",
    "aws:s3/bucket:Bucket": "S3: storage and requests",
}

# What is free of charge by itself.
FREE = frozenset(
    {
        "aws:acm/certificate:Certificate",
        "aws:acm/certificateValidation:CertificateValidation",
        "aws:cloudfront/originAccessControl:OriginAccessControl",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/eipAssociation:EipAssociation",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/keyPair:KeyPair",
        "aws:ec2/route:Route",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:ec2/vpcEndpointRouteTableAssociation:VpcEndpointRouteTableAssociation",
        "aws:iam/instanceProfile:InstanceProfile",
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "aws:iam/policy:Policy",
        "aws:iam/role:Role",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:kms/alias:Alias",
        "aws:lb/listener:Listener",
        "aws:lb/listenerRule:ListenerRule",
        "aws:lb/targetGroup:TargetGroup",
        "aws:lb/targetGroupAttachment:TargetGroupAttachment",
        "aws:route53/record:Record",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketLogging:BucketLogging",
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    }
)


def charges(kind: str, inputs: Inputs, book: Book) -> Charges:
    """The charges of one resource of AWS's type `kind`; a gap for a type that is not known."""
    if kind in PRICED:
        yield from PRICED[kind](inputs, book)
    elif kind not in BY_USE and kind not in FREE:
        yield Gap(kind.split("/")[0], "all", kind, "this type is not known to the estimate")
