"""Pulumi's language host for Python: runs programs, policy packs and plugins written in Python.

Options of `runtime` in Pulumi.yaml, or a pack's PulumiPolicy.yaml: `virtualenv`, the folder of the
program's environment, and `toolchain: pip`; every other is refused.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import language_pb2

from rehearsal.plugins.language_host import (
    NO_DEBUGGER,
    PROJECT,
    LanguageHost,
    Refused,
    environment,
    refuse,
    result,
    serve,
)

_PROGRAM = Path(__file__).with_name("language_program.py")
_PACK, _PLUGIN = "PulumiPolicy.yaml", "PulumiPlugin.yaml"
_ABOUT = "import platform; print(platform.python_version())"
_DEPENDENCIES = """
import importlib.metadata as m, json, re
named = lambda text: re.sub(r"[-_.]+", "-", re.match(r"[\\w.-]+", text)[0]).lower()
found = {named(d.name): (d.name, d.version) for d in m.distributions()}
needed = {named(r) for d in m.distributions() for r in d.requires or () if "extra ==" not in r}
print(json.dumps([[*found[key], key in needed] for key in sorted(found)]))
"""


class Host(LanguageHost):
    """Runs programs by the interpreter of their virtualenv."""

    install = "install the program's dependencies into its virtualenv yourself"

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

    def Run(self, request: Any, context: Any) -> Any:
        if request.attach_debugger:
            return language_pb2.RunResponse(error=NO_DEBUGGER)
        try:
            python = _interpreter(request.info)
        except Refused as error:
            return language_pb2.RunResponse(error=str(error))
        # -P: this script's folder holds modules of the names of others
        command = [python, "-u", "-P", str(_PROGRAM), self.engine]
        with self.child(command, stdin=subprocess.PIPE, env=environment()) as child:
            # not by argument or environment: the configuration holds secrets
            child.communicate(request.SerializeToString())
        return result(child.returncode)

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """Runs a plugin written in Python; of kind `analyzer`, a policy pack, which the SDK's own
        runner hands to the engine: its port is the first line on stdout."""
        if request.attach_debugger:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, NO_DEBUGGER)
        folder = request.info.program_directory or request.pwd
        pack = request.kind == "analyzer"
        python = self._interpreter(request.info, context, _PACK if pack else _PLUGIN)
        module = ["-m", "pulumi.policy"] if pack else []
        arguments = [*request.args, folder] if pack else [folder, *request.args]
        with self.child(
            [python, "-u", *module, *arguments],
            cwd=request.pwd or folder,
            env=environment(request.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child:
            context.add_callback(child.terminate)
            output: SimpleQueue[Any] = SimpleQueue()
            for name in ("stdout", "stderr"):
                threading.Thread(target=_pump, args=(child, name, output), daemon=True).start()
            for _ in ("stdout", "stderr"):
                while (part := output.get()) is not None:
                    yield part
            status = child.wait()
        yield language_pb2.RunPluginResponse(exitcode=status)

    def _interpreter(self, info: Any, context: Any, file: str = PROJECT) -> str:
        try:
            return _interpreter(info, file)
        except Refused as error:
            refuse(context, error)


def _interpreter(info: Any, file: str = PROJECT) -> str:
    """The program's Python: that of its virtualenv, or the one that runs this host. file: the one
    with the options."""
    options = MessageToDict(info.options)
    folder, toolchain = options.pop("virtualenv", None), options.pop("toolchain", "pip")
    if options:
        raise Refused(
            f"{file}: runtime option {sorted(options)[0]!r} is not handled by this stand-in; "
            "known: virtualenv, toolchain"
        )
    if toolchain != "pip":
        raise Refused(
            f"{file}: toolchain {toolchain!r} is not handled by this stand-in; use 'pip' "
            "with a virtualenv"
        )
    if folder is None:
        return sys.executable
    python = Path(info.root_directory, folder, "bin", "python")
    if not os.access(python, os.X_OK):
        raise Refused(
            f"{file}: there is no virtualenv {folder!r}: {python} does not exist; make it "
            f"with `python3 -m venv` and install the program's dependencies"
        )
    return str(python)


def _ask(python: str, code: str) -> str:
    command = [python, "-c", code]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=True
    ).stdout.strip()


def _pump(child: subprocess.Popen[bytes], name: str, output: SimpleQueue[Any]) -> None:
    stream: Any = getattr(child, name)
    while data := stream.read1(65536):
        output.put(language_pb2.RunPluginResponse(**{name: data}))
    output.put(None)


if __name__ == "__main__":
    serve(Host)
