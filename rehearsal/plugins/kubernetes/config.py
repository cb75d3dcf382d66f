"""The provider's arguments: which are known, and when a change of them replaces the provider."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rehearsal.plugins.protocol import (
    UNKNOWN,
    Diff,
    Failure,
    Properties,
    ProviderError,
    changed_keys,
    contains_unknown,
)

_FLAGS = frozenset({"deleteUnreachable", "enableServerSideApply", "suppressDeprecationWarnings"})
_TEXTS = frozenset({"kubeconfig", "clusterIdentifier", "namespace"})
_HELM = frozenset({"driver"})
_ENGINE = frozenset({"version", "pluginDownloadURL", "__internal"})  # the engine's own keys
_KNOWN = _FLAGS | _TEXTS | _ENGINE | {"helmReleaseSettings"}


@dataclass(frozen=True)
class ProviderConfig:
    """kubeconfig: its text, None while unknown. namespace: for objects that name none.

    server: URL of the API server; proxied: it is reached through a proxy that the kubeconfig names.
    """

    kubeconfig: str | None
    server: str = ""
    proxied: bool = False
    namespace: str = "default"
    delete_unreachable: bool = False


@dataclass(frozen=True)
class _Kubeconfig:
    text: str
    cluster: dict[str, Any]
    namespace: str


def check(args: Properties) -> list[Failure]:
    """Refuses arguments that this stand-in would ignore."""
    failures = [_unknown_argument(key) for key in sorted(args) if key not in _KNOWN]
    failures += [
        Failure(key, f"kubernetes provider: '{key}' must be a string")
        for key in sorted(_TEXTS & args.keys())
        if args[key] is not UNKNOWN and args[key] is not None and not isinstance(args[key], str)
    ]
    for key in sorted((_FLAGS | {"helmReleaseSettings"}) & args.keys()):
        try:
            value = _plain(key, args[key])
        except ProviderError as error:
            failures.append(Failure(key, str(error)))
            continue
        if key == "enableServerSideApply" and value is False:
            failures.append(Failure(key, "kubernetes provider: client-side apply is not handled"))
        if isinstance(value, dict):
            failures += [
                Failure(
                    f"{key}.{name}",
                    f"kubernetes provider: {key}.{name} is not handled by this stand-in",
                )
                for name in sorted(value)
                if name not in _HELM or value[name] not in ("secret", "secrets", "")
            ]
    if not args.get("kubeconfig"):
        failures.append(
            Failure(
                "kubeconfig",
                "kubernetes provider: 'kubeconfig' is required, for this stand-in reads none from"
                " the machine; make an explicit kubernetes.Provider and hand it to the resource",
            )
        )
    elif isinstance(args["kubeconfig"], str):
        try:
            _parse(args["kubeconfig"])
        except ProviderError as error:
            failures.append(Failure("kubeconfig", str(error)))
    return failures


def diff(olds: Properties, news: Properties) -> Diff:
    """The official rule: an identifier that stays keeps the provider, whatever else changes.

    Without it an unknown kubeconfig, or one whose active cluster differs, replaces the provider and
    so everything in it.
    """
    changes = [key for key in changed_keys(olds, news) if key not in _ENGINE]
    if not changes:
        return Diff()
    identifier = "clusterIdentifier"
    if news.get(identifier) and identifier not in changes:
        return Diff(changes=changes)
    replaces: list[str] = []
    if identifier in changes and olds.get(identifier) and news.get(identifier):
        replaces.append(identifier)
    if contains_unknown(news.get("kubeconfig")) or (
        "kubeconfig" in changes and _cluster(olds) != _cluster(news)
    ):
        replaces.append("kubeconfig")
    return Diff(changes=changes, replaces=replaces)


def parse(args: Properties) -> ProviderConfig:
    """Raises ProviderError if an argument has a wrong form."""
    namespace = args.get("namespace")
    unreachable = bool(_plain("deleteUnreachable", args.get("deleteUnreachable")))
    text = args.get("kubeconfig")
    if not isinstance(text, str) or not text:
        return ProviderConfig(kubeconfig=None, delete_unreachable=unreachable)
    kubeconfig = _parse(text)
    return ProviderConfig(
        kubeconfig=kubeconfig.text,
        server=str(kubeconfig.cluster.get("server", "")),
        proxied="proxy-url" in kubeconfig.cluster,
        namespace=namespace if isinstance(namespace, str) and namespace else kubeconfig.namespace,
        delete_unreachable=unreachable,
    )


def _unknown_argument(key: str) -> Failure:
    return Failure(
        key, f"kubernetes provider: argument '{key}' is not handled by this stand-in; leave it out"
    )


def _plain(key: str, value: Any) -> Any:
    """The SDKs send provider arguments that are no strings as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ProviderError(f"kubernetes provider: '{key}' is not valid JSON") from None
    if value is None or value is UNKNOWN:
        return None
    expected = bool if key in _FLAGS else dict
    if not isinstance(value, expected):
        raise ProviderError(f"kubernetes provider: '{key}' must be a {expected.__name__}")
    return value


def _cluster(args: Properties) -> dict[str, Any] | None:
    text = args.get("kubeconfig")
    if not isinstance(text, str) or not text:
        return None
    try:
        return _parse(text).cluster
    except ProviderError:
        return None


def _parse(given: str) -> _Kubeconfig:
    """`given` is the text or, as the official provider allows, the path of a file with it.

    Errors never quote the text: it holds credentials.
    """
    text = given
    if "\n" not in given and "{" not in given:
        try:
            text = Path(given).expanduser().read_text(encoding="utf-8")
        except OSError as error:
            raise ProviderError(f"kubernetes provider: no kubeconfig: {error.strerror}") from None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ProviderError("kubernetes provider: 'kubeconfig' is not valid YAML") from None
    try:
        context = _named(data, "contexts", data["current-context"], "context")
        cluster = _named(data, "clusters", context["cluster"], "cluster")
        if not cluster["server"]:
            raise KeyError("server")
    except (KeyError, TypeError):
        raise ProviderError(
            "kubernetes provider: 'kubeconfig' has no current-context with a cluster and its server"
        ) from None
    return _Kubeconfig(text, cluster, context.get("namespace") or "default")


def _named(data: Any, section: str, name: str, field: str) -> dict[str, Any]:
    for entry in data[section]:
        if entry["name"] == name:
            found: dict[str, Any] = entry[field]
            return found
    raise KeyError(name)
