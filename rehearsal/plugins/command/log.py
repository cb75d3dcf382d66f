"""The engine's log, where a running command's output is shown."""

from __future__ import annotations

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class EngineLog:
    """Shows lines beside a resource. address: of the engine's service; empty shows nothing."""

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    def info(self, urn: str, text: str) -> None:
        """One piece of output. An engine that no longer listens is no error."""
        if self._stub is None or not text.strip():
            return
        try:
            self._stub.Log(
                engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text.rstrip("\n"), urn=urn)
            )
        except grpc.RpcError:
            return
