"""kubeadm over SSH: prepared hosts, a control plane, members, a pod network."""

from cluster.layer import Cluster, ClusterArgs, ClusterOutputs, ControlPlane
from cluster.ssh import Host

__all__ = ["Cluster", "ClusterArgs", "ClusterOutputs", "ControlPlane", "Host"]
