"""`kubernetes:helm.sh/v3:Release`: a Helm release as a resource."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from rehearsal.plugins.kubernetes import release_inputs
from rehearsal.plugins.kubernetes.cluster import Cluster, Unreachable
from rehearsal.plugins.kubernetes.config import ProviderConfig
from rehearsal.plugins.kubernetes.helm import Deployed, Helm
from rehearsal.plugins.kubernetes.release_inputs import Release, without_nulls
from rehearsal.plugins.kubernetes.rendered import resource_names
from rehearsal.plugins.protocol import (
    Diff,
    Failure,
    InitFailed,
    Properties,
    ProviderError,
    ReadResult,
    Resource,
    Secret,
    changed_keys,
    contains_unknown,
)

TYPE = "kubernetes:helm.sh/v3:Release"
_IDENTITY = ("name", "namespace")
_PENDING = ("pending-install", "pending-upgrade", "pending-rollback")
_CUT_OFF = ("pending-install", "failed")
_ONCE_GOOD = ("deployed", "superseded")


class Releases:
    """Operations on releases; arguments and results as in `protocol.Provider`."""

    def __init__(self, config: ProviderConfig, cluster: Cluster, helm: Helm) -> None:
        self._config, self._cluster, self._helm = config, cluster, helm

    def check(self, resource: Resource, news: Properties) -> tuple[Properties, list[Failure]]:
        """Loads and renders the chart, so that a repository that is down fails a preview."""
        inputs, failures = release_inputs.check(TYPE, news, self._config.namespace)
        if failures or contains_unknown(inputs):
            return inputs, failures
        release = release_inputs.parse(inputs)
        try:
            manifest = self._helm.template(release)
            if "lint" in release.flags:
                self._helm.lint(release)
        except ProviderError as error:
            return inputs, [Failure("chart", f"release {_id(release)}: {error}")]
        inputs["checksum"] = hashlib.sha256(manifest.encode()).hexdigest()
        inputs["resourceNames"] = resource_names(manifest)
        return inputs, []

    def diff(self, old_inputs: Properties, news: Properties) -> Diff:
        changes = changed_keys(old_inputs, news)
        return Diff(changes=changes, replaces=[key for key in _IDENTITY if key in changes])

    def create(
        self, resource: Resource, inputs: Properties, preview: bool
    ) -> tuple[str, Properties]:
        if preview:
            return "", inputs
        release = release_inputs.parse(inputs)
        self._cluster.require()
        owner = hashlib.sha256(resource.urn.encode()).hexdigest()[:32]
        self._repair_or_refuse(release, owner)
        try:
            self._helm.install(release, owner)
        except ProviderError as error:
            left = self._helm.deployed(release, after_cancel=True)
            if left is None:
                raise ProviderError(f"release {_id(release)}: {error}") from None
            reason = f"release {_id(release)} was installed but is {left.status}: {error}"
            raise InitFailed(_id(release), _outputs(inputs, release, left), [reason]) from None
        return _id(release), self._current(inputs, release)

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult:
        try:
            self._cluster.require()
        except Unreachable:
            if self._config.delete_unreachable:
                return ReadResult("")
            raise
        namespace, _, name = id.rpartition("/")
        if not inputs:
            raise ProviderError(f"release {namespace}/{name}: import is not handled")
        release = release_inputs.parse(inputs)
        deployed = self._helm.deployed(release)
        if deployed is None:
            return ReadResult("")
        now = dict(inputs)
        live = self._helm.values(release)
        if live != release.values:
            now["values"] = live
        if not release.local and deployed.version != release.version:
            now["version"] = deployed.version
        result = _outputs(now, release, deployed)
        if deployed.status != "deployed":
            reason = f"release {_id(release)} is {deployed.status}"
            raise InitFailed(id, result, [reason], now)
        return ReadResult(id, result, now)

    def update(self, resource: Resource, news: Properties, preview: bool) -> Properties:
        if preview:
            return news
        release = release_inputs.parse(news)
        self._cluster.require()
        before = self._helm.deployed(release)
        if before is None:
            raise ProviderError(
                f"release {_id(release)} was uninstalled behind Pulumi's back;"
                " run `pulumi refresh` and then again"
            )
        if before.status == "pending-install":  # cut off: there is nothing that can be upgraded
            return self.create(resource, news, preview)[1]
        _refuse_pending(self._helm, release, before)
        try:
            self._helm.upgrade(release)
        except ProviderError as error:
            left = self._helm.deployed(release, after_cancel=True)
            if left is None or left.revision == before.revision:
                raise ProviderError(f"release {_id(release)}: {error}") from None
            reason = f"release {_id(release)} was upgraded but is {left.status}: {error}"
            raise InitFailed(_id(release), _outputs(news, release, left), [reason]) from None
        return self._current(news, release)

    def delete(self, inputs: Properties, outputs: Properties) -> None:
        release = release_inputs.parse(inputs or outputs)
        try:
            self._cluster.require()
        except Unreachable as error:
            if not self._config.delete_unreachable:
                raise ProviderError(f"release {_id(release)}: {error}") from None
            _warn(f"release {_id(release)}: dropped from the state without uninstalling: {error}")
            return
        try:
            self._helm.uninstall(release)
        except ProviderError as error:
            raise ProviderError(f"release {_id(release)}: {error}") from None

    def _repair_or_refuse(self, release: Release, owner: str) -> None:
        """Makes way for a first install: this resource's own one that was cut off is removed."""
        found = self._helm.deployed(release)
        if found is None:
            return
        statuses = [status for _, status in self._helm.history(release)]
        never_good = not any(status in _ONCE_GOOD for status in statuses)
        if found.status in _CUT_OFF and never_good and self._helm.owned(release, owner):
            _warn(
                f"release {_id(release)}: its install was interrupted; uninstalls and starts over"
            )
            self._helm.uninstall(release)
            return
        raise ProviderError(
            f"release {_id(release)} exists already ({found.status}) and is not in this stack; run"
            f" `helm uninstall {release.name} -n {release.namespace}` or choose another name"
        )

    def _current(self, inputs: Properties, release: Release) -> Properties:
        deployed = self._helm.deployed(release)
        if deployed is None:
            raise ProviderError(f"release {_id(release)} vanished right after helm made it")
        return _outputs(inputs, release, deployed)


def _refuse_pending(helm: Helm, release: Release, found: Deployed) -> None:
    if found.status not in _PENDING:
        return
    good = [revision for revision, status in helm.history(release) if status in _ONCE_GOOD]
    where = f"{release.name} {good[-1] if good else ''}".strip()
    raise ProviderError(
        f"release {_id(release)} is {found.status}: an earlier helm run was interrupted; run"
        f" `helm rollback {where} -n {release.namespace}` and then again"
    )


def _outputs(inputs: Properties, release: Release, deployed: Deployed) -> Properties:
    outputs: Properties = dict(inputs)
    options: Any = inputs.get("repositoryOpts")
    if isinstance(options, dict) and options.get("password"):
        outputs["repositoryOpts"] = options | {"password": Secret(options["password"])}
    outputs["values"] = without_nulls(inputs.get("values") or {})
    outputs["status"] = {
        "name": release.name,
        "namespace": release.namespace,
        "revision": deployed.revision,
        "status": deployed.status,
        "chart": deployed.chart,
        "version": deployed.version,
        "appVersion": deployed.app_version,
    }
    return outputs


def _id(release: Release) -> str:
    return f"{release.namespace}/{release.name}"


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)
