"""Helm releases: a tiny chart from a chart repository on loopback, on a real API server."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.harness import Plugin, PluginError, start_plugin
from tests.rehearsal.plugins.kubernetes.api_server import (
    ApiServer,
    free_port,
    make_kubeconfig,
)
from tests.rehearsal.plugins.kubernetes.chart_repository import (
    Repository,
    chart_repository,
    helm,
)
from tests.rehearsal.plugins.kubernetes.conftest import EXECUTABLE
from tests.rehearsal.plugins.kubernetes.recording import recording_tools

RELEASE = "kubernetes:helm.sh/v3:Release"


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with chart_repository(tmp_path_factory.mktemp("charts")) as served:
        yield served


def _news(repository: Repository, namespace: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "namespace": namespace,
        "chart": "tiny",
        "version": "0.1.0",
        "repositoryOpts": {"repo": repository.url},
        "values": {"text": "one"},
        "timeout": 30,
        "compat": "true",
    } | more


def _text(server: ApiServer, namespace: str) -> str:
    data = server.kubectl("get", "cm", "tiny-config", "-n", namespace, "-o", "jsonpath={.data}")
    return str(json.loads(data)["text"])


def test_install_upgrade_uninstall(
    plugin: Plugin, server: ApiServer, repository: Repository, namespace: str
) -> None:
    inputs = plugin.check(RELEASE, _news(repository, namespace))
    assert inputs["resourceNames"] == {"ConfigMap/v1": ["tiny-config"]} and inputs["checksum"]
    assert plugin.create(RELEASE, inputs, preview=True) == ("", inputs)
    id, outputs = plugin.create(RELEASE, inputs)
    assert id == f"{namespace}/tiny"
    assert outputs["status"] == {
        "name": "tiny",
        "namespace": namespace,
        "revision": 1,
        "status": "deployed",
        "chart": "tiny",
        "version": "0.1.0",
        "appVersion": "1.0",
    }
    assert _text(server, namespace) == "one"
    assert plugin.diff(RELEASE, id, inputs, outputs, inputs).changes == []

    news = plugin.check(
        RELEASE, _news(repository, namespace, version="0.2.0", values={"text": "two"})
    )
    diff = plugin.diff(RELEASE, id, inputs, outputs, news)
    assert diff.changes == ["checksum", "values", "version"] and diff.replaces == []
    outputs = plugin.update(RELEASE, id, inputs, outputs, news)
    assert (outputs["status"]["revision"], outputs["status"]["version"]) == (2, "0.2.0")
    assert _text(server, namespace) == "two"
    read = plugin.read(RELEASE, id, news, outputs)
    assert (read.id, read.inputs) == (id, news)

    plugin.delete(RELEASE, id, news, outputs)
    assert plugin.read(RELEASE, id, news, outputs).id == ""
    plugin.delete(RELEASE, id, news, outputs)
    assert "tiny-config" not in server.kubectl("get", "cm", "-n", namespace, "-o", "name")


def test_another_name_is_a_replacement(
    plugin: Plugin, repository: Repository, namespace: str
) -> None:
    inputs = plugin.check(RELEASE, _news(repository, namespace))
    news = plugin.check(RELEASE, _news(repository, namespace, name="other"))
    assert plugin.diff(RELEASE, "x/tiny", inputs, inputs, news).replaces == ["name"]


def test_refresh_shows_changed_values(
    plugin: Plugin, server: ApiServer, repository: Repository, namespace: str, tmp_path: Path
) -> None:
    inputs = plugin.check(RELEASE, _news(repository, namespace))
    id, outputs = plugin.create(RELEASE, inputs)
    helm(
        tmp_path, "upgrade", "tiny", str(repository.folder), "-n", namespace, "--set", "text=drift",
        kubeconfig=str(server.folder / "admin.conf"),
    )  # fmt: skip
    read = plugin.read(RELEASE, id, inputs, outputs)
    assert read.inputs["values"] == {"text": "drift"} and read.inputs["version"] == "0.2.0"


def test_local_chart_needs_no_version(
    plugin: Plugin, server: ApiServer, repository: Repository, namespace: str
) -> None:
    news = {"name": "tiny", "namespace": namespace, "chart": str(repository.folder)}
    inputs = plugin.check(RELEASE, news)
    assert inputs["timeout"] == 300
    plugin.create(RELEASE, inputs)
    assert _text(server, namespace) == "default"


def test_repository_that_is_down_fails_a_preview(bare_plugin: Plugin) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    news = _news(Repository(url, Path()), "default")
    _, failures = bare_plugin.check_failures(RELEASE, news)
    assert len(failures) == 1 and failures[0][0] == "chart"
    assert f"chart repository {url} cannot be reached: " in failures[0][1]
    assert failures[0][1].endswith("connection refused")
    unknown = news | {"values": {"text": UNKNOWN}}
    assert bare_plugin.check(RELEASE, unknown)["values"] == {"text": UNKNOWN}


def test_missing_version_and_chart_fail_a_preview(
    bare_plugin: Plugin, repository: Repository
) -> None:
    for change, name, version in (
        ({"version": "9.9.9"}, "tiny", "9.9.9"),
        ({"chart": "huge"}, "huge", "0.1.0"),
    ):
        _, failures = bare_plugin.check_failures(RELEASE, _news(repository, "default") | change)
        reason = f"chart '{name}' has no version {version} in {repository.url}"
        assert [f[1] for f in failures] == [f"release default/tiny: {reason}"]


def test_template_error_fails_a_preview(bare_plugin: Plugin, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: bad\nversion: 0.1.0\n")
    (tmp_path / "templates" / "a.yaml").write_text('{{ fail "text is missing" }}\n')
    news = {"name": "bad", "chart": str(tmp_path)}
    _, failures = bare_plugin.check_failures(RELEASE, news)
    assert "text is missing" in failures[0][1] and "\n" not in failures[0][1]


def test_secrets_are_on_no_command_line(
    server: ApiServer, repository: Repository, namespace: str, tmp_path: Path
) -> None:
    news = _news(
        repository,
        namespace,
        values={"password": "planted-value"},
        repositoryOpts={
            "repo": f"{repository.url}/private",
            "username": "user",
            "password": "planted-password",
        },
    )
    env, log = recording_tools(tmp_path)
    with start_plugin(EXECUTABLE, env) as plugin:
        plugin.configure({"kubeconfig": server.kubeconfig})
        inputs = plugin.check(RELEASE, news)
        plugin.create(RELEASE, inputs)
    text = log.read_text()
    assert "install" in text and "pull" in text
    assert "planted" not in text and "admin-token" not in text


def test_nothing_is_left_after_the_plugin(
    server: ApiServer, repository: Repository, tmp_path: Path
) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with start_plugin(EXECUTABLE, {"TMPDIR": str(tmp_path)}) as plugin:
            plugin.configure({"kubeconfig": server.kubeconfig})
            plugin.check(RELEASE, _news(repository, "default"))
            (folder,) = tmp_path.glob("groundwork-kubernetes-*")
            assert folder.stat().st_mode & 0o777 == 0o700
            assert (folder / "kubeconfig").stat().st_mode & 0o777 == 0o600
            os.kill(plugin.process.pid, number)
            plugin.process.wait(timeout=20)
            _until(lambda: not list(tmp_path.iterdir()))


def test_existing_release_is_not_adopted(
    plugin: Plugin, server: ApiServer, repository: Repository, namespace: str, tmp_path: Path
) -> None:
    helm(
        tmp_path, "install", "tiny", str(repository.folder), "-n", namespace,
        kubeconfig=str(server.folder / "admin.conf"),
    )  # fmt: skip
    inputs = plugin.check(RELEASE, _news(repository, namespace))
    with pytest.raises(PluginError, match=f"helm uninstall tiny -n {namespace}"):
        plugin.create(RELEASE, inputs)


def test_failed_install_is_kept_and_upgraded(
    plugin: Plugin, server: ApiServer, repository: Repository, namespace: str
) -> None:
    news = _news(repository, namespace, values={"neverReady": True}, timeout=2)
    inputs = plugin.check(RELEASE, news)
    with pytest.raises(PluginError, match="is failed") as error:
        plugin.create(RELEASE, inputs)
    failed = error.value.init_failed
    assert failed is not None and failed.id == f"{namespace}/tiny"
    good = plugin.check(RELEASE, _news(repository, namespace))
    outputs = plugin.update(RELEASE, failed.id, inputs, {}, good)
    assert (outputs["status"]["status"], outputs["status"]["revision"]) == ("deployed", 2)


def test_atomic_install_that_fails_leaves_nothing(
    plugin: Plugin, repository: Repository, namespace: str
) -> None:
    news = _news(repository, namespace, values={"neverReady": True}, timeout=2, atomic=True)
    inputs = plugin.check(RELEASE, news)
    with pytest.raises(PluginError) as error:
        plugin.create(RELEASE, inputs)
    assert error.value.init_failed is None
    assert plugin.read(RELEASE, f"{namespace}/tiny", inputs, inputs).id == ""


def test_cancelled_install_is_kept_as_failed(
    server: ApiServer, repository: Repository, namespace: str
) -> None:
    with start_plugin(EXECUTABLE) as plugin:
        plugin.configure({"kubeconfig": server.kubeconfig})
        inputs = plugin.check(RELEASE, _news(repository, namespace, values={"neverReady": True}))
        with _in_background(lambda: plugin.create(RELEASE, inputs)) as errors:
            _wait_for_install(server, namespace)
            plugin.cancel()
        assert errors[0].init_failed is not None
        assert errors[0].init_failed.properties["status"]["status"] == "failed"


def test_install_that_was_killed_is_done_again(
    server: ApiServer, repository: Repository, namespace: str
) -> None:
    """SIGKILL of everything in the middle: the state knows nothing, the cluster has a remainder."""
    with start_plugin(EXECUTABLE) as plugin:
        plugin.configure({"kubeconfig": server.kubeconfig})
        inputs = plugin.check(RELEASE, _news(repository, namespace, values={"neverReady": True}))
        with _in_background(lambda: plugin.create(RELEASE, inputs)):
            _wait_for_install(server, namespace)
            for pid in _children(plugin.process.pid):
                os.kill(pid, signal.SIGKILL)
            plugin.process.kill()
    good = _news(repository, namespace)
    with start_plugin(EXECUTABLE) as plugin:
        plugin.configure({"kubeconfig": server.kubeconfig})
        with pytest.raises(PluginError, match="exists already"):
            plugin.create(RELEASE, plugin.check(RELEASE, good), name="other")
        _, outputs = plugin.create(RELEASE, plugin.check(RELEASE, good))
        assert (outputs["status"]["status"], outputs["status"]["revision"]) == ("deployed", 1)
        assert plugin.says("was interrupted")


def test_interrupted_upgrade_tells_the_way_out(
    plugin: Plugin, server: ApiServer, repository: Repository, namespace: str
) -> None:
    inputs = plugin.check(RELEASE, _news(repository, namespace))
    id, outputs = plugin.create(RELEASE, inputs)
    news = plugin.check(RELEASE, _news(repository, namespace, values={"neverReady": True}))
    with start_plugin(EXECUTABLE) as other:
        other.configure({"kubeconfig": server.kubeconfig})
        with _in_background(lambda: other.update(RELEASE, id, inputs, outputs, news)):
            _wait_for_install(server, namespace)
            for pid in _children(other.process.pid):
                os.kill(pid, signal.SIGKILL)
    with pytest.raises(
        PluginError, match=f"pending-upgrade.*`helm rollback tiny 1 -n {namespace}`"
    ):
        plugin.update(RELEASE, id, inputs, outputs, news)


def test_dead_cluster(repository: Repository) -> None:
    kubeconfig = make_kubeconfig(f"https://127.0.0.1:{free_port()}")
    with start_plugin(EXECUTABLE) as plugin:
        plugin.configure({"kubeconfig": kubeconfig})
        inputs = plugin.check(RELEASE, _news(repository, "default"))
        assert plugin.create(RELEASE, inputs, preview=True)[1] == inputs
        with pytest.raises(PluginError, match="cannot be reached"):
            plugin.create(RELEASE, inputs)
        with pytest.raises(PluginError, match="cannot be reached"):
            plugin.delete(RELEASE, "default/tiny", inputs, inputs)
        plugin.configure({"kubeconfig": kubeconfig, "deleteUnreachable": "true"})
        plugin.delete(RELEASE, "default/tiny", inputs, inputs)


@contextmanager
def _in_background(call: Any) -> Iterator[list[PluginError]]:
    errors: list[PluginError] = []

    def run() -> None:
        try:
            call()
        except PluginError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield errors
    thread.join(timeout=60)
    assert not thread.is_alive()


def _wait_for_install(server: ApiServer, namespace: str) -> None:
    """Until helm has made the release's objects and waits for them."""
    server.kubectl("wait", "--for=create", "deployment/tiny-web", "-n", namespace, "--timeout=40s")


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in text for child in file.read_text().split()]


def _until(condition: Any) -> None:
    """Polls; fails after 20 s."""
    done = threading.Event()
    for _ in range(200):
        if condition():
            return
        done.wait(0.1)
    pytest.fail("the condition was not met in 20 s")
