"""Argo CD's own manifests as templates of a chart: one object a file, values put in.

The manifests are data of the Argo CD module; what is written here is which value goes where. An
object, a component or a container that this does not know is an error: a newer Argo CD must not
lose something on the way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from rehearsal.errors import RehearsalError

Object = dict[str, Any]


@dataclass(frozen=True)
class Component:
    """A component's place in the values.

    values: its key; container: the name of its main container; reads: the configuration (`cm`,
    `params`) that its pods read at their start and are replaced for; replicas, optional: whether
    `replicas`, `enabled` are values of it; metrics: the Service that `metrics.enabled` is about.
    """

    values: str
    container: str
    reads: tuple[str, ...] = ("params",)
    replicas: bool = False
    metrics: str = ""
    optional: bool = False


# By the label app.kubernetes.io/component.
COMPONENTS = {
    "application-controller": Component(
        "controller",
        "argocd-application-controller",
        reads=("cm", "params"),
        replicas=True,
        metrics="argocd-metrics",
    ),
    "applicationset-controller": Component(
        "applicationSet", "argocd-applicationset-controller", replicas=True
    ),
    "dex-server": Component("dex", "dex", optional=True),
    "notifications-controller": Component(
        "notifications", "argocd-notifications-controller", optional=True
    ),
    "redis": Component("redis", "redis", reads=()),
    "repo-server": Component(
        "repoServer", "argocd-repo-server", reads=("cm", "params"), replicas=True
    ),
    "server": Component(
        "server",
        "argocd-server",
        reads=("cm", "params"),
        replicas=True,
        metrics="argocd-server-metrics",
    ),
}

_CLUSTER_WIDE = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
_AS_THEY_ARE = {"ServiceAccount", "Role", "ClusterRole"}
# Objects whose content is values: (values key, helper that renders it, condition).
_CONFIGS = {
    ("ConfigMap", "argocd-cm"): ("argo-cd.cm", "configs.cm.create"),
    ("ConfigMap", "argocd-cmd-params-cm"): ("argo-cd.params", "configs.params.create"),
    ("Secret", "argocd-secret"): ("argo-cd.secret", "configs.secret.createSecret"),
}
_RBAC = ("ConfigMap", "argocd-rbac-cm")


def load(manifests: str) -> list[Object]:
    """The objects of Argo CD's install.yaml."""
    return [item for item in yaml.load_all(manifests, Loader=yaml.CSafeLoader) if item]


def templates(objects: list[Object]) -> dict[str, str]:
    """A template for each object, by file name. Raises RehearsalError for what is not known."""
    made: dict[str, str] = {}
    for item in objects:
        kind, name = item["kind"], item["metadata"]["name"]
        made[f"{kind.lower()}-{name}.yaml"] = _Template(item).render()
    return made


def defaults(objects: list[Object]) -> dict[str, str]:
    """What values.yaml takes from the manifests, by its placeholder's name, as YAML."""
    by_name = {(item["kind"], item["metadata"]["name"]): item for item in objects}
    found = {"CM": yaml.safe_dump(by_name["ConfigMap", "argocd-cm"]["data"], width=1000)}
    for placeholder, name in (("ARGOCD", "server"), ("DEX", "dex-server"), ("REDIS", "redis")):
        deployment = by_name["Deployment", f"argocd-{name}"]
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        repository, _, tag = image.rpartition(":")
        found |= {f"{placeholder}_REPOSITORY": repository, f"{placeholder}_TAG": tag}
    return found


