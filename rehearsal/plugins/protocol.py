"""Pulumi's provider protocol, as small as the stand-ins need it.

A stand-in subclasses `Provider`, speaks plain Python values and raises `ProviderError`; `serve`
turns that into the gRPC service the engine talks to. Source of the protocol: pulumi's
proto/pulumi/provider.proto; the messages are the SDK's own generated stubs.

Secrets: the stand-ins say `acceptSecrets: false`, so the engine hands over plain values and marks
every output secret whose input was. An output that is secret by itself is wrapped in `Secret`.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import (
    errors_pb2,  # noqa: F401  (registers the error detail types)
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

_UNKNOWN_TOKEN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
_MAX_MESSAGE = 400 * 1024 * 1024  # as the SDK's and the engine's own limit


class _Unknown:
    """A value that a preview cannot know yet."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
Properties = dict[str, Any]


@dataclass(frozen=True)
class Secret:
    """Wraps an output value that is to be encrypted in the state."""

    value: Any


class ProviderError(Exception):
    """An operation failed; the text is what the user reads."""


class InitFailed(ProviderError):
    """The resource exists but did not become ready: it is kept in the state as not ready.

    inputs: what `read` gives as the resource's inputs; other operations leave it out.
    """

    def __init__(
        self,
        id: str,
        outputs: Properties,
        reasons: Sequence[str],
        inputs: Properties | None = None,
    ) -> None:
        super().__init__("; ".join(reasons))
        self.id, self.outputs, self.reasons = id, outputs, list(reasons)
        self.inputs = inputs


@dataclass(frozen=True)
class Diff:
    """changes: top-level inputs that differ; replaces: those of them that ask for a replacement."""

    changes: Sequence[str] = ()
    replaces: Sequence[str] = ()
    delete_before_replace: bool = False


@dataclass(frozen=True)
class Failure:
    """One refused input, by property path ("" is the whole resource)."""

    property: str
    reason: str


@dataclass(frozen=True)
class Resource:
    """What an operation is about. type: `aws:ec2/vpc:Vpc`; name: the last part of the URN."""

    urn: str
    type: str
    name: str


@dataclass(frozen=True)
class ReadResult:
    """The live resource; `id` empty when it is gone."""

    id: str
    outputs: Properties = field(default_factory=dict)
    inputs: Properties = field(default_factory=dict)


def contains_unknown(value: Any) -> bool:
    """True if `value` is, or holds at any depth, UNKNOWN."""
    if isinstance(value, Secret):
        return contains_unknown(value.value)
    if isinstance(value, Mapping):
        return any(contains_unknown(v) for v in value.values())
    if isinstance(value, list | tuple):
        return any(contains_unknown(v) for v in value)
    return value is UNKNOWN


class Provider:
    """A stand-in's behaviour. Inputs and outputs are plain dicts with Pulumi's camelCase keys."""

    name: str = ""
    version: str = ""

    def check_config(self, news: Properties) -> list[Failure]:
        """Refuses provider arguments it does not know; called at preview too."""
        return []

    def diff_config(self, olds: Properties, news: Properties) -> Diff:
        """olds and news: provider arguments. By default every change is an update."""
        return Diff(changes=changed_keys(olds, news))

    def configure(self, args: Properties) -> None:
        """args: the provider's arguments; a preview may hand in UNKNOWN."""

    def invoke(self, token: str, args: Properties) -> Properties:
        """A data source such as `aws:ec2/getAmi:getAmi`. Raises ProviderError."""
        raise ProviderError(f"{token}: this stand-in of {self.name} does not know the function")

    def check(
        self, resource: Resource, olds: Properties, news: Properties
    ) -> tuple[Properties, list[Failure]]:
        """Validates and completes inputs; unknown types and properties are failures."""
        raise NotImplementedError

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
    ) -> Diff:
        raise NotImplementedError

    def create(
        self, resource: Resource, inputs: Properties, preview: bool, timeout: float
    ) -> tuple[str, Properties]:
        """Returns id and outputs; at preview id is "" and what is not known is UNKNOWN.

        timeout: seconds, 0 when the program set none.
        """
        raise NotImplementedError

    def read(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties
    ) -> ReadResult:
        raise NotImplementedError

    def update(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        preview: bool,
        timeout: float,
    ) -> Properties:
        raise NotImplementedError

    def delete(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties, timeout: float
    ) -> None:
        """Succeeds when the resource is gone already."""
        raise NotImplementedError

    def cancel(self) -> None:
        """The engine was interrupted: give up waiting; operations in hand should end soon."""


