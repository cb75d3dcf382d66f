"""The images of the add-ons that run here, at the names and tags that their charts ask for.

Each is one program of Go and nothing else, as upstream's are; user ids are upstream's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rehearsal.images.oci import File, Image, layer
from rehearsal.images.parts import TMP

METRICS_SERVER_VERSION = "0.9.0"
CERT_MANAGER_VERSION = "1.21.2"
PROMETHEUS_OPERATOR_VERSION = "0.85.0"
PROMETHEUS_VERSION = "3.10.0"
ALERTMANAGER_VERSION = "0.28.1"
NODE_EXPORTER_VERSION = "1.9.1"


@dataclass(frozen=True)
class _Program:
    """One image. binary: the program's name; arguments: before those of the pod."""

    reference: str
    binary: str
    user: str
    arguments: tuple[str, ...] = ()


def _cert_manager(component: str) -> _Program:
    name = f"quay.io/jetstack/cert-manager-{component}:v{CERT_MANAGER_VERSION}"
    return _Program(name, "cert-manager", "1000:1000", (component,))


_OPERATOR = "quay.io/prometheus-operator/prometheus-"
_PROMETHEUS = "quay.io/prometheus"
_PROGRAMS = (
    _Program(
        f"registry.k8s.io/metrics-server/metrics-server:v{METRICS_SERVER_VERSION}",
        "metrics-server",
        "65534:65534",
    ),
    *(_cert_manager(component) for component in ("controller", "webhook", "cainjector")),
    *(
        _Program(f"{_OPERATOR}{name}:v{PROMETHEUS_OPERATOR_VERSION}", f"prometheus-{name}", "65534")
        for name in ("operator", "config-reloader")
    ),
    _Program(f"{_PROMETHEUS}/prometheus:v{PROMETHEUS_VERSION}", "prometheus", "65534:65534"),
    _Program(f"{_PROMETHEUS}/alertmanager:v{ALERTMANAGER_VERSION}", "alertmanager", "65534:65534"),
    _Program(
        f"{_PROMETHEUS}/node-exporter:v{NODE_EXPORTER_VERSION}", "node_exporter", "65534:65534"
    ),
)
NEEDED = tuple(dict.fromkeys(program.binary for program in _PROGRAMS))
REFERENCES = frozenset(program.reference for program in _PROGRAMS)


def images(binaries: Mapping[str, Path]) -> tuple[Image, ...]:
    """All of REFERENCES. binaries: built programs by name, all of NEEDED among them."""
    return tuple(
        Image(
            program.reference,
            (layer([TMP, File(f"bin/{program.binary}", binaries[program.binary])]),),
            entrypoint=(f"/bin/{program.binary}", *program.arguments),
            user=program.user,
            workdir="/tmp",
        )
        for program in _PROGRAMS
    )
