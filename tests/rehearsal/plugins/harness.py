"""Starts a stand-in as the engine does and speaks its gRPC protocol in plain Python values.

    with start_plugin("pulumi-resource-aws", env={...}) as plugin:
        plugin.configure({"region": "eu-west-1"})
        inputs = plugin.check("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"})
        id, outputs = plugin.create("aws:ec2/vpc:Vpc", inputs)

Values are those of `rehearsal.plugins.protocol`: dicts, lists, scalars, UNKNOWN, Secret.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from rehearsal.paths import CHECKOUT
from rehearsal.plugins.protocol import Properties, decode, encode

BIN = CHECKOUT / "rehearsal" / "plugins" / "bin"
_START_SECONDS = 60.0
_MAX_MESSAGE = 400 * 1024 * 1024


class PluginError(Exception):
    """A call failed. code: the gRPC status; init_failed: set when the resource exists unready."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        init_failed: provider_pb2.ErrorResourceInitFailed | None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.init_failed = code, message, init_failed


@dataclass(frozen=True)
class DiffResult:
    """What Diff answered; `changes` is empty exactly when the engine sees no difference."""

    changes: list[str]
    replaces: list[str]
    delete_before_replace: bool


@dataclass(frozen=True)
class ReadResult:
    """What Read answered; `id` empty when the resource is gone."""

    id: str
    outputs: Properties
    inputs: Properties


def urn(type: str, name: str = "thing") -> str:
    """A URN as the engine builds it, for a resource without a parent."""
    return f"urn:pulumi:test::project::{type}::{name}"


