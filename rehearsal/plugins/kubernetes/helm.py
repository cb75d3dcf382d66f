"""helm as a library: charts into a private cache, releases in and out. Values go by stdin."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from rehearsal.plugins.kubernetes.process import Result, Runner, find_tool
from rehearsal.plugins.kubernetes.release_inputs import (
    Release,
    Repository,
    install_flags,
    upgrade_flags,
)
from rehearsal.plugins.kubernetes.workspace import Workspace
from rehearsal.plugins.protocol import ProviderError

_FETCH_SECONDS = 120.0
_READ_SECONDS = 120.0
_MARGIN_SECONDS = 120.0  # for helm's own work around the wait it was given
_PAUSES = (1.0, 2.0, 4.0, None)  # s between the attempts while the API server is away
_OWNER = "pulumi-resource"
_DOWN = re.compile(r"cannot be reached|failed to fetch|dial tcp|no such host|failed to do request")
_MISSING = re.compile(r"no chart (?:version|name) found|not found in .* (?:index|repository)")


@dataclass(frozen=True)
class Deployed:
    """A release's latest revision. status: helm's word, such as `deployed` or `pending-install`."""

    revision: int
    status: str
    chart: str
    version: str
    app_version: str


class Helm:
    """Runs helm with folders of its own, against one cluster. kubeconfig None: charts alone."""

    def __init__(self, runner: Runner, workspace: Workspace, kubeconfig: Path | None) -> None:
        self._runner = runner
        self._charts = workspace.folder("charts")
        self._lock = threading.Lock()
        self._fetched: dict[tuple[str, str, Repository], Path] = {}
        self._env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(workspace.folder("helm")),
            "HELM_CACHE_HOME": str(workspace.folder("helm-cache")),
            "HELM_CONFIG_HOME": str(workspace.folder("helm-config")),
            "HELM_DATA_HOME": str(workspace.folder("helm-data")),
            "KUBECONFIG": str(kubeconfig) if kubeconfig else "/dev/null",
        }

    def chart(self, release: Release) -> Path:
        """The chart as a path on this machine. Raises ProviderError: one line, what and where."""
        if release.local:
            path = Path(release.chart)
            if not path.exists():
                raise ProviderError(f"there is no chart at {path.absolute()}")
            return path.absolute()
        key = (release.chart, release.version, release.repository)
        with self._lock:
            if key not in self._fetched:
                self._fetched[key] = self._fetch(release)
            return self._fetched[key]

    def template(self, release: Release) -> str:
        """The rendered chart, its hooks and definitions included, without asking a cluster."""
        flags = [] if "skipCrds" in release.flags else ["--include-crds"]
        flags += ["--no-hooks"] if "disableWebhooks" in release.flags else []
        flags += ["--dependency-update"] if "dependencyUpdate" in release.flags else []
        return self._with_values("template", release, flags, _FETCH_SECONDS).stdout

    def lint(self, release: Release) -> None:
        """Raises ProviderError with what helm finds wrong."""
        command = ["lint", str(self.chart(release)), "--quiet", "--values", "-"]
        self._run(command, release, json.dumps(release.values), _FETCH_SECONDS)

    def install(self, release: Release, owner: str) -> None:
        """owner: a label value that says which resource the release belongs to."""
        seconds = release.timeout + _MARGIN_SECONDS
        flags = [*install_flags(release), "--labels", f"{_OWNER}={owner}"]
        self._with_values("install", release, flags, seconds)

    def upgrade(self, release: Release) -> None:
        seconds = release.timeout + _MARGIN_SECONDS
        self._with_values("upgrade", release, upgrade_flags(release), seconds)

    def uninstall(self, release: Release) -> None:
        """What is gone already is no error."""
        flags = ["--wait"] if release.waits else []
        flags += [f"--timeout={release.timeout}s", "--ignore-not-found"]
        command = ["uninstall", release.name, "-n", release.namespace, *flags]
        self._run(command, release, "", release.timeout + _MARGIN_SECONDS)

    def deployed(self, release: Release, after_cancel: bool = False) -> Deployed | None:
        """The latest revision; None if there is no such release."""
        command = ["get", "metadata", release.name, "-n", release.namespace, "-o", "json"]
        try:
            result = self._run(command, release, "", _READ_SECONDS, after_cancel)
        except ProviderError as error:
            if "release: not found" in str(error):
                return None
            raise
        data = json.loads(result.stdout)
        return Deployed(
            revision=int(data["revision"]),
            status=data["status"],
            chart=data["chart"],
            version=data["version"],
            app_version=data.get("appVersion", ""),
        )

    def values(self, release: Release) -> dict[str, Any]:
        """The values that the latest revision was given."""
        command = ["get", "values", release.name, "-n", release.namespace, "-o", "json"]
        values: dict[str, Any] | None = json.loads(
            self._run(command, release, "", _READ_SECONDS).stdout
        )
        return values or {}

    def owned(self, release: Release, owner: str) -> bool:
        """Whether the release was installed for that owner."""
        flags = ["--all", "--selector", f"{_OWNER}={owner}", "--filter", f"^{release.name}$"]
        command = ["list", "-n", release.namespace, *flags, "-o", "json"]
        return bool(json.loads(self._run(command, release, "", _READ_SECONDS).stdout))

    def history(self, release: Release) -> list[tuple[int, str]]:
        """(revision, status), oldest first."""
        command = ["history", release.name, "-n", release.namespace, "-o", "json"]
        data = json.loads(self._run(command, release, "", _READ_SECONDS).stdout)
        return [(int(entry["revision"]), str(entry["status"])) for entry in data]

    def _with_values(
        self, verb: str, release: Release, flags: Sequence[str], timeout: float
    ) -> Result:
        chart = str(self.chart(release))
        command = [verb, release.name, chart, "-n", release.namespace, *flags, "--values", "-"]
        return self._run(command, release, json.dumps(release.values), timeout)

    def _fetch(self, release: Release) -> Path:
        repository = release.repository
        folder = self._charts / _digest(release.chart, release.version, repository.url)
        folder.mkdir(exist_ok=True)
        flags = ["--version", release.version, "--destination", str(folder)]
        if release.chart.startswith("oci://"):
            self._log_in(release)
            command = ["pull", release.chart, *flags]
            if urlsplit(release.chart).hostname in ("localhost", "127.0.0.1"):
                command.append("--plain-http")
        elif repository.password or repository.username:
            command = ["pull", f"{self._add(release)}/{release.chart}", *flags]
        else:
            command = ["pull", release.chart, "--repo", repository.url, *flags, *_tls(repository)]
        try:
            self._run(command, release, "", _FETCH_SECONDS)
        except ProviderError as error:
            raise ProviderError(_chart_problem(release, str(error))) from None
        found = sorted(folder.glob("*.tgz"))
        if not found:
            raise ProviderError(f"helm pull of chart {release.chart} left no archive")
        return found[0]

    def _add(self, release: Release) -> str:
        """Registers a repository with credentials, which so stay off the command line."""
        repository = release.repository
        name = "r-" + _digest(repository.url, repository.username, repository.password)
        entry = {
            "name": name,
            "url": repository.url,
            "username": repository.username,
            "password": repository.password,
            "caFile": repository.ca_file,
            "certFile": repository.cert_file,
            "keyFile": repository.key_file,
        }
        file = Path(self._env["HELM_CONFIG_HOME"]) / "repositories.yaml"
        known = yaml.safe_load(file.read_text()) if file.exists() else {"repositories": []}
        others = [other for other in known["repositories"] if other["name"] != name]
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump({"apiVersion": "", "repositories": [*others, entry]}))
        try:
            self._run(["repo", "update", name], release, "", _FETCH_SECONDS)
        except ProviderError as error:
            raise ProviderError(_chart_problem(release, str(error))) from None
        return name

    def _log_in(self, release: Release) -> None:
        repository = release.repository
        if repository.username:
            host = urlsplit(release.chart).netloc
            command = ["registry", "login", host, "-u", repository.username, "--password-stdin"]
            self._run(command, release, repository.password, _FETCH_SECONDS)

    def _run(
        self,
        command: Sequence[str],
        release: Release,
        stdin: str,
        timeout: float,
        after_cancel: bool = False,
    ) -> Result:
        full = [find_tool("helm"), *command]
        for pause in _PAUSES:
            result = self._runner.run(full, self._env, stdin, timeout, after_cancel)
            if result.code == 0:
                return result
            text = release.redact(_one_line(result))
            # helm asks before it does anything, so trying again is safe
            asked = "Kubernetes cluster unreachable" in text
            if not asked or pause is None or self._runner.cancelled.wait(pause):
                raise ProviderError(text)
        raise AssertionError("the last attempt returns or raises")


def _one_line(result: Result) -> str:
    lines = [line.strip() for line in result.stderr.splitlines()]
    told = [line for line in lines if line and not re.match(r"WARNING:|[EWI]\d{4} ", line)]
    errors = " ".join(told[told.index(e) :] if (e := _first_error(told)) else told)
    if not errors:
        errors = " ".join(line for line in result.stdout.split("\n") if "[ERROR]" in line)
    return errors.removeprefix("Error: ") or f"helm ended with status {result.code}"


def _first_error(lines: list[str]) -> str:
    return next((line for line in lines if line.startswith("Error: ")), "")


def _chart_problem(release: Release, error: str) -> str:
    where = release.repository.url or release.chart
    if _MISSING.search(error):
        return f"chart '{release.chart}' has no version {release.version} in {where}"
    if _DOWN.search(error):
        reason = re.search(r"(?:dial |lookup |Get |Head )[^\"]*(?:\"[^\"]*\": )?(.*)", error)
        return f"chart repository {where} cannot be reached: {reason[1] if reason else error}"
    return f"chart '{release.chart}' from {where}: {error}"


def _tls(repository: Repository) -> list[str]:
    files = {
        "--ca-file": repository.ca_file,
        "--cert-file": repository.cert_file,
        "--key-file": repository.key_file,
    }
    return [part for flag, file in files.items() if file for part in (flag, file)]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
