"""Can the API server be reached? Asked before each operation, to answer in one sentence."""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import urlsplit

from rehearsal.plugins.kubernetes.config import ProviderConfig
from rehearsal.plugins.protocol import ProviderError

_CONNECT_SECONDS = 5.0
_REMEMBER_SECONDS = 10.0  # so that forty resources of a dead cluster do not wait one by one


class Unreachable(ProviderError):
    """The API server does not answer."""


class Cluster:
    """The configured cluster's reachability. Thread-safe."""

    def __init__(self, config: ProviderConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._failure = ""
        self._failed_at = 0.0

    def require(self) -> None:
        """Raises Unreachable, with the reason and the way out."""
        if self._config.kubeconfig is None:
            raise Unreachable("the cluster's kubeconfig is not known yet")
        if self._config.proxied:
            return  # the server's own address says nothing then
        with self._lock:
            if not self._failure or time.monotonic() - self._failed_at > _REMEMBER_SECONDS:
                self._failure = self._probe()
                self._failed_at = time.monotonic()
            if self._failure:
                raise Unreachable(self._failure)

    def _probe(self) -> str:
        url = urlsplit(self._config.server)
        port = url.port or (80 if url.scheme == "http" else 443)
        try:
            with socket.create_connection((url.hostname or "", port), timeout=_CONNECT_SECONDS):
                return ""
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            return (
                f"the Kubernetes API server {self._config.server} cannot be reached ({reason});"
                " start the cluster or, if it is gone for good, set delete_unreachable=True on the"
                " provider to drop its resources from the state"
            )
