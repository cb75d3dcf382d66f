"""The settings' types. Frozen; unknown keys refused; each field says what it means."""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
DnsName = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*$")
]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]
KubernetesVersion = Annotated[str, StringConstraints(pattern=r"^1\.\d+\.\d+$")]
Version = Annotated[str, StringConstraints(pattern=r"^v?\d+\.\d+\.\d+$")]
# Kubernetes' own grammar: [prefix/]name, a value of up to 63 characters
LabelKey = Annotated[
    str,
    StringConstraints(pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"),
]
LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$")
]
Taint = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9./_-]+(=[A-Za-z0-9._-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$"
    ),
]


ImageReference = Annotated[str, StringConstraints(pattern=r"^[^\s:/]+(:\d+)?/[^\s:]+:[\w.-]+$")]


def _network(value: object) -> object:
    """In ipaddress's own words, which say what is wrong (host bits set, say)."""
    return IPv4Network(value) if isinstance(value, str) else value


Cidr = Annotated[IPv4Network, BeforeValidator(_network)]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Role(StrEnum):
    """What a node is for; security groups and node-role labels follow it."""

    CONTROL_PLANE = "control-plane"
    API = "api"
    WORKER = "worker"
    POSTGRESQL = "postgresql"
    REDIS = "redis"
    RABBITMQ = "rabbitmq"
    MONITORING = "monitoring"


class Node(Model):
    """One EC2 instance that is one Kubernetes node of the same name."""

    name: DnsLabel
    role: Role
    instance_type: str = Field(description="EC2 instance type, such as t3.medium")
    zone: str = Field(description="availability zone, one of network.zones")
    public: bool = Field(default=False, description="in a public subnet, with an Elastic IP")
    disk_gib: int = Field(default=40, ge=20, le=16384, description="root volume, GiB, gp3")
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    taints: tuple[Taint, ...] = ()


class Aws(Model):
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    endpoint_url: Url | None = None


class Network(Model):
    cidr: Cidr
    zones: tuple[str, ...] = Field(min_length=1, max_length=6)
    subnet_prefix: int = Field(ge=16, le=28)  # AWS: a subnet is /16 to /28
    nat_gateways: Literal["one", "per-zone"] = Field(
        description="one for all zones, or one in each: dearer, and a zone's end is its own"
    )
    flow_logs: Literal["ALL", "REJECT", "ACCEPT"] | None = Field(
        description="traffic that the VPC's flow logs record; null: none are kept"
    )


class Access(Model):
    operator_cidrs: tuple[Cidr, ...]
    bastion: DnsLabel | None = Field(
        description="public node through which private ones are reached; null: operators are on a "
        "network that reaches the VPC, and every node at its private address"
    )
    session_manager: bool = Field(
        description="shells by AWS Systems Manager, with no port open: nodes may talk to it"
    )


class Instances(Model):
    """What all instances share."""

    metadata_hop_limit: int = Field(
        ge=1, le=64, description="1 keeps pods off the node's role; 2 lets them reach it"
    )


class Ssh(Model):
    user: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]*$")]
    private_key_file: str
    public_key_file: str


class Ami(Model):
    owner: Annotated[str, StringConstraints(pattern=r"^(\d{12}|amazon|self)$")]
    name: str = Field(min_length=3, max_length=128)


class PublicDns(Model):
    """What the internet sees: names, their certificates, the load balancer, the CDN.

    zone_id: an existing zone of `domain`; null makes one, which the registrar must delegate to
    before certificates can be validated.
    """

    domain: DnsName
    zone_id: Annotated[str, StringConstraints(pattern=r"^Z[A-Z0-9]{1,31}$")] | None = None
    api: DnsLabel = Field(default="api", description="label of the public API")
    argocd: DnsLabel = Field(default="argocd", description="label of Argo CD")
    cdn: DnsLabel = Field(default="cdn", description="label of the asset CDN")


