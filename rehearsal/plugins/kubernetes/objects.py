"""Kubernetes objects of any kind as resources."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from typing import Any

from rehearsal.plugins.kubernetes import drift, ownership, readiness, replacing
from rehearsal.plugins.kubernetes import object_annotations as notes
from rehearsal.plugins.kubernetes.awaiting import NotReady, wait
from rehearsal.plugins.kubernetes.cluster import Cluster, Unreachable
from rehearsal.plugins.kubernetes.config import ProviderConfig
from rehearsal.plugins.kubernetes.kubectl import Kubectl, KubectlError
from rehearsal.plugins.kubernetes.translate import as_object, as_properties, names, object_id
from rehearsal.plugins.protocol import (
    Diff,
    Failure,
    InitFailed,
    Properties,
    ProviderError,
    ReadResult,
    Resource,
    changed_keys,
    contains_unknown,
)

_TYPE = re.compile(r"kubernetes:(?P<group>[^/:]+)/(?P<version>[^/:]+):(?P<kind>\w+)")
_NO_OBJECTS = frozenset({"helm.sh", "meta", "yaml", "kustomize", "apiextensions"})
_MANAGER = "__fieldManager"  # kept in the state, as the official provider does
_RETRIES = 5  # a namespace or a definition may be just coming: 1 + 2 + 4 + 8 + 16 s, as official
_DELETE_SECONDS = 300.0
_DELETE_LONG_SECONDS = 600.0
_LONG = frozenset({"Deployment", "StatefulSet"})
_SKIP_AWAIT_ON_DELETE = frozenset(
    {"DaemonSet", "Deployment", "Job", "Namespace", "Pod", "StatefulSet"}
)


class Objects:
    """Operations on objects; arguments and results as in `protocol.Provider`."""

    def __init__(
        self,
        config: ProviderConfig,
        cluster: Cluster,
        kubectl: Kubectl,
        cancelled: threading.Event,
    ) -> None:
        self._config, self._cluster = config, cluster
        self._kubectl, self._cancelled = kubectl, cancelled

    def check(self, resource: Resource, news: Properties) -> tuple[Properties, list[Failure]]:
        match = _TYPE.fullmatch(resource.type)
        if match is None or match["group"] in _NO_OBJECTS or match["kind"].endswith("Patch"):
            return news, [Failure("", f"{resource.type} is not handled by this stand-in")]
        group, version = match["group"], match["version"]
        expected = {
            "apiVersion": version if group == "core" else f"{group}/{version}",
            "kind": match["kind"],
        }
        inputs = news | {key: news.get(key, value) for key, value in expected.items()}
        failures = [
            Failure(key, f"{resource.type}: '{key}' is '{inputs[key]}' but the type says '{value}'")
            for key, value in expected.items()
            if inputs[key] != value and not contains_unknown(inputs[key])
        ]
        failures += [
            Failure(key, f"{resource.type}: '{key}' is not handled by this stand-in")
            for key in ("status", "items")
            if key in news
        ]
        failures += _check_name(resource, inputs) + notes.check(inputs)
        if not failures and readiness.unhandled(inputs):
            text = f"{resource.type}: waiting until it is ready is not handled by this stand-in;"
            failures.append(Failure("", f"{text} set the annotation pulumi.com/skipAwait"))
        return inputs, failures

    def diff(self, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        changes = changed_keys(old_inputs, news)
        old, new = self._with_namespace(old_inputs, old_outputs, news)
        replaces = replacing.replaces(old, new)
        if old != new and "metadata.namespace" in replaces and "metadata" not in changes:
            changes.append("metadata")  # the provider's default namespace changed
        same_name = not {"metadata.name", "metadata.namespace"} & {*replaces}
        return Diff(
            changes=changes,
            replaces=replaces if changes else (),
            delete_before_replace=bool(replaces) and same_name,
        )

    def create(
        self, resource: Resource, inputs: Properties, preview: bool, timeout: float
    ) -> tuple[str, Properties]:
        obj = as_object(inputs)
        if preview:
            self._preview_create(resource, obj)
            return "", inputs
        self._cluster.require()
        manager = _manager(resource)
        try:
            live = self._create(obj, manager)
        except KubectlError as error:
            raise ProviderError(f"{_label(resource, obj)}: {error}") from None
        return object_id(live), self._until_ready(obj, live, manager, timeout)

    def read(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties
    ) -> ReadResult:
        try:
            self._cluster.require()
        except Unreachable:
            if self._config.delete_unreachable:
                return ReadResult("")
            raise
        before = as_object(outputs)
        live = self._kubectl.get(before if names(before) else self._named(resource, id))
        if live is None:
            return ReadResult("")
        manager = str(outputs.get(_MANAGER) or _manager(resource))
        result = self._outputs(live, manager)
        if not inputs:
            return ReadResult(id, result, as_properties(drift.imported(live)))
        asked = as_object(inputs)
        now = as_properties(drift.refreshed(asked, before, live))
        check = readiness.check_for(asked)
        progress = check(live) if check else None
        if progress and not progress.ready:
            raise InitFailed(id, result, [f"{_label(resource, live)}: {progress.status}"], now)
        return ReadResult(id, result, now)

    def update(
        self,
        resource: Resource,
        old_outputs: Properties,
        news: Properties,
        preview: bool,
        timeout: float,
    ) -> Properties:
        obj = as_object(news)
        manager = str(old_outputs.get(_MANAGER) or _manager(resource))
        if preview and contains_unknown(news):
            return news
        try:
            self._cluster.require()
        except Unreachable as error:
            if not preview:
                raise
            _warn(f"{_label(resource, obj)}: not checked against the cluster: {error}")
            return news
        try:
            live = self._apply(obj, manager, preview)
        except KubectlError as error:
            raise ProviderError(f"{_label(resource, obj)}: {error}") from None
        if preview:
            return self._outputs(live, manager)
        return self._until_ready(obj, live, manager, timeout)

    def delete(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties, timeout: float
    ) -> None:
        try:
            self._cluster.require()
        except Unreachable as error:
            if not self._config.delete_unreachable:
                raise
            _warn(f"{resource.type} {id}: dropped from the state without deletion: {error}")
            return
        asked, live = as_object(inputs), as_object(outputs)
        target = live if names(live) else self._named(resource, id)
        kind = target["kind"]
        waits = not (notes.skip_await(asked) and kind in _SKIP_AWAIT_ON_DELETE)
        default = _DELETE_LONG_SECONDS if kind in _LONG else _DELETE_SECONDS
        seconds = notes.timeout(asked, timeout, default)
        try:
            self._kubectl.delete(target, notes.cascade(asked), waits, seconds)
        except KubectlError as error:
            raise ProviderError(
                f"{_label(resource, target)}: {error}{self._what_holds(target)}"
            ) from None

    def _preview_create(self, resource: Resource, obj: dict[str, Any]) -> None:
        """Lets the API server validate what can be validated; outputs stay the inputs alone.

        Program code must not rely on more: before the namespace exists the official provider gives
        no more either.
        """
        if contains_unknown(obj):
            return
        try:
            self._cluster.require()
            self._kubectl.create(obj, _manager(resource), dry_run=True)
        except Unreachable as error:
            _warn(f"{_label(resource, obj)}: not checked against the cluster: {error}")
        except KubectlError as error:
            later = error.no_such_kind or error.no_such_namespace
            if not (later or error.transient or error.reason in ("AlreadyExists", "Forbidden")):
                raise ProviderError(f"{_label(resource, obj)}: {error}") from None

    def _create(self, obj: dict[str, Any], manager: str) -> dict[str, Any]:
        for attempt in range(_RETRIES + 1):
            try:
                return self._kubectl.create(obj, manager)
            except KubectlError as error:
                if error.reason == "AlreadyExists" and self._is_own(obj, manager):
                    _warn(f"{object_id(obj)}: made by an earlier, interrupted run; goes on with it")
                    return self._apply(obj, manager, preview=False)
                coming = error.no_such_kind or error.no_such_namespace
                if not coming or attempt == _RETRIES or self._cancelled.wait(2**attempt):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _is_own(self, obj: dict[str, Any], manager: str) -> bool:
        """Made by this very resource (its field manager is its URN's), not merely of that name."""
        live = self._kubectl.get(obj, managed_fields=True)
        if live is None or live["metadata"].get("deletionTimestamp"):
            return False
        return ownership.created_by(live, manager)

    def _apply(self, obj: dict[str, Any], manager: str, preview: bool) -> dict[str, Any]:
        live = self._kubectl.get(obj, managed_fields=True)
        if live is None:
            raise KubectlError(
                "it was deleted behind Pulumi's back; run `pulumi refresh`", "NotFound"
            )
        force = notes.patch_force(obj)
        if preview:
            force = force or ownership.created_by(live, manager)
        else:
            ownership.take(self._kubectl, live, manager)
        return self._kubectl.apply(obj, manager, force, dry_run=preview)

    def _until_ready(
        self, obj: dict[str, Any], live: dict[str, Any], manager: str, timeout: float
    ) -> Properties:
        check = readiness.check_for(obj)
        if check is not None:
            seconds = notes.timeout(obj, timeout, readiness.DEFAULT_SECONDS)
            try:
                live = wait(self._kubectl, live, check, seconds, self._cancelled)
            except NotReady as error:
                reason = f"{obj['kind']} {object_id(live)}: {error}"
                outputs = self._outputs(error.live, manager)
                raise InitFailed(object_id(live), outputs, [reason]) from None
        return self._outputs(live, manager)

    def _outputs(self, live: dict[str, Any], manager: str) -> Properties:
        return as_properties(live) | {_MANAGER: manager}

    def _what_holds(self, target: dict[str, Any]) -> str:
        """Why a deletion does not end."""
        try:
            live = self._kubectl.get(target) or {}
        except ProviderError:
            return ""
        metadata, told = live.get("metadata", {}), []
        if metadata.get("finalizers"):
            told.append(f"finalizers {', '.join(metadata['finalizers'])}")
        for condition in live.get("status", {}).get("conditions", ()):
            if condition.get("status") == "True":
                told.append(str(condition.get("message") or condition.get("type")))
        return "".join(f"; {text}" for text in told)

    def _named(self, resource: Resource, id: str) -> dict[str, Any]:
        match = _TYPE.fullmatch(resource.type)
        if match is None:
            raise ProviderError(f"{resource.type} is not handled by this stand-in")
        namespace, _, name = id.rpartition("/")
        group, version = match["group"], match["version"]
        return {
            "apiVersion": version if group == "core" else f"{group}/{version}",
            "kind": match["kind"],
            "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        }

    def _with_namespace(
        self, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> tuple[Properties, Properties]:
        """Inputs with the namespace that an object without one is (to be) made in."""
        old, new = dict(old_inputs), dict(news)
        live = old_outputs.get("metadata")
        namespace = live.get("namespace") if isinstance(live, dict) else None
        if namespace and isinstance(old.get("metadata"), dict):
            old["metadata"] = {"namespace": namespace} | old["metadata"]
            if isinstance(new.get("metadata"), dict):
                new["metadata"] = {"namespace": self._config.namespace} | new["metadata"]
        return old, new


def _check_name(resource: Resource, inputs: Properties) -> list[Failure]:
    metadata = inputs.get("metadata")
    if contains_unknown(metadata) and not isinstance(metadata, dict):
        return []
    if not isinstance(metadata, dict) or not metadata.get("name"):
        reason = f"{resource.type}: metadata.name is required, for this stand-in makes up no names"
        return [Failure("metadata.name", reason)]
    if "generateName" in metadata:
        return [Failure("metadata.generateName", f"{resource.type}: generateName is not handled")]
    return []


def _manager(resource: Resource) -> str:
    return "pulumi-kubernetes-" + hashlib.sha256(resource.urn.encode()).hexdigest()[:8]


def _label(resource: Resource, obj: dict[str, Any]) -> str:
    return f"{resource.type} {object_id(obj)}"


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)
