"""What AWS asks of IAM for an API call: actions, resources and their context.

Sources: "Service Authorization Reference" for each service; "Required permissions for Amazon S3 API
operations", S3's User Guide. A call that is not known here is an error, not an allowed one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.bootstrap.account import Account, Tags, plain
from tests.bootstrap.deployment import Call
from tests.bootstrap.simulator import Request

# Where the action has another name than the operation
_S3 = {
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListObjectVersions": "ListBucketVersions",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
# What each of EC2's calls makes
_EC2_MAKES = {
    "AllocateAddress": ("elastic-ip",),
    "AuthorizeSecurityGroupEgress": ("security-group-rule",),
    "AuthorizeSecurityGroupIngress": ("security-group-rule",),
    "CreateFlowLogs": ("vpc-flow-log",),
    "CreateInternetGateway": ("internet-gateway",),
    "CreateNatGateway": ("natgateway",),
    "CreateRouteTable": ("route-table",),
    "CreateSecurityGroup": ("security-group",),
    "CreateSubnet": ("subnet",),
    "CreateVpc": ("vpc",),
    "CreateVpcEndpoint": ("vpc-endpoint",),
    "ImportKeyPair": ("key-pair",),
    "RunInstances": ("instance", "network-interface", "volume"),
}
# What AWS does by itself, and the plugin has to do for moto
_MOTOS = {
    "CreateRoute by prefix list",
    "DeleteNetworkInterface",
    "DeleteRoute by prefix list",
}
_ELB_ARN = "arn:aws:elasticloadbalancing:"


def requests(call: Call, account: Account, boundary: str) -> list[Request]:
    """boundary: of the roles of the environment, as its settings name it. None for a call that
    AWS never gets."""
    by_prefix_list = " by prefix list" if "DestinationPrefixListId" in call.params else ""
    if call.service == "ec2" and call.operation + by_prefix_list in _MOTOS:
        return []
    try:
        found = list(_BY_SERVICE[call.service](call, account))
    except KeyError as error:
        raise ValueError(f"{call}: {error} is not known here: {call.params}") from None
    if not found:
        raise ValueError(f"{call}: its resources are not known here: {call.params}")
    region = "us-east-1" if call.service in ("cloudfront", "iam", "route53") else call.region
    told = {"aws:RequestedRegion": region}
    return [
        Request(
            each.action,
            each.resource,
            {
                **told,
                **_tagged("aws:ResourceTag", account.tags.get(each.resource, {})),
                **({"iam:PermissionsBoundary": boundary} if ":role/" in each.resource else {}),
                **each.context,
            },
        )
        for each in found
    ]


def _tagged(key: str, tags: Mapping[str, str]) -> Tags:
    return {f"{key}/{name}": value for name, value in tags.items()}


def _asked(tags: Mapping[str, str]) -> dict[str, Any]:
    """The context of a call that gives tags."""
    return {**_tagged("aws:RequestTag", tags), "aws:TagKeys": list(tags)} if tags else {}


def _ec2(call: Call, account: Account) -> Iterator[Request]:
    action, params = f"ec2:{call.operation}", call.params
    if call.operation.startswith("Describe"):
        yield Request(action)
        return
    tags = {
        each["ResourceType"]: plain(each["Tags"]) for each in params.get("TagSpecifications", ())
    }
    for kind in _EC2_MAKES.get(call.operation, ()):
        made = f"arn:aws:ec2:{call.region}:{account.id}:{kind}/new"
        yield Request(action, made, _asked(tags.get(kind, {})))
        if kind in tags:
            context = {**_asked(tags[kind]), "ec2:CreateAction": call.operation}
            yield Request("ec2:CreateTags", made, context)
    named = account.ec2_arns(call.region, params)
    if call.operation in ("RunInstances", "DeleteKeyPair"):
        named.append(account.key_pair(call.region, params["KeyName"]))
    tagging = _asked(plain(params.get("Tags")))
    for arn in named:
        owner = {"ec2:Owner": account.id} if ":image/" in arn else {}
        yield Request(action, arn, {**tagging, **owner})
    if profile := params.get("IamInstanceProfile"):
        yield _passed(account.roles[profile["Name"]], account)
    if call.operation == "CreateFlowLogs":
        yield Request("logs:CreateLogDelivery")
    if call.operation == "DeleteFlowLogs":
        yield Request("logs:DeleteLogDelivery")


def _passed(role: str, account: Account) -> Request:
    arn = f"arn:aws:iam::{account.id}:role/{role}"
    return Request("iam:PassRole", arn, {"iam:PassedToService": "ec2.amazonaws.com"})


def _iam(call: Call, account: Account) -> Iterator[Request]:
    params = call.params
    for key, kind in (("InstanceProfileName", "instance-profile"), ("RoleName", "role")):
        if key in params:
            path = params.get("Path", "/")
            arn = f"arn:aws:iam::{account.id}:{kind}{path}{params[key]}"
            break
    else:
        arn = params.get("OpenIDConnectProviderArn") or (
            f"arn:aws:iam::{account.id}:oidc-provider/{params['Url'].removeprefix('https://')}"
        )
        kind = "OpenIDConnectProvider"
    yield Request(f"iam:{call.operation}", arn)
    if params.get("Tags"):
        what = {"role": "Role", "instance-profile": "InstanceProfile"}.get(kind, kind)
        yield Request(f"iam:Tag{what}", arn, _asked(plain(params["Tags"])))
    if call.operation == "AddRoleToInstanceProfile":
        yield _passed(params["RoleName"], account)


def _kms(call: Call, account: Account) -> Iterator[Request]:
    params, action = call.params, f"kms:{call.operation}"
    tags = plain(params.get("Tags"))
    keys = f"arn:aws:kms:{call.region}:{account.id}:key/"
    if call.operation == "CreateKey":
        yield Request(action, "*", _asked(tags))
        yield Request("kms:TagResource", f"{keys}new", _asked(tags))
        return
    alias = params.get("AliasName")
    key = params.get("TargetKeyId", params.get("KeyId", alias))
    yield Request(action, account.keys.get(key) or keys + key, _asked(tags))
    if alias is not None:
        yield Request(action, f"arn:aws:kms:{call.region}:{account.id}:{alias}")


def _s3(call: Call, account: Account) -> Iterator[Request]:
    params = call.params
    bucket = f"arn:aws:s3:::{params['Bucket']}"
    name = _S3.get(call.operation, call.operation)
    if call.operation == "DeleteObjects":
        for each in params["Delete"]["Objects"]:
            version = "Version" if "VersionId" in each else ""
            yield Request(f"s3:DeleteObject{version}", f"{bucket}/{each['Key']}")
        return
    if "Key" not in params:
        yield Request(f"s3:{name}", bucket)
        return
    version = "Version" if name == "DeleteObject" and "VersionId" in params else ""
    yield Request(f"s3:{name}{version}", f"{bucket}/{params['Key']}")
    # its key, as S3 asks for it
    (key,) = account.keys.values()
    via = {"kms:ViaService": f"s3.{call.region}.amazonaws.com"}
    if name == "PutObject":
        yield Request("kms:GenerateDataKey", key, via)
    if name == "GetObject":
        yield Request("kms:Decrypt", key, via)


def _elbv2(call: Call, account: Account) -> Iterator[Request]:
    params, action = call.params, f"elasticloadbalancing:{call.operation}"
    if call.operation.startswith("Describe"):
        yield Request(action)
        return
    arns = [
        value
        for key, value in params.items()
        if isinstance(value, str) and value.startswith(_ELB_ARN)
    ]
    here = f"{_ELB_ARN}{call.region}:{account.id}:"
    made = {
        "CreateLoadBalancer": lambda: f"{here}loadbalancer/{_family(params)}/{params['Name']}/new",
        "CreateTargetGroup": lambda: f"{here}targetgroup/{params['Name']}/new",
        "CreateListener": lambda: arns[0].replace(":loadbalancer/", ":listener/") + "/new",
        "CreateRule": lambda: arns[0].replace(":listener/", ":listener-rule/") + "/new",
    }
    if call.operation in made:
        new = made[call.operation]()
        if call.operation in ("CreateLoadBalancer", "CreateTargetGroup"):
            yield Request(action, new)
        if params.get("Tags"):
            yield Request("elasticloadbalancing:AddTags", new)
    for arn in arns:
        yield Request(action, arn)


def _family(params: Mapping[str, Any]) -> str:
    return {"application": "app", "network": "net"}[params.get("Type", "application")]


def _acm(call: Call, account: Account) -> Iterator[Request]:
    params, action = call.params, f"acm:{call.operation}"
    if call.operation == "RequestCertificate":
        names = [params["DomainName"], *params.get("SubjectAlternativeNames", ())]
        arn = f"arn:aws:acm:{call.region}:{account.id}:certificate/new"
        asked = _asked(plain(params.get("Tags")))
        yield Request(action, arn, {**asked, "acm:DomainNames": names})
        yield Request("acm:AddTagsToCertificate", arn, asked)
        return
    yield Request(action, params["CertificateArn"])


def _cloudfront(call: Call, account: Account) -> Iterator[Request]:
    params, operation = call.params, call.operation
    here = f"arn:aws:cloudfront::{account.id}:"
    if "OriginAccessControls" in operation:
        yield Request(f"cloudfront:{operation}")
    elif "OriginAccessControl" in operation:
        yield Request(
            f"cloudfront:{operation}", f"{here}origin-access-control/{params.get('Id', 'new')}"
        )
    elif operation == "CreateDistributionWithTags":
        arn = f"{here}distribution/new"
        asked = _asked(plain(params["DistributionConfigWithTags"]["Tags"]["Items"]))
        yield Request("cloudfront:CreateDistribution", arn)
        yield Request("cloudfront:TagResource", arn, asked)
    elif "Id" in params:
        yield Request(f"cloudfront:{operation}", f"{here}distribution/{params['Id']}")
    else:
        yield Request(f"cloudfront:{operation}", params["Resource"])


def _route53(call: Call, account: Account) -> Iterator[Request]:
    params, action = call.params, f"route53:{call.operation}"
    if call.operation in ("ListHostedZones", "CreateHostedZone"):
        yield Request(action)
    elif call.operation == "GetChange":
        yield Request(action, f"arn:aws:route53:::change/{params['Id']}")
    else:
        id = params.get("HostedZoneId", params.get("ResourceId", params.get("Id")))
        changes = params.get("ChangeBatch", {}).get("Changes", ())
        names = [each["ResourceRecordSet"]["Name"].rstrip(".").lower() for each in changes]
        key = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
        yield Request(action, f"arn:aws:route53:::hostedzone/{id}", {key: names} if names else {})


def _sts(call: Call, account: Account) -> Iterator[Request]:
    yield Request(f"sts:{call.operation}")


_BY_SERVICE: dict[str, Callable[[Call, Account], Iterator[Request]]] = {
    "acm": _acm,
    "cloudfront": _cloudfront,
    "ec2": _ec2,
    "elbv2": _elbv2,
    "iam": _iam,
    "kms": _kms,
    "route53": _route53,
    "s3": _s3,
    "sts": _sts,
}
