"""kubectl as a library: one object in, the live object out, errors as one line."""

from __future__ import annotations

import codecs
import json
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rehearsal.plugins.kubernetes.process import Result, Runner, find_tool
from rehearsal.plugins.kubernetes.workspace import Workspace
from rehearsal.plugins.protocol import ProviderError

_PREFIX = re.compile(
    r"(?:error: )?(?:unable to recognize \"STDIN\": )?(?:error validating \"STDIN\": )?"
    r"(?:Error from server(?: \((?P<reason>\w+)\))?: )?"
    r"(?:error when (?:creating|applying patch|patching|retrieving[^:]*|deleting) \"STDIN\": )?"
)
_UNREACHABLE = re.compile(
    r"dial tcp|connection to the server .* was refused|Unable to connect to the server"
    r"|no route to host|i/o timeout|connection refused|TLS handshake timeout|connection reset"
    r"|etcdserver: |http2: client connection lost|unexpected EOF"
)
_BUSY = ("ServiceUnavailable", "ServerTimeout", "Timeout", "TooManyRequests")
_PAUSES = (1.0, 2.0, 4.0, None)  # s between the attempts of what failed for a moment only


class KubectlError(ProviderError):
    """kubectl failed. reason: the API's own word (NotFound, AlreadyExists, …) or ""."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason

    @property
    def no_such_kind(self) -> bool:
        """The API server has no such apiVersion and kind: its definition is not there."""
        return "no matches for kind" in str(self) or "doesn't have a resource type" in str(self)

    @property
    def no_such_namespace(self) -> bool:
        return self.reason == "NotFound" and "namespaces " in str(self)

    @property
    def transient(self) -> bool:
        """A busy or restarting API server, or the network: the same may well work a little later.

        A creation that went through although its answer was lost is recognised as the resource's
        own when it is tried again.
        """
        return self.reason in _BUSY or _UNREACHABLE.search(str(self)) is not None


@dataclass(frozen=True)
class Event:
    """One change of a watched object. type: ADDED, MODIFIED, DELETED or ERROR."""

    type: str
    object: dict[str, Any]


def identity(obj: dict[str, Any]) -> dict[str, Any]:
    """What names an object, and nothing else of it."""
    metadata = obj.get("metadata") or {}
    named = {key: metadata[key] for key in ("name", "namespace") if metadata.get(key)}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": named}


class Kubectl:
    """Runs kubectl against one cluster. Objects go by stdin, never on the command line."""

    def __init__(
        self, runner: Runner, workspace: Workspace, kubeconfig: Path, namespace: str
    ) -> None:
        self._runner, self._workspace, self._namespace = runner, workspace, namespace
        home = workspace.folder("kubectl")
        self._env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(home),
            "KUBECONFIG": str(kubeconfig),
            "KUBECACHEDIR": str(home),
        }

    def create(self, obj: dict[str, Any], manager: str, dry_run: bool = False) -> dict[str, Any]:
        """POSTs the object; an object that exists and a field the API does not know are errors."""
        flags = ["--field-manager", manager, "--validate=strict"]
        return self._object(["create", *flags, *_dry(dry_run)], obj)

    def apply(
        self, obj: dict[str, Any], manager: str, force: bool, dry_run: bool = False
    ) -> dict[str, Any]:
        """Server-side apply under `manager`; force: take fields over that others own."""
        flags = ["--server-side", "--field-manager", manager, "--validate=strict"]
        flags += ["--force-conflicts"] if force else []
        return self._object(["apply", *flags, *_dry(dry_run)], obj)

    def get(self, obj: dict[str, Any], managed_fields: bool = False) -> dict[str, Any] | None:
        """The live object; None if it, or its kind, is not there."""
        flags = ["--show-managed-fields"] if managed_fields else []
        try:
            found = self._object(["get", *flags], identity(obj))
        except KubectlError as error:
            if error.reason == "NotFound" or error.no_such_kind:
                return None
            raise
        if found.get("kind") == "List":  # kubectl's own wrapping of what it was named by a file
            found = found["items"][0]
        return found

    def patch(
        self, obj: dict[str, Any], manager: str, operations: Sequence[dict[str, Any]]
    ) -> None:
        """Applies a JSON patch."""
        file = self._workspace.write(f"patch-{threading.get_ident()}", json.dumps(operations))
        flags = ["--type=json", "--patch-file", str(file), "--field-manager", manager]
        try:
            self._object(["patch", *flags], identity(obj))
        finally:
            file.unlink()

    def list(self, kind: str, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Objects of a kind in a namespace with these labels."""
        command = ["get", kind, "-l", selector, "-o", "json"]
        items: list[dict[str, Any]] = json.loads(self._run(command, namespace).stdout)["items"]
        return items

    def delete(self, obj: dict[str, Any], cascade: str, wait: bool, timeout: float) -> None:
        """Deletes and, if asked, waits until it is gone; what is gone already is no error."""
        flags = [f"--cascade={cascade}", "--ignore-not-found", f"--wait={str(wait).lower()}"]
        flags += [f"--timeout={max(1, round(timeout))}s"] if wait else []
        command = ["delete", *flags, "-f", "-"]
        try:
            self._run(command, self._home(obj), json.dumps(identity(obj)), timeout + 60)
        except KubectlError as error:
            if error.reason != "NotFound" and not error.no_such_kind:
                raise

    def watch(self, obj: dict[str, Any], timeout: float) -> Iterator[Event]:
        """The object now and at each change, for `timeout` seconds or until the stream breaks."""
        flags = ["--watch", "--output-watch-events", "-o", "json", "-f", "-"]
        command = [find_tool("kubectl"), "get", "-n", self._home(obj), *flags]
        text = json.dumps(identity(obj))
        with self._runner.stream(command, self._env, text, timeout) as output:
            for document in _documents(output):
                yield Event(document.get("type", "ERROR"), document.get("object") or {})

    def _object(self, command: Sequence[str], obj: dict[str, Any]) -> dict[str, Any]:
        result = self._run([*command, "-o", "json", "-f", "-"], self._home(obj), json.dumps(obj))
        live: dict[str, Any] = json.loads(result.stdout)
        return live

    def _home(self, obj: dict[str, Any]) -> str:
        return (obj.get("metadata") or {}).get("namespace") or self._namespace

    def _run(
        self, command: Sequence[str], namespace: str, stdin: str = "", timeout: float = 120.0
    ) -> Result:
        full = [find_tool("kubectl"), *command, "-n", namespace]
        for pause in _PAUSES:
            result = self._runner.run(full, self._env, stdin, timeout)
            if result.code == 0:
                return result
            error = _error(result.stderr)
            if not error.transient or pause is None or self._runner.cancelled.wait(pause):
                raise error
        raise AssertionError("the last attempt returns or raises")


def _dry(dry_run: bool) -> list[str]:
    return ["--dry-run=server"] if dry_run else []


def _error(stderr: str) -> KubectlError:
    lines = [line.strip() for line in stderr.splitlines()]
    told = [line for line in lines if line and not re.match(r"Warning:|[EWI]\d{4} ", line)]
    text = " ".join(told) or "kubectl failed without a word"
    match = _PREFIX.match(text)
    reason = (match.group("reason") if match else "") or ""
    return KubectlError(text[match.end() :] if match else text, reason)


def _documents(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    """JSON documents one after another, as soon as each is complete."""
    decoder, utf8 = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8")()
    buffer = ""
    while chunk := stream.read1(65536):  # type: ignore[attr-defined]
        buffer += utf8.decode(chunk)
        while buffer := buffer.lstrip():
            try:
                document, end = decoder.raw_decode(buffer)
            except ValueError:
                break  # the rest is still to come
            yield document
            buffer = buffer[end:]
