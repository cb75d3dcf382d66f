"""Inputs of `kubernetes:helm.sh/v3:Release`: what is known, what is refused, helm's flags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rehearsal.plugins.protocol import (
    Failure,
    Properties,
    ProviderError,
    contains_unknown,
)

DEFAULT_SECONDS = 300

_TEXTS = frozenset({"chart", "description", "name", "namespace", "version"})
_FLAGS = frozenset(
    {
        "atomic",
        "cleanupOnFail",
        "createNamespace",
        "dependencyUpdate",
        "disableCRDHooks",
        "disableOpenapiValidation",
        "disableWebhooks",
        "forceUpdate",
        "lint",
        "renderSubchartNotes",
        "resetValues",
        "reuseValues",
        "skipAwait",
        "skipCrds",
        "takeOwnership",
        "waitForJobs",
    }
)
_NUMBERS = frozenset({"maxHistory", "timeout"})
_MAPS = frozenset({"values", "repositoryOpts"})
_COMPUTED = frozenset({"checksum", "resourceNames"})
_IGNORED = frozenset({"compat"})  # the SDK's own marker
_REPOSITORY = frozenset({"repo", "caFile", "certFile", "keyFile", "password", "username"})
_KNOWN = _TEXTS | _FLAGS | _NUMBERS | _MAPS | _COMPUTED | _IGNORED
_SECRET_KEY = re.compile(r"passw|secret|token|credential|private.?key|api.?key", re.IGNORECASE)
_SHORTEST_SECRET = 4


@dataclass(frozen=True)
class Repository:
    """Where the chart is; `url` empty for a path or an oci:// reference."""

    url: str = ""
    username: str = ""
    password: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True)
class Release:
    """A release as the program wants it. timeout: seconds. flags: the inputs that are true."""

    name: str
    namespace: str
    chart: str
    version: str
    repository: Repository
    values: dict[str, Any]
    timeout: int
    flags: frozenset[str]
    description: str
    max_history: int

    @property
    def waits(self) -> bool:
        return "skipAwait" not in self.flags

    @property
    def local(self) -> bool:
        """The chart is a path on this machine."""
        return not self.repository.url and not self.chart.startswith("oci://")

    def redact(self, text: str) -> str:
        """`text` without this release's passwords and secret-looking values."""
        secrets = {self.repository.password, *_secrets(self.values)}
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "[secret]")
        return text


def check(type: str, news: Properties, default_namespace: str) -> tuple[Properties, list[Failure]]:
    """Inputs with the defaults in them, and what is refused."""
    failures = []
    for key in sorted(news):
        if key not in _KNOWN and news[key] is not None:
            reason = f"{type}: property '{key}' is not handled by this stand-in; leave it out"
            failures.append(Failure(key, reason))
        elif not _has_form(key, news[key]):
            failures.append(Failure(key, f"{type}: '{key}' has a value of the wrong type"))
    required = {
        "chart": "the chart's name, path or oci:// reference",
        "name": "without it the release gets a random suffix",
    }
    if not _is_path(news):
        required["version"] = "without it every run takes the latest chart there is"
    failures += [
        Failure(key, f"{type}: '{key}' is required here: {why}")
        for key, why in required.items()
        if not news.get(key)
    ]
    repository = news.get("repositoryOpts")
    if isinstance(repository, dict):
        failures += [
            Failure(f"repositoryOpts.{key}", f"{type}: repositoryOpts.{key} is not handled")
            for key in sorted(repository.keys() - _REPOSITORY)
        ]
    inputs = {key: value for key, value in news.items() if key not in _COMPUTED}
    inputs["namespace"] = news.get("namespace") or default_namespace
    if news.get("skipAwait") is not True and news.get("timeout") is None:
        inputs["timeout"] = DEFAULT_SECONDS
    return inputs, failures


def parse(inputs: Properties) -> Release:
    """From checked inputs. Raises ProviderError on an unknown that only a preview may hold."""
    if contains_unknown(inputs):
        raise ProviderError("a release cannot be made of values that are not known yet")
    options = inputs.get("repositoryOpts") or {}
    return Release(
        name=inputs["name"],
        namespace=inputs["namespace"],
        chart=inputs["chart"],
        version=inputs.get("version") or "",
        repository=Repository(
            url=options.get("repo") or "",
            username=options.get("username") or "",
            password=options.get("password") or "",
            ca_file=options.get("caFile") or "",
            cert_file=options.get("certFile") or "",
            key_file=options.get("keyFile") or "",
        ),
        values=without_nulls(inputs.get("values") or {}),
        timeout=int(inputs.get("timeout") or DEFAULT_SECONDS),
        flags=frozenset(key for key in _FLAGS if inputs.get(key) is True),
        description=inputs.get("description") or "",
        max_history=int(inputs.get("maxHistory") or 0),
    )


def install_flags(release: Release) -> list[str]:
    """helm's flags for the first install."""
    only = {"createNamespace": "--create-namespace", "disableWebhooks": "--no-hooks"}
    return _flags(release, only)


def upgrade_flags(release: Release) -> list[str]:
    """helm's flags for an upgrade."""
    only = {
        "cleanupOnFail": "--cleanup-on-fail",
        "disableCRDHooks": "--no-hooks",
        "forceUpdate": "--force",
        "resetValues": "--reset-values",
        "reuseValues": "--reuse-values",
    }
    return [*_flags(release, only), f"--history-max={release.max_history}"]


def without_nulls(value: Any) -> Any:
    """As the official provider unless told otherwise: a null removes its key."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value if item is not None]
    return value


def _flags(release: Release, only: dict[str, str]) -> list[str]:
    common = {
        "atomic": "--atomic",
        "dependencyUpdate": "--dependency-update",
        "disableOpenapiValidation": "--disable-openapi-validation",
        "renderSubchartNotes": "--render-subchart-notes",
        "skipCrds": "--skip-crds",
        "takeOwnership": "--take-ownership",
    } | only
    flags = [common[key] for key in sorted(release.flags & common.keys())]
    flags.append(f"--timeout={release.timeout}s")
    if release.waits:
        flags.append("--wait")
        flags += ["--wait-for-jobs"] if "waitForJobs" in release.flags else []
    return [*flags, "--description", release.description] if release.description else flags


def _has_form(key: str, value: Any) -> bool:
    if value is None or (key not in _MAPS and contains_unknown(value)):
        return True
    if key in _FLAGS:
        return isinstance(value, bool)
    if key in _NUMBERS:
        return isinstance(value, int) and not isinstance(value, bool)
    if key in _MAPS:
        return isinstance(value, dict) or contains_unknown(value)
    return key not in _TEXTS or isinstance(value, str)


def _is_path(news: Properties) -> bool:
    chart, repository = news.get("chart"), news.get("repositoryOpts")
    if not isinstance(chart, str):
        return False
    return chart.startswith((".", "/")) or (not repository and not chart.startswith("oci://"))


def _secrets(value: Any, named: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets(item, named or bool(_SECRET_KEY.search(str(key))))
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, named)
    elif named and isinstance(value, str):
        yield value
