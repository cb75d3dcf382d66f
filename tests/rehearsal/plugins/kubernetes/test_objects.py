"""Objects against a real API server."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.harness import Plugin, PluginError, start_plugin, struct, urn
from tests.rehearsal.plugins.kubernetes.api_server import ApiServer, free_port, make_kubeconfig
from tests.rehearsal.plugins.kubernetes.conftest import EXECUTABLE
from tests.rehearsal.plugins.kubernetes.recording import recording_tools

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
NAMESPACE = "kubernetes:core/v1:Namespace"
SECRET = "kubernetes:core/v1:Secret"
SERVICE = "kubernetes:core/v1:Service"


def _config_map(plugin: Plugin, namespace: str, name: str = "thing", **more: Any) -> dict[str, Any]:
    news = {"metadata": {"name": name, "namespace": namespace}, "data": {"a": "1"}} | more
    return plugin.check(CONFIG_MAP, news)


def _annotated(namespace: str, **annotations: str) -> dict[str, Any]:
    texts = {f"pulumi.com/{key}": value for key, value in annotations.items()}
    return {"metadata": {"name": "thing", "namespace": namespace, "annotations": texts}}


def _service(plugin: Plugin, namespace: str, **labels: str) -> dict[str, Any]:
    metadata = {"name": "thing", "namespace": namespace, "labels": labels}
    spec = {"ports": [{"port": 80}], "selector": {"app": "web"}}
    return plugin.check(SERVICE, {"metadata": metadata, "spec": spec})


def _deployment(plugin: Plugin, namespace: str, replicas: int) -> dict[str, Any]:
    labels = {"app": "web"}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        },
    }
    metadata = {"name": "web", "namespace": namespace}
    return plugin.check(DEPLOYMENT, {"metadata": metadata, "spec": spec})


def _live(server: ApiServer, namespace: str, what: str, *flags: str) -> dict[str, Any]:
    live: dict[str, Any] = json.loads(
        server.kubectl("get", what, "-n", namespace, "-o", "json", *flags)
    )
    return live


def test_preview_gives_the_inputs_alone(plugin: Plugin, server: ApiServer, namespace: str) -> None:
    inputs = _config_map(plugin, namespace)
    assert plugin.create(CONFIG_MAP, inputs, preview=True) == ("", inputs)
    unknown = inputs | {"data": {"a": UNKNOWN}}
    assert plugin.create(CONFIG_MAP, unknown, preview=True) == ("", unknown)
    assert "thing" not in server.kubectl("get", "configmaps", "-n", namespace, "-o", "name")


def test_preview_before_namespace_and_definition_exist(plugin: Plugin) -> None:
    inputs = _config_map(plugin, "not-there-yet")
    assert plugin.create(CONFIG_MAP, inputs, preview=True) == ("", inputs)
    kind = "kubernetes:not-there-yet.io/v1:Widget"
    widget = plugin.check(kind, {"metadata": {"name": "w", "namespace": "default"}})
    assert plugin.create(kind, widget, preview=True) == ("", widget)


def test_create_read_delete(plugin: Plugin, server: ApiServer, namespace: str) -> None:
    inputs = _config_map(plugin, namespace)
    id, outputs = plugin.create(CONFIG_MAP, inputs)
    assert id == f"{namespace}/thing"
    assert outputs["metadata"]["uid"] and "managedFields" not in outputs["metadata"]
    read = plugin.read(CONFIG_MAP, id, inputs, outputs)
    assert (read.id, read.inputs) == (id, inputs)
    plugin.delete(CONFIG_MAP, id, inputs, outputs)
    assert plugin.read(CONFIG_MAP, id, inputs, outputs).id == ""
    plugin.delete(CONFIG_MAP, id, inputs, outputs)


def test_object_without_namespace_goes_to_the_provider_s(server: ApiServer, namespace: str) -> None:
    with start_plugin(EXECUTABLE) as plugin:
        plugin.configure({"kubeconfig": server.kubeconfig, "namespace": namespace})
        inputs = plugin.check(CONFIG_MAP, {"metadata": {"name": "thing"}})
        id, outputs = plugin.create(CONFIG_MAP, inputs)
        assert id == f"{namespace}/thing"
        assert plugin.diff(CONFIG_MAP, id, inputs, outputs, inputs).changes == []
        plugin.configure({"kubeconfig": server.kubeconfig, "namespace": "default"})
        moved = plugin.diff(CONFIG_MAP, id, inputs, outputs, inputs)
        assert moved.replaces == ["metadata.namespace"] and not moved.delete_before_replace


def test_what_exists_is_an_error(plugin: Plugin, server: ApiServer, namespace: str) -> None:
    server.kubectl("create", "configmap", "thing", "-n", namespace, "--from-literal=a=1")
    with pytest.raises(PluginError, match="already exists"):
        plugin.create(CONFIG_MAP, _config_map(plugin, namespace))
    with pytest.raises(PluginError, match="already exists"):
        plugin.create(CONFIG_MAP, _config_map(plugin, namespace), name="other")


def test_own_object_of_an_interrupted_run_is_taken_on(plugin: Plugin, namespace: str) -> None:
    id, outputs = plugin.create(CONFIG_MAP, _config_map(plugin, namespace))
    inputs = _config_map(plugin, namespace, data={"a": "2"})
    again, taken = plugin.create(CONFIG_MAP, inputs)
    assert (again, taken["data"]) == (id, {"a": "2"})
    assert taken["metadata"]["uid"] == outputs["metadata"]["uid"]
    with pytest.raises(PluginError, match="already exists"):
        plugin.create(CONFIG_MAP, inputs, name="other")


@pytest.mark.parametrize("preview", [True, False])
def test_unknown_field_is_an_error(plugin: Plugin, namespace: str, preview: bool) -> None:
    inputs = _config_map(plugin, namespace, dada={"a": "1"})
    with pytest.raises(PluginError, match='unknown field "dada"') as error:
        plugin.create(CONFIG_MAP, inputs, preview=preview)
    assert "\n" not in error.value.message and "STDIN" not in error.value.message


def test_update_sets_and_removes(plugin: Plugin, server: ApiServer, namespace: str) -> None:
    olds = _service(plugin, namespace, a="1", b="2")
    id, outputs = plugin.create(SERVICE, olds)
    server.kubectl("label", "service", "thing", "-n", namespace, "theirs=1")
    news = _service(plugin, namespace, a="2")
    diff = plugin.diff(SERVICE, id, olds, outputs, news)
    assert (diff.changes, diff.replaces) == (["metadata"], [])
    planned = plugin.update(SERVICE, id, olds, outputs, news, preview=True)
    assert planned["metadata"]["labels"] == {"a": "2", "b": "2", "theirs": "1"}  # b: see ownership
    updated = plugin.update(SERVICE, id, olds, outputs, news)
    assert updated["metadata"]["labels"] == {"a": "2", "theirs": "1"}
    assert updated["metadata"]["uid"] == outputs["metadata"]["uid"]
    assert plugin.diff(SERVICE, id, news, updated, news).changes == []


def test_conflict_with_another_manager(plugin: Plugin, server: ApiServer, namespace: str) -> None:
    olds = _service(plugin, namespace, a="1")
    id, outputs = plugin.create(SERVICE, olds)
    server.kubectl(
        "label", "service", "thing", "-n", namespace, "a=theirs", "--overwrite",
        "--field-manager=theirs",
    )  # fmt: skip
    news = _service(plugin, namespace, a="2")
    with pytest.raises(PluginError, match=r"conflict.*theirs"):
        plugin.update(SERVICE, id, olds, outputs, news)
    news["metadata"]["annotations"] = {"pulumi.com/patchForce": "true"}
    updated = plugin.update(SERVICE, id, olds, outputs, news)
    assert updated["metadata"]["labels"] == {"a": "2"}


def test_replacement_in_place_of_the_name(plugin: Plugin, namespace: str) -> None:
    olds = _config_map(plugin, namespace)
    id, outputs = plugin.create(CONFIG_MAP, olds)
    diff = plugin.diff(
        CONFIG_MAP, id, olds, outputs, _config_map(plugin, namespace, data={"a": "2"})
    )
    assert diff.replaces == ["data"] and diff.delete_before_replace
    diff = plugin.diff(CONFIG_MAP, id, olds, outputs, _config_map(plugin, namespace, "other"))
    assert diff.replaces == ["metadata.name"] and not diff.delete_before_replace


def test_secret_is_marked_and_never_on_a_command_line(
    server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    news = {
        "metadata": {"name": "thing", "namespace": namespace},
        "stringData": {"password": "planted-marker"},
    }
    env, log = recording_tools(tmp_path)
    with start_plugin(EXECUTABLE, env) as plugin:
        plugin.configure({"kubeconfig": server.kubeconfig})
        inputs = plugin.check(SECRET, news)
        id, outputs = plugin.create(SECRET, inputs)
        labelled = inputs | {"metadata": news["metadata"] | {"labels": {"a": "b"}}}
        outputs = plugin.update(SECRET, id, inputs, outputs, labelled)
        raw = _raw_outputs(plugin, SECRET, id, labelled, outputs)
    assert base64.b64decode(outputs["data"]["password"]) == b"planted-marker"
    assert set(raw["data"].struct_value.fields) == {"4dabf18193072939515e22adb298388d", "value"}
    recorded = log.read_text()
    assert "create" in recorded and "apply" in recorded
    for secret in ("planted-marker", "cGxhbnRlZC1tYXJrZXI", "admin-token"):
        assert secret not in recorded


def test_refresh_shows_drift(plugin: Plugin, server: ApiServer, namespace: str) -> None:
    inputs = _service(plugin, namespace, a="1")
    id, outputs = plugin.create(SERVICE, inputs)
    server.kubectl("label", "service", "thing", "-n", namespace, "a=2", "--overwrite")
    read = plugin.read(SERVICE, id, inputs, outputs)
    assert read.inputs["metadata"]["labels"] == {"a": "2"}
    assert plugin.diff(SERVICE, id, read.inputs, read.outputs, inputs).changes == ["metadata"]


def test_import(plugin: Plugin, server: ApiServer, namespace: str) -> None:
    server.kubectl("create", "configmap", "thing", "-n", namespace, "--from-literal=a=1")
    read = plugin.read(CONFIG_MAP, f"{namespace}/thing")
    assert read.inputs["data"] == {"a": "1"} and "uid" not in read.inputs["metadata"]


def test_wait_for_is_met(plugin: Plugin, server: ApiServer, namespace: str) -> None:
    conditions = json.dumps(["jsonpath={.data.ready}=yes", "jsonpath={.data.more}"])
    inputs = plugin.check(CONFIG_MAP, _annotated(namespace, waitFor=conditions))
    patch = json.dumps({"data": {"ready": "yes", "more": "x"}})

    def make_ready() -> None:
        server.kubectl("wait", "--for=create", "configmap/thing", "-n", namespace)
        server.kubectl("patch", "configmap", "thing", "-n", namespace, "--type=merge", "-p", patch)

    thread = threading.Thread(target=make_ready)
    thread.start()
    _, outputs = plugin.create(CONFIG_MAP, inputs)
    thread.join()
    assert outputs["data"] == {"ready": "yes", "more": "x"}


def test_wait_for_is_not_met(plugin: Plugin, namespace: str) -> None:
    annotations = {"waitFor": "jsonpath={.data.ready}=yes", "timeoutSeconds": "2"}
    inputs = plugin.check(CONFIG_MAP, _annotated(namespace, **annotations))
    with pytest.raises(PluginError) as error:
        plugin.create(CONFIG_MAP, inputs)
    failed = error.value.init_failed
    assert failed is not None and failed.id == f"{namespace}/thing"
    assert "not ready after 2 s" in failed.reasons[0] and "{.data.ready}=yes" in failed.reasons[0]
    assert failed.properties["metadata"]["uid"]
    with pytest.raises(PluginError) as error:
        plugin.read(CONFIG_MAP, failed.id, inputs, {})
    assert error.value.init_failed is not None
    assert error.value.init_failed.inputs["metadata"]["name"] == "thing"


def test_skip_await(plugin: Plugin, namespace: str) -> None:
    annotations = {"waitFor": "jsonpath={.data.ready}=yes", "skipAwait": "true"}
    plugin.create(CONFIG_MAP, plugin.check(CONFIG_MAP, _annotated(namespace, **annotations)))


def test_deployment_is_waited_for(plugin: Plugin, namespace: str) -> None:
    olds = _deployment(plugin, namespace, 0)
    id, outputs = plugin.create(DEPLOYMENT, olds)
    generation = outputs["metadata"]["generation"]
    assert outputs["status"]["observedGeneration"] == generation
    news = _deployment(plugin, namespace, 1)
    with pytest.raises(PluginError) as error:
        plugin.update(DEPLOYMENT, id, olds, outputs, news, timeout=3)
    assert error.value.init_failed is not None
    assert "replicas updated, 0 available" in error.value.message
    plugin.delete(DEPLOYMENT, id, olds, outputs)


def test_custom_resource_right_after_its_definition(plugin: Plugin, namespace: str) -> None:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "x_kubernetes_preserve_unknown_fields": True}},
    }
    spec = {
        "group": "test.groundwork.io",
        "names": {"kind": "Widget", "plural": "widgets"},
        "scope": "Namespaced",
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        ],
    }
    definition = plugin.check(
        DEFINITION, {"metadata": {"name": "widgets.test.groundwork.io"}, "spec": spec}
    )
    kind = "kubernetes:test.groundwork.io/v1:Widget"
    news = {"metadata": {"name": "w", "namespace": namespace}, "spec": {"deep": {"any": [1]}}}
    widget = plugin.check(kind, news)
    id, outputs = plugin.create(DEFINITION, definition)
    widget_id, widget_outputs = plugin.create(kind, widget)
    assert widget_outputs["spec"] == {"deep": {"any": [1]}}
    assert plugin.read(DEFINITION, id, definition, outputs).inputs == definition
    plugin.delete(DEFINITION, id, definition, outputs)
    assert plugin.read(kind, widget_id, widget, widget_outputs).id == ""
    plugin.delete(kind, widget_id, widget, widget_outputs)


def test_namespace_is_gone_after_delete(plugin: Plugin, server: ApiServer) -> None:
    inputs = plugin.check(NAMESPACE, {"metadata": {"name": "short-lived"}})
    id, outputs = plugin.create(NAMESPACE, inputs)
    plugin.create(CONFIG_MAP, _config_map(plugin, "short-lived"))
    plugin.delete(NAMESPACE, id, inputs, outputs)
    assert "short-lived" not in server.kubectl("get", "namespaces", "-o", "name")


def test_delete_that_does_not_end_says_what_holds_it(
    plugin: Plugin, server: ApiServer, namespace: str
) -> None:
    metadata = {"name": "held", "namespace": namespace, "finalizers": ["test.groundwork.io/hold"]}
    inputs = plugin.check(CONFIG_MAP, {"metadata": metadata})
    id, outputs = plugin.create(CONFIG_MAP, inputs)
    with pytest.raises(PluginError, match=r"timed out.*finalizers test.groundwork.io/hold"):
        plugin.delete(CONFIG_MAP, id, inputs, outputs, timeout=1)
    patch = json.dumps({"metadata": {"finalizers": None}})
    server.kubectl("patch", "configmap", "held", "-n", namespace, "--type=merge", "-p", patch)
    plugin.delete(CONFIG_MAP, id, inputs, outputs)


def test_dead_cluster() -> None:
    kubeconfig = make_kubeconfig(f"https://127.0.0.1:{free_port()}")
    with start_plugin(EXECUTABLE) as plugin:
        plugin.configure({"kubeconfig": kubeconfig})
        inputs = _config_map(plugin, "default")
        assert plugin.create(CONFIG_MAP, inputs, preview=True) == ("", inputs)
        assert plugin.says("not checked against the cluster")
        for call in (
            lambda: plugin.create(CONFIG_MAP, inputs),
            lambda: plugin.update(CONFIG_MAP, "default/thing", inputs, inputs, inputs),
            lambda: plugin.read(CONFIG_MAP, "default/thing", inputs, inputs),
            lambda: plugin.delete(CONFIG_MAP, "default/thing", inputs, inputs),
        ):
            with pytest.raises(PluginError, match=r"cannot be reached \(Connection refused\)"):
                call()


def test_dead_cluster_with_delete_unreachable() -> None:
    kubeconfig = make_kubeconfig(f"https://127.0.0.1:{free_port()}")
    with start_plugin(EXECUTABLE) as plugin:
        plugin.configure({"kubeconfig": kubeconfig, "deleteUnreachable": "true"})
        inputs = _config_map(plugin, "default")
        plugin.delete(CONFIG_MAP, "default/thing", inputs, inputs)
        assert plugin.read(CONFIG_MAP, "default/thing", inputs, inputs).id == ""
        with pytest.raises(PluginError, match="cannot be reached"):
            plugin.create(CONFIG_MAP, inputs)


def test_cancel_ends_a_wait_and_keeps_the_object(server: ApiServer, namespace: str) -> None:
    with start_plugin(EXECUTABLE) as plugin:
        plugin.configure({"kubeconfig": server.kubeconfig})
        news = _annotated(namespace, waitFor="jsonpath={.data.ready}")
        inputs = plugin.check(CONFIG_MAP, news)
        errors: list[PluginError] = []

        def create() -> None:
            try:
                plugin.create(CONFIG_MAP, inputs)
            except PluginError as error:
                errors.append(error)

        thread = threading.Thread(target=create)
        thread.start()
        server.kubectl("wait", "--for=create", "configmap/thing", "-n", namespace)
        plugin.cancel()
        thread.join(timeout=30)
        assert not thread.is_alive()
        assert errors[0].code == grpc.StatusCode.UNKNOWN
        assert "cancelled" in errors[0].message and errors[0].init_failed is not None


def _raw_outputs(
    plugin: Plugin, type: str, id: str, inputs: dict[str, Any], outputs: dict[str, Any]
) -> Any:
    """The outputs as they go over the wire, with the marks of secrets."""
    request = provider_pb2.ReadRequest(
        id=id, urn=urn(type), inputs=struct(inputs), properties=struct(outputs)
    )
    return plugin.call("Read", request).properties.fields
