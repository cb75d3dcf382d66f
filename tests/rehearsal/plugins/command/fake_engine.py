"""The engine's log service, as far as a provider uses it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class FakeEngine(engine_pb2_grpc.EngineServicer):
    """Keeps what it is told. address: where it listens."""

    def __init__(self) -> None:
        self.address = ""
        self._requests: list[Any] = []
        self._lock = threading.Lock()

    def Log(self, request: Any, context: Any) -> Any:
        with self._lock:
            self._requests.append(request)
        return empty_pb2.Empty()

    @property
    def statuses(self) -> list[str]:
        """Lines shown while they are the newest."""
        return [r.message for r in self._taken() if r.ephemeral]

    @property
    def warnings(self) -> list[str]:
        return [r.message for r in self._taken() if r.severity == engine_pb2.WARNING]

    @property
    def urns(self) -> set[str]:
        return {r.urn for r in self._taken()}

    def _taken(self) -> list[Any]:
        with self._lock:
            return list(self._requests)


@contextmanager
def fake_engine() -> Iterator[FakeEngine]:
    """Serves until the end of the block."""
    engine = FakeEngine()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    engine.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield engine
    finally:
        server.stop(grace=None).wait()
