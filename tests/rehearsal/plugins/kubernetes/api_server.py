"""A real API server on loopback: etcd, kube-apiserver and the controllers that deletions need."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rehearsal.paths import Paths

_TOKEN = "admin-token-of-the-tests"
_START_SECONDS = 120.0
_CONTROLLERS = "namespace,garbagecollector,deployment,replicaset,serviceaccount"


def tool(name: str) -> str:
    """The built tool, or the one on PATH; a test that needs a missing one is skipped."""
    built = Paths().tools / "bin" / name
    found = str(built) if built.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not built yet")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class ApiServer:
    """A running cluster. kubeconfig: its text."""

    folder: Path
    port: int
    kubeconfig: str

    def kubectl(self, *args: str, stdin: str = "") -> str:
        """kubectl's output; fails the test if kubectl fails."""
        result = subprocess.run(
            [tool("kubectl"), *args],
            env={"KUBECONFIG": str(self.folder / "admin.conf"), "PATH": "/usr/bin:/bin"},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Runs in `folder`; all processes are ended by pid."""
    binaries = [tool(name) for name in ("etcd", "kube-apiserver", "kube-controller-manager")]
    tool("kubectl")
    etcd, peer, port = free_port(), free_port(), free_port()
    _write_keys(folder)
    kubeconfig = make_kubeconfig(f"https://127.0.0.1:{port}")
    (folder / "admin.conf").write_text(kubeconfig)
    (folder / "tokens.csv").write_text(f'{_TOKEN},admin,admin,"system:masters"\n')
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes.append(_start(folder, binaries[0], _etcd_flags(folder, etcd, peer)))
        processes.append(_start(folder, binaries[1], _apiserver_flags(folder, etcd, port)))
        _wait_ready(folder, processes, port)
        processes.append(
            _start(
                folder,
                binaries[2],
                [
                    f"--kubeconfig={folder / 'admin.conf'}",
                    f"--service-account-private-key-file={folder / 'sa.key'}",
                    f"--controllers={_CONTROLLERS}",
                    "--leader-elect=false",
                    "--secure-port=0",
                ],
            )
        )
        server = ApiServer(folder, port, kubeconfig)
        _wait_for_default_namespace(server)
        yield server
    finally:
        for process in reversed(processes):
            _stop(process)


def make_kubeconfig(server: str, namespace: str = "") -> str:
    """An administrator's kubeconfig for the API server at that URL."""
    context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "x",
            "clusters": [
                {"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": True}}
            ],
            "users": [{"name": "u", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "x", "context": context}],
        }
    )


def _etcd_flags(folder: Path, client: int, peer: int) -> list[str]:
    url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",
    ]


def _apiserver_flags(folder: Path, etcd: int, port: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certs'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'sa.pub'}",
        f"--service-account-signing-key-file={folder / 'sa.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--disable-admission-plugins=ServiceAccount",
        "--watch-cache=false",
    ]


def _write_keys(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "sa.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (folder / "sa.pub").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _start(folder: Path, binary: str, flags: Sequence[str]) -> subprocess.Popen[bytes]:
    name = Path(binary).name
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [binary, *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        )


def _wait_ready(folder: Path, processes: Sequence[subprocess.Popen[bytes]], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    insecure = ssl._create_unverified_context()
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes):
            break
        with suppress(OSError):
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=insecure, timeout=5)
            connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {_TOKEN}"})
            ready = connection.getresponse().status == 200
            connection.close()
            if ready:
                return
        time.sleep(0.2)
    pytest.fail("no API server: " + (folder / "kube-apiserver.log").read_text()[-3000:])


def _wait_for_default_namespace(server: ApiServer) -> None:
    server.kubectl("wait", "--for=create", "namespace/default", "--timeout=60s")
    server.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
