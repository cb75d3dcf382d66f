"""The stand-in under the real engine: one small program from preview to destroy."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rehearsal.paths import CHECKOUT, Paths
from tests.rehearsal.plugins.kubernetes.api_server import ApiServer, tool

_PROGRAM = """
import json, os
import pulumi
import pulumi_kubernetes as k8s

settings = json.load(open(os.environ["TEST_SETTINGS"]))
kubeconfig = open(settings["kubeconfig"]).read()
first = k8s.Provider("first", kubeconfig=pulumi.Output.secret(kubeconfig), cluster_identifier="a",
                     delete_unreachable=True, suppress_deprecation_warnings=False)
on_first = pulumi.ResourceOptions(provider=first)
space = k8s.core.v1.Namespace("space", metadata={"name": "engine"}, opts=on_first)
# Not known before `space` exists: the provider and all in it are planned without a cluster.
later = k8s.Provider("later", cluster_identifier="a",
                     kubeconfig=pulumi.Output.secret(space.id.apply(lambda _: kubeconfig)))
on_later = pulumi.ResourceOptions(provider=later)
k8s.core.v1.Secret("secret", metadata={"name": "secret", "namespace": space.metadata["name"]},
                   string_data={"key": "planted-marker"}, opts=on_later)
config = k8s.core.v1.ConfigMap("config", data={"text": settings["text"]}, opts=on_later,
                               metadata={"name": "config", "namespace": space.metadata["name"]})
release = k8s.helm.v3.Release("tiny", name="tiny", namespace="engine", chart=settings["chart"],
                              values={"text": settings["text"], "password":
                                      pulumi.Output.secret("planted-marker")},
                              opts=pulumi.ResourceOptions(provider=later, depends_on=[space]))
k8s.apiextensions.CustomResource("policy", api_version="networking.k8s.io/v1",
                                 kind="NetworkPolicy", spec={"podSelector": {}},
                                 metadata={"name": "all", "namespace": space.metadata["name"]},
                                 opts=on_first)
pulumi.export("status", release.status.status)
pulumi.export("uid", config.metadata.apply(lambda m: m.uid))
"""
_CHART = {
    "Chart.yaml": "apiVersion: v2\nname: tiny\nversion: 0.1.0\n",
    "templates/config.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: tiny\n"
        "data:\n  text: {{ .Values.text | quote }}\n"
    ),
}


class Stack:
    """A project in `folder` with the program above. settings: what the program reads."""

    def __init__(self, folder: Path, server: ApiServer) -> None:
        self.folder, self.temporary = folder, folder / "tmp"
        for name, text in {"__main__.py": _PROGRAM, **_CHART}.items():
            file = folder / (name if name == "__main__.py" else f"chart/{name}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (folder / "Pulumi.yaml").write_text("name: engine\nruntime: python\n")
        (folder / "state").mkdir()
        self.temporary.mkdir()
        self._env = {
            "PATH": f"{CHECKOUT}/rehearsal/plugins/bin:{CHECKOUT}/.venv/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "TMPDIR": str(self.temporary),
            "TEST_SETTINGS": str(folder / "settings.json"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "GROUNDWORK_CACHE": str(Paths().cache),
        }
        self._settings = {
            "kubeconfig": str(server.folder / "admin.conf"),
            "chart": "./chart",
            "text": "one",
        }
        self.set()
        self.run("stack", "init", "test")

    def set(self, **settings: str) -> None:
        self._settings |= settings
        (self.folder / "settings.json").write_text(json.dumps(self._settings))

    def run(self, *args: str) -> str:
        result = self._run(args)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def steps(self, *args: str) -> dict[str, int]:
        """The operations of an update, by kind, those that change nothing left out."""
        if args[0] == "preview":
            summary: dict[str, Any] = json.loads(self.run(*args, "--json"))["changeSummary"]
        else:
            self.run(*args, "--yes", "--skip-preview")
            history = self.run("stack", "history", "--json", "--page-size", "1")
            summary = json.loads(history)[0]["resourceChanges"]
        return {kind: count for kind, count in summary.items() if kind != "same"}

    def _run(self, args: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tool("pulumi"), *args, "--non-interactive"],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.mark.slow
def test_program_from_preview_to_destroy(server: ApiServer, tmp_path: Path) -> None:
    stack = Stack(tmp_path, server)
    # stack, two providers, namespace, secret, config map, release, network policy
    assert stack.steps("preview") == {"create": 8}
    assert stack.steps("up") == {"create": 8}
    outputs = json.loads(stack.run("stack", "output", "--json"))
    assert outputs["status"] == "deployed" and outputs["uid"]
    assert stack.steps("up") == {}

    exported = stack.run("stack", "export")
    for secret in ("planted-marker", "cGxhbnRlZC1tYXJrZXI", "admin-token"):
        assert secret not in exported

    stack.set(text="two")
    assert stack.steps("preview") == {"update": 1, "replace": 1}
    assert stack.steps("up") == {"update": 1, "replace": 1}
    for name in ("tiny", "config"):
        live = server.kubectl("get", "cm", name, "-n", "engine", "-o", "jsonpath={.data.text}")
        assert live == "two"

    server.kubectl("label", "namespace", "engine", "drift=yes")
    server.kubectl("delete", "secret", "secret", "-n", "engine")
    assert stack.steps("refresh") == {"delete": 1}
    assert stack.steps("up") == {"create": 1}

    assert stack.steps("destroy") == {"delete": 8}
    assert "engine" not in server.kubectl("get", "namespaces", "-o", "name")
    assert not list(stack.temporary.glob("groundwork-kubernetes-*"))
