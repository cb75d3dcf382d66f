"""The hosts that both ways start from: one set of addresses, new disks for each measurement."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.hosts.host import remove_all
from rehearsal.namespace import operator_command
from rehearsal.network import Layout, detach_host
from rehearsal.paths import Paths
from rehearsal.process import Daemon
from rehearsal.world import World
from settings import Node, Settings

_BOOT_LIMIT_S = 300.0


@dataclass(frozen=True)
class Machine:
    """One instance of the rehearsal's cloud. public_ip: None if private."""

    node: Node
    instance_id: str
    private_ip: str
    public_ip: str | None

    @property
    def provider_id(self) -> str:
        """As the program writes it."""
        return f"aws:///{self.node.zone}/{self.instance_id}"


def machines(paths: Paths, settings: Settings) -> list[Machine]:
    """The instances, in the settings' order. Raises RehearsalError if a node has none."""
    found = {entry["name"]: entry for entry in _instances(paths)}
    if missing := [node.name for node in settings.nodes if node.name not in found]:
        raise RehearsalError(f"no instance runs for {', '.join(missing)}; see logs/reconciler.log")
    return [
        Machine(
            node,
            found[node.name]["id"],
            found[node.name]["private_ip"],
            found[node.name]["public_ip"],
        )
        for node in settings.nodes
    ]


def renew(world: World, all_machines: Sequence[Machine]) -> None:
    """Gives every instance a new host: same address, empty disk, a network namespace of its own.

    The cloud knows nothing of it. The reconciler rests meanwhile, or it would take the hosts'
    end for a crash; started again, it finds instances without hosts and boots them.
    """
    paths = world.paths
    Daemon("reconciler", (), {}, paths.run).stop()
    remove_all(paths, world.report)
    for machine in all_machines:
        detach_host(Layout(), machine.instance_id)
    (paths.run / "reconciler.json").unlink(missing_ok=True)
    world.start()
    _wait(
        "every host has booted",
        lambda: (
            {entry["id"] for entry in _instances(paths) if entry["booted"]}
            >= {machine.instance_id for machine in all_machines}
        ),
    )


def write_ssh_config(
    folder: Path, paths: Paths, settings: Settings, all_machines: Sequence[Machine], shared: bool
) -> Path:
    """An ssh_config that reaches each host by its node's name, private ones by the bastion.

    shared: connections to one host share one (ControlMaster), as `bare.sh` uses it.
    """
    lines = [
        "Host *",
        f"  User {settings.ssh.user}",
        f"  IdentityFile {paths.ssh_key}",
        f"  UserKnownHostsFile {folder}/known_hosts",
        "  StrictHostKeyChecking accept-new",
        "  BatchMode yes",
        "  ConnectTimeout 10",
        "  ServerAliveInterval 15",
        "  LogLevel ERROR",
    ]
    if shared:
        lines += [
            "  ControlMaster auto",
            f"  ControlPath {folder}/control-%C",
            "  ControlPersist 5m",
        ]
    for machine in all_machines:
        lines += [f"Host {machine.node.name}"]
        if machine.public_ip:
            lines += [f"  HostName {machine.public_ip}"]
        else:
            lines += [f"  HostName {machine.private_ip}"]
            lines += [f"  ProxyJump {settings.access.bastion}"]
    config = folder / ("ssh_config" if shared else "ssh_config_once")
    config.write_text("\n".join(lines) + "\n")
    return config


def wait_until_up(config: Path, all_machines: Sequence[Machine]) -> None:
    """Returns when every host answers SSH and its systemd has started all that starts at boot.

    Then writes to the disk what is on its way there: it is of the time before.
    """

    def is_up(machine: Machine) -> bool:
        done = ssh(config, machine.node.name, "systemctl is-system-running", check=False)
        return done.strip() in ("running", "degraded")

    with ThreadPoolExecutor(max_workers=4) as pool:  # sshd drops more than 10 logins at a time
        for _ in pool.map(
            lambda machine: _wait(
                f"{machine.node.name} answers SSH and has started", lambda: is_up(machine), 1.0
            ),
            all_machines,
        ):
            pass
    os.sync()


def ssh(config: Path, host: str, command: str, *, check: bool = True) -> str:
    """Runs a command on a host as the operator; returns its standard output.

    Raises RehearsalError with the end of standard error if it fails and `check`.
    """
    done = subprocess.run(
        operator_command(["ssh", "-F", str(config), host, command]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        raise RehearsalError(f"on {host} `{command}` failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _instances(paths: Paths) -> list[dict[str, str]]:
    """What the reconciler last wrote of the instances; empty before it first does."""
    try:
        found: list[dict[str, str]] = json.loads((paths.run / "reconciler.json").read_text())[
            "instances"
        ]
    except FileNotFoundError:
        return []
    return [entry for entry in found if entry["state"] == "running"]


def _wait(what: str, done: Callable[[], bool], step_s: float = 0.5) -> None:
    deadline = time.monotonic() + _BOOT_LIMIT_S
    while not done():
        if time.monotonic() > deadline:
            raise RehearsalError(f"gave up after {_BOOT_LIMIT_S:.0f} s waiting until {what}")
        time.sleep(step_s)
