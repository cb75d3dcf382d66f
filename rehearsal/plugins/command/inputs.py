"""The inputs of `command:remote:Command`, checked and typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.plugins.protocol import Failure, contains_unknown

_CONNECTION = {
    "host": str,
    "port": int,
    "user": str,
    "password": str,
    "privateKey": str,
    "privateKeyPassword": str,
    "dialErrorLimit": int,
    "perDialTimeout": int,
    "hostKey": str,
}
_COMMAND = {
    "connection": dict,
    "create": str,
    "update": str,
    "delete": str,
    "stdin": str,
    "environment": dict,
    "triggers": list,
    "logging": str,
    "addPreviousOutputInEnv": bool,
}
LOGGING = ("none", "stdout", "stderr", "stdoutAndStderr")


@dataclass(frozen=True)
class Endpoint:
    """One SSH server and how to log in. Official defaults: port 22, user root, 10 dials, 15 s.

    dial_error_limit: failed dials before giving up; negative is none. per_dial_timeout: seconds.
    """

    host: str
    port: int
    user: str
    password: str | None
    private_key: str | None
    private_key_password: str | None
    host_key: str | None
    dial_error_limit: int
    per_dial_timeout: float

    @property
    def name(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


@dataclass(frozen=True)
class Connection:
    """A server, and the one to go through."""

    target: Endpoint
    proxy: Endpoint | None


def check(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    """Every input that is unknown to this stand-in, of a wrong type, or missing."""
    yield from _check(inputs, _COMMAND, "")
    if inputs.get("connection") is None:
        yield Failure("connection", "is required")
    connection = inputs.get("connection")
    if isinstance(connection, Mapping):
        yield from _check(connection, {**_CONNECTION, "proxy": dict}, "connection.")
        if connection.get("host") is None:
            yield Failure("connection.host", "is required")
        if isinstance(proxy := connection.get("proxy"), Mapping):
            yield from _check(proxy, _CONNECTION, "connection.proxy.")
    logging = inputs.get("logging")
    if isinstance(logging, str) and logging not in LOGGING:
        yield Failure("logging", f"is {logging!r}; known: {', '.join(LOGGING)}")


def _check(values: Mapping[str, Any], known: Mapping[str, type], at: str) -> Iterator[Failure]:
    for key, value in values.items():
        if key not in known:
            yield Failure(at + key, "is not handled by this stand-in of command:remote:Command")
        elif (
            value is None
            or contains_unknown(value)
            or (known[key] is int and isinstance(value, int | float))
        ):
            continue
        elif not isinstance(value, known[key]):
            yield Failure(at + key, f"must be a {known[key].__name__}")


def connection_of(inputs: Mapping[str, Any]) -> Connection:
    """The connection of checked inputs."""
    data = inputs["connection"]
    proxy = data.get("proxy")
    return Connection(_endpoint(data), _endpoint(proxy) if proxy else None)


def _endpoint(data: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        host=data["host"],
        port=int(data.get("port") or 22),
        user=data.get("user") or "root",
        password=data.get("password"),
        private_key=data.get("privateKey"),
        private_key_password=data.get("privateKeyPassword"),
        host_key=data.get("hostKey"),
        dial_error_limit=int(data.get("dialErrorLimit", 10)),
        per_dial_timeout=float(data.get("perDialTimeout", 15)),
    )
