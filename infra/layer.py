"""The infra layer: settings in, machines and network ids out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra import iam, policies
from infra.edges import Edges, EdgesArgs, EdgesOutputs
from infra.load_balancers import ApiLoadBalancer, ApiLoadBalancerArgs, LoadBalancerOutputs
from infra.network import Network, NetworkArgs, NetworkOutputs
from infra.nodes import NodeArgs, NodeInstance, NodeOutputs
from infra.pod_identity import (
    PodIdentity,
    PodIdentityArgs,
    PodIdentityOutputs,
    Reach,
    controller_permissions,
)
from infra.policies import Place
from infra.ports import API_LOAD_BALANCER, LOAD_BALANCER, MatrixArgs, matrix
from infra.private_zone import PrivateZone, PrivateZoneArgs
from infra.security import Security, SecurityArgs
from infra.storage import Storage, StorageArgs, StorageOutputs
from settings import Role, Settings
from settings.check import resolve
from settings.plan import NetworkPlan

# The nodes behind the public load balancer: kube-proxy sends on from each to where the pods are.
_BALANCED = (Role.API, Role.WORKER)


@dataclass(frozen=True)
class InfraArgs:
    """project: the folder that relative file names in the settings start from."""

    settings: Settings
    project: Path


@dataclass(frozen=True)
class Foundation:
    """What the layers above need of AWS, made in this stack or told by another.

    api_endpoint: DNS name of the control plane inside the VPC, known once the record stands;
    bastion_address: None without a bastion; identity: None without roles for pods.
    """

    vpc_id: pulumi.Output[str]
    nodes: Mapping[str, NodeOutputs]
    api_endpoint: pulumi.Output[str]
    bastion_address: pulumi.Output[str] | None
    backups_bucket: pulumi.Output[str]
    identity: PodIdentityOutputs | None

    def operator_address(self, settings: Settings) -> pulumi.Output[str]:
        """Where operators reach the control plane: at the bastion, or inside the VPC."""
        if self.bastion_address is not None:
            return self.bastion_address
        return self.nodes[settings.control_planes[0].name].private_ip


@dataclass(frozen=True)
class InfraOutputs(Foundation):
    """What other teams need besides. assets_bucket, edges: None without a public side."""

    public_subnet_ids: Mapping[str, pulumi.Output[str]]
    private_subnet_ids: Mapping[str, pulumi.Output[str]]
    security_group_ids: Mapping[str, pulumi.Output[str]]
    assets_bucket: pulumi.Output[str] | None
    edges: EdgesOutputs | None


class Infra(pulumi.ComponentResource):
    """Everything in AWS of one environment, made by the AWS provider in `opts`."""

    def __init__(self, name: str, args: InfraArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:Infra", name, None, opts)
        self._args, settings = args, args.settings
        self._child = pulumi.ResourceOptions(parent=self)
        self._ask = pulumi.InvokeOutputOptions(parent=self)
        place = aws.get_caller_identity_output(opts=self._ask).account_id.apply(
            lambda account: Place(settings.aws.region, account)
        )
        network = self._network()
        storage = self._storage(place, network)
        controllers = self._controllers(place, network, storage)
        nodes, security = self._nodes(network, self._profiles(place, storage, controllers))
        bastion = settings.access.bastion
        self.outputs = InfraOutputs(
            vpc_id=network.vpc_id,
            public_subnet_ids={zone: subnet.id for zone, subnet in network.public.items()},
            private_subnet_ids={zone: subnet.id for zone, subnet in network.private.items()},
            security_group_ids=security.groups,
            nodes=nodes,
            api_endpoint=self._api_endpoint(network, security, nodes),
            # the settings' checks hold that it is public
            bastion_address=nodes[bastion].public_ip if bastion else None,
            backups_bucket=storage.backups.id,
            assets_bucket=storage.assets.id if storage.assets else None,
            edges=self._edges(network, storage, security, nodes),
            identity=self._identity(place, storage, controllers),
        )
        self.register_outputs({"vpc_id": network.vpc_id})

    def _network(self) -> NetworkOutputs:
        settings = self._args.settings
        network = settings.network
        return Network(
            "network",
            NetworkArgs(
                name=settings.name,
                plan=NetworkPlan.of(network.cidr, network.zones, network.subnet_prefix),
                region=settings.aws.region,
                nat_gateways=network.nat_gateways,
            ),
            self._child,
        ).outputs

    def _storage(self, place: pulumi.Output[Place], network: NetworkOutputs) -> StorageOutputs:
        """The buckets; the VPC's flow logs go into that of logs."""
        settings = self._args.settings
        storage = Storage(
            "storage",
            StorageArgs(
                name=settings.name,
                place=place,
                retention=settings.storage,
                assets=settings.dns.public is not None,
            ),
            self._child,
        ).outputs
        if settings.network.flow_logs is not None:
            aws.ec2.FlowLog(
                "vpc",
                vpc_id=network.vpc_id,
                traffic_type=settings.network.flow_logs,
                log_destination_type="s3",
                log_destination=storage.flow_logs,
                tags={"Name": f"{settings.name}-vpc"},
                opts=self._child,
            )
        return storage

    def _controllers(
        self, place: pulumi.Output[Place], network: NetworkOutputs, storage: StorageOutputs
    ) -> dict[str, pulumi.Output[str]]:
        """What pods that call AWS may, by controller."""
        cluster, backups = self._args.settings.name, storage.backups.arn
        return controller_permissions(
            pulumi.Output.all(place, network.vpc_id, backups, storage.key_arn).apply(
                lambda known: Reach(known[0], cluster, str(known[1]), str(known[2]), str(known[3]))
            )
        )

    def _profiles(
        self,
        place: pulumi.Output[Place],
        storage: StorageOutputs,
        controllers: Mapping[str, pulumi.Output[str]],
    ) -> iam.NodeProfiles:
        settings = self._args.settings
        every = {"ecr-pull": place.apply(policies.ecr_pull)}
        if settings.access.session_manager:
            every["session-manager"] = pulumi.Output.from_input(policies.session_manager())
        snapshots = pulumi.Output.all(storage.backups.arn, storage.key_arn).apply(
            lambda arns: policies.etcd_snapshots(str(arns[0]), str(arns[1]))
        )
        return iam.NodeProfiles(
            "node-profiles",
            iam.NodeProfilesArgs(
                name=settings.name,
                permissions={
                    iam.CONTROL_PLANE: {**every, "etcd-snapshots": snapshots},
                    iam.NODE: every if settings.identity.pods else {**every, **controllers},
                },
                boundary=settings.identity.permissions_boundary,
            ),
            self._child,
        )

    def _api_endpoint(
        self, network: NetworkOutputs, security: Security, nodes: Mapping[str, NodeOutputs]
    ) -> pulumi.Output[str]:
        """The control-plane endpoint's name: of the one control plane, or of the load balancer
        before several."""
        settings = self._args.settings
        masters = {node.name: nodes[node.name] for node in settings.control_planes}
        api: list[pulumi.Input[str]] | LoadBalancerOutputs = [
            each.private_ip for each in masters.values()
        ]
        if len(masters) > 1:
            api = ApiLoadBalancer(
                "kube-api",
                ApiLoadBalancerArgs(
                    name=settings.name,
                    vpc_id=network.vpc_id,
                    subnets=list(network.private.values()),
                    security_group=security.groups[API_LOAD_BALANCER],
                    control_planes={name: each.instance_id for name, each in masters.items()},
                ),
                self._child,
            ).outputs
        return PrivateZone(
            "private-zone",
            PrivateZoneArgs(
                name=settings.name,
                zone=settings.dns.zone,
                vpc_id=network.vpc_id,
                api_endpoint=settings.api_endpoint,
                api=api,
            ),
            self._child,
        ).api_endpoint

    def _edges(
        self,
        network: NetworkOutputs,
        storage: StorageOutputs,
        security: Security,
        nodes: Mapping[str, NodeOutputs],
    ) -> EdgesOutputs | None:
        settings = self._args.settings
        if settings.dns.public is None:
            return None
        return Edges(
            "edges",
            EdgesArgs(
                settings=settings,
                dns=settings.dns.public,
                network=network,
                storage=storage,
                security_group=security.groups[LOAD_BALANCER],
                targets={
                    node.name: nodes[node.name].instance_id
                    for node in settings.nodes
                    if node.role in _BALANCED
                },
            ),
            self._child,
        ).outputs

    def _identity(
        self,
        place: pulumi.Output[Place],
        storage: StorageOutputs,
        controllers: Mapping[str, pulumi.Output[str]],
    ) -> PodIdentityOutputs | None:
        settings = self._args.settings
        if not settings.identity.pods:
            return None
        return PodIdentity(
            "pod-identity",
            PodIdentityArgs(
                name=settings.name,
                place=place,
                permissions=controllers,
                key_arn=storage.key_arn,
                logs=storage.logs,
                noncurrent_expire_days=settings.storage.noncurrent_expire_days,
                boundary=settings.identity.permissions_boundary,
            ),
            self._child,
        ).outputs

    def _nodes(
        self, network: NetworkOutputs, profiles: iam.NodeProfiles
    ) -> tuple[dict[str, NodeOutputs], Security]:
        settings = self._args.settings
        security = Security(
            "security",
            SecurityArgs(
                name=settings.name,
                vpc_id=network.vpc_id,
                vpc_cidr=settings.network.cidr,
                rules=matrix(
                    MatrixArgs(
                        argocd_node_port=settings.gitops.argocd.node_port,
                        ingress_node_port=settings.ingress.node_port,
                        public=settings.dns.public is not None,
                        control_planes=len(settings.control_planes),
                        bastion=settings.access.bastion is not None,
                        addons=settings.gitops.addons,
                    )
                ),
                operator_cidrs=settings.access.operator_cidrs,
            ),
            self._child,
        )
        image = aws.ec2.get_ami_output(
            owners=[settings.ami.owner],
            filters=[{"name": "name", "values": [settings.ami.name]}],
            most_recent=True,
            opts=self._ask,
        )
        public_key = resolve(self._args.project, settings.ssh.public_key_file).read_text().split()
        key = aws.ec2.KeyPair(
            "operator",
            key_name=f"{settings.name}-operator",
            public_key=" ".join(public_key[:2]),
            opts=self._child,
        )
        return {
            node.name: NodeInstance(
                node.name,
                NodeArgs(
                    node=node,
                    cluster=settings.name,
                    ami_id=image.id,
                    key_name=key.key_name,
                    instance_profile=profiles.of(node.role),
                    subnet=(network.public if node.public else network.private)[node.zone],
                    security_groups=security.of(node.role),
                    rules_enforced=security.enforced,
                    metadata_hop_limit=settings.instances.metadata_hop_limit,
                ),
                self._child,
            ).outputs
            for node in settings.nodes
        }, security
