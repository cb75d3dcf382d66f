"""One API server and one plugin for all tests of the stand-in, one namespace for each test."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.rehearsal.plugins.harness import Plugin, start_plugin
from tests.rehearsal.plugins.kubernetes.api_server import ApiServer, api_server

EXECUTABLE = "pulumi-resource-kubernetes"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api-server")) as running:
        yield running


@pytest.fixture(scope="session")
def bare_plugin() -> Iterator[Plugin]:
    """A plugin that no cluster is configured for."""
    with start_plugin(EXECUTABLE) as plugin:
        yield plugin


@pytest.fixture(scope="session")
def plugin(server: ApiServer) -> Iterator[Plugin]:
    with start_plugin(EXECUTABLE) as running:
        running.configure({"kubeconfig": server.kubeconfig})
        yield running


@pytest.fixture
def namespace(server: ApiServer) -> Iterator[str]:
    name = "test-" + uuid.uuid4().hex[:8]
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    server.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    yield name
    server.kubectl("delete", "namespace", name, "--wait=false")
