"""The engine's log, where a running command's output is shown."""

from __future__ import annotations

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

_PATIENCE_S = 30.0


class EngineLog:
    """Shows lines beside a resource. address: of the engine's service; empty shows nothing."""

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    def status(self, urn: str, text: str) -> None:
        """One line of what goes on, shown while it is the newest, as the official provider's."""
        self._log(
            engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, ephemeral=True), urn
        )

    def warning(self, urn: str, text: str) -> None:
        """What the person should know after the run as well."""
        self._log(engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=text), urn)

    def _log(self, request: engine_pb2.LogRequest, urn: str) -> None:
        """An engine that no longer listens is no error of the command."""
        if self._stub is None or not request.message.strip():
            return
        request.urn = urn
        try:
            self._stub.Log(request, timeout=_PATIENCE_S)
        except grpc.RpcError:
            return
