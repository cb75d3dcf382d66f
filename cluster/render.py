"""Scripts and configuration, rendered by pure functions."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from settings.models import TAINT_PARTS, Cluster, Containerd, Node, Role

_SCRIPTS = Path(__file__).parent / "scripts"
PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"  # kubeadm 1.34's own (constants.PauseVersion)


def body(script: str) -> str:
    """The text of cluster/scripts/<script>.sh."""
    return (_SCRIPTS / f"{script}.sh").read_text(encoding="utf-8")


def as_root(script: str, *, libraries: Sequence[str] = (), **variables: str) -> str:
    """A command line that runs a script as root with `variables` set; its stdin stays free.

    Every variable that the script names in its `In:` lines is to be given; values are quoted.
    libraries: scripts of functions that it calls.
    """
    lines = ["set -euo pipefail"]
    lines += [f"{name}={_quote(value)}" for name, value in sorted(variables.items())]
    text = "\n".join([*lines, *map(body, libraries), body(script)])
    return f"sudo -n bash -c {shlex.quote(text)}"


def prepare(node: str, settings: Cluster, ssh_user: str, join_key: str | None) -> str:
    """Host preparation. join_key: the control plane's public key; None on the control plane."""
    return as_root(
        "prepare",
        NODE_NAME=node,
        KUBERNETES_VERSION=settings.kubernetes_version,
        PACKAGE_VERSION=settings.package_version,
        PACKAGES_URL=settings.packages.url,
        PACKAGES_KEY_URL=settings.packages.key_url,
        IMAGE_MIRROR=settings.image_mirror or "",
        CONTAINERD_CONFIG=_base64(containerd_config(settings.containerd)),
        JOIN_SCRIPT=_base64(body("join")),
        JOIN_KEY=join_key or "",
        SSH_USER=ssh_user,
    )


def init(node: Node, address: str) -> str:
    """kubeadm init, to be run on the first control plane; its configuration comes by stdin."""
    approve = "\n".join(["#!/bin/bash", "set -euo pipefail", body("serving"), body("approve")])
    return as_root(
        "init",
        libraries=["serving"],
        NODE_NAME=node.name,
        ADDRESS=address,
        APPROVE_SCRIPT=_base64(approve),
    )


def labels(node: Node) -> dict[str, str]:
    """The node's labels: its data's, its role, and the role label that kubectl shows."""
    role = {"role": node.role.value, f"node-role.kubernetes.io/{node.role.value}": ""}
    return {**role, **node.labels}


@dataclass(frozen=True)
class MemberArgs:
    """What a join needs. host_key: the node's; endpoint: host:port of the API;
    first_control_plane: its node name, when this is a further one."""

    node: Node
    address: str
    host_key: str
    ssh_user: str
    endpoint: str
    provider_id: str
    first_control_plane: str | None = None


def member(args: MemberArgs) -> str:
    """The join of one node, to be run on the first control plane."""
    node = args.node
    return as_root(
        "member",
        libraries=["serving", *_etcd(args.first_control_plane)],
        NODE_NAME=node.name,
        ADDRESS=args.address,
        HOST_KEY=args.host_key,
        SSH_USER=args.ssh_user,
        ENDPOINT=args.endpoint,
        PROVIDER_ID=args.provider_id,
        LABELS=" ".join(f"{key}={value}" for key, value in sorted(labels(node).items())),
        TAINTS=" ".join(sorted(taint_words(node))),
        FIRST_CONTROL_PLANE=args.first_control_plane or "",
    )


def leave(node: Node, first_control_plane: str | None) -> str:
    """The end of a node's membership, to be run on the first control plane."""
    return as_root(
        "leave",
        libraries=_etcd(first_control_plane),
        NODE_NAME=node.name,
        FIRST_CONTROL_PLANE=first_control_plane or "",
    )


def _etcd(first_control_plane: str | None) -> list[str]:
    return ["etcd"] if first_control_plane else []


