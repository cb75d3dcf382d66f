"""Commands on hosts, over SSH."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import paramiko

from rehearsal.plugins.command.dialling import (
    Link,
    Report,
    close,
    connect_tcp,
    connect_through,
    connected,
)
from rehearsal.plugins.command.inputs import Connection, Endpoint
from rehearsal.plugins.command.proxies import Proxies
from rehearsal.plugins.command.stopping import Cancellation, Operation
from rehearsal.plugins.protocol import ProviderError

_KEEPALIVE_S = 30.0
_OPEN_SESSION_S = 60.0
_CHUNK = 32768
# RFC 4254, 6.4 and 6.9
_CHANNEL_REQUEST = b"\x62"


@dataclass(frozen=True)
class Command:
    """What to run. environment: refused by sshd, it is an error; optional: only a warning."""

    line: str
    stdin: str
    environment: Mapping[str, str]
    optional_environment: Mapping[str, str]


@dataclass(frozen=True)
class Listener:
    """Who is told of what happens: output(stream, line), a failed dial, a warning."""

    output: Callable[[str, str], None]
    retrying: Report
    warning: Report


@dataclass(frozen=True)
class Result:
    """What a command left. status: its exit status; None when a signal or a lost link ended it.

    both: stdout and stderr in the order of their arrival. lost: the connection broke.
    """

    status: int | None
    lost: bool
    stdout: str
    stderr: str
    both: str


class Client:
    """Runs commands; `cancel` makes everything in hand fail soon.

    keepalive: seconds between questions whether a server still answers.
    """

    def __init__(self, keepalive: float = _KEEPALIVE_S) -> None:
        self._keepalive = keepalive
        self._cancellation = Cancellation()
        self._proxies = Proxies()

    def cancel(self) -> None:
        """Hangs up: commands get SIGHUP (as far as their user may send it) and lose their link."""
        self._cancellation.cancel()

    def run(
        self, connection: Connection, command: Command, listener: Listener, timeout: float
    ) -> Result:
        """Runs one command to its end. timeout: seconds for all of it, 0 is no limit.

        Raises ProviderError if the host can't be reached or refuses the environment; Cancelled;
        TimedOut.
        """
        operation = Operation(self._cancellation, timeout)
        try:
            with self._connect(connection, operation, listener.retrying) as transport:
                result = _execute(transport, connection.target, command, listener, operation)
        except ProviderError:
            operation.check()  # what a closed connection led to has a reason of its own
            raise
        if result.status is None:
            operation.check()
        return result

    @contextmanager
    def _connect(
        self, connection: Connection, operation: Operation, report: Report
    ) -> Iterator[paramiko.Transport]:
        target, proxy = connection.target, connection.proxy
        with ExitStack() as held:
            via: paramiko.Transport | None = None

            def link(limit: float | None) -> Link:
                nonlocal via
                if proxy is None:
                    return connect_tcp(target, operation, limit)
                if via is None or not via.is_active():
                    held.close()
                    via = held.enter_context(self._use(proxy, operation, report))
                return connect_through(via, target, limit)

            with connected(
                target, target.name, link, operation, report, self._keepalive
            ) as transport:
                yield transport

    def _use(
        self, proxy: Endpoint, operation: Operation, report: Report
    ) -> AbstractContextManager[paramiko.Transport]:
        """The shared connection to a proxy: under the proxy's own dial limits, and none of an
        operation, as others may wait for it too."""
        everybody = Operation(self._cancellation, 0)
        return self._proxies.use(
            proxy,
            lambda: connected(
                proxy,
                f"the proxy {proxy.name}",
                lambda limit: connect_tcp(proxy, everybody, limit),
                everybody,
                report,
                self._keepalive,
            ),
            operation,
        )


def _execute(
    transport: paramiko.Transport,
    target: Endpoint,
    command: Command,
    listener: Listener,
    operation: Operation,
) -> Result:
    output = _Output(listener.output)
    try:
        channel = _session(transport, target, command, listener.warning, operation)
    except (OSError, EOFError, paramiko.SSHException):
        raise _lost(target) from None
    with channel, operation.holding(lambda: _hang_up(channel)):
        try:
            channel.exec_command(command.line)
        except (OSError, EOFError, paramiko.SSHException):
            raise _lost(target) from None
        threading.Thread(target=_send, args=(channel, command.stdin), daemon=True).start()
        errors = threading.Thread(
            target=output.read, args=("stderr", channel.recv_stderr), daemon=True
        )
        errors.start()
        output.read("stdout", channel.recv)
        errors.join()
        status = channel.recv_exit_status()
    return Result(
        status=None if status < 0 else status,
        lost=status < 0 and not transport.is_active(),
        stdout=output.text("stdout"),
        stderr=output.text("stderr"),
        both=output.text("both"),
    )


def _lost(target: Endpoint) -> ProviderError:
    return ProviderError(f"the connection to {target.name} was lost before the command began")


def _session(
    transport: paramiko.Transport,
    target: Endpoint,
    command: Command,
    warn: Report,
    operation: Operation,
) -> paramiko.Channel:
    """A session with the command's environment; it begins anew without a refused optional one."""
    optional = dict(command.optional_environment)
    while True:
        channel = transport.open_session(timeout=operation.limit(_OPEN_SESSION_S))
        for key, value in command.environment.items():
            if not _set_variable(transport, channel, key, value):
                raise ProviderError(
                    f"{target.name} refuses the environment variable {key}: allow it in its "
                    f"sshd_config (AcceptEnv {key}), or pass the value by stdin"
                )
        for key, value in optional.items():
            if not _set_variable(transport, channel, key, value):
                warn(
                    f"Unable to set '{key}': allow it in sshd_config of {target.name} "
                    f"(AcceptEnv {key}), or set addPreviousOutputInEnv to false"
                )
                del optional[key]
                break
        else:
            return channel


