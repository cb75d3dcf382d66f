"""An SSH server that asks for a password, which a real sshd takes from the machine's accounts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from paramiko.server import InteractiveQuery


class _Account(paramiko.ServerInterface):
    def __init__(self, password: str, interactive: bool) -> None:
        self._password, self._interactive = password, interactive
        self._user = ""

    def get_allowed_auths(self, username: str) -> str:
        return "keyboard-interactive" if self._interactive else "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return self._answer(username, not self._interactive and password == self._password)

    def check_auth_interactive(self, username: str, submethods: str) -> int | InteractiveQuery:
        self._user = username
        if not self._interactive:
            return AUTH_FAILED
        return InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        return self._answer(self._user, responses == [self._password])

    def _answer(self, username: str, right: bool) -> int:
        self._user = username
        return AUTH_SUCCESSFUL if right else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._reply, args=(channel,), daemon=True).start()
        return True

    def _reply(self, channel: paramiko.Channel) -> None:
        while channel.recv(1024):  # the client goes on when it knows that the command runs
            pass
        channel.sendall(f"ran as {self._user}\n".encode())
        channel.send_exit_status(0)
        channel.close()


@contextmanager
def password_server(password: str, interactive: bool) -> Iterator[int]:
    """Its port. interactive: it asks for the password as a question (as PAM does)."""
    key = paramiko.RSAKey.generate(2048)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(link)
            transports.append(transport)
            transport.add_server_key(key)
            # answers in the background
            transport.start_server(threading.Event(), _Account(password, interactive))

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for transport in transports:
            transport.close()
