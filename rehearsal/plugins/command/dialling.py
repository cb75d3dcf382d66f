"""Reaching an SSH server: one dial with its log-in, and dials until one succeeds."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import paramiko

from rehearsal.plugins.command.forwarded import Forwarded
from rehearsal.plugins.command.inputs import Endpoint
from rehearsal.plugins.command.keys import private_key
from rehearsal.plugins.command.stopping import Operation
from rehearsal.plugins.protocol import ProviderError

# as the official provider's
_BACKOFF_S, _BACKOFF_FACTOR, _BACKOFF_MOST_S = 0.1, 1.5, 5.0

# failed dials are told by our own errors
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

Link = socket.socket | Forwarded
Report = Callable[[str], None]


class _HostKeyDiffers(paramiko.SSHException):
    """The server is not the one that is expected."""


@contextmanager
def connected(
    endpoint: Endpoint,
    called: str,
    connect: Callable[[float | None], Link],
    operation: Operation,
    report: Report,
    keepalive: float,
) -> Iterator[paramiko.Transport]:
    """A logged-in connection, closed afterwards.

    called: the server's name in reports and errors.
    connect: opens the link to the server within some seconds (None: no limit).
    report: told of every failed dial that is tried again.
    keepalive: seconds between questions whether the server still answers; the official provider
    asks none, and so never learns that a silent one is gone.

    Every failure is tried again, a refused key too: a host's first boot may still be writing it.
    Raises ProviderError after the endpoint's dial_error_limit.
    """
    # a key that cannot be read will not become readable
    key = (
        None
        if endpoint.private_key is None
        else private_key(endpoint.private_key, endpoint.private_key_password, endpoint.name)
    )
    failed, wait = 0, _BACKOFF_S
    while True:
        operation.check()
        limit = operation.limit(endpoint.per_dial_timeout)
        try:
            link = connect(limit)
            transport = _log_in(endpoint, key, link, operation, limit)
            break
        except (OSError, EOFError, paramiko.SSHException) as error:
            operation.check()
            failed += 1
            reason = _reason(endpoint, error)
            if 0 <= endpoint.dial_error_limit < failed:
                attempts = f"{failed} failed attempt{'s' if failed > 1 else ''}"
                raise ProviderError(
                    f"cannot connect to {called} after {attempts}: {reason}"
                ) from None
            most = endpoint.dial_error_limit if endpoint.dial_error_limit >= 0 else "inf"
            report(f"Dial {called} {failed}/{most} failed: retrying: {reason}")
        operation.wait(wait)
        wait = min(wait * _BACKOFF_FACTOR, _BACKOFF_MOST_S)
    done = threading.Event()
    threading.Thread(target=_keep_alive, args=(transport, done, keepalive), daemon=True).start()
    try:
        with operation.holding(lambda: close(transport)):
            yield transport
    finally:
        done.set()
        close(transport)


def close(link: paramiko.Transport | Link) -> None:
    """However often, and when the proxy below it is gone already."""
    with suppress(OSError, EOFError, paramiko.SSHException):
        link.close()


def connect_tcp(endpoint: Endpoint, operation: Operation, limit: float | None) -> socket.socket:
    """A TCP connection to the server within `limit` seconds. Raises OSError."""
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    failure = OSError(f"{endpoint.host} has no address")
    for family, kind, protocol, _, address in found:
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(limit)
            # a shutdown wakes a connect that is waiting; a close would not
            with operation.holding(lambda: _shut_down(link)):  # noqa: B023
                link.connect(address)
            return link
        except OSError as error:
            link.close()
            failure = error
        except BaseException:
            link.close()
            raise
    raise failure


def connect_through(
    proxy: paramiko.Transport, endpoint: Endpoint, limit: float | None
) -> Forwarded:
    """A forwarded connection to the server. Raises SSHException."""
    address = (endpoint.host, endpoint.port)
    return Forwarded(proxy.open_channel("direct-tcpip", address, ("127.0.0.1", 0), timeout=limit))


def _shut_down(link: socket.socket) -> None:
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # not connected any more


def _log_in(
    endpoint: Endpoint,
    key: paramiko.PKey | None,
    link: Link,
    operation: Operation,
    limit: float | None,
) -> paramiko.Transport:
    transport = paramiko.Transport(cast(Any, link))  # its type names no protocol
    try:
        with operation.holding(lambda: close(transport)):
            if limit is not None:
                transport.banner_timeout = transport.auth_timeout = limit
                transport.handshake_timeout = limit
            transport.start_client(timeout=limit)
            _check_host_key(endpoint, transport)
            _authenticate(endpoint, key, transport)
        return transport
    except BaseException:
        close(transport)
        close(link)  # a transport that has not begun does not close it
        raise


def _authenticate(
    endpoint: Endpoint, key: paramiko.PKey | None, transport: paramiko.Transport
) -> None:
    """The key first, then the password, as officially."""
    if key is not None:
        try:
            transport.auth_publickey(endpoint.user, key)
        except paramiko.AuthenticationException:
            if endpoint.password is None:
                raise
    if not transport.is_authenticated() and endpoint.password is not None:
        transport.auth_password(endpoint.user, endpoint.password)
    if not transport.is_authenticated():
        raise paramiko.AuthenticationException("the server asks for more than one proof")


def _check_host_key(endpoint: Endpoint, transport: paramiko.Transport) -> None:
    if endpoint.host_key is None:
        return
    key = transport.get_remote_server_key()
    if endpoint.host_key.split()[:2] != [key.get_name(), key.get_base64()]:
        raise _HostKeyDiffers


def _reason(endpoint: Endpoint, error: Exception) -> str:
    """Why a dial failed, in the words of the official provider where it has some."""
    means = "private key" if endpoint.private_key is not None else "password"
    if isinstance(error, _HostKeyDiffers):
        return "ssh: handshake failed: its host key is not the given one"
    if isinstance(error, paramiko.AuthenticationException):
        return (
            f"ssh: handshake failed: unable to authenticate {endpoint.user}@{endpoint.host} "
            f"with the given {means}"
        )
    if isinstance(error, paramiko.ChannelException):
        return f"the proxy cannot reach it: {error.text.lower()}"
    if isinstance(error, TimeoutError):
        return "connect: timed out"
    if isinstance(error, OSError):
        return f"connect: {(error.strerror or str(error) or type(error).__name__).lower()}"
    return f"ssh: handshake failed: {str(error) or 'the server hung up'}"


def _keep_alive(transport: paramiko.Transport, done: threading.Event, interval: float) -> None:
    """Closes a connection whose server is silent for two intervals."""
    while not done.wait(interval) and transport.is_active():
        silent = threading.Timer(interval, close, [transport])
        silent.daemon = True
        silent.start()
        try:
            transport.global_request("keepalive@openssh.com", wait=True)
        except (OSError, EOFError, paramiko.SSHException):
            return  # closed meanwhile
        finally:
            silent.cancel()
