"""The kube API, as a pod on the control plane's host network would ask it."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from rehearsal.errors import RehearsalError
from rehearsal.hosts.host import list_hosts
from rehearsal.namespace import inside
from rehearsal.paths import Paths

_ADMIN = Path("etc/kubernetes/admin.conf")
_PORT = 6443
_NAME = "kubernetes"  # kubeadm's serving certificate always has it
_TIMEOUT_S = 10.0
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ApiError(RehearsalError):
    """The API server refused; status is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """One API server, over one connection that is made anew when it breaks.

    Methods raise ApiError for a refusal, OSError or http.client.HTTPException when nobody answers.
    """

    def __init__(
        self,
        connect: Callable[[], http.client.HTTPConnection],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._connect, self._headers = connect, dict(headers or {})
        self._connection: http.client.HTTPConnection | None = None

    def list(self, path: str, metadata_only: bool = False) -> list[dict[str, Any]]:
        """The items of a collection, from the server's cache."""
        accept = _METADATA if metadata_only else _JSON
        found = self._ask("GET", f"{path}?resourceVersion=0", accept=accept)
        items: list[dict[str, Any]] = found["items"]
        return items

    def get(self, path: str) -> dict[str, Any] | None:
        """An object; None if there is none."""
        try:
            return self._ask("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Mapping[str, Any]) -> None:
        """Makes an object; fine if one of its name is there."""
        try:
            self._ask("POST", path, body)
        except ApiError as error:
            if error.status != 409:
                raise

    def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """JSON merge patch (RFC 7386); fine if the object is gone."""
        self._unless_gone("PATCH", path, body)

    def delete(self, path: str) -> None:
        """Asks for the end of an object; fine if it is gone."""
        self._unless_gone("DELETE", path)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _unless_gone(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        try:
            self._ask(method, path, body, kind="application/merge-patch+json")
        except ApiError as error:
            if error.status != 404:
                raise

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        kind: str = _JSON,
        accept: str = _JSON,
    ) -> dict[str, Any]:
        headers = {**self._headers, "Accept": accept, "Content-Type": kind}
        try:
            if self._connection is None:
                self._connection = self._connect()
            data = None if body is None else json.dumps(body)
            self._connection.request(method, path, data, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.status >= 300:
            said = _message(text)
            raise ApiError(answer.status, f"{method} {path}: {answer.status} {said}")
        found: dict[str, Any] = json.loads(text)
        return found


def _message(text: bytes) -> str:
    """What a Status says, or whatever else came."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return " ".join(text.decode(errors="replace").split())[:300]


class _Connection(http.client.HTTPSConnection):
    """From a host's own network namespace to the API server on it."""

    def __init__(self, netns: str, context: ssl.SSLContext) -> None:
        super().__init__(_NAME, _PORT, timeout=_TIMEOUT_S, context=context)
        self._netns, self._tls = netns, context

    def connect(self) -> None:
        with inside(self._netns):
            plain = socket.create_connection(("127.0.0.1", _PORT), _TIMEOUT_S)
        self.sock = self._tls.wrap_socket(plain, server_hostname=_NAME)


class Clusters:
    """The cluster of this run, found by the kubeconfig that kubeadm leaves on a control plane."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._known: tuple[Path, int] | None = None
        self._api: Api | None = None

    def api(self) -> Api | None:
        """The API of the first control plane that runs; None while there is none."""
        for host in list_hosts(self._paths):
            file = host.directory / "upper" / _ADMIN
            if file.exists() and host.running:
                known = (file, file.stat().st_mtime_ns)
                if self._api is None or known != self._known:
                    context = _context(yaml.safe_load(file.read_text()))
                    netns = host.spec.netns
                    self._api = Api(lambda: _Connection(netns, context))  # noqa: B023
                    self._known = known
                return self._api
        self._api = None
        return None


def _context(kubeconfig: dict[str, Any]) -> ssl.SSLContext:
    """TLS with the certificates of a kubeconfig of kubeadm's: one cluster, one user."""
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    context = ssl.create_default_context(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    with tempfile.NamedTemporaryFile() as file:  # of this user alone; ssl reads files only
        for part in ("client-certificate-data", "client-key-data"):
            file.write(base64.b64decode(user[part]))
        file.flush()
        context.load_cert_chain(file.name)
    return context
