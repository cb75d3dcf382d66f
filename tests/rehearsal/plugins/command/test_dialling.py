"""Reaching hosts: retries, proxies, keys, limits, and what a person is told when it fails."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from rehearsal.plugins.command.inputs import connection_of
from rehearsal.plugins.command.ssh import Client, Command, Listener, Result
from rehearsal.plugins.command.stopping import Cancelled, TimedOut
from rehearsal.plugins.protocol import ProviderError
from tests.rehearsal.plugins.command.conftest import MakeSshd
from tests.rehearsal.plugins.command.password_server import password_server
from tests.rehearsal.plugins.command.sshd import (
    USER,
    Key,
    Sshd,
    alive,
    free_port,
    frozen,
    until,
)

_ROOMY = {"dialErrorLimit": 60, "perDialTimeout": 10}


def _run(
    connection: dict[str, Any],
    line: str = "echo ran",
    client: Client | None = None,
    timeout: float = 0,
    retrying: Callable[[str], None] = lambda text: None,
) -> Result:
    return (client or Client()).run(
        connection_of({"connection": connection}),
        Command(line, "", {}, {}),
        Listener(lambda stream, text: None, retrying, lambda text: None),
        timeout,
    )


def _in_background(call: Callable[[], Result]) -> Future[Result]:
    """Not waited for by a test that fails."""
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def test_a_port_that_opens_late_is_reached(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "late", Key.new())
    refused: list[str] = []
    running = _in_background(lambda: _run(server.connection(**_ROOMY), retrying=refused.append))
    until(lambda: len(refused) >= 3)
    with server.running():
        assert running.result(30).stdout == "ran\n"
    assert refused[0] == (
        f"Dial {USER}@127.0.0.1:{server.port} 1/60 failed: retrying: connect: connection refused"
    )


def test_a_host_that_learns_the_key_late_is_reached(make_sshd: MakeSshd) -> None:
    """As on EC2, where sshd may be up before the first boot has written the key."""
    server, late = make_sshd(), Key.new()
    refused: list[str] = []
    running = _in_background(
        lambda: _run(server.connection(privateKey=late.text(), **_ROOMY), retrying=refused.append)
    )
    until(lambda: refused)
    (server.folder / "authorized_keys").write_text(late.public)
    assert running.result(30).stdout == "ran\n"


def test_a_dead_port_fails_after_the_limit_with_host_attempts_and_reason() -> None:
    server = Sshd(Path("nowhere"), Key.new())
    with pytest.raises(ProviderError) as failed:
        _run(server.connection(dialErrorLimit=2))
    assert str(failed.value) == (
        f"cannot connect to {USER}@127.0.0.1:{server.port} after 3 failed attempts: "
        "connect: connection refused"
    )
    with pytest.raises(ProviderError, match="after 1 failed attempt: "):
        _run(server.connection(dialErrorLimit=0))


def test_a_wrong_key_is_told_as_one_and_never_shown(sshd: Sshd) -> None:
    wrong = Key.new().text()
    with pytest.raises(ProviderError) as failed:
        _run(sshd.connection(privateKey=wrong, dialErrorLimit=1))
    assert str(failed.value) == (
        f"cannot connect to {USER}@127.0.0.1:{sshd.port} after 2 failed attempts: ssh: handshake "
        f"failed: unable to authenticate {USER}@127.0.0.1 with the given private key"
    )


def test_a_server_that_says_nothing_is_given_up_within_the_dial_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = Sshd(Path("nowhere"), Key.new(), port=silent.getsockname()[1])
        with pytest.raises(ProviderError, match="after 1 failed attempt: ssh: handshake failed"):
            _run(server.connection(dialErrorLimit=0, perDialTimeout=1))


@pytest.mark.parametrize(
    ("kind", "format", "password"),
    [
        ("ed25519", PrivateFormat.OpenSSH, None),
        ("ed25519", PrivateFormat.OpenSSH, "sesame"),
        ("ed25519", PrivateFormat.PKCS8, None),
        ("rsa", PrivateFormat.TraditionalOpenSSL, None),
        ("rsa", PrivateFormat.TraditionalOpenSSL, "sesame"),
        ("rsa", PrivateFormat.OpenSSH, None),
        ("rsa", PrivateFormat.PKCS8, "sesame"),
        ("ecdsa", PrivateFormat.TraditionalOpenSSL, None),
        ("ecdsa", PrivateFormat.OpenSSH, "sesame"),
    ],
)
def test_keys_of_every_kind_and_format_log_in(
    make_sshd: MakeSshd, kind: str, format: PrivateFormat, password: str | None
) -> None:
    server = make_sshd(key=Key.new(kind))
    private = server.key.text(format, password)
    connection = server.connection(privateKey=private, privateKeyPassword=password)
    assert _run(connection).stdout == "ran\n"


@pytest.mark.parametrize(
    ("private", "password", "says"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\np1ea5e-h1de", None, "cannot be read"),
        ("p1ea5e-h1de", None, "cannot be read"),
        (Key.new().text(password="p1ea5e-h1de"), None, "needs its password"),
        (Key.new().text(password="right"), "p1ea5e-h1de", "its password the right one"),
        (Key.new("rsa").text(PrivateFormat.PKCS8), "p1ea5e-h1de", "has no password"),
    ],
)
def test_a_key_that_cannot_be_read_fails_at_once_and_is_never_shown(
    sshd: Sshd, private: str, password: str | None, says: str
) -> None:
    before = sshd.connections
    with pytest.raises(ProviderError, match=says) as failed:
        _run(sshd.connection(privateKey=private, privateKeyPassword=password, **_ROOMY))
    assert "p1ea5e-h1de" not in str(failed.value)
    assert private.strip().splitlines()[-1] not in str(failed.value)
    assert sshd.connections == before


def test_the_host_key_is_checked_when_it_is_given(make_sshd: MakeSshd) -> None:
    server = make_sshd()
    assert _run(server.connection(hostKey=server.host_key.public)).status == 0
    with pytest.raises(ProviderError, match="its host key is not the given one"):
        _run(server.connection(hostKey=Key.new().public, dialErrorLimit=0))
    assert server.logins == 1


@pytest.mark.parametrize("interactive", [False, True])
def test_a_password_logs_in(interactive: bool) -> None:
    with password_server("sesame", interactive) as port:
        connection = {"host": "127.0.0.1", "port": port, "password": "sesame"}
        assert _run(connection).stdout == "ran as root\n"
        both = {**connection, "privateKey": Key.new().text()}
        assert _run(both).stdout == "ran as root\n"
        with pytest.raises(ProviderError, match="with the given password") as failed:
            _run({**connection, "password": "p1ea5e-h1de", "dialErrorLimit": 0})
        assert "p1ea5e-h1de" not in str(failed.value)


def test_a_proxy_is_gone_through(sshd: Sshd, make_sshd: MakeSshd) -> None:
    proxy = make_sshd()
    connection = sshd.connection(proxy=proxy.connection())
    assert _run(connection, "echo $SSH_CLIENT").stdout.startswith("127.0.0.1 ")
    assert proxy.logins == 1


def test_both_hops_are_named_in_their_failures(sshd: Sshd, make_sshd: MakeSshd) -> None:
    proxy = make_sshd()
    wrong = proxy.connection(privateKey=Key.new().text(), dialErrorLimit=0)
    with pytest.raises(ProviderError, match=re.escape(f"the proxy {USER}@127.0.0.1:{proxy.port}")):
        _run(sshd.connection(proxy=wrong))
    nobody = sshd.connection(port=free_port(), dialErrorLimit=1, proxy=proxy.connection())
    reason = f"127.0.0.1:{nobody['port']} after 2 failed attempts: the proxy cannot reach it"
    with pytest.raises(ProviderError, match=re.escape(reason)):
        _run(nobody)
    assert proxy.logins == 1  # dialled once for both attempts


def test_commands_at_the_same_time_share_a_proxys_connection(
    sshd: Sshd, make_sshd: MakeSshd, tmp_path: Path
) -> None:
    """All 16 are running at once: each waits until it sees all the others."""
    proxy, client, here = make_sshd("MaxStartups 2:100:2"), Client(), tmp_path / "here"
    here.mkdir()
    connection = sshd.connection(proxy=proxy.connection(**_ROOMY), **_ROOMY)
    wait = f"until [ $(ls {here} | wc -l) = 16 ]; do sleep 0.05; done"
    with ThreadPoolExecutor(16) as pool:
        results = list(
            pool.map(
                lambda n: _run(connection, f"touch {here}/{n}; {wait}; echo {n}", client), range(16)
            )
        )
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(16)]
    assert proxy.logins == 1
    assert _run(connection, client=client).status == 0
    assert proxy.logins == 2  # nothing is kept open when nobody uses it


def test_a_proxy_that_went_away_is_dialled_again(sshd: Sshd, tmp_path: Path) -> None:
    proxy = Sshd(tmp_path / "proxy", Key.new())
    reports: list[str] = []
    connection = sshd.connection(port=free_port(), proxy=proxy.connection(**_ROOMY), **_ROOMY)
    target = Sshd(tmp_path / "target", sshd.key, port=connection["port"])
    with proxy.running():
        running = _in_background(lambda: _run(connection, retrying=reports.append))
        until(lambda: any("the proxy cannot reach it" in text for text in reports))
    until(lambda: any(text.startswith("Dial the proxy ") for text in reports))
    with proxy.running(), target.running():
        assert running.result(60).stdout == "ran\n"


@pytest.fixture
def visitor() -> Iterator[Sshd]:
    """A server for an ordinary user: sshd passes no signals on to commands of root's."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        with Sshd(Path(folder), Key.new(), user="visitor").running() as server:
            yield server


