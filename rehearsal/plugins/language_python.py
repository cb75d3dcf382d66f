"""Pulumi's language host for Python: the SDK's own LanguageServer behind the language protocol.

Every run of a program is a child process, as with the official host: a program may end its
process, and two runs (preview, then up) share no state.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

_MAX_MESSAGE = 400 * 1024 * 1024  # as the SDK's own limit


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine. Packages are looked for on PATH, so no program requires any."""

    def __init__(self) -> None:
        self._children: set[subprocess.Popen[bytes]] = set()

    def Handshake(self, request: Any, context: Any) -> Any:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="0.0.1")

    def About(self, request: Any, context: Any) -> Any:
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        return language_pb2.GetProgramDependenciesResponse()

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        return language_pb2.RuntimeOptionsResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        yield language_pb2.InstallDependenciesResponse(
            stdout=b"dependencies come from requirements.lock; `make setup` installs them\n"
        )

    def Run(self, request: Any, context: Any) -> Any:
        read, write = os.pipe()
        os.set_inheritable(write, True)
        child = subprocess.Popen(
            [sys.executable, "-u", "-m", __spec__.name, "run", str(write)],
            stdin=subprocess.PIPE,
            close_fds=False,
        )
        self._children.add(child)
        os.close(write)
        try:
            assert child.stdin is not None
            child.stdin.write(request.SerializeToString())
            child.stdin.close()
            with os.fdopen(read, "rb") as result:
                answer = result.read()
            status = child.wait()
        finally:
            self._children.discard(child)
        if status != 0 or not answer:
            return language_pb2.RunResponse(error=f"the program ended with exit code {status}")
        return language_pb2.RunResponse.FromString(answer[1:])

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """Runs a plugin written in Python; of kind `analyzer`, a policy pack."""
        folder = request.info.program_directory or request.pwd
        arguments = list(request.args)
        if request.kind == "analyzer":
            command = ["-m", "pulumi.policy", *arguments, folder]
        else:
            command = [folder, *arguments]
        child = subprocess.Popen(
            [sys.executable, "-u", *command],
            cwd=request.pwd or folder,
            env={**os.environ, **dict(entry.split("=", 1) for entry in request.env)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._children.add(child)
        context.add_callback(child.terminate)
        output: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
        for name in ("stdout", "stderr"):
            threading.Thread(target=_pump, args=(child, name, output), daemon=True).start()
        open_streams = 2
        while open_streams:
            name, data = output.get()
            if data:
                yield (
                    language_pb2.RunPluginResponse(stdout=data)
                    if name == "stdout"
                    else language_pb2.RunPluginResponse(stderr=data)
                )
            else:
                open_streams -= 1
        self._children.discard(child)
        yield language_pb2.RunPluginResponse(exitcode=child.wait())

    def Cancel(self, request: Any, context: Any) -> Any:
        for child in list(self._children):
            child.terminate()
        return empty_pb2.Empty()


def _pump(
    child: subprocess.Popen[bytes], name: str, output: SimpleQueue[tuple[str, bytes]]
) -> None:
    stream: Any = getattr(child, name)
    while data := stream.read1(65536):
        output.put((name, data))
    output.put((name, b""))


def _run(answer: int) -> None:
    """In the child: one program, from a RunRequest on stdin to a RunResponse on a descriptor."""
    request = language_pb2.RunRequest.FromString(sys.stdin.buffer.read())
    folder = request.info.program_directory or request.pwd
    entry = Path(folder, request.info.entry_point or ".")
    entry = entry / "__main__.py" if entry.is_dir() else entry

    def program() -> None:
        os.chdir(request.pwd or folder)
        sys.path.insert(0, str(entry.parent))
        sys.argv = [str(entry), *request.args]
        runpy.run_path(str(entry), run_name="__main__")

    server: Any = LanguageServer(program)
    result = server.Run(request, None)
    with os.fdopen(answer, "wb") as out:
        # the first byte tells an empty message from none
        out.write(b"\0" + result.SerializeToString())


def main() -> None:
    """The engine's side: serves until the engine ends the process; prints the port."""
    # The engine ends its plugins by SIGINT, after it has called Cancel; they are in a process
    # group of their own, so that a person's Ctrl-C does not reach them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    server = grpc.server(
        futures.ThreadPoolExecutor(16),
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE),
            ("grpc.max_send_message_length", _MAX_MESSAGE),
        ],
    )
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        _run(int(sys.argv[2]))
    else:
        main()
