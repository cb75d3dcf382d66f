"""Hosts that stop, die, come back and go, by order and by accident."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.hosts import Host, list_hosts, remove_all
from rehearsal.hosts.cgroups import HostCgroups, machine_hierarchies

from .conftest import Lan, until

CHECKOUT = Path(__file__).parents[3]


def cgroups(name: str) -> HostCgroups:
    return HostCgroups(name, tuple(machine_hierarchies()))


def assert_no_trace(directory: Path) -> None:
    name = directory.name
    assert not directory.exists()
    assert cgroups(name).pids() == []
    for hierarchy in machine_hierarchies():
        assert not (hierarchy.folder / "groundwork" / name).exists()
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            assert str(directory) not in mounts.read_text()
        except OSError:  # the process has ended
            continue
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert f" {name} " not in processes


def test_every_way_to_come_back_keeps_the_disk(lan: Lan) -> None:
    host = lan.create("#!/bin/sh\necho run >>/root/runs\n")
    host.boot()
    lan.wait(host)
    key = host.host_key
    lan.ask(host, "sudo touch /etc/kept /var/lib/kubelet/kept && sync")

    def boots() -> str:
        return lan.ssh(host, "cat /proc/sys/kernel/random/boot_id").stdout

    def assert_came_back(before: str) -> None:
        until(lambda: boots() not in ("", before))
        assert lan.ask(host, "ls /etc/kept /var/lib/kubelet/kept; sudo cat /root/runs").split() == [
            "/etc/kept",
            "/var/lib/kubelet/kept",
            "run",
        ]
        assert host.host_key == key
        assert host.running

    before = boots()
    host.reboot()
    assert_came_back(before)

    before = boots()
    lan.ssh(host, "sudo systemctl reboot")
    assert_came_back(before)

    before = boots()
    host.kill()
    assert not host.running
    host.boot()
    assert_came_back(before)

    before = boots()
    host.shutdown(timeout_s=30)
    assert not host.running
    host.shutdown()
    host.reboot()
    assert_came_back(before)
    host.remove()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user": "ubuntu"}, "no user ubuntu"),
        ({"authorized_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "OpenSSH public key"),
        ({"authorized_key": "ssh-ed25519 AAAA a\nssh-ed25519 AAAA b"}, "OpenSSH public key"),
        ({"user_data": "#cloud-config\n"}, "isn't a script"),
        ({"name": "Not_A_Name"}, "lower-case letters"),
    ],
)
def test_a_specification_that_cannot_be_met_is_refused_and_nothing_made(
    lan: Lan, change: dict[str, str], reason: str
) -> None:
    spec = replace(lan.spec(), **change)  # type: ignore[arg-type]
    with pytest.raises(RehearsalError, match=reason):
        Host.create(lan.paths.hosts / spec.name, spec)
    assert not list(lan.paths.hosts.glob(f"*{spec.name}*"))


def test_another_specification_of_the_same_host_is_refused(lan: Lan) -> None:
    host = lan.create()
    with pytest.raises(RehearsalError, match="another specification"):
        Host.create(host.directory, replace(host.spec, hostname="other"))
    host.remove()


def test_our_umask_is_not_the_hosts(lan: Lan) -> None:
    before = os.umask(0o077)
    try:
        host = lan.create("#!/bin/sh\ntrue\n")
        host.boot()
    finally:
        os.umask(before)
    lan.wait(host)
    modes = lan.ask(host, "stat --format %a / /etc /home /var/log /var/lib/cloud /etc/resolv.conf")
    assert modes.split() == ["755", "755", "755", "755", "755", "644"]
    host.remove()


def test_shutdown_is_in_order(lan: Lan) -> None:
    host = lan.create()
    host.boot()
    lan.wait(host)
    unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStop=/bin/touch /root/stopped\n"
    lan.ask(host, f"printf '{unit}' | sudo tee /etc/systemd/system/last.service")
    lan.ask(host, "sudo systemctl start last.service")
    host.shutdown()
    assert (host.directory / "upper/root/stopped").exists()
    host.remove()


def test_a_shutdown_right_after_boot_is_heard(lan: Lan) -> None:
    host = lan.create()
    host.boot()
    host.shutdown(timeout_s=30)
    assert not host.running
    host.remove()


def test_a_host_that_powers_itself_off_is_not_running(lan: Lan) -> None:
    host = lan.create()
    host.boot()
    lan.wait(host)
    lan.ssh(host, "sudo systemctl poweroff")
    until(lambda: not host.running)
    host.remove()


def test_boot_and_create_twice_change_nothing(lan: Lan) -> None:
    host = lan.create()
    host.boot()
    lan.wait(host)
    processes = set(cgroups(host.spec.name).pids("supervisor"))
    host.boot()
    assert set(cgroups(host.spec.name).pids("supervisor")) == processes
    assert Host.create(host.directory, host.spec).host_key == host.host_key
    host.remove()


def test_remove_leaves_no_trace_and_can_be_repeated(lan: Lan) -> None:
    host = lan.create()
    host.boot()
    lan.wait(host)
    lan.ask(host, "sudo ctr namespaces create test")
    host.remove()
    assert_no_trace(host.directory)
    host.remove()
    with pytest.raises(RehearsalError, match="removed"):
        host.boot()


def test_hosts_outlive_the_process_that_booted_them_and_are_found(lan: Lan) -> None:
    spec = lan.spec()
    program = (
        "import os, sys, json\n"
        "from pathlib import Path\n"
        "from rehearsal.hosts import Host, HostSpec\n"
        "spec = json.loads(sys.stdin.read())\n"
        "spec['base'] = Path(spec['base'])\n"
        "Host.create(Path(sys.argv[1]), HostSpec(**spec)).boot()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    directory = lan.paths.hosts / spec.name
    booted = subprocess.run(
        [sys.executable, "-c", program, str(directory)],
        input=json.dumps({**asdict(spec), "base": str(spec.base)}),
        text=True,
        cwd=CHECKOUT,
    )
    assert booted.returncode == -signal.SIGKILL
    (host,) = [h for h in list_hosts(lan.paths) if h.spec == spec]
    assert host.running
    lan.wait(host)
    host.remove()
    assert_no_trace(directory)


def test_a_host_without_its_supervisor_is_still_ours(lan: Lan) -> None:
    host = lan.create()
    host.boot()
    lan.wait(host)
    for pid in cgroups(host.spec.name).pids("supervisor"):
        if Path(f"/proc/{pid}/comm").read_text().strip() == "supervise.sh":
            os.kill(pid, signal.SIGKILL)
    assert host.running
    host.kill()
    assert not host.running
    host.remove()
    assert_no_trace(host.directory)


def test_remove_all_clears_what_interruptions_left(lan: Lan) -> None:
    whole, bare, lost = lan.create(), lan.create(), lan.create()
    for host in (whole, bare, lost):
        host.boot()
    (bare.directory / "spec.json").unlink()
    subprocess.run(["rm", "-rf", str(lost.directory)], check=True)
    half_made = lan.paths.hosts / f".{lan.prefix}-0.new"
    (half_made / "upper").mkdir(parents=True)
    assert [host.spec for host in list_hosts(lan.paths)] == [whole.spec]

    messages: list[str] = []
    remove_all(lan.paths, messages.append)
    assert messages == ["hosts: removing 4"]
    for host in (whole, bare, lost):
        assert_no_trace(host.directory)
    assert not lan.paths.hosts.exists()
    remove_all(lan.paths, messages.append)
    assert len(messages) == 1


def test_a_host_without_network_is_refused_and_nothing_runs(lan: Lan) -> None:
    spec = lan.spec()
    directory = lan.paths.hosts / spec.name
    host = Host.create(directory, replace(spec, netns="th-none"))
    with pytest.raises(RehearsalError, match="no network namespace th-none"):
        host.boot()
    assert not host.running
    host.remove()
    assert_no_trace(directory)


def test_a_host_that_cannot_start_is_an_error_and_leaves_no_process(lan: Lan) -> None:
    host = lan.create()
    (host.directory / "work").rmdir()
    with pytest.raises(RehearsalError, match=r"didn't start.*console"):
        host.boot()
    assert not host.running
    assert "mount" in host.console.read_text()
    host.remove()
    assert_no_trace(host.directory)


def test_boots_on_a_machine_with_cgroup_v2_alone(lan: Lan) -> None:
    """In a mount namespace where /sys/fs/cgroup is cgroup2 (controllers may be missing there)."""
    spec = lan.spec()
    host = Host.create(lan.paths.hosts / spec.name, spec)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from rehearsal.hosts import cgroups, Host\n"
        "cgroups.NEEDED_V2 = ()\n"
        "host = Host(Path(sys.argv[1]))\n"
        "host.boot()\n"
        "assert host.running\n"
        "print(sorted(p.name for p in Path('/sys/fs/cgroup/groundwork', host.spec.name).iterdir()\n"
        "             if p.is_dir()))\n"
        "sys.stdin.readline()\n"
        "host.remove()\n"
        "assert not Path('/sys/fs/cgroup/groundwork').exists()\n"
    )
    remount = "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    python = [sys.executable, "-c", program, str(host.directory)]
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f'{remount} && exec "$@"', "-", *python],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "['host', 'supervisor']\n"
        lan.wait(host)
        assert lan.ask(host, "stat --file-system --format %T /sys/fs/cgroup") == "cgroup2fs"
        assert "Server:" in lan.ask(host, "sudo ctr version")
    finally:
        process.communicate("\n")
    assert process.returncode == 0
    assert not host.directory.exists()