def test_cancel_hangs_up_on_a_running_command(visitor: Sshd) -> None:
    client, pid = Client(), visitor.folder / "pid"
    proxied = visitor.connection(proxy=visitor.connection())
    line = f"echo $$ > {pid}.new && mv {pid}.new {pid}; exec sleep 600"
    running = _in_background(lambda: _run(proxied, line, client))
    until(pid.is_file)
    client.cancel()
    with pytest.raises(Cancelled):
        running.result(10)
    until(lambda: not alive(int(pid.read_text())))
    with pytest.raises(Cancelled):
        _run(proxied, client=client)


@pytest.mark.parametrize("proxied", [False, True])
def test_cancel_ends_a_dial_that_is_tried_for_ever(sshd: Sshd, proxied: bool) -> None:
    client, reports = Client(), list[str]()
    dead = sshd.connection(port=free_port(), dialErrorLimit=-1)
    connection = sshd.connection(proxy=dead) if proxied else dead
    running = _in_background(lambda: _run(connection, client=client, retrying=reports.append))
    until(lambda: len(reports) >= 2)
    assert "2/inf failed" in reports[1]
    client.cancel()
    with pytest.raises(Cancelled):
        running.result(10)


def test_cancel_ends_a_handshake_and_a_connect_that_wait(sshd: Sshd) -> None:
    with socket.socket() as silent, socket.socket() as full:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        client = Client()
        waiting = [
            _in_background(
                lambda port=port: _run(  # type: ignore[misc]
                    sshd.connection(port=port, perDialTimeout=600), client=client
                )
            )
            for port in (silent.getsockname()[1], *[full.getsockname()[1]] * 4)
        ]
        silent.accept()[0].recv(4)  # the client's banner: it is in its handshake
        client.cancel()
        for running in waiting:
            with pytest.raises(Cancelled):
                running.result(10)