def _set_variable(
    transport: paramiko.Transport, channel: paramiko.Channel, key: str, value: str
) -> bool:
    """False when the server refuses, which also ends the channel.

    The library's own call asks for no answer, so that a refusal would go unnoticed.
    """
    wire: Any = channel
    message = _request(channel, "env", answer=True)
    message.add_string(key)
    message.add_string(value)
    wire._event_pending()
    _send_message(transport, message)
    try:
        wire._wait_for_event()
    except paramiko.SSHException:
        if not transport.is_active():
            raise
        return False
    return True


def _hang_up(channel: paramiko.Channel) -> None:
    message = _request(channel, "signal", answer=False)
    message.add_string("HUP")
    with suppress(OSError, EOFError, paramiko.SSHException):  # closed already
        _send_message(channel.get_transport(), message)
    close(channel.get_transport())


def _request(channel: Any, kind: str, answer: bool) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string(kind)
    message.add_boolean(answer)
    return message


def _send_message(transport: Any, message: paramiko.Message) -> None:
    transport._send_user_message(message)


def _send(channel: paramiko.Channel, stdin: str) -> None:
    try:
        channel.sendall(stdin.encode())
        channel.shutdown_write()
    except (OSError, EOFError, paramiko.SSHException):
        return  # the command ended without reading it all


class _Output:
    """Collects both streams and tells of every line as it comes."""

    def __init__(self, on_line: Callable[[str, str], None]) -> None:
        self._on_line = on_line
        self._lock = threading.Lock()
        self._bytes = {name: bytearray() for name in ("stdout", "stderr", "both")}

    def read(self, stream: str, receive: Callable[[int], bytes]) -> None:
        """Until the stream's end."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        rest = ""
        while data := receive(_CHUNK):
            with self._lock:
                self._bytes[stream] += data
                self._bytes["both"] += data
            *lines, rest = (rest + decoder.decode(data)).split("\n")
            for line in lines:
                self._on_line(stream, line.removesuffix("\r"))
        if rest:
            self._on_line(stream, rest)

    def text(self, stream: str) -> str:
        """`stdout`, `stderr`, or `both` in the order of arrival."""
        return self._bytes[stream].decode(errors="replace")
