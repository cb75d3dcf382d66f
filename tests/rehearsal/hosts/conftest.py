"""Hosts on a network of the test's own: an operator's namespace with a link to each host."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rehearsal.hosts import Host, HostSpec, build_base, check_machine, remove_all
from rehearsal.paths import Paths


def until(condition: Callable[[], object], limit_s: float = 30.0) -> None:
    """Wait for `condition`, looking ten times a second; fails the test after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not so after {limit_s} s"
        time.sleep(0.1)


class Lan:
    """An operator's namespace, and hosts with a /30 link to it each."""

    def __init__(self, paths: Paths, base: Path) -> None:
        self.paths = paths
        self.base = base
        self.prefix = f"th-{os.getpid()}"
        self.operator = f"{self.prefix}-op"
        self.key = paths.run / "key"
        self._numbers = itertools.count(1)
        self._namespaces: list[str] = []
        self._addresses: dict[str, str] = {}
        paths.run.mkdir(parents=True, exist_ok=True)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        self._namespace(self.operator)

    def spec(self, user_data: str | None = None) -> HostSpec:
        """A host's specification, its network made."""
        number = next(self._numbers)
        name = f"{self.prefix}-{number}"
        self._namespace(name)
        link, near, far = f"v{number}", f"10.99.{number}.1", f"10.99.{number}.2"
        _run(
            *f"ip link add eth0 netns {name} type veth peer name {link} netns".split(),
            self.operator,
        )
        for namespace, device, address in ((self.operator, link, near), (name, "eth0", far)):
            _run(*f"ip -n {namespace} address add {address}/30 dev {device}".split())
            _run(*f"ip -n {namespace} link set {device} up".split())
        _run(*f"ip -n {name} route add default via {near}".split())
        self._addresses[name] = far
        return HostSpec(
            name=name,
            netns=name,
            hostname=f"ip-{far.replace('.', '-')}",
            user="admin",
            authorized_key=self.key.with_suffix(".pub").read_text(),
            user_data=user_data,
            resolver=near,
            base=self.base,
        )

    def create(self, user_data: str | None = None) -> Host:
        spec = self.spec(user_data)
        return Host.create(self.paths.hosts / spec.name, spec)

    def ssh(self, host: Host, command: str) -> subprocess.CompletedProcess[str]:
        """Run `command` on the host, whose key must be the one it was made with."""
        address = self._addresses[host.spec.name]
        known = self.paths.run / f"known-{host.spec.name}"
        known.write_text(f"{address} {host.host_key}\n")
        options = ["-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}"]
        options += [
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "ConnectTimeout=2",
            "-i",
            str(self.key),
        ]
        login = ["ip", "netns", "exec", self.operator, "ssh", "-q", *options, f"admin@{address}"]
        return subprocess.run([*login, command], capture_output=True, text=True, timeout=60)

    def wait(self, host: Host) -> None:
        """Until it answers by SSH and its first boot is over."""
        until(
            lambda: self.ssh(host, "test -e /var/lib/cloud/instance/boot-finished").returncode == 0
        )

    def ask(self, host: Host, command: str) -> str:
        """The output of a command that must succeed."""
        done = self.ssh(host, command)
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done.stdout.strip()

    def close(self) -> None:
        remove_all(self.paths, lambda _: None)
        for namespace in self._namespaces:
            _run("ip", "netns", "delete", namespace)

    def _namespace(self, name: str) -> None:
        _run("ip", "netns", "add", name)
        self._namespaces.append(name)
        _run("ip", "-n", name, "link", "set", "lo", "up")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image, from the cache of this machine (made there when it is missing)."""
    if os.geteuid() != 0 or check_machine():
        pytest.skip(f"this machine can't hold hosts: {check_machine()}")
    return build_base(Paths(run=tmp_path_factory.mktemp("run")), print)


@pytest.fixture(scope="module")
def lan(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    lan = Lan(Paths(run=tmp_path_factory.mktemp("run")), base)
    try:
        yield lan
    finally:
        lan.close()
