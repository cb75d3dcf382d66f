"""Linux hosts on one machine: a base image, and hosts that boot from it in namespaces.

A host is systemd as process 1 of its own mount, pid, host name, IPC and cgroup namespaces, in a
network namespace that somebody else made, on an overlay over the shared base image.
"""

from __future__ import annotations

from rehearsal.hosts.base import build_base
from rehearsal.hosts.host import Host, HostSpec, list_hosts, remove_all
from rehearsal.hosts.machine import check_machine, raise_limits, restore_limits

__all__ = [
    "Host",
    "HostSpec",
    "build_base",
    "check_machine",
    "list_hosts",
    "raise_limits",
    "remove_all",
    "restore_limits",
]
