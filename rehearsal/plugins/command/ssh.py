"""SSH connections: dialled with retries, through a proxy if asked, and commands on them."""

from __future__ import annotations

import io
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paramiko

from rehearsal.plugins.command.inputs import Connection, Endpoint
from rehearsal.plugins.protocol import ProviderError

_BACKOFF_S, _BACKOFF_FACTOR, _BACKOFF_MOST_S = 0.1, 1.5, 5.0  # as the official provider's
_KEEPALIVE_S = 30  # the official provider has none


@dataclass(frozen=True)
class Result:
    """What a command left. status: its exit status; -1 when a signal or a lost link ended it."""

    status: int
    stdout: str
    stderr: str


class Cancelled(ProviderError):
    """The engine asked to stop."""


# failed dials are told by our own errors
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class Client:
    """Opens connections and runs commands; `cancel` makes everything in hand fail soon."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._open: set[paramiko.Transport] = set()
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Closes every connection; the commands on them get their hang-up from sshd."""
        self._cancelled.set()
        with self._lock:
            for transport in list(self._open):
                transport.close()

    def run(
        self,
        connection: Connection,
        command: str,
        stdin: str | None,
        environment: Mapping[str, str],
        on_output: Callable[[str, str], None],
    ) -> Result:
        """Runs one command. on_output: called with "stdout" or "stderr" and each piece of text.

        Raises ProviderError if the host can't be reached or refuses the environment.
        """
        with self._connect(connection) as transport:
            channel = transport.open_session()
            for key, value in environment.items():
                _set_variable(transport, channel, connection.target, key, value)
            channel.exec_command(command)
            sender = threading.Thread(target=_send, args=(channel, stdin or ""), daemon=True)
            sender.start()
            errors = io.StringIO()
            reader = threading.Thread(
                target=_read,
                args=(
                    channel.makefile_stderr("rb"),
                    errors,
                    lambda text: on_output("stderr", text),
                ),
                daemon=True,
            )
            reader.start()
            output = io.StringIO()
            _read(channel.makefile("rb"), output, lambda text: on_output("stdout", text))
            reader.join()
            status = channel.recv_exit_status()
            channel.close()
        if self._cancelled.is_set():
            raise Cancelled(f"cancelled while a command ran on {connection.target.name}")
        return Result(status, output.getvalue(), errors.getvalue())

    @contextmanager
    def _connect(self, connection: Connection) -> Iterator[paramiko.Transport]:
        if connection.proxy is None:
            with self._dial(connection.target, None) as transport:
                yield transport
        else:
            with (
                self._dial(connection.proxy, None) as proxy,
                self._dial(connection.target, proxy) as transport,
            ):
                yield transport

    @contextmanager
    def _dial(
        self, endpoint: Endpoint, through: paramiko.Transport | None
    ) -> Iterator[paramiko.Transport]:
        """Any failure is tried again, a refused key too: user data may still be writing it."""
        wait, attempts = _BACKOFF_S, 0
        while True:
            if self._cancelled.is_set():
                raise Cancelled(f"cancelled while dialling {endpoint.name}")
            attempts += 1
            try:
                transport = _open(endpoint, through)
                break
            except (OSError, EOFError, paramiko.SSHException) as error:
                if 0 <= endpoint.dial_error_limit <= attempts:
                    raise ProviderError(_failure(endpoint, attempts, error)) from None
            self._cancelled.wait(wait)
            wait = min(wait * _BACKOFF_FACTOR, _BACKOFF_MOST_S)
        with self._lock:
            self._open.add(transport)
        try:
            yield transport
        finally:
            with self._lock:
                self._open.discard(transport)
            transport.close()


def _open(endpoint: Endpoint, through: paramiko.Transport | None) -> paramiko.Transport:
    key = _key(endpoint)
    limit = endpoint.per_dial_timeout
    address = (endpoint.host, endpoint.port)
    link: socket.socket | paramiko.Channel
    if through is None:
        link = socket.create_connection(address, timeout=limit)
    else:
        link = through.open_channel("direct-tcpip", address, ("127.0.0.1", 0), timeout=limit)
    transport = paramiko.Transport(link)
    try:
        transport.banner_timeout = transport.auth_timeout = limit
        transport.start_client(timeout=limit)
        _check_host_key(endpoint, transport)
        if key is not None:
            transport.auth_publickey(endpoint.user, key)
        else:
            transport.auth_password(endpoint.user, endpoint.password or "")
        transport.set_keepalive(_KEEPALIVE_S)
    except BaseException:
        transport.close()
        raise
    return transport


def _key(endpoint: Endpoint) -> paramiko.PKey | None:
    if endpoint.private_key is None:
        return None
    kinds = (paramiko.Ed25519Key, paramiko.RSAKey, paramiko.ECDSAKey)
    for kind in kinds:
        try:
            return kind.from_private_key(
                io.StringIO(endpoint.private_key), password=endpoint.private_key_password
            )
        except (paramiko.SSHException, ValueError):
            continue
    raise ProviderError(
        f"the private key for {endpoint.name} is none that this SSH client can read "
        "(ed25519, RSA or ECDSA, with its password if it has one)"
    )


def _check_host_key(endpoint: Endpoint, transport: paramiko.Transport) -> None:
    if endpoint.host_key is None:
        return
    key = transport.get_remote_server_key()
    if endpoint.host_key.split()[:2] != [key.get_name(), key.get_base64()]:
        raise ProviderError(f"{endpoint.name} shows another host key than the one given")


def _failure(endpoint: Endpoint, attempts: int, error: Exception) -> str:
    if isinstance(error, paramiko.AuthenticationException):
        means = "private key" if endpoint.private_key is not None else "password"
        reason = f"it does not accept the given {means}"
    else:
        reason = str(error) or type(error).__name__
    return f"cannot log in to {endpoint.name} over SSH after {attempts} attempts: {reason}"


def _set_variable(transport: Any, channel: Any, target: Endpoint, key: str, value: str) -> None:
    """One variable. A refusal ends the channel's request with an error, as officially."""
    message = paramiko.Message()
    message.add_byte(b"\x62")  # SSH_MSG_CHANNEL_REQUEST (RFC 4254, 6.4)
    message.add_int(channel.remote_chanid)
    message.add_string("env")
    message.add_boolean(True)
    message.add_string(key)
    message.add_string(value)
    channel._event_pending()
    transport._send_user_message(message)
    try:
        channel._wait_for_event()
    except paramiko.SSHException:
        raise ProviderError(
            f"{target.name} refuses the environment variable {key}; allow it in sshd_config "
            f"(AcceptEnv {key}), or pass the value by stdin"
        ) from None


def _send(channel: paramiko.Channel, stdin: str) -> None:
    try:
        channel.sendall(stdin.encode())
        channel.shutdown_write()
    except OSError:
        return  # the command ended without reading it all


def _read(stream: paramiko.ChannelFile, into: io.StringIO, on_text: Callable[[str], None]) -> None:
    while line := stream.readline():
        text = line.decode(errors="replace") if isinstance(line, bytes) else line
        into.write(text)
        on_text(text)
