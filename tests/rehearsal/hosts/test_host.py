"""A running host, as somebody sees it who logs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.hosts import Host

from .conftest import Lan

USER_DATA = """#!/bin/sh
echo "user data as $(id -un) on $(hostname)"
echo run >>/root/runs
"""


@pytest.fixture(scope="module")
def host(lan: Lan) -> Host:
    host = lan.create(USER_DATA)
    host.boot()
    lan.wait(host)
    return host


def test_logs_in_by_key_alone_as_the_image_user(lan: Lan, host: Host) -> None:
    assert lan.ask(host, "id -un") == "admin"
    settings = lan.ask(host, "sudo sshd -T").splitlines()
    assert {"passwordauthentication no", "kbdinteractiveauthentication no"} <= set(settings)


def test_sudo_asks_for_no_password(lan: Lan, host: Host) -> None:
    assert lan.ask(host, "sudo --non-interactive id -u") == "0"


def test_has_its_hostname_and_resolves_it(lan: Lan, host: Host) -> None:
    assert lan.ask(host, "hostname; getent hosts $(hostname) | wc -l").split() == [
        host.spec.hostname,
        "1",
    ]


def test_uses_its_resolver_and_no_package_source(lan: Lan, host: Host) -> None:
    assert lan.ask(host, "cat /etc/resolv.conf") == f"nameserver {host.spec.resolver}"
    assert lan.ask(host, "cat /etc/apt/sources.list; ls /etc/apt/sources.list.d") == ""


def test_every_unit_is_well(lan: Lan, host: Host) -> None:
    assert lan.ask(host, "systemctl is-system-running --wait") == "running"


def test_containerd_answers(lan: Lan, host: Host) -> None:
    assert "Server:" in lan.ask(host, "sudo ctr version")


def test_containerd_has_a_file_system_that_can_be_below_an_overlay(lan: Lan, host: Host) -> None:
    for folder in ("containerd", "kubelet", "etcd"):
        kind = lan.ask(host, f"stat --file-system --format %T /var/lib/{folder}")
        assert kind != "overlayfs"


def test_user_data_ran_as_root_with_its_output_kept(lan: Lan, host: Host) -> None:
    assert lan.ask(host, "sudo cat /root/runs") == "run"
    output = lan.ask(host, "sudo cat /var/log/cloud-init-output.log")
    assert output == f"user data as root on {host.spec.hostname}"


def test_kernel_settings_and_modules_of_a_kubernetes_host_can_be_set(lan: Lan, host: Host) -> None:
    lines = "net.ipv4.ip_forward = 1\\nnet.bridge.bridge-nf-call-iptables = 1\\n"
    lan.ask(host, f"printf '{lines}' | sudo tee /etc/sysctl.d/99-test.conf")
    lan.ask(host, "sudo sysctl --system && sudo modprobe overlay && sudo modprobe br_netfilter")
    assert lan.ask(host, "cat /proc/sys/net/ipv4/ip_forward") == "1"


def test_machine_wide_settings_stay_the_machines(lan: Lan, host: Host) -> None:
    private = Path("/proc/sys/vm/overcommit_memory")
    before = private.read_text()
    lan.ask(host, f"echo 2 | sudo tee {private}")
    assert lan.ask(host, f"cat {private}") == "2"
    assert private.read_text() == before
    assert lan.ssh(host, "echo 99999 | sudo tee /proc/sys/kernel/pid_max").returncode != 0
    assert lan.ssh(host, "sudo date --set=2001-01-01").returncode != 0


def test_sees_its_own_processes_and_cgroups_only(lan: Lan, host: Host) -> None:
    assert "systemd" in lan.ask(host, "ps -p 1 -o comm=")
    assert "groundwork" not in lan.ask(host, "sudo cat /proc/1/cgroup")
    boot_id = lan.ask(host, "cat /proc/sys/kernel/random/boot_id")
    assert boot_id != Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_no_mount_of_the_host_is_seen_by_the_machine(lan: Lan, host: Host) -> None:
    assert str(lan.paths.hosts) not in Path("/proc/self/mountinfo").read_text()


def test_two_hosts_share_the_image_but_nothing_written(lan: Lan, host: Host) -> None:
    other = lan.create()
    other.boot()
    lan.wait(other)
    lan.ask(host, "sudo touch /etc/mine /opt/mine")
    assert lan.ssh(other, "test -e /etc/mine").returncode != 0
    assert not (host.spec.base / "etc/mine").exists()
    machine_ids = {lan.ask(each, "cat /etc/machine-id") for each in (host, other)}
    assert len(machine_ids) == 2
    assert host.host_key != other.host_key
    written = sum(f.lstat().st_size for f in (other.directory / "upper").rglob("*") if f.is_file())
    assert written < 5 << 20
