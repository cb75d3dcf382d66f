"""The tree as Argo CD renders it for an environment: from the root Application's spec, by the helm
and kustomize that Argo CD itself uses."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gitops import render
from settings import Settings
from tests.conftest import CHECKOUT, ToolFinder

TREE = CHECKOUT / "gitops" / "tree"
WAVE = "argocd.argoproj.io/sync-wave"
HOOK = "argocd.argoproj.io/hook"
REPOSITORY = "https://git.example/groundwork.git"
# Of the kinds that the tree has.
CLUSTER_WIDE = {"Namespace", "StorageClass", "ClusterExternalSecret", "ClusterSecretStore"}
_ROLE = "arn:aws:iam::123456789012:role/"
ROLES = {
    "databases/database-backups": f"{_ROLE}database-backups",
    "kube-system/ebs-csi-controller-sa": f"{_ROLE}ebs-csi",
}

Object = dict[str, Any]


@dataclass
class Part:
    """An Application and what it renders to. wave: of the root app's child that it belongs to;
    addon: whether that is the add-ons."""

    application: Object
    wave: int
    addon: bool
    objects: list[Object] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.application["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.application["spec"]["destination"]["namespace"])

    @property
    def project(self) -> str:
        return str(self.application["spec"]["project"])


@dataclass
class Tree:
    """An environment's whole. children: what the root app has; parts: all Applications from our
    repository, by name, those that an Application renders to among them."""

    settings: Settings
    children: list[Object]
    parts: dict[str, Part]

    @property
    def domains(self) -> list[str]:
        return [api["domain"] for api in render.apis(self.settings.nodes)]

    @property
    def ours(self) -> dict[str, Part]:
        """Without the add-ons."""
        return {name: part for name, part in self.parts.items() if not part.addon}

    @property
    def everything(self) -> list[Object]:
        return [*self.children, *self.objects]

    @property
    def objects(self) -> list[Object]:
        return [each for part in self.parts.values() for each in part.objects]

    def api(self, domain: str) -> Part:
        return self.parts[f"ecoeco-api-{domain}"]


class Renderer:
    """Renders below a scratch copy of the tree, which kustomize's edits may change."""

    def __init__(self, tool: ToolFinder, scratch: Path, tree: Path = TREE) -> None:
        self._helm, self._kustomize = tool("helm"), tool("kustomize")
        self._root = scratch / "gitops" / "tree"
        shutil.copytree(tree, self._root)
        self._built: Callable[..., str] = functools.cache(self._build)

    def tree(self, environment: str, settings: Settings) -> Tree:
        """Every Application of ours, for the environment of that name."""
        settings = settings.model_copy(
            update={"gitops": settings.gitops.model_copy(update={"repo_url": REPOSITORY})}
        )
        given = render.given(settings, "vpc-1", "backups", ROLES)
        root = render.root_application(settings.gitops, environment, settings.nodes, given)
        children = self._render(root["source"], "root", render.NAMESPACE)
        parts: dict[str, Part] = {}
        for child in children:
            wave = int(child["metadata"]["annotations"][WAVE])
            ahead = generated(child)
            while ahead:
                part = Part(ahead.pop(), wave, child["metadata"]["name"] == "addons")
                source = part.application["spec"]["source"]
                if source["repoURL"] == REPOSITORY:
                    part.objects = self._render(source, part.name, part.namespace)
                    parts[part.name] = part
                    ahead += of_kind(part.objects, "Application")
        return Tree(settings, children, parts)

    def kustomize(
        self, path: str, components: Sequence[str] = (), images: Sequence[str] = ()
    ) -> list[Object]:
        """What a folder below the tree builds to with these edits."""
        text = self._built(self._root / path, tuple(components), tuple(images))
        return [each for each in yaml.safe_load_all(text) if each]

    def _render(self, source: Object, name: str, namespace: str) -> list[Object]:
        folder = self._root.parent.parent / source["path"]
        if (folder / "Chart.yaml").exists():
            text = self._chart(folder, source.get("helm", {}), name, namespace)
            found = [each for each in yaml.safe_load_all(text) if each]
        else:
            edits = source.get("kustomize", {})
            path = str(folder.relative_to(self._root))
            found = self.kustomize(path, edits.get("components", ()), edits.get("images", ()))
        for each in found:
            if each["kind"] not in CLUSTER_WIDE:
                each["metadata"].setdefault("namespace", namespace)
        return found

    def _chart(self, folder: Path, helm: Object, name: str, namespace: str) -> str:
        command: list[str | Path] = [self._helm, "template", name, folder, "-n", namespace]
        for file in helm.get("valueFiles", ()):
            if not helm.get("ignoreMissingValueFiles") or (folder / file).exists():
                command += ["--values", folder / file]
        text = yaml.safe_dump(helm.get("valuesObject", {}))
        return output(*command, "--values", "-", stdin=text)

    def _build(self, folder: Path, components: Sequence[str], images: Sequence[str]) -> str:
        """With what Argo CD edits into the folder's kustomization before it builds."""
        file = folder / "kustomization.yaml"
        before = file.read_text()
        try:
            if images:
                output(self._kustomize, "edit", "set", "image", *images, cwd=folder)
            if components:
                output(self._kustomize, "edit", "add", "component", *components, cwd=folder)
            return output(self._kustomize, "build", folder)
        finally:
            file.write_text(before)


def output(*command: str | Path, stdin: str = "", cwd: Path | None = None) -> str:
    """What the command prints; its errors fail the test."""
    done = subprocess.run(
        command, input=stdin, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def generated(child: Object) -> list[Object]:
    """The Applications that a child of the root app is or generates, as the ApplicationSet
    controller does with a list."""
    if child["kind"] == "Application":
        return [child]
    made = []
    for generator in child["spec"]["generators"]:
        for element in generator["list"]["elements"]:
            text = yaml.safe_dump(child["spec"]["template"])
            for key, value in element.items():
                text = text.replace(f"{{{{.{key}}}}}", value)
            assert "{{" not in text
            application = yaml.safe_load(text)
            if element["tag"]:
                assert "{{.domain}}:{{.tag}}" in child["spec"]["templatePatch"]
                image = f"ghcr.io/sesacthon/{element['domain']}:{element['tag']}"
                images = [f"ghcr.io/sesacthon/placeholder={image}"]
                application["spec"]["source"].setdefault("kustomize", {})["images"] = images
            made.append({"kind": "Application", **application})
    return made


def of_kind(found: Sequence[Object], *kinds: str) -> list[Object]:
    return [each for each in found if each["kind"] in kinds]


def pods(found: Sequence[Object]) -> Iterator[Object]:
    """The pods of all workloads and hooks: {kind, name, namespace, labels, spec}."""
    for each in found:
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template", {})
        if "containers" in template.get("spec", {}):
            yield {
                "kind": each["kind"],
                "name": each["metadata"]["name"],
                "namespace": each["metadata"]["namespace"],
                "labels": template.get("metadata", {}).get("labels", {}),
                "spec": template["spec"],
            }


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