class _Template:
    """One object on its way to a template.

    Expressions are put in as tokens, which are plain YAML, and become Helm's braces in the text.
    All of them render JSON: no indentation, no quoting to get wrong.
    """

    def __init__(self, item: Object) -> None:
        self._item = item
        self._kind: str = item["kind"]
        self._metadata: Object = dict(item["metadata"])
        labels = self._metadata.get("labels", {})
        self._name: str = labels.get("app.kubernetes.io/name", self._metadata["name"])
        self._component: str = labels.get("app.kubernetes.io/component", "")
        if self._metadata["name"] == "argocd-metrics":  # its label says `metrics`
            self._component = "application-controller"
        if self._component and self._component not in COMPONENTS:
            raise self._unknown(f"component {self._component}")
        self._expressions: dict[str, str] = {}
        self._conditions: list[str] = []

    def render(self) -> str:
        """The template's text."""
        spec = COMPONENTS.get(self._component)
        if spec and spec.optional:
            self._conditions.append(f"{spec.values}.enabled")
        self._label()
        body = {key: value for key, value in self._item.items() if key != "metadata"}
        body = self._edit(body)
        document = {"apiVersion": None, "kind": None, "metadata": self._metadata} | body
        return self._text(document)

    def _edit(self, body: Object) -> Object:
        key = (self._kind, self._metadata["name"])
        if key in _CONFIGS:
            helper, condition = _CONFIGS[key]
            self._conditions.append(condition)
            return body | {"data": self._put(f'include "{helper}" .')}
        if key == _RBAC:
            self._conditions.append("configs.rbac.create")
            data = 'include "argo-cd.strings" (omit .Values.configs.rbac "create")'
            return body | {"data": self._put(data)}
        if self._kind in _AS_THEY_ARE or self._kind in ("ConfigMap", "Secret"):
            return body
        if self._kind == "CustomResourceDefinition":
            return self._crd(body)
        if self._kind in ("RoleBinding", "ClusterRoleBinding"):
            return body | {"subjects": [self._subject(subject) for subject in body["subjects"]]}
        if self._kind == "NetworkPolicy":
            self._conditions.append("global.networkPolicy.create")
            return body
        if self._kind == "Service":
            return body | {"spec": self._service(body["spec"])}
        if self._kind in ("Deployment", "StatefulSet"):
            return body | {"spec": self._workload(body["spec"])}
        raise self._unknown("kind")

    def _label(self) -> None:
        arguments = f'"root" . "name" "{self._name}" "component" "{self._component}"'
        self._metadata["labels"] = self._put(f'include "argo-cd.labels" (dict {arguments})')
        if self._kind not in _CLUSTER_WIDE:
            self._metadata["namespace"] = self._put(".Release.Namespace | toJson")

    def _crd(self, body: Object) -> Object:
        self._conditions.append("crds.install")
        if "annotations" in self._metadata:
            raise self._unknown("annotations")
        keep = 'ternary (dict "helm.sh/resource-policy" "keep") (dict) .Values.crds.keep'
        self._metadata["annotations"] = self._put(
            f"mergeOverwrite ({keep}) .Values.crds.annotations | toJson"
        )
        return body

    def _subject(self, subject: Object) -> Object:
        """The manifests are made for one namespace; the chart is for the release's."""
        if "namespace" in subject or self._kind == "ClusterRoleBinding":
            return subject | {"namespace": self._put(".Release.Namespace | toJson")}
        return subject

    def _service(self, spec: Object) -> Object:
        component = COMPONENTS[self._component]
        if self._metadata["name"] == component.metrics:
            self._conditions.append(f"{component.values}.metrics.enabled")
            # argo-helm's name; the manifests say argocd-metrics for the controller's.
            self._metadata["name"] = f"argocd-{self._component}-metrics"
        spec = spec | {"selector": self._selector(spec["selector"])}
        if self._metadata["name"] != "argocd-server":
            return spec
        labels = self._expressions[self._metadata["labels"]]
        service = ".Values.server.service"
        merged = f"mergeOverwrite ({labels} | fromJson) {service}.labels | toJson"
        self._metadata["labels"] = self._put(merged)
        self._metadata["annotations"] = self._put(f"{service}.annotations | toJson")
        return spec | {
            "type": self._put(f"{service}.type"),
            "ports": self._put('include "argo-cd.serverPorts" .'),
        }

    def _selector(self, labels: Mapping[str, str]) -> Object:
        instance = self._put(".Release.Name | toJson")
        return {**labels, "app.kubernetes.io/instance": instance}

    def _workload(self, spec: Object) -> Object:
        component = COMPONENTS[self._component]
        values = f".Values.{component.values}"
        name = f'"name" "{self._name}" "component" "{self._component}"'
        labels = f'include "argo-cd.podLabels" (dict "root" . {name}) | fromJson'
        reads = " ".join(f'"{config}"' for config in component.reads)
        arguments = f'"root" . "component" {values} "reads" (list {reads})'
        annotations = f'include "argo-cd.podAnnotations" (dict {arguments})'
        metadata = {
            "labels": self._put(f"mergeOverwrite ({labels}) {values}.podLabels | toJson"),
            "annotations": self._put(annotations),
        }
        pod = dict(spec["template"]["spec"])
        for key in ("nodeSelector", "tolerations"):
            pod[key] = self._put(f"{values}.{key} | default .Values.global.{key} | toJson")
        pod["imagePullSecrets"] = self._put(".Values.global.imagePullSecrets | toJson")
        pod["containers"] = [self._main_container(item, component) for item in pod["containers"]]
        if "initContainers" in pod:
            init = [item | self._image(".Values.global.image") for item in pod["initContainers"]]
            pod["initContainers"] = init
        edited = spec | {
            "selector": {"matchLabels": self._selector(spec["selector"]["matchLabels"])},
            "template": {"metadata": metadata, "spec": pod},
        }
        if component.replicas:
            edited["replicas"] = self._put(f"{values}.replicas")
        return edited

    def _main_container(self, container: Object, component: Component) -> Object:
        if container["name"] != component.container:
            raise self._unknown(f"container {container['name']}")
        values = f".Values.{component.values}"
        edited = container | self._image(f"{values}.image")
        edited["resources"] = self._put(f"{values}.resources | toJson")
        edited["args"] = [*container.get("args", []), self._put(f"{values}.extraArgs", each=True)]
        environment = [dict(item) for item in container.get("env", [])]
        for item in environment:
            if item["name"] == "ARGOCD_CONTROLLER_REPLICAS":
                item["value"] = self._put(f"{values}.replicas | quote")
        edited["env"] = [*environment, self._put(f"{values}.env", each=True)]
        return edited

    def _image(self, values: str) -> Object:
        policy = f"{values}.imagePullPolicy | default .Values.global.image.imagePullPolicy"
        return {
            "image": self._put(f'include "argo-cd.image" (dict "root" . "image" {values})'),
            "imagePullPolicy": self._put(policy),
        }

    def _put(self, expression: str, *, each: bool = False) -> str:
        """A token for the expression; each: for a list's further items, made from a list value."""
        token = f"{'EACH' if each else 'VALUE'}{len(self._expressions):03}TOKEN"
        self._expressions[token] = expression
        return token

    def _text(self, document: Object) -> str:
        text = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, width=1000)
        text = text.replace("{{", '{{ "{{" }}')
        for token, expression in self._expressions.items():
            items = f"{{{{- range {expression} }}}}\n\\1- {{{{ toJson . }}}}\n{{{{- end }}}}"
            text = re.sub(rf"(?m)^( *)- {token}$", items, text)
            text = text.replace(token, f"{{{{ {expression} }}}}")
        for condition in reversed(self._conditions):
            text = f"{{{{- if .Values.{condition} }}}}\n{text}{{{{- end }}}}\n"
        return text

    def _unknown(self, what: str) -> RehearsalError:
        return RehearsalError(
            f"Argo CD's manifests have a {what} in {self._kind} {self._metadata['name']} that the"
            " chart does not know; extend rehearsal/mirrors/argocd_templates.py"
        )