@dataclass
class Plugin:
    """A running stand-in. `stub` gives the raw service where the helpers do not reach."""

    process: subprocess.Popen[str]
    port: int
    stub: Any
    stderr: list[str] = field(default_factory=list)

    def says(self, text: str) -> bool:
        """Whether it has written it, or does soon: an answer may overtake what came before."""
        deadline = time.monotonic() + 30
        while not any(text in line for line in list(self.stderr)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def call(self, method: str, request: Any, timeout: float = 120.0) -> Any:
        """The raw response. Raises PluginError; never waits longer than `timeout` seconds."""
        try:
            return getattr(self.stub, method)(request, timeout=timeout)
        except grpc.RpcError as error:
            raise PluginError(error.code(), error.details() or "", _init_failed(error)) from None

    def check_config(self, args: Mapping[str, Any]) -> list[tuple[str, str]]:
        """(property, reason) of every refused provider argument."""
        request = provider_pb2.CheckRequest(urn=urn("pulumi:providers:test"), news=encode(args))
        response = self.call("CheckConfig", request)
        return [(f.property, f.reason) for f in response.failures]

    def diff_config(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> DiffResult:
        """What a change of the provider's arguments means for the provider resource."""
        request = provider_pb2.DiffRequest(
            urn=urn("pulumi:providers:test"),
            olds=encode(olds),
            old_inputs=encode(olds),
            news=encode(news),
        )
        return _diff_result(self.call("DiffConfig", request))

    def configure(self, args: Mapping[str, Any]) -> None:
        """Hands over the provider's arguments."""
        request = provider_pb2.ConfigureRequest(args=encode(args), acceptSecrets=True)
        self.call("Configure", request)

    def invoke(self, token: str, args: Mapping[str, Any]) -> Properties:
        """The result of a data source."""
        request = provider_pb2.InvokeRequest(tok=token, args=encode(args))
        response = self.call("Invoke", request)
        return decode(getattr(response, "return"))

    def check_failures(
        self,
        type: str,
        news: Mapping[str, Any],
        olds: Mapping[str, Any] | None = None,
        name: str = "thing",
    ) -> tuple[Properties, list[tuple[str, str]]]:
        """Completed inputs and the (property, reason) of every refused input."""
        request = provider_pb2.CheckRequest(
            urn=urn(type, name), olds=encode(olds or {}), news=encode(news)
        )
        response = self.call("Check", request)
        return decode(response.inputs), [(f.property, f.reason) for f in response.failures]

    def check(
        self,
        type: str,
        news: Mapping[str, Any],
        olds: Mapping[str, Any] | None = None,
        name: str = "thing",
    ) -> Properties:
        """Completed inputs; fails the test if any input is refused."""
        inputs, failures = self.check_failures(type, news, olds, name)
        assert not failures, failures
        return inputs

    def diff(
        self,
        type: str,
        id: str,
        old_inputs: Mapping[str, Any],
        old_outputs: Mapping[str, Any],
        news: Mapping[str, Any],
        ignore_changes: Sequence[str] = (),
        name: str = "thing",
    ) -> DiffResult:
        """The diff between a resource's state and (checked) new inputs."""
        request = provider_pb2.DiffRequest(
            id=id,
            urn=urn(type, name),
            olds=encode(old_outputs),
            old_inputs=encode(old_inputs),
            news=encode(news),
            ignoreChanges=list(ignore_changes),
        )
        return _diff_result(self.call("Diff", request))

    def create(
        self,
        type: str,
        inputs: Mapping[str, Any],
        preview: bool = False,
        timeout: float = 0.0,
        name: str = "thing",
    ) -> tuple[str, Properties]:
        """(id, outputs) from (checked) inputs. timeout: the program's custom timeout, seconds."""
        request = provider_pb2.CreateRequest(
            urn=urn(type, name), properties=encode(inputs), preview=preview, timeout=timeout
        )
        response = self.call("Create", request)
        return response.id, decode(response.properties)

    def read(
        self,
        type: str,
        id: str,
        inputs: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
        name: str = "thing",
    ) -> ReadResult:
        """The live resource: a refresh with inputs and outputs, an import with neither."""
        request = provider_pb2.ReadRequest(
            id=id,
            urn=urn(type, name),
            inputs=encode(inputs or {}),
            properties=encode(outputs or {}),
        )
        response = self.call("Read", request)
        return ReadResult(response.id, decode(response.properties), decode(response.inputs))

    def update(
        self,
        type: str,
        id: str,
        old_inputs: Mapping[str, Any],
        old_outputs: Mapping[str, Any],
        news: Mapping[str, Any],
        preview: bool = False,
        timeout: float = 0.0,
        name: str = "thing",
    ) -> Properties:
        """Outputs after an update to (checked) new inputs."""
        request = provider_pb2.UpdateRequest(
            id=id,
            urn=urn(type, name),
            olds=encode(old_outputs),
            old_inputs=encode(old_inputs),
            news=encode(news),
            preview=preview,
            timeout=timeout,
        )
        return decode(self.call("Update", request).properties)

    def delete(
        self,
        type: str,
        id: str,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        timeout: float = 0.0,
        name: str = "thing",
    ) -> None:
        """Deletes the resource."""
        request = provider_pb2.DeleteRequest(
            id=id,
            urn=urn(type, name),
            properties=encode(outputs),
            old_inputs=encode(inputs),
            timeout=timeout,
        )
        self.call("Delete", request)

    def cancel(self) -> None:
        """As the engine does on Ctrl-C."""
        self.call("Cancel", empty_pb2.Empty())


@contextmanager
def start_plugin(executable: str | Path, env: Mapping[str, str] | None = None) -> Iterator[Plugin]:
    """Runs a plugin (a name in plugins/bin, or a path) and ends it, and its children, by pid.

    env: added to this process's environment, without its AWS_*, KUBECONFIG and PULUMI_* variables.
    """
    path = BIN / executable if isinstance(executable, str) else executable
    process = subprocess.Popen(
        [str(path), "127.0.0.1:0"],
        env=_clean_environment() | dict(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None
    errors: list[str] = []
    threading.Thread(target=_collect, args=(process.stderr, errors), daemon=True).start()
    try:
        port = _read_port(process.stdout, errors)
        options = [
            ("grpc.max_receive_message_length", _MAX_MESSAGE),
            ("grpc.max_send_message_length", _MAX_MESSAGE),
        ]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            grpc.channel_ready_future(channel).result(timeout=_START_SECONDS)
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            yield Plugin(process=process, port=port, stub=stub, stderr=errors)
    finally:
        end_process(process)


def end_process(process: subprocess.Popen[Any]) -> None:
    """Ends a process that was started in a session of its own, with all its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                continue
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Plain values as a protocol struct, for requests built by hand."""
    return encode(values)


def _clean_environment() -> dict[str, str]:
    dropped = ("AWS_", "PULUMI_", "KUBECONFIG")
    return {key: value for key, value in os.environ.items() if not key.startswith(dropped)}


def _collect(stream: IO[str], lines: list[str]) -> None:
    try:
        for line in stream:
            lines.append(line.rstrip("\n"))
    except ValueError:  # closed while reading: the plugin was ended
        return


def _read_port(stream: IO[str], errors: list[str]) -> int:
    """The port is the first line on stdout; a plugin that dies or stays silent fails the test."""
    line: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: line.put(stream.readline()), daemon=True).start()
    try:
        text = line.get(timeout=_START_SECONDS)
    except queue.Empty:
        text = ""
    if not text.strip().isdigit():
        pytest.fail("the plugin printed no port: " + ("\n".join(errors[-20:]) or "no output"))
    return int(text)


def _diff_result(response: Any) -> DiffResult:
    changed = response.changes == provider_pb2.DiffResponse.DIFF_SOME
    return DiffResult(
        changes=list(response.diffs) if changed else [],
        replaces=list(response.replaces),
        delete_before_replace=response.deleteBeforeReplace,
    )


def _init_failed(error: Any) -> provider_pb2.ErrorResourceInitFailed | None:
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status.FromString(value)
        for detail in status.details:
            failed = provider_pb2.ErrorResourceInitFailed()
            if detail.Unpack(failed):
                return failed
    return None
