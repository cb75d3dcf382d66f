"""The chart repository: the argo-cd chart, made from the Argo CD module's manifests."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.mirrors import argocd_templates
from rehearsal.paths import Paths

NAME = "argo-cd"
# The version of argo-helm's chart that carries an Argo CD, and whose values keys ours are.
CHART_VERSIONS = {"3.2.1": "9.1.8"}

_SOURCES = Path(__file__).parent / NAME
_INPUTS = ".inputs"


def build_charts(
    paths: Paths,
    argocd_module_dir: Path,
    report: Callable[[str], None],
    *,
    helm: Path | None = None,
) -> Path:
    """Makes the argo-cd chart and the index of the chart repository.

    argocd_module_dir: the Argo CD module's folder, as `go list -m -json` tells it. helm: the
    program, else the rehearsal's own. Returns the repository's folder. Does nothing if it is up
    to date. Raises RehearsalError if the module is not one whose chart is known.
    """
    version = _argocd_version(argocd_module_dir)
    manifests = (argocd_module_dir / "manifests" / "install.yaml").read_text()
    program = (helm or paths.tools / "bin" / "helm").resolve()
    if not program.is_file():
        raise RehearsalError(f"no helm at {program} to package charts; build the tools first")
    archive = f"{NAME}-{CHART_VERSIONS[version]}.tgz"
    inputs = f"{archive} {_digest(manifests, str(program))}\n"
    paths.charts.mkdir(parents=True, exist_ok=True)
    with (paths.charts / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _up_to_date(paths.charts, archive, inputs):
            return paths.charts
        report(f"building chart {archive}")
        new = paths.charts / ".new"
        shutil.rmtree(new, ignore_errors=True)
        repository = new / "repository"
        write_chart(new / NAME, manifests, version)
        run_helm(program, new, "package", str(new / NAME), "--destination", str(repository))
        for other in paths.charts.glob("*.tgz"):
            if other.name != archive:
                shutil.copy2(other, repository)
        run_helm(program, new, "repo", "index", str(repository))
        # The stamp goes first and comes last: between, the repository is not up to date.
        (paths.charts / _INPUTS).unlink(missing_ok=True)
        for name in (archive, "index.yaml"):
            (repository / name).rename(paths.charts / name)
        shutil.rmtree(new)
        (paths.charts / _INPUTS).write_text(inputs)
    return paths.charts


def write_chart(target: Path, manifests: str, version: str) -> None:
    """Writes the chart's folder. manifests: Argo CD's install.yaml; version: Argo CD's."""
    shutil.copytree(_SOURCES, target)
    objects = argocd_templates.load(manifests)
    for name, text in argocd_templates.templates(objects).items():
        (target / "templates" / name).write_text(text)
    placeholders = {"CHART_VERSION": CHART_VERSIONS[version], "APP_VERSION": f"v{version}"}
    placeholders |= argocd_templates.defaults(objects)
    for file in ("Chart.yaml", "values.yaml"):
        lines = (target / file).read_text().splitlines(keepends=True)
        (target / file).write_text("".join(_fill(line, placeholders) for line in lines))


def _fill(line: str, placeholders: dict[str, str]) -> str:
    """The line with its placeholder's text; one of several lines takes the line's indentation."""
    for name, text in placeholders.items():
        if line.strip() == f"@{name}@":
            indent = line[: len(line) - len(line.lstrip())]
            return "".join(
                indent + part if part.strip() else part for part in text.splitlines(keepends=True)
            )
        line = line.replace(f"@{name}@", text)
    return line


def _argocd_version(module: Path) -> str:
    try:
        version = (module / "VERSION").read_text().strip()
    except FileNotFoundError as error:
        raise RehearsalError(f"{module} is not the Argo CD module; it has no VERSION") from error
    if version not in CHART_VERSIONS:
        known = ", ".join(CHART_VERSIONS)
        raise RehearsalError(
            f"no chart is known for Argo CD {version}, only for {known}; add argo-helm's chart"
            " version to CHART_VERSIONS in rehearsal/mirrors/charts.py"
        )
    return version


def _digest(manifests: str, helm: str) -> str:
    """A digest of all that the chart is made from."""
    digest = hashlib.sha256(f"{helm}\0{manifests}".encode())
    code = [Path(__file__), Path(argocd_templates.__file__)]
    for file in code + sorted(file for file in _SOURCES.rglob("*") if file.is_file()):
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _up_to_date(charts: Path, archive: str, inputs: str) -> bool:
    stamp = charts / _INPUTS
    there = all((charts / name).is_file() for name in (archive, "index.yaml"))
    return there and stamp.is_file() and stamp.read_text() == inputs


def run_helm(program: Path, home: Path, *arguments: str) -> None:
    """Runs helm with none of the user's settings. home: for what it writes."""
    environment = {f"HELM_{kind}_HOME": f"{home}/helm" for kind in ("CACHE", "CONFIG", "DATA")}
    done = subprocess.run(
        [str(program), *arguments], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise RehearsalError(f"helm {arguments[0]} failed: {reason[-1]}")