def changed_keys(olds: Properties, news: Properties) -> list[str]:
    """Top-level keys whose values differ; an UNKNOWN counts as different."""
    return [
        key
        for key in sorted({*olds, *news})
        if olds.get(key) != news.get(key) or contains_unknown(news.get(key))
    ]


def decode(struct: struct_pb2.Struct) -> Properties:
    """A protocol struct as plain Python values; secrets and outputs are unwrapped."""
    return {key: _decode(value) for key, value in struct.fields.items()}


def _decode(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        signature = fields[_SIGNATURE].string_value if _SIGNATURE in fields else ""
        if signature == _SECRET:
            return _decode(fields["value"])
        if signature == _OUTPUT:
            return _decode(fields["value"]) if "value" in fields else UNKNOWN
        if signature == _RESOURCE:
            return _decode(fields["id"]) if "id" in fields else fields["urn"].string_value
        if signature:
            raise ProviderError(f"a value of signature {signature} is not supported here")
        return decode(value.struct_value)
    if kind == "list_value":
        return [_decode(item) for item in value.list_value.values]
    if kind == "string_value":
        return UNKNOWN if value.string_value == _UNKNOWN_TOKEN else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    return None


def encode(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Plain Python values (with UNKNOWN and Secret) as a protocol struct; None values stay out."""
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        if value is not None:
            struct.fields[key].CopyFrom(_encode(value))
    return struct


def _encode(value: Any) -> struct_pb2.Value:
    if value is UNKNOWN:
        return struct_pb2.Value(string_value=_UNKNOWN_TOKEN)
    if isinstance(value, Secret):
        fields = {_SIGNATURE: _encode(_SECRET), "value": _encode(value.value)}
        return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, Mapping):
        return struct_pb2.Value(struct_value=encode(value))
    if isinstance(value, list | tuple):
        values = [_encode(item) for item in value]
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=values))
    raise TypeError(f"cannot send a {type(value).__name__} to the engine")


def _resource(request: Any) -> Resource:
    urn: str = request.urn
    _, _, qualified, name = urn.split("::", 3)
    return Resource(urn=urn, type=qualified.rsplit("$", 1)[-1], name=name)


class _Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Translates between messages and a Provider; every error becomes a gRPC status."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.provider.version)

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        failures = self.provider.check_config(decode(request.news))
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return _diff(self.provider.diff_config(decode(request.olds), decode(request.news)))

    def Configure(self, request: Any, context: Any) -> Any:
        self.provider.configure(decode(request.args))
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Invoke(self, request: Any, context: Any) -> Any:
        result = self.provider.invoke(request.tok, decode(request.args))
        return provider_pb2.InvokeResponse(**{"return": encode(result)})

    def Check(self, request: Any, context: Any) -> Any:
        inputs, failures = self.provider.check(
            _resource(request), decode(request.olds), decode(request.news)
        )
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(failures))

    def Diff(self, request: Any, context: Any) -> Any:
        diff = self.provider.diff(
            _resource(request),
            request.id,
            decode(request.old_inputs),
            decode(request.olds),
            decode(request.news),
        )
        ignored = {path.split(".")[0].split("[")[0] for path in request.ignoreChanges}
        return _diff(
            Diff(
                changes=[key for key in diff.changes if key not in ignored],
                replaces=[key for key in diff.replaces if key not in ignored],
                delete_before_replace=diff.delete_before_replace,
            )
        )

    def Create(self, request: Any, context: Any) -> Any:
        id, outputs = self.provider.create(
            _resource(request), decode(request.properties), request.preview, request.timeout
        )
        return provider_pb2.CreateResponse(id=id, properties=encode(outputs))

    def Read(self, request: Any, context: Any) -> Any:
        result = self.provider.read(
            _resource(request), request.id, decode(request.inputs), decode(request.properties)
        )
        return provider_pb2.ReadResponse(
            id=result.id, properties=encode(result.outputs), inputs=encode(result.inputs)
        )

    def Update(self, request: Any, context: Any) -> Any:
        outputs = self.provider.update(
            _resource(request),
            request.id,
            decode(request.old_inputs),
            decode(request.olds),
            decode(request.news),
            request.preview,
            request.timeout,
        )
        return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        self.provider.delete(
            _resource(request),
            request.id,
            decode(request.old_inputs),
            decode(request.properties),
            request.timeout,
        )
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        self.provider.cancel()
        return empty_pb2.Empty()


def _failures(failures: Sequence[Failure]) -> list[Any]:
    return [provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in failures]


def _diff(diff: Diff) -> Any:
    kind = provider_pb2.DiffResponse
    return provider_pb2.DiffResponse(
        changes=kind.DIFF_SOME if diff.changes else kind.DIFF_NONE,
        diffs=list(diff.changes),
        replaces=list(diff.replaces),
        deleteBeforeReplace=diff.delete_before_replace,
    )


class _Errors(grpc.ServerInterceptor):  # type: ignore[misc]
    """Turns exceptions of a handler into the status the engine shows."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        def run(request: Any, context: Any) -> Any:
            try:
                return handler.unary_unary(request, context)
            except NotImplementedError:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, "not implemented")
            except InitFailed as error:
                context.abort_with_status(_init_failed(error))
            except ProviderError as error:
                context.abort(grpc.StatusCode.UNKNOWN, str(error))
            except Exception as error:
                if type(error) is Exception:  # grpc's own signal after abort
                    raise
                traceback.print_exc(file=sys.stderr)
                context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")

        return grpc.unary_unary_rpc_method_handler(
            run, handler.request_deserializer, handler.response_serializer
        )


@dataclass(frozen=True)
class _Status(grpc.Status):  # type: ignore[misc]
    code: grpc.StatusCode
    details: str
    trailing_metadata: Sequence[tuple[str, bytes]]


def _init_failed(error: InitFailed) -> _Status:
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.id, properties=encode(error.outputs), reasons=error.reasons
    )
    if error.inputs is not None:
        detail.inputs.CopyFrom(encode(error.inputs))
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(detail)
    return _Status(
        grpc.StatusCode.UNKNOWN,
        str(error),
        (("grpc-status-details-bin", status.SerializeToString()),),
    )


def serve(provider: Provider) -> None:
    """Serves until the engine ends the process; prints the port on stdout, as the engine expects.

    On Ctrl-C the engine calls Cancel and waits for the steps in hand: a plugin is in a process
    group of its own, so the terminal's interrupt never reaches it. When all is done the engine
    interrupts that group and gives the plugin 5 s: one that stays costs every run those seconds and
    makes the engine report the plugins after it as exited prematurely.
    """
    stopped: SimpleQueue[None] = SimpleQueue()  # unlike an Event's, its lock suits signal handlers
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.put(None))
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=64),
        interceptors=[_Errors()],
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE),
            ("grpc.max_send_message_length", _MAX_MESSAGE),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(_Servicer(provider), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    wait_until_unwanted(stopped)
    server.stop(grace=1).wait(timeout=2)


def wait_until_unwanted(stopped: SimpleQueue[None]) -> None:
    """Returns when something is put into `stopped`, or when the engine is no more.

    An engine that is interrupted or killed may end without a word to its plugins.
    """
    engine = os.getppid()
    while os.getppid() == engine:
        try:
            stopped.get(timeout=1)
        except Empty:
            continue
        return
