"""The inputs of `command:remote:Command`, checked and typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.plugins.protocol import Failure, contains_unknown

TYPE = "command:remote:Command"
LOGGING = ("none", "stdout", "stderr", "stdoutAndStderr")
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
_NAMES = {str: "text", int: "a whole number", bool: "true or false", list: "a list", dict: "a map"}


@dataclass(frozen=True)
class Endpoint:
    """One SSH server and how to log in. Official defaults: port 22, user root, 10 dials, 15 s.

    dial_error_limit: failed dials that are tried again; negative is no limit.
    per_dial_timeout: seconds for one dial with its log-in; None is no limit.
    """

    host: str
    port: int
    user: str
    password: str | None
    private_key: str | None
    private_key_password: str | None
    host_key: str | None
    dial_error_limit: int
    per_dial_timeout: float | None

    @property
    def name(self) -> str:
        return f"{self.user}@{self.host}" + ("" if self.port == 22 else f":{self.port}")


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
        yield from _check_endpoint(connection, {**_CONNECTION, "proxy": dict}, "connection")
        if isinstance(proxy := connection.get("proxy"), Mapping):
            yield from _check_endpoint(proxy, _CONNECTION, "connection.proxy")
    if isinstance(environment := inputs.get("environment"), Mapping):
        yield from _check(environment, dict.fromkeys(environment, str), "environment.")
    logging = inputs.get("logging")
    if isinstance(logging, str) and logging not in LOGGING:
        yield Failure("logging", f"is {logging!r}; known: {', '.join(LOGGING)}")


def _check_endpoint(
    endpoint: Mapping[str, Any], known: Mapping[str, type], at: str
) -> Iterator[Failure]:
    yield from _check(endpoint, known, f"{at}.")
    if endpoint.get("host") is None:
        yield Failure(f"{at}.host", "is required")
    if isinstance(key := endpoint.get("hostKey"), str) and len(key.split()) < 2:
        yield Failure(f"{at}.hostKey", "must be as in known_hosts, without the host: 'type base64'")
    if endpoint.get("privateKey") is None and endpoint.get("password") is None:
        yield Failure(at, "needs a privateKey or a password: this stand-in asks no SSH agent")


def _check(values: Mapping[str, Any], known: Mapping[str, type], at: str) -> Iterator[Failure]:
    for key, value in values.items():
        if key not in known:
            yield Failure(at + key, f"is not handled by this stand-in of {TYPE}")
        elif value is None or contains_unknown(value):
            continue
        elif not isinstance(value, known[key]) or (
            isinstance(value, bool) and known[key] is not bool
        ):
            yield Failure(at + key, f"must be {_NAMES[known[key]]}")


def connection_of(inputs: Mapping[str, Any]) -> Connection:
    """The connection of checked inputs."""
    data = inputs["connection"]
    proxy = data.get("proxy")
    return Connection(_endpoint(data), _endpoint(proxy) if proxy else None)


def _endpoint(data: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        host=data["host"],
        port=data.get("port", 22),
        user=data.get("user", "root"),
        password=data.get("password"),
        private_key=data.get("privateKey"),
        private_key_password=data.get("privateKeyPassword"),
        host_key=data.get("hostKey"),
        dial_error_limit=data.get("dialErrorLimit", 10),
        per_dial_timeout=data.get("perDialTimeout", 15) or None,
    )
