"""What Pulumi's language hosts have in common, whatever language their programs are in.

As with the official hosts every run is a child process of its own: a program may end its process,
and two runs (preview, then up) share no state.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from rehearsal.plugins.language_program import SHOWN
from rehearsal.plugins.protocol import wait_until_unwanted

PROJECT = "Pulumi.yaml"
NO_DEBUGGER = "--attach-debugger is not handled by this stand-in; run without it"
_MAX_MESSAGE = 400 * 1024 * 1024  # as the SDK's own limit


class Refused(Exception):
    """What the person asked for can't be done; the text says what to do."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine. Plugins are looked for on PATH, so no program requires any.

    engine: address of the engine's own service, for the program's log.
    """

    install = ""  # what a person does where the official host would install dependencies

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self._children: set[subprocess.Popen[bytes]] = set()

    def Handshake(self, request: Any, context: Any) -> Any:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        return language_pb2.RuntimeOptionsResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"this stand-in of Pulumi's language host installs nothing; {self.install}",
        )
        yield language_pb2.InstallDependenciesResponse()  # not reached: makes this a stream

    def Cancel(self, request: Any, context: Any) -> Any:
        self.end_children()
        return empty_pb2.Empty()

    @contextmanager
    def child(self, command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A process of a program or plugin, which ends with this host. options: Popen's."""
        child = subprocess.Popen(command, **options)
        self._children.add(child)
        try:
            yield child
        finally:
            self._children.discard(child)

    def end_children(self) -> None:
        """Ends every program and plugin that still runs."""
        for child in list(self._children):
            child.terminate()


def refuse(context: Any, error: Refused) -> NoReturn:
    """Fails the call that `context` is of."""
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
    raise error


def environment(entries: Sequence[str] = ()) -> dict[str, str]:
    """A program's. entries: KEY=VALUE. Without PYTHONPATH, which is for this host alone."""
    given = dict(entry.split("=", 1) for entry in entries)
    return {k: v for k, v in {**os.environ, **given}.items() if k != "PYTHONPATH"}


def result(status: int) -> Any:
    """The engine's answer to a program's exit status; negative is a signal's number."""
    if status == 0:
        return language_pb2.RunResponse()
    if status == SHOWN:
        return language_pb2.RunResponse(bail=True)
    if status < 0:
        name = signal.Signals(-status).name
        return language_pb2.RunResponse(error=f"the program was ended by {name}")
    return language_pb2.RunResponse(error=f"program exited with non-zero exit code: {status}")


def serve(make: Callable[[str], LanguageHost]) -> None:
    """Serves until the engine ends the process; prints the port on stdout.

    The engine ends a plugin by an interrupt to its process group, when all is done.
    """
    stopped: SimpleQueue[None] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.put(None))
    host = make(sys.argv[1] if len(sys.argv) > 1 else "")
    server = grpc.server(
        futures.ThreadPoolExecutor(16),
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE),
            ("grpc.max_send_message_length", _MAX_MESSAGE),
        ],
    )
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    wait_until_unwanted(stopped)
    host.end_children()
    server.stop(grace=1).wait()
