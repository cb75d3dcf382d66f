"""kubeadm, kubelet and kubectl as Debian packages, in the layout of upstream's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.mirrors.deb import File, Package

NAMES = ("kubeadm", "kubelet", "kubectl")

_KUBELET_SERVICE = """\
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
"""

# The kubelet's flags when kubeadm runs it: its own files, then what kubeadm wrote at init or
# join, then what the machine's owner put into /etc/default/kubelet.
_KUBEADM_DROP_IN = """\
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf\
 --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS\
 $KUBELET_EXTRA_ARGS
"""

# Enabled, not started: without kubeadm's files the kubelet could only fail and be restarted.
_KUBELET_POSTINST = """\
#!/bin/sh
set -e
case "$1" in configure | abort-upgrade | abort-deconfigure | abort-remove)
  deb-systemd-helper unmask kubelet.service >/dev/null || true
  if deb-systemd-helper --quiet was-enabled kubelet.service; then
    deb-systemd-helper enable kubelet.service >/dev/null || true
  else
    deb-systemd-helper update-state kubelet.service >/dev/null || true
  fi
  ;;
esac
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
fi
"""

_KUBELET_PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  deb-systemd-invoke stop kubelet.service >/dev/null || true
fi
"""

_KUBELET_POSTRM = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = purge ] && [ -x /usr/bin/deb-systemd-helper ]; then
  deb-systemd-helper purge kubelet.service >/dev/null || true
fi
"""


def minor(version: str) -> str:
    """`1.34.4` -> `v1.34`, the name of upstream's repository. Raises RehearsalError."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise RehearsalError(f"Kubernetes version {version!r} is not of the form 1.34.4")
    return "v" + version.rsplit(".", 1)[0]


def packages(
    version: str, revision: str, architecture: str, binaries: Mapping[str, Path]
) -> list[Package]:
    """The three packages of one Kubernetes version.

    binaries: the built program by name, each of NAMES. Raises RehearsalError if one is missing.
    """
    for name in NAMES:
        if name not in binaries or not binaries[name].is_file():
            raise RehearsalError(f"no {name} {version} to package; build the tools first")
    full = f"{version}-{revision}"

    def program(name: str) -> dict[str, File]:
        return {f"/usr/bin/{name}": File(binaries[name].resolve(), 0o755)}

    return [
        Package(
            name="kubeadm",
            version=full,
            architecture=architecture,
            description="Command-line utility for administering a Kubernetes cluster",
            section="admin",
            files=program("kubeadm")
            | {"/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": File(_KUBEADM_DROP_IN)},
        ),
        Package(
            name="kubelet",
            version=full,
            architecture=architecture,
            description="Node agent for Kubernetes clusters\n"
            "Upstream's package depends on kubernetes-cni, which is not served here: Debian's\n"
            "containernetworking-plugins, in /usr/lib/cni, stands in for it.",
            depends=("containernetworking-plugins", "mount", "util-linux"),
            recommends=("iptables (>= 1.8.4)",),
            files=program("kubelet")
            | {
                "/usr/lib/systemd/system/kubelet.service": File(_KUBELET_SERVICE, 0o600),
                "/etc/default/kubelet": File("KUBELET_EXTRA_ARGS=\n"),
                "/etc/kubernetes/manifests/.kubelet-keep": File(""),
                "/var/lib/kubelet/.kubelet-keep": File(""),
            },
            conffiles=("/etc/default/kubelet",),
            scripts={
                "postinst": _KUBELET_POSTINST,
                "prerm": _KUBELET_PRERM,
                "postrm": _KUBELET_POSTRM,
            },
        ),
        Package(
            name="kubectl",
            version=full,
            architecture=architecture,
            description="Command-line utility for interacting with a Kubernetes cluster",
            section="admin",
            files=program("kubectl"),
        ),
    ]
