"""Pulumi's language host for Python: runs programs, policy packs and plugins written in Python.

As with the official host every run is a child process of its own: a program may end its process,
and two runs (preview, then up) share no state. Options of `runtime` in Pulumi.yaml, or a pack's
PulumiPolicy.yaml: `virtualenv`, the folder of the program's environment, and `toolchain: pip`;
every other is refused.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from rehearsal.plugins.language_program import SHOWN
from rehearsal.plugins.protocol import wait_until_unwanted

_MAX_MESSAGE = 400 * 1024 * 1024  # as the SDK's own limit
_PROGRAM = Path(__file__).with_name("language_program.py")
_PROJECT, _PACK, _PLUGIN = "Pulumi.yaml", "PulumiPolicy.yaml", "PulumiPlugin.yaml"
_NO_DEBUGGER = "--attach-debugger is not handled by this stand-in; run without it"
_ABOUT = "import platform; print(platform.python_version())"
_DEPENDENCIES = """
import importlib.metadata as m, json, re
named = lambda text: re.sub(r"[-_.]+", "-", re.match(r"[\\w.-]+", text)[0]).lower()
found = {named(d.name): (d.name, d.version) for d in m.distributions()}
needed = {named(r) for d in m.distributions() for r in d.requires or () if "extra ==" not in r}
print(json.dumps([[*found[key], key in needed] for key in sorted(found)]))
"""


class _Refused(Exception):
    """What the person asked for can't be done; the text says what to do."""


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine. Plugins are looked for on PATH, so no program requires any.

    engine: address of the engine's own service, for the program's log.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
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

    def About(self, request: Any, context: Any) -> Any:
        python = self._interpreter(request.info, context)
        return language_pb2.AboutResponse(executable=python, version=_ask(python, _ABOUT))

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        """What is installed; without `transitiveDependencies` only what nothing else needs."""
        answer = json.loads(_ask(self._interpreter(request.info, context), _DEPENDENCIES))
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version)
                for name, version, needed in answer
                if request.transitiveDependencies or not needed
            ]
        )

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            "this stand-in of Pulumi's language host installs nothing; "
            "install the program's dependencies into its virtualenv yourself",
        )
        yield language_pb2.InstallDependenciesResponse()  # not reached: makes this a stream

    def Run(self, request: Any, context: Any) -> Any:
        if request.attach_debugger:
            return language_pb2.RunResponse(error=_NO_DEBUGGER)
        try:
            python = _interpreter(request.info)
        except _Refused as error:
            return language_pb2.RunResponse(error=str(error))
        child = subprocess.Popen(
            # -P: this script's folder holds modules of the names of others
            [python, "-u", "-P", str(_PROGRAM), self._engine],
            stdin=subprocess.PIPE,
            env=_environment(),
        )
        self._children.add(child)
        try:
            # not by argument or environment: the configuration holds secrets
            child.communicate(request.SerializeToString())
        finally:
            self._children.discard(child)
        return _result(child.returncode)

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """Runs a plugin written in Python; of kind `analyzer`, a policy pack, which the SDK's own
        runner hands to the engine: its port is the first line on stdout."""
        if request.attach_debugger:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, _NO_DEBUGGER)
        folder = request.info.program_directory or request.pwd
        pack = request.kind == "analyzer"
        python = self._interpreter(request.info, context, _PACK if pack else _PLUGIN)
        module = ["-m", "pulumi.policy"] if pack else []
        arguments = [*request.args, folder] if pack else [folder, *request.args]
        child = subprocess.Popen(
            [python, "-u", *module, *arguments],
            cwd=request.pwd or folder,
            env=_environment(request.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._children.add(child)
        context.add_callback(child.terminate)
        output: SimpleQueue[Any] = SimpleQueue()
        for name in ("stdout", "stderr"):
            threading.Thread(target=_pump, args=(child, name, output), daemon=True).start()
        for _ in ("stdout", "stderr"):
            while (part := output.get()) is not None:
                yield part
        status = child.wait()
        self._children.discard(child)
        yield language_pb2.RunPluginResponse(exitcode=status)

    def Cancel(self, request: Any, context: Any) -> Any:
        self.end_children()
        return empty_pb2.Empty()

    def end_children(self) -> None:
        """Ends every program and plugin that still runs."""
        for child in list(self._children):
            child.terminate()

    def _interpreter(self, info: Any, context: Any, file: str = _PROJECT) -> str:
        try:
            return _interpreter(info, file)
        except _Refused as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise


def _interpreter(info: Any, file: str = _PROJECT) -> str:
    """The program's Python: that of its virtualenv, or the one that runs this host. file: the one
    with the options."""
    options = MessageToDict(info.options)
    folder, toolchain = options.pop("virtualenv", None), options.pop("toolchain", "pip")
    if options:
        raise _Refused(
            f"{file}: runtime option {sorted(options)[0]!r} is not handled by this stand-in; "
            "known: virtualenv, toolchain"
        )
    if toolchain != "pip":
        raise _Refused(
            f"{file}: toolchain {toolchain!r} is not handled by this stand-in; use 'pip' "
            "with a virtualenv"
        )
    if folder is None:
        return sys.executable
    python = Path(info.root_directory, folder, "bin", "python")
    if not os.access(python, os.X_OK):
        raise _Refused(
            f"{file}: there is no virtualenv {folder!r}: {python} does not exist; make it "
            f"with `python3 -m venv` and install the program's dependencies"
        )
    return str(python)


def _environment(entries: Sequence[str] = ()) -> dict[str, str]:
    """entries: KEY=VALUE. Without PYTHONPATH, which is for this host alone."""
    given = dict(entry.split("=", 1) for entry in entries)
    return {k: v for k, v in {**os.environ, **given}.items() if k != "PYTHONPATH"}


def _ask(python: str, code: str) -> str:
    command = [python, "-c", code]
    return subprocess.run(
        command, env=_environment(), capture_output=True, text=True, check=True
    ).stdout.strip()


def _result(status: int) -> Any:
    """The engine's answer to a program's exit status; negative is a signal's number."""
    if status == 0:
        return language_pb2.RunResponse()
    if status == SHOWN:
        return language_pb2.RunResponse(bail=True)
    if status < 0:
        name = signal.Signals(-status).name
        return language_pb2.RunResponse(error=f"the program was ended by {name}")
    return language_pb2.RunResponse(error=f"program exited with non-zero exit code: {status}")


def _pump(child: subprocess.Popen[bytes], name: str, output: SimpleQueue[Any]) -> None:
    stream: Any = getattr(child, name)
    while data := stream.read1(65536):
        output.put(language_pb2.RunPluginResponse(**{name: data}))
    output.put(None)


def main() -> None:
    """Serves until the engine ends the process; prints the port on stdout.

    The engine ends a plugin by an interrupt to its process group, when all is done.
    """
    stopped: SimpleQueue[None] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.put(None))
    host = Host(sys.argv[1] if len(sys.argv) > 1 else "")
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


if __name__ == "__main__":
    main()
