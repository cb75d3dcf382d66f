"""Runs the whole program under Pulumi's mocks, in a process of its own, and tells what it did.

A process a run, because the SDK keeps one stack a process. As a module (`python -m tests.program
<project> <stack> <answer> [preview]`) this is that process; `run` starts it.
"""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests import made

CHECKOUT = Path(__file__).resolve().parent.parent
_SECRET = "$secret"
_LIMIT_S = 180

COMMAND = "command:remote:Command"
REFERENCE = "pulumi:pulumi:StackReference"
OTHERS = "others.json"


@dataclass(frozen=True)
class Secret:
    """A value that the program gave as a secret."""

    value: Any


@dataclass(frozen=True)
class Resource:
    """One registration. inputs: camelCase, as the provider gets them; urns in `dependencies`,
    `deleted_with` and `parent`; an empty string where there is none."""

    type: str
    name: str
    urn: str
    parent: str
    provider: str
    inputs: dict[str, Any]
    dependencies: frozenset[str]
    ignore_changes: tuple[str, ...]
    secret_outputs: tuple[str, ...]
    deleted_with: str
    delete_before_replace: bool
    timeouts: dict[str, str]


@dataclass(frozen=True)
class Run:
    """What a run registered, in order, called and exported; error: what it ended with, if so."""

    resources: tuple[Resource, ...]
    calls: tuple[str, ...]
    outputs: dict[str, Any]
    error: str | None

    def of(self, kind: str) -> dict[str, Resource]:
        """The resources of a type, by name."""
        return {each.name: each for each in self.resources if each.type == kind}

    def one(self, kind: str) -> Resource:
        (only,) = self.of(kind).values()
        return only

    def needs(self, resource: Resource) -> frozenset[str]:
        """URNs of all that stands before `resource` is begun."""
        by_urn = {each.urn: each for each in self.resources}
        found: set[str] = set()
        ahead = list(resource.dependencies)
        while ahead:
            urn = ahead.pop()
            if urn not in found:
                found.add(urn)
                ahead += by_urn[urn].dependencies if urn in by_urn else ()
        return frozenset(found)


def copy_project(folder: Path, environment: str, key: Path, **changes: Any) -> Path:
    """A project folder with this checkout's program and stack file, the stack's SSH key replaced
    by `key`, and `changes` laid over its settings (maps by key, all else replaced)."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(CHECKOUT / "__main__.py", folder)
    name = f"Pulumi.{environment}.yaml"
    document = yaml.safe_load((CHECKOUT / name).read_text())
    settings = document["config"]["groundwork:settings"]
    ssh = {"private_key_file": str(key), "public_key_file": f"{key}.pub"}
    for section, value in [("ssh", ssh), *changes.items()]:
        below = settings.get(section)
        merge = isinstance(below, dict) and isinstance(value, dict)
        settings[section] = {**below, **value} if merge else value
    (folder / name).write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


def run(
    project: Path, stack: str, preview: bool = False, others: Mapping[str, Any] | None = None
) -> Run:
    """Runs the program in `project` as `stack`; nothing but the mocks is called.

    others: the outputs of other stacks by their names, as a Run has them.
    """
    answer = project / "answer.json"
    (project / OTHERS).write_text(json.dumps(others or {}, default=_as_marked))
    command = [sys.executable, "-m", "tests.program", str(project), stack, str(answer)]
    done = subprocess.run(
        [*command, *(["preview"] if preview else [])],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(answer.read_text(), object_hook=_secrets)
    resources = (
        Resource(
            **{
                **each,
                "dependencies": frozenset(each["dependencies"]),
                "ignore_changes": tuple(each["ignore_changes"]),
                "secret_outputs": tuple(each["secret_outputs"]),
            }
        )
        for each in data["resources"]
    )
    return Run(tuple(resources), tuple(data["calls"]), data["outputs"], data["error"])


def plain(value: Any) -> Any:
    """`value` with its secrets laid open."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def in_the_clear(value: Any) -> Iterator[str]:
    """Every text in `value` that is no secret, nor inside one."""
    if isinstance(value, dict):
        for each in value.values():
            yield from in_the_clear(each)
    elif isinstance(value, list):
        for each in value:
            yield from in_the_clear(each)
    elif not isinstance(value, Secret):
        yield str(value)


def _as_marked(value: Any) -> Any:
    assert isinstance(value, Secret), value
    return {_SECRET: value.value}


def _secrets(found: dict[str, Any]) -> Any:
    return Secret(found[_SECRET]) if set(found) == {_SECRET} else found


# --- in the process of the run


ADMIN_CONF = yaml.safe_dump(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://api:6443"}}],
        "contexts": [{"name": "admin@c", "context": {"cluster": "c", "user": "admin"}}],
        "current-context": "admin@c",
        "users": [{"name": "admin", "user": {"client-key-data": "CLIENT-KEY-OF-THE-ADMIN"}}],
    }
)


