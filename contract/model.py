"""The contract's shape. Flat: one secret inside an object would make the whole object secret
(pulumi issue 17422), so the kubeconfig is an output of its own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

VERSION = "2.0.0"  # semantic: a name gone or a type narrowed is a new major version


class NodeOutput(BaseModel):
    """One node of the cluster."""

    model_config = ConfigDict(frozen=True)  # what a later minor version adds is passed over

    name: str = Field(description="Kubernetes node name")
    role: str = Field(description="role from the node data, such as api")
    zone: str = Field(description="availability zone")
    instance_id: str = Field(description="EC2 instance id")
    private_ip: str = Field(description="address inside the VPC")
    public_ip: str | None = Field(default=None, description="Elastic IP, if it has one")


class Common(BaseModel):
    """What every stack tells, whichever layers it has."""

    model_config = ConfigDict(frozen=True)

    contract_version: str = Field(description="version of this contract, semantic")
    cluster_name: str = Field(description="name of the cluster, and prefix of its AWS names")
    region: str = Field(description="AWS region")


class InfraContract(Common):
    """Outputs of the stack that has the infra layer."""

    vpc_id: str = Field(description="VPC id")
    public_subnet_ids: dict[str, str] = Field(description="public subnet id by zone")
    private_subnet_ids: dict[str, str] = Field(description="private subnet id by zone")
    security_group_ids: dict[str, str] = Field(
        description="security group id by what it is for: node, control-plane"
    )
    api_endpoint: str = Field(description="DNS name of the Kubernetes API inside the VPC")
    bastion_address: str | None = Field(
        default=None, description="public address of the SSH bastion, if there is one"
    )
    backups_bucket: str = Field(description="S3 bucket of backups")
    assets_bucket: str | None = Field(
        default=None, description="S3 bucket of the assets that the CDN serves, if there is one"
    )
    public_api_url: str | None = Field(
        default=None, description="URL of the platform's API on the internet, if it has one"
    )
    public_argocd_url: str | None = Field(
        default=None, description="URL of Argo CD at its public name, for operators, if it has one"
    )
    cdn_url: str | None = Field(default=None, description="URL of the asset CDN, if there is one")
    public_name_servers: list[str] | None = Field(
        default=None, description="what the registrar must delegate the public domain to"
    )
    pod_role_arns: dict[str, str] | None = Field(
        default=None,
        description="IAM role ARN by namespace/service account, if pods have roles of their own",
    )
    issuer_url: str | None = Field(
        default=None,
        description="URL of the issuer of service account tokens, if pods have roles of their own",
    )
    issuer_bucket: str | None = Field(
        default=None,
        description="S3 bucket of the issuer's public keys, if pods have roles of their own",
    )
    nodes: list[NodeOutput] = Field(description="every node, in the order of the node data")


class ClusterContract(Common):
    """Outputs of the stack that has the cluster layer."""

    api_server: str = Field(description="URL of the Kubernetes API for operators")
    kubeconfig: str = Field(description="cluster administrator's kubeconfig; secret")


class GitOpsContract(Common):
    """Outputs of the stack that has the gitops layer."""

    argocd_url: str = Field(description="URL of Argo CD for operators")


class Contract(GitOpsContract, ClusterContract, InfraContract):
    """Outputs of an environment: of its one stack, or of all its stacks taken together."""
