"""A chart repository on loopback with one tiny chart in two versions."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rehearsal.plugins.kubernetes.api_server import tool

_TEMPLATES = {
    "config.yaml": """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-config
data:
  text: {{ .Values.text | quote }}
  password: {{ .Values.password | quote }}
""",
    "never-ready.yaml": """
{{- if .Values.neverReady }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web:1}]}
{{- end }}
""",
}


@dataclass(frozen=True)
class Repository:
    """url: of the chart repository; folder: of the unpacked chart."""

    url: str
    folder: Path


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the repository's files; below /private/ to `user:planted-password` alone."""

    def do_GET(self) -> None:
        if self.path.startswith("/private/"):
            expected = "Basic " + base64.b64encode(b"user:planted-password").decode()
            if self.headers.get("Authorization") != expected:
                self.send_error(401)
                return
            self.path = self.path.removeprefix("/private")
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def chart_repository(folder: Path) -> Iterator[Repository]:
    """Serves versions 0.1.0 and 0.2.0 of the chart `tiny` on loopback."""
    chart = folder / "tiny"
    (chart / "templates").mkdir(parents=True)
    for name, text in _TEMPLATES.items():
        (chart / "templates" / name).write_text(text)
    (chart / "values.yaml").write_text("text: default\npassword: none\nneverReady: false\n")
    served = folder / "served"
    served.mkdir()
    for version in ("0.1.0", "0.2.0"):
        meta = {"apiVersion": "v2", "name": "tiny", "version": version, "appVersion": "1.0"}
        (chart / "Chart.yaml").write_text(json.dumps(meta))
        helm(folder, "package", str(chart), "-d", str(served))
    helm(folder, "repo", "index", str(served))
    handler = functools.partial(_Handler, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Repository(f"http://127.0.0.1:{server.server_port}", chart)
    server.shutdown()
    server.server_close()


def helm(home: Path, *args: str, kubeconfig: str = "/dev/null") -> str:
    """helm's output; fails the test if helm fails."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "KUBECONFIG": kubeconfig}
    result = subprocess.run(
        [tool("helm"), *args], env=env, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
