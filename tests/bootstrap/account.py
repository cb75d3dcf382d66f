"""What AWS knows of an account's resources when it decides about a call: their tags, and which
resource an association or an alias is of. Learnt from the answers, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.bootstrap.deployment import Call

# EC2's ids, by the kinds of its ARNs. A key pair goes by its name.
KINDS = {
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "fl": "vpc-flow-log",
    "i": "instance",
    "igw": "internet-gateway",
    "ami": "image",
    "nat": "natgateway",
    "pl": "prefix-list",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}
_ID = re.compile(r"([a-z]+)-[0-9a-f]{8,}")
# ids of what joins two resources
_JOINING = re.compile(r"(eipassoc|rtbassoc|iip-assoc)-[0-9a-f]+")

Tags = dict[str, str]


@dataclass
class Account:
    """tags: by ARN; joined: ARNs by the id of an association; keys: ARNs of keys by alias; roles:
    by instance profile."""

    id: str
    tags: dict[str, Tags] = field(default_factory=dict)
    joined: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)

    def ec2_arn(self, region: str, id: str) -> str | None:
        """Of an id of EC2's, None if it is none."""
        found = _ID.fullmatch(id)
        kind = KINDS.get(found[1]) if found else None
        if kind is None:
            return None
        owner = "" if kind == "image" else self.id
        return f"arn:aws:ec2:{region}:{owner}:{kind}/{id}"

    def ec2_arns(self, region: str, params: Any) -> list[str]:
        """Of everything that parameters name, by itself or by what joins it."""
        found: list[str] = []
        for text in strings(params):
            if _JOINING.fullmatch(text):
                found += self.joined[text]
            elif arn := self.ec2_arn(region, text):
                found.append(arn)
        return list(dict.fromkeys(found))

    def learn(self, call: Call) -> None:
        """What a call that AWS has answered changed."""
        if call.answer is None:
            return
        params, answer = call.params, call.answer
        if call.service == "ec2":
            self._learn_ec2(call)
        elif call.operation == "AddRoleToInstanceProfile":
            self.roles[params["InstanceProfileName"]] = params["RoleName"]
        elif call.operation == "CreateKey":
            self.tags[answer["KeyMetadata"]["Arn"]] = plain(params.get("Tags"))
        elif call.operation == "CreateAlias":
            arn = f"arn:aws:kms:{call.region}:{self.id}:key/{params['TargetKeyId']}"
            self.keys[params["AliasName"]] = arn
        elif call.operation == "RequestCertificate":
            self.tags[answer["CertificateArn"]] = plain(params.get("Tags"))
        elif call.operation == "CreateDistributionWithTags":
            given = params["DistributionConfigWithTags"]["Tags"]["Items"]
            self.tags[answer["Distribution"]["ARN"]] = plain(given)

    def _learn_ec2(self, call: Call) -> None:
        if call.operation.startswith("Describe"):
            return
        params, told = call.params, list(strings(call.answer))
        arns = [arn for text in told if (arn := self.ec2_arn(call.region, text))]
        given = set(self.ec2_arns(call.region, params))
        for spec in params.get("TagSpecifications", ()):
            for arn in arns:
                if f":{spec['ResourceType']}/" in arn and arn not in given:
                    self.tags[arn] = plain(spec["Tags"])
            if spec["ResourceType"] == "key-pair":
                self.tags[self.key_pair(call.region, params["KeyName"])] = plain(spec["Tags"])
        if call.operation == "CreateTags":
            for arn in self.ec2_arns(call.region, params["Resources"]):
                self.tags[arn] = self.tags.get(arn, {}) | plain(params["Tags"])
        for joining in filter(_JOINING.fullmatch, told):
            self.joined.setdefault(joining, sorted(given))

    def key_pair(self, region: str, name: str) -> str:
        return f"arn:aws:ec2:{region}:{self.id}:key-pair/{name}"


def plain(tags: Any) -> Tags:
    """Tags as AWS's services write them, as a map."""
    return {
        each.get("Key", each.get("TagKey")): each.get("Value", each.get("TagValue"))
        for each in tags or ()
    }


def strings(value: Any) -> Iterator[str]:
    """Every string in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings(each)
