"""The contract's shape. Flat: one secret inside an object would make the whole object secret
(pulumi issue 17422), so the kubeconfig is an output of its own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

VERSION = "1.0.0"  # semantic: a name gone or a type narrowed is a new major version


class NodeOutput(BaseModel):
    """One node of the cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Kubernetes node name")
    role: str = Field(description="role from the node data, such as api")
    zone: str = Field(description="availability zone")
    instance_id: str = Field(description="EC2 instance id")
    private_ip: str = Field(description="address inside the VPC")


class Contract(BaseModel):
    """Stack outputs of an environment that owns all layers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contract_version: str = Field(description="version of this contract, semantic")
    cluster_name: str = Field(description="name of the cluster, and prefix of its AWS names")
    region: str = Field(description="AWS region")
    vpc_id: str = Field(description="VPC id")
    public_subnet_ids: dict[str, str] = Field(description="public subnet id by zone")
    private_subnet_ids: dict[str, str] = Field(description="private subnet id by zone")
    security_group_ids: dict[str, str] = Field(
        description="security group id by what it is for: node, control-plane"
    )
    api_endpoint: str = Field(description="DNS name of the Kubernetes API inside the VPC")
    api_server: str = Field(description="URL of the Kubernetes API for operators")
    kubeconfig: str = Field(description="cluster administrator's kubeconfig; secret")
    argocd_url: str = Field(description="URL of Argo CD for operators")
    bastion_address: str = Field(description="public address of the SSH bastion")
    nodes: list[NodeOutput] = Field(description="every node, in the order of the node data")