def test_the_operations_own_time_limit_ends_dials_and_commands(sshd: Sshd, visitor: Sshd) -> None:
    forever = sshd.connection(port=free_port(), dialErrorLimit=-1)
    with pytest.raises(TimedOut, match=r"time limit, 0\.5 s"):
        _run(forever, timeout=0.5)
    with pytest.raises(TimedOut):
        _run(sshd.connection(proxy=forever), timeout=0.5)
    pid = visitor.folder / "pid"
    with pytest.raises(TimedOut):
        _run(visitor.connection(), f"echo $$ > {pid}; exec sleep 600", timeout=10)
    until(lambda: not alive(int(pid.read_text())))


def test_a_server_that_falls_silent_is_noticed(make_sshd: MakeSshd, tmp_path: Path) -> None:
    server, pid = make_sshd(), tmp_path / "pid"
    wait = f"while [ -e {pid} ]; do sleep 0.05; done"
    line = f"echo so far; echo $PPID > {pid}.new && mv {pid}.new {pid}; {wait}"
    running = _in_background(lambda: _run(server.connection(), line, Client(keepalive=0.5)))
    until(pid.is_file)
    try:
        with frozen(int(pid.read_text())):
            result = running.result(20)
    finally:
        pid.unlink()
    assert (result.status, result.lost, result.stdout) == (None, True, "so far\n")


def test_a_quiet_command_on_a_live_server_is_left_alone(sshd: Sshd, tmp_path: Path) -> None:
    done = tmp_path / "done"
    line = f"until [ -e {done} ]; do sleep 0.05; done; echo done"
    client = Client(keepalive=1)
    running = _in_background(lambda: _run(sshd.connection(), line, client))
    with pytest.raises(TimeoutError):
        running.result(4)
    done.touch()
    assert running.result(10).stdout == "done\n"
