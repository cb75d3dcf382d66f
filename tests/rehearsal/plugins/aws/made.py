"""Resources made through the plugin, and what each type promises about its life."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.plugins.protocol import Properties
from tests.rehearsal.plugins.harness import Plugin

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
GATEWAY = "aws:ec2/internetGateway:InternetGateway"
NAT = "aws:ec2/natGateway:NatGateway"
EIP = "aws:ec2/eip:Eip"
EIP_ASSOCIATION = "aws:ec2/eipAssociation:EipAssociation"
TABLE = "aws:ec2/routeTable:RouteTable"
ROUTE = "aws:ec2/route:Route"
TABLE_ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
VPC_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
KEY_PAIR = "aws:ec2/keyPair:KeyPair"
INSTANCE = "aws:ec2/instance:Instance"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/policy:Policy"
OIDC = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
ZONE = "aws:route53/zone:Zone"
RECORD = "aws:route53/record:Record"
BUCKET = "aws:s3/bucket:Bucket"
KEY = "aws:kms/key:Key"
ALIAS = "aws:kms/alias:Alias"


def unique(prefix: str) -> str:
    """A name nobody else has."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@dataclass
class Made:
    """A resource in a stack's state: what the engine would hold of it."""

    plugin: Plugin
    type: str
    id: str
    inputs: Properties
    outputs: Properties

    def diff(self, **changed: Any) -> Any:
        """The diff to the same inputs with some changed; None removes one."""
        return self.plugin.diff(self.type, self.id, self.inputs, self.outputs, self._news(changed))

    def update(self, **changed: Any) -> None:
        """Updates in place; fails if the diff asks for a replacement or for nothing."""
        news = self._news(changed)
        diff = self.plugin.diff(self.type, self.id, self.inputs, self.outputs, news)
        assert diff.changes and not diff.replaces, diff
        self.outputs = self.plugin.update(self.type, self.id, self.inputs, self.outputs, news)
        self.inputs = news
        self.unchanged()

    def refresh(self) -> Properties:
        """Reads it; returns the inputs that drifted, by name (None: it is gone)."""
        found = self.plugin.read(self.type, self.id, self.inputs, self.outputs)
        if not found.id:
            return {"": None}
        drift = {
            key: found.inputs.get(key)
            for key in {*found.inputs, *self.inputs}
            if found.inputs.get(key) != self.inputs.get(key)
        }
        self.inputs, self.outputs = found.inputs, found.outputs
        return drift

    def unchanged(self) -> None:
        """Neither a second `up` nor a refresh finds anything to do."""
        assert not self.diff().changes, self.diff()
        before = dict(self.outputs)
        assert self.refresh() == {}
        assert self.outputs == before

    def delete(self) -> None:
        """Deletes it; a second delete is fine; afterwards a refresh finds nothing."""
        self.plugin.delete(self.type, self.id, self.inputs, self.outputs)
        self.plugin.delete(self.type, self.id, self.inputs, self.outputs)
        assert not self.plugin.read(self.type, self.id, self.inputs, self.outputs).id

    def imported(self) -> Properties:
        """The inputs that an import by id finds; they differ from the program's in nothing."""
        found = self.plugin.read(self.type, self.id)
        assert found.id == self.id
        diff = self.plugin.diff(self.type, self.id, found.inputs, found.outputs, self.inputs)
        assert not diff.replaces, diff
        return found.inputs

    def _news(self, changed: Mapping[str, Any]) -> Properties:
        given = {k: v for k, v in self.inputs.items() if not k.startswith("__")}
        for key in self.inputs.get("__defaults", ()):
            given.pop(key, None)
        given.update(changed)
        news = {key: value for key, value in given.items() if value is not None}
        return self.plugin.check(self.type, news, self.inputs)


def make(plugin: Plugin, type: str, /, **inputs: Any) -> Made:
    """Checks and creates a resource; what was made has nothing left to change."""
    checked = plugin.check(type, inputs)
    id, outputs = plugin.create(type, checked)
    made = Made(plugin, type, id, checked, outputs)
    made.unchanged()
    return made


def make_subnet(plugin: Plugin, block: str = "10.0.1.0/24", **inputs: Any) -> tuple[Made, Made]:
    """A VPC and a subnet in it."""
    vpc = make(plugin, VPC, cidrBlock="10.0.0.0/16")
    return vpc, make(plugin, SUBNET, vpcId=vpc.id, cidrBlock=block, **inputs)
