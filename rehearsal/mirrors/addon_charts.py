"""The add-ons' charts in the chart repository.

metrics-server's and cert-manager's are upstream's own, which their modules hold. That of
kube-prometheus-stack is of our own: the operator's module has the CRDs and the permissions, and
the values keys that are set are upstream's.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from rehearsal.errors import RehearsalError
from rehearsal.images.addons import CERT_MANAGER_VERSION, PROMETHEUS_OPERATOR_VERSION
from rehearsal.mirrors.charts import run_helm
from rehearsal.paths import Paths
from rehearsal.toolchain import Toolchain

# prometheus-community's chart that carries the operator, and whose values keys ours are.
STACK, STACK_VERSION = "kube-prometheus-stack", "77.12.0"

_SOURCES = Path(__file__).parent / STACK
_INPUTS = ".addon-inputs"
_CRDS = "example/prometheus-operator-crd"
_ROLES = {
    "OPERATOR_RULES": "example/rbac/prometheus-operator/prometheus-operator-cluster-role.yaml",
    "PROMETHEUS_RULES": "example/rbac/prometheus/prometheus-cluster-role.yaml",
}


@dataclass(frozen=True)
class _Upstream:
    """A chart that a module holds. folder: in the module; package: of the module, where the tool's
    binary is ours; version: for a chart whose own is filled in when it is released."""

    name: str
    tool: str
    folder: str
    package: str = ""
    version: str = ""


_UPSTREAM = (
    _Upstream("metrics-server", "metrics-server", "charts/metrics-server"),
    _Upstream(
        "cert-manager",
        "cert-manager",
        "deploy/charts/cert-manager",
        package="github.com/cert-manager/cert-manager/pkg/util",
        version=f"v{CERT_MANAGER_VERSION}",
    ),
)


def sources(toolchain: Toolchain) -> dict[str, Path]:
    """By chart, the folder that it is made of: the chart's own in its module; of STACK, the
    operator's module. Raises RehearsalError if a module cannot be had."""
    found = {
        each.name: toolchain.module_directory(each.tool, each.package) / each.folder
        for each in _UPSTREAM
    }
    return found | {STACK: toolchain.module_directory("prometheus-operator")}


def build_addon_charts(
    paths: Paths,
    folders: Mapping[str, Path],
    report: Callable[[str], None],
    *,
    helm: Path,
) -> Path:
    """Adds the charts to the repository, and takes out those of other versions.

    folders: as `sources` tells them. Returns the repository's folder. Does nothing if it is up to
    date. Raises RehearsalError if a module is not the one whose chart is known, or helm fails.
    """
    inputs = _digest(folders, helm)
    paths.charts.mkdir(parents=True, exist_ok=True)
    with (paths.charts / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _up_to_date(paths.charts, inputs):
            return paths.charts
        new = paths.charts / ".new-addons"
        shutil.rmtree(new, ignore_errors=True)
        repository = new / "repository"
        repository.mkdir(parents=True)
        for each in _UPSTREAM:
            report(f"packaging chart {each.name}")
            _package(helm, new, folders[each.name], repository, each.version)
        report(f"building chart {STACK}")
        write_stack(new / STACK, folders[STACK])
        _package(helm, new, new / STACK, repository)
        made = [file.name for file in repository.glob("*.tgz")]
        ours = tuple(f"{name}-" for name in folders)
        for other in paths.charts.glob("*.tgz"):
            if not other.name.startswith(ours):
                shutil.copy2(other, repository)
        run_helm(helm, new, "repo", "index", str(repository))
        # The stamp goes first and comes last: between, the repository is not up to date.
        (paths.charts / _INPUTS).unlink(missing_ok=True)
        for old in paths.charts.glob("*.tgz"):
            if not (repository / old.name).exists():
                old.unlink()
        for name in (*made, "index.yaml"):
            (repository / name).rename(paths.charts / name)
        shutil.rmtree(new)
        (paths.charts / _INPUTS).write_text(json.dumps({"inputs": inputs, "made": made}))
    return paths.charts


def write_stack(target: Path, module: Path) -> None:
    """Writes the folder of chart STACK. module: the operator's."""
    version = (module / "VERSION").read_text().strip()
    if version != PROMETHEUS_OPERATOR_VERSION:
        raise RehearsalError(
            f"no {STACK} is known for Prometheus operator {version}, only for "
            f"{PROMETHEUS_OPERATOR_VERSION}; set STACK_VERSION in {__name__} and the version in "
            "rehearsal/images/addons.py"
        )
    shutil.copytree(_SOURCES, target)
    shutil.copytree(module / _CRDS, target / "crds")
    placeholders = {"CHART_VERSION": STACK_VERSION, "OPERATOR_VERSION": version}
    for name, role in _ROLES.items():
        rules = yaml.safe_load((module / role).read_text())["rules"]
        placeholders[name] = json.dumps(rules)
    for file in (target / "Chart.yaml", *(target / "templates").glob("*.yaml")):
        text = file.read_text()
        for name, value in placeholders.items():
            text = text.replace(f"@{name}@", value)
        file.write_text(text)


def _package(helm: Path, home: Path, folder: Path, repository: Path, version: str = "") -> None:
    versions = ("--version", version, "--app-version", version) if version else ()
    run_helm(helm, home, "package", str(folder), "--destination", str(repository), *versions)


def _digest(folders: Mapping[str, Path], helm: Path) -> str:
    """Of all that the charts are made from; a module's folder has its version in its name."""
    digest = hashlib.sha256(f"{helm.resolve()}\0".encode())
    for name, folder in sorted(folders.items()):
        digest.update(f"{name}\0{folder}\0".encode())
    for file in (Path(__file__), *sorted(f for f in _SOURCES.rglob("*") if f.is_file())):
        digest.update(f"{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _up_to_date(charts: Path, inputs: str) -> bool:
    try:
        stamp = json.loads((charts / _INPUTS).read_text())
        known = set(yaml.load((charts / "index.yaml").read_text(), yaml.CSafeLoader)["entries"])
    except (FileNotFoundError, ValueError):
        return False
    there = all((charts / name).is_file() for name in stamp["made"])
    ours = {STACK, *(each.name for each in _UPSTREAM)}
    return bool(stamp["inputs"] == inputs and there and ours <= known)