def containerd_config(settings: Containerd) -> str:
    """/etc/containerd/config.toml: systemd cgroups, as the kubelet's; mirrors in certs.d."""
    return f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = {str(settings.restrict_oom_score_adj).lower()}
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{settings.cni_bin_dir}"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    discard_unpacked_layers = true
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = true
"""


def init_configuration(
    node: Node,
    settings: Cluster,
    cluster_name: str,
    endpoint: str,
    provider_id: str,
    issuer: str | None = None,
) -> str:
    """kubeadm's v1beta4 configuration for `kubeadm init`. endpoint: DNS name of the API;
    issuer: URL under which AWS finds the keys of service account tokens."""
    documents: list[dict[str, Any]] = [
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "nodeRegistration": {
                "name": node.name,
                "criSocket": "unix:///run/containerd/containerd.sock",
                "kubeletExtraArgs": [{"name": "provider-id", "value": provider_id}],
                "taints": taints(node),
            },
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "clusterName": cluster_name,
            "kubernetesVersion": f"v{settings.kubernetes_version}",
            "controlPlaneEndpoint": f"{endpoint}:6443",
            "apiServer": {"certSANs": [endpoint], **_token_issuer(issuer)},
            "networking": {
                "podSubnet": str(settings.pod_cidr),
                "serviceSubnet": str(settings.service_cidr),
            },
            **({"dns": {"imageTag": settings.coredns_version}} if settings.coredns_version else {}),
        },
        _kubelet(settings),
        _kube_proxy(settings),
    ]
    return yaml.safe_dump_all(documents, sort_keys=False)


def _token_issuer(issuer: str | None) -> dict[str, Any]:
    if issuer is None:
        return {}
    flags = {
        "service-account-issuer": issuer,
        "service-account-jwks-uri": f"{issuer}/keys.json",
        # the cluster's own name for itself stays valid beside the new issuer's
        "api-audiences": f"{issuer},https://kubernetes.default.svc.cluster.local",
    }
    return {"extraArgs": [{"name": name, "value": value} for name, value in flags.items()]}


def _kubelet(settings: Cluster) -> dict[str, Any]:
    kubelet: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        # else each kubelet serves by a certificate of its own, which nobody can check
        "serverTLSBootstrap": True,
    }
    if settings.kubelet.eviction_hard is not None:
        kubelet["evictionHard"] = dict(settings.kubelet.eviction_hard)
    if settings.kubelet.image_gc_high_threshold_percent is not None:
        kubelet["imageGCHighThresholdPercent"] = settings.kubelet.image_gc_high_threshold_percent
    return kubelet


def _kube_proxy(settings: Cluster) -> dict[str, Any]:
    proxy: dict[str, Any] = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": settings.kube_proxy.mode,
    }
    if settings.kube_proxy.conntrack_max_per_core is not None:
        proxy["conntrack"] = {"maxPerCore": settings.kube_proxy.conntrack_max_per_core, "min": 0}
    return proxy


def taint_words(node: Node) -> list[str]:
    """The node's taints as `key=value:effect`; a control plane has kubeadm's own beside them."""
    own = ["node-role.kubernetes.io/control-plane:NoSchedule"]
    return [*(own if node.role is Role.CONTROL_PLANE else []), *node.taints]


def taints(node: Node) -> list[dict[str, str]]:
    """The node's taints as kubeadm's configuration has them."""
    result = []
    for taint in taint_words(node):
        match = TAINT_PARTS.match(taint)
        assert match  # the settings' type holds it
        parts: Mapping[str, str | None] = match.groupdict()
        result.append({key: value for key, value in parts.items() if value})
    return result


def kubeconfig(admin_conf: str, server: str, endpoint: str, cluster_name: str) -> str:
    """admin.conf made usable from outside the VPC.

    server: address that operators reach; endpoint: the name in the API server's certificate. The
    certificate is checked against that name (tls-server-name), so that a new public address asks
    for no new certificate.
    """
    config = yaml.safe_load(admin_conf)
    for entry in config["clusters"]:
        entry["cluster"]["server"] = f"https://{server}:6443"
        entry["cluster"]["tls-server-name"] = endpoint
    for context in config["contexts"]:
        if context["name"] == config["current-context"]:
            context["name"] = cluster_name
    config["current-context"] = cluster_name
    return str(yaml.safe_dump(config, sort_keys=False))


def _quote(value: str) -> str:
    """Quoted always, also where the shell would not ask for it, so that diffs stay even."""
    return "'" + value.replace("'", "'\"'\"'") + "'"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
