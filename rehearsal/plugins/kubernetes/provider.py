"""The `kubernetes` provider: hands each resource to objects or releases."""

from __future__ import annotations

import importlib.metadata

from rehearsal.plugins.kubernetes import config
from rehearsal.plugins.kubernetes.cluster import Cluster
from rehearsal.plugins.kubernetes.helm import Helm
from rehearsal.plugins.kubernetes.kubectl import Kubectl
from rehearsal.plugins.kubernetes.objects import Objects
from rehearsal.plugins.kubernetes.process import Runner
from rehearsal.plugins.kubernetes.releases import TYPE, Releases
from rehearsal.plugins.kubernetes.workspace import Workspace
from rehearsal.plugins.protocol import Diff, Failure, Properties, Provider, ReadResult, Resource


class KubernetesProvider(Provider):
    """Stand-in for pulumi-kubernetes. Objects of any kind, and `helm.sh/v3:Release`."""

    name = "kubernetes"
    version = importlib.metadata.version("pulumi-kubernetes")

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._runner = workspace, Runner()
        self._set(config.ProviderConfig(kubeconfig=None))

    def check_config(self, news: Properties) -> list[Failure]:
        return config.check(news)

    def diff_config(self, olds: Properties, news: Properties) -> Diff:
        return config.diff(olds, news)

    def configure(self, args: Properties) -> None:
        self._set(config.parse(args))

    def check(
        self, resource: Resource, olds: Properties, news: Properties
    ) -> tuple[Properties, list[Failure]]:
        if resource.type == TYPE:
            return self._releases.check(resource, news)
        return self._objects.check(resource, news)

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
    ) -> Diff:
        if resource.type == TYPE:
            return self._releases.diff(old_inputs, news)
        return self._objects.diff(old_inputs, old_outputs, news)

    def create(
        self, resource: Resource, inputs: Properties, preview: bool, timeout: float
    ) -> tuple[str, Properties]:
        if resource.type == TYPE:
            return self._releases.create(resource, inputs, preview)
        return self._objects.create(resource, inputs, preview, timeout)

    def read(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties
    ) -> ReadResult:
        if resource.type == TYPE:
            return self._releases.read(id, inputs, outputs)
        return self._objects.read(resource, id, inputs, outputs)

    def update(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        preview: bool,
        timeout: float,
    ) -> Properties:
        if resource.type == TYPE:
            return self._releases.update(resource, news, preview)
        return self._objects.update(resource, old_outputs, news, preview, timeout)

    def delete(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties, timeout: float
    ) -> None:
        if resource.type == TYPE:
            self._releases.delete(inputs, outputs)
        else:
            self._objects.delete(resource, id, inputs, outputs, timeout)

    def cancel(self) -> None:
        self._runner.cancel()

    def _set(self, settings: config.ProviderConfig) -> None:
        # While the kubeconfig is unknown nothing reaches a cluster, charts are loaded all the same.
        text = settings.kubeconfig or ""
        path = self._workspace.write("kubeconfig", text)
        cluster = Cluster(settings)
        kubectl = Kubectl(self._runner, self._workspace, path, settings.namespace)
        self._objects = Objects(settings, cluster, kubectl, self._runner.cancelled)
        helm = Helm(self._runner, self._workspace, path if text else None)
        self._releases = Releases(settings, cluster, helm)
