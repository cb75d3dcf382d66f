"""The cluster layer: machines in, a cluster whose every node is Ready out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_command import remote

from cluster import render
from cluster.ssh import Access, Host, command
from settings import Node, Role, Settings


@dataclass(frozen=True)
class ClusterArgs:
    """hosts: by node name, one for each node of the settings; private_key: of the SSH user;
    bastion: its public address, if there is one; address: where operators reach the control plane;
    issuer: URL of the issuer of service account tokens, None for the cluster itself."""

    settings: Settings
    hosts: Mapping[str, Host]
    api_endpoint: pulumi.Output[str]
    private_key: pulumi.Output[str]
    bastion: pulumi.Output[str] | None
    address: pulumi.Output[str]
    issuer: pulumi.Output[str] | None = None


@dataclass(frozen=True)
class ControlPlane:
    """What the layers above need of a cluster, made in this stack or told by another.

    kubeconfig: secret, for use from outside the VPC; resource: what the cluster dies with, and
    members: what must have joined before workloads are sent, if this stack makes them.
    """

    kubeconfig: pulumi.Output[str]
    resource: pulumi.Resource | None = None
    members: Sequence[pulumi.Resource] = ()


@dataclass(frozen=True)
class ClusterOutputs:
    """api_server: URL; jwks: the public keys of service account tokens, as JSON (RFC 7517), if an
    issuer was given."""

    control_plane: ControlPlane
    api_server: pulumi.Output[str]
    jwks: pulumi.Output[str] | None


class Cluster(pulumi.ComponentResource):
    """Prepared hosts -> kubeadm init -> pod network -> one Member a node."""

    def __init__(
        self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("groundwork:cluster:Cluster", name, None, opts)
        self._args, settings = args, args.settings
        control_planes = settings.control_planes
        self._master = control_planes[0]  # where kubeadm init runs, and joins are driven from
        self._access = Access(settings.ssh.user, args.private_key, args.bastion)

        join_key = self._on_master("join-key", render.as_root("join-key"), [])
        prepared = {
            node.name: self._prepare(node, None if node is self._master else join_key.stdout)
            for node in settings.nodes
        }
        init = self._init(prepared[self._master.name])
        network = self._on_master(
            "cni",
            render.as_root(
                "cni", MANIFEST_URL=settings.cluster.cni_manifest, NODE_NAME=self._master.name
            ),
            [init],
        )
        self._label_master(network)
        members: list[remote.Command] = []
        for node in control_planes[1:]:  # one after the other: etcd takes one new member at a time
            members.append(self._member(node, prepared[node.name], [network, *members[-1:]]))
        members += [
            self._member(node, prepared[node.name], [network])
            for node in settings.nodes
            if node not in control_planes
        ]
        self.outputs = ClusterOutputs(
            control_plane=ControlPlane(
                kubeconfig=pulumi.Output.secret(
                    pulumi.Output.all(init.stdout, args.address, args.api_endpoint).apply(
                        lambda v: render.kubeconfig(str(v[0]), str(v[1]), str(v[2]), settings.name)
                    )
                ),
                resource=init,
                members=members,
            ),
            api_server=pulumi.Output.format("https://{0}:6443", args.address),
            jwks=None if args.issuer is None else self._jwks(init),
        )
        self.register_outputs({"api_server": self.outputs.api_server})

    def _prepare(self, node: Node, join_key: pulumi.Output[str] | None) -> remote.Command:
        settings, host = self._args.settings, self._args.hosts[node.name]
        run = pulumi.Output.from_input(join_key).apply(
            lambda key: render.prepare(node.name, settings.cluster, settings.ssh.user, key)
        )
        return command(
            f"prepare-{node.name}",
            self._access.to(host),
            run,
            pulumi.ResourceOptions(parent=self),
            triggers=[host.instance_id],  # another machine is prepared anew
        )

    def _init(self, prepared: remote.Command) -> remote.Command:
        settings = self._args.settings
        configuration = pulumi.Output.all(
            self._args.api_endpoint, self._provider_id(self._master), self._args.issuer
        ).apply(
            lambda v: render.init_configuration(
                self._master, settings.cluster, settings.name, str(v[0]), str(v[1]), v[2]
            )
        )
        return self._on_master(
            "init",
            pulumi.Output.from_input(self._args.hosts[self._master.name].private_ip).apply(
                lambda address: render.init(self._master, str(address))
            ),
            [prepared],
            stdin=configuration,
            secret_output=True,
        )

    def _jwks(self, init: remote.Command) -> pulumi.Output[str]:
        return self._on_master("jwks", render.as_root("jwks"), [init]).stdout

    def _label_master(self, network: remote.Command) -> remote.Command:
        """The control plane's own labels; the same script with nothing to join."""
        labels = " ".join(f"{k}={v}" for k, v in sorted(render.labels(self._master).items()))
        return self._on_master(
            "labels",
            render.as_root("labels", NODE_NAME=self._master.name, LABELS=labels),
            [network],
        )

    def _member(
        self, node: Node, prepared: remote.Command, after: Sequence[remote.Command]
    ) -> remote.Command:
        """after: the pod network first."""
        settings, host = self._args.settings, self._args.hosts[node.name]
        first = self._master.name if node.role is Role.CONTROL_PLANE else None
        run = pulumi.Output.all(
            host.private_ip, prepared.stdout, self._args.api_endpoint, self._provider_id(node)
        ).apply(
            lambda v: render.member(
                render.MemberArgs(
                    node=node,
                    address=str(v[0]),
                    host_key=str(v[1]),
                    ssh_user=settings.ssh.user,
                    endpoint=f"{v[2]}:6443",
                    provider_id=str(v[3]),
                    first_control_plane=first,
                )
            )
        )
        return self._on_master(
            f"member-{node.name}",
            run,
            [*after, prepared],
            delete=render.leave(node, first),
            triggers=[host.instance_id],
            # the old machine leaves before a new one takes its name; when the control plane goes
            # with the node there is no cluster to leave
            delete_before_replace=True,
            deleted_with=after[0],
        )

    def _provider_id(self, node: Node) -> pulumi.Output[str]:
        """As the AWS cloud provider writes it, so that it finds the instance by it."""
        return pulumi.Output.format(
            "aws:///{0}/{1}", node.zone, self._args.hosts[node.name].instance_id
        )

    def _on_master(
        self,
        name: str,
        run: pulumi.Input[str],
        depends_on: Sequence[pulumi.Resource],
        *,
        delete: pulumi.Input[str] | None = None,
        stdin: pulumi.Input[str] | None = None,
        triggers: Sequence[pulumi.Input[str]] | None = None,
        secret_output: bool = False,
        delete_before_replace: bool = False,
        deleted_with: pulumi.Resource | None = None,
    ) -> remote.Command:
        """A command on the control plane; run anew on another machine."""
        host = self._args.hosts[self._master.name]
        return command(
            name,
            self._access.to(host),
            run,
            pulumi.ResourceOptions(
                parent=self,
                depends_on=list(depends_on),
                delete_before_replace=delete_before_replace or None,
                deleted_with=deleted_with,
            ),
            delete=delete,
            stdin=stdin,
            triggers=[host.instance_id] if triggers is None else triggers,
            secret_output=secret_output,
        )