def _outputs(kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """What the provider would add to the inputs."""
    digits = sum(map(ord, name))
    if kind == "aws:ec2/instance:Instance":
        return {"privateIp": f"10.0.{digits // 256}.{digits % 256}"}
    if kind == "aws:ec2/eip:Eip":
        return {"publicIp": f"192.0.2.{digits % 256}", "allocationId": f"eipalloc-{name}"}
    if kind == "aws:route53/zone:Zone":
        return {"zoneId": f"Z{digits}", "nameServers": ["ns-1.example.net", "ns-2.example.net"]}
    if kind == "aws:route53/record:Record":
        return {"fqdn": inputs["name"]}
    if kind == COMMAND:
        known = {"init": ADMIN_CONF, "join-key": "ssh-ed25519 AAAAJOIN"}
        host_key = f"ssh-ed25519 AAAA{name}" if name.startswith("prepare-") else ""
        return {"stdout": known.get(name, host_key), "stderr": ""}
    return made.outputs(kind, name, inputs)


def _main(project: Path, stack: str, answer: Path, preview: bool) -> None:
    import asyncio
    import logging

    import grpc
    from google.protobuf import json_format
    from pulumi.runtime import mocks, settings
    from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key
    from pulumi.runtime.stack import run_in_stack

    resources: list[dict[str, Any]] = []
    calls: list[str] = []
    outputs: dict[str, Any] = {}

    class Unknown(grpc.RpcError):  # type: ignore[misc]  # it has no types
        """As the engine answers."""

        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNKNOWN

        def details(self) -> str:
            return str(self)

    others = json.loads((project / OTHERS).read_text(), object_hook=_secrets)

    def told(path: str) -> dict[str, Any]:
        """What the engine tells of another stack of this project."""
        name = path.removeprefix("organization/groundwork/")
        if name not in others:
            raise Unknown(f'unknown stack "{path}"')
        secrets = [key for key, value in others[name].items() if isinstance(value, Secret)]
        return {"name": path, "outputs": plain(others[name]), "secretOutputNames": secrets}

    def data(message: Any) -> Any:
        return marked(json_format.MessageToDict(message))

    def marked(value: Any) -> Any:
        if isinstance(value, list):
            return [marked(each) for each in value]
        if not isinstance(value, dict):
            return value
        if value.get(_special_sig_key) == _special_secret_sig:
            return {_SECRET: marked(value["value"])}
        return {key: marked(each) for key, each in value.items()}

    class Provider(mocks.Mocks):
        def new_resource(self, args: Any) -> tuple[str | None, dict[str, Any]]:
            if args.typ == REFERENCE:
                return args.resource_id, told(args.resource_id)
            if preview:  # a component has no id, and what a provider adds is not known yet
                return "", dict(args.inputs)
            added = _outputs(args.typ, args.name, args.inputs)
            return f"{args.name}-id", {**args.inputs, **added}

        def call(self, args: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
            calls.append(args.token)
            if args.token == "pulumi:pulumi:readStackOutputs":
                return told(args.args["name"]), []
            if args.token == "aws:index/getCallerIdentity:getCallerIdentity":
                return {"accountId": made.ACCOUNT}, []
            return {**args.args, "id": "ami-0123456789abcdef0"}, []

    base: Any = mocks.MockMonitor  # its methods have no types

    class Monitor(base):  # type: ignore[misc]
        def RegisterResource(self, request: Any) -> Any:
            response = super().RegisterResource(request)
            if request.type != "pulumi:pulumi:Stack":
                timeouts = json_format.MessageToDict(request.customTimeouts)
                resources.append(
                    {
                        "type": request.type,
                        "name": request.name,
                        "urn": response.urn,
                        "parent": request.parent,
                        "provider": request.provider,
                        "inputs": data(request.object),
                        "dependencies": sorted(request.dependencies),
                        "ignore_changes": list(request.ignoreChanges),
                        "secret_outputs": list(request.additionalSecretOutputs),
                        "deleted_with": request.deletedWith,
                        "delete_before_replace": request.deleteBeforeReplace,
                        "timeouts": timeouts,
                    }
                )
            return response

        def RegisterResourceOutputs(self, request: Any) -> Any:
            if "::pulumi:pulumi:Stack::" in request.urn:
                outputs.update(data(request.outputs))
            return super().RegisterResourceOutputs(request)

    def program() -> None:
        runpy.run_path(str(project / "__main__.py"), run_name="__main__")

    async def whole() -> None:
        provider = Provider()
        monitor = Monitor(provider)
        mocks.set_mocks(
            provider, "groundwork", stack, preview, monitor=monitor, organization="organization"
        )
        # `run_in_stack` makes the stack, as in a real run
        settings.set_root_resource(None)  # type: ignore[arg-type]
        await run_in_stack(program)

    logging.disable(logging.CRITICAL)
    error: str | None = None
    try:
        asyncio.run(whole())
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    answer.write_text(
        json.dumps({"resources": resources, "calls": calls, "outputs": outputs, "error": error})
    )


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:] == ["preview"])