class Dns(Model):
    """public: null makes no public name, certificate, load balancer or CDN."""

    zone: DnsName
    public: PublicDns | None


class Storage(Model):
    """S3 buckets of assets, backups and logs. Ages in days."""

    noncurrent_expire_days: int = Field(ge=1, description="older versions of an object")
    backups_expire_days: int = Field(ge=1, description="backups")
    logs_expire_days: int = Field(ge=1, description="access and flow logs")


class Cdn(Model):
    """CloudFront over the asset bucket."""

    price_class: Literal["PriceClass_100", "PriceClass_200", "PriceClass_All"]


class Ingress(Model):
    """Where the load balancer finds the cluster's ingress controller on the nodes."""

    node_port: int = Field(ge=30000, le=32767)
    health_path: Annotated[str, StringConstraints(pattern=r"^/[\w./-]*$")]


class Packages(Model):
    url: Url
    key_url: Url
    revision: str


class Containerd(Model):
    restrict_oom_score_adj: bool
    cni_bin_dir: Annotated[str, StringConstraints(pattern=r"^/[\w./-]+$")]


class KubeProxy(Model):
    mode: Literal["nftables", "iptables", "ipvs"]
    conntrack_max_per_core: int | None = Field(default=None, ge=0)


class Kubelet(Model):
    """KubeletConfiguration's fields of these names."""

    eviction_hard: dict[str, str] | None = Field(
        default=None, description="signal to threshold, such as nodefs.available: 10%"
    )
    image_gc_high_threshold_percent: int | None = Field(default=None, ge=0, le=100)


class Cluster(Model):
    kubernetes_version: KubernetesVersion
    pod_cidr: Cidr
    service_cidr: Cidr
    coredns_version: Version | None
    packages: Packages
    image_mirror: Url | None
    cni_manifest: Url
    containerd: Containerd
    kube_proxy: KubeProxy
    kubelet: Kubelet

    @property
    def package_version(self) -> str:
        """The Debian version of the Kubernetes packages: 1.34.4-1.1."""
        return f"{self.kubernetes_version}-{self.packages.revision}"


class ArgoCd(Model):
    chart_repository: Url
    chart: str
    version: Version
    node_port: int = Field(ge=30000, le=32767)
    redis_image: (
        Annotated[str, StringConstraints(pattern=r"^[^\s:]+(:\d+)?/[^\s:]+:[\w.-]+$")] | None
    )


class GitOps(Model):
    repo_url: Url
    revision: str
    path: Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)*$")]
    addons: bool = Field(description="whether the add-ons of gitops/tree are installed")
    chart_mirror: Url | None = Field(description="holds the charts of all add-ons; null: their own")
    argocd: ArgoCd


class Identity(Model):
    """pods: whether pods get AWS roles of their own (self-hosted IRSA)."""

    pods: bool
    permissions_boundary: (
        Annotated[str, StringConstraints(pattern=r"^arn:aws:iam::\d{12}:policy/\S+$")] | None
    ) = Field(description="IAM policy that bounds every role that is made, by its ARN")


class Settings(Model):
    """One environment, complete and checked."""

    name: DnsLabel
    aws: Aws
    network: Network
    access: Access
    ssh: Ssh
    ami: Ami
    instances: Instances
    dns: Dns
    storage: Storage
    cdn: Cdn
    ingress: Ingress
    identity: Identity
    cluster: Cluster
    gitops: GitOps
    nodes: tuple[Node, ...]

    @property
    def control_planes(self) -> tuple[Node, ...]:
        """The nodes of the control plane; `kubeadm init` runs on the first."""
        return tuple(node for node in self.nodes if node.role is Role.CONTROL_PLANE)

    @property
    def api_endpoint(self) -> str:
        """DNS name of the control-plane endpoint."""
        return f"api.{self.dns.zone}"


TAINT_PARTS = re.compile(r"^(?P<key>[^=:]+)(=(?P<value>[^:]*))?:(?P<effect>\w+)$")
