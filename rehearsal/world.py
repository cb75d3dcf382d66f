"""The rehearsal's standing parts: built, started, stopped, and proved gone."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import dnslib

from rehearsal import cloud, volumes
from rehearsal.bell import EC2_CHANGED
from rehearsal.errors import RehearsalError
from rehearsal.hosts.base import USER, build_base
from rehearsal.hosts.host import remove_all
from rehearsal.hosts.machine import raise_limits, restore_limits
from rehearsal.hosts.traces import remove_all_cgroups
from rehearsal.images.build import build_images
from rehearsal.mirrors import addon_charts, git
from rehearsal.mirrors.apt import build_packages
from rehearsal.mirrors.charts import build_charts
from rehearsal.namespace import OPERATOR, daemon_command, exists, inside
from rehearsal.network import Layout, create, destroy, inhabited
from rehearsal.paths import Paths
from rehearsal.preflight import OWNER, read_owner
from rehearsal.process import Daemon
from rehearsal.toolchain import Toolchain

Report = Callable[[str], None]
SERVICES = "198.51.100.1"
_PORTS = {"cloud": 5000, "names": 53, "registry": 5001, "mirrors": 80}
_READY_FILES = {"reconciler": "ready", "volumes": volumes.READY}


def clear_abandoned(paths: Paths, report: Report) -> None:
    """Removes what a rehearsal of another checkout left that was killed: none of it runs.

    A machine holds one rehearsal, so that one would be in the way for good otherwise.
    """
    owner = read_owner()
    if owner is None or owner == paths.checkout or inhabited(Layout()):
        return
    report(f"removing what is left of the rehearsal of {owner}, which was killed")
    left = replace(paths, checkout=owner, run=owner / paths.run.name)
    World(left, report).stop()
    remove_all_cgroups()  # its folders may be gone, and these not


@dataclass
class World:
    """Everything of the rehearsal but the program: caches, network, cloud, mirrors, hosts."""

    paths: Paths
    report: Report
    binaries: dict[str, Path] = field(default_factory=dict)

    def build(self) -> None:
        """Tools, base image, images, packages, charts: what is missing of them.

        The base image is waited for by the network, tools by the processors: both at once.
        """
        failure: list[BaseException] = []

        def build_in_background() -> None:
            try:
                build_base(self.paths, self.report)
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=build_in_background, daemon=True)
        thread.start()
        toolchain = Toolchain(self.paths, self.report)
        self.binaries = toolchain.ensure()
        thread.join()
        if failure:
            raise failure[0]
        build_images(self.paths, self.binaries, self.report)
        build_packages(self.paths, self.binaries, self.report)
        module = toolchain.module_directory("argocd")
        helm = self.binaries["helm"]
        build_charts(self.paths, module, self.report, helm=helm)
        folders = addon_charts.sources(toolchain)
        addon_charts.build_addon_charts(self.paths, folders, self.report, helm=helm)

    def start(self) -> None:
        """Network, cloud, mirrors, names, hosts, volumes; what runs already is left alone."""
        self.paths.run.mkdir(parents=True, exist_ok=True)
        OWNER.write_text(f"{self.paths.checkout}\n")
        raise_limits(self.paths)
        create(Layout())
        for daemon in self._daemons():
            if daemon.pid() is None:
                self._check_port(daemon.name)
                self.report(f"starting {daemon.name}")
            daemon.start()
            daemon.wait_until(partial(self._ready, daemon.name), limit_s=120)
        self.seed()

    def seed(self) -> None:
        """The work tree's gitops/tree, committed to the git server; Argo CD is told of it."""
        with inside(OPERATOR):
            git.seed(git.repository_path(self.paths), self.paths.checkout)

    def tell(self, argocd_url: str) -> None:
        """From now on each push is told to Argo CD, whose certificate is its own."""
        repository = git.repository_path(self.paths)
        git.webhook(repository, f"{argocd_url}/api/webhook", verify_tls=False)

    def stop(self) -> None:
        """Ends and removes every part; safe to run at any time. Raises if something stays."""
        for daemon in reversed(self._daemons()):
            daemon.stop()
        remove_all(self.paths, self.report)
        destroy(Layout())
        restore_limits(self.paths)
        shutil.rmtree(self.paths.run, ignore_errors=True)
        if self.paths.run.exists():
            raise RehearsalError(f"{self.paths.run} could not be removed; remove it by hand")
        OWNER.unlink(missing_ok=True)

    def running(self) -> bool:
        """True if all parts of this checkout run."""
        return exists(OPERATOR) and all(daemon.pid() for daemon in self._daemons())

    def _daemons(self) -> list[Daemon]:
        """In the order in which they need each other."""
        run = self.paths.run
        amis = run / "amis.json"
        if run.is_dir():
            cloud.write_amis(amis)
        python = [sys.executable, "-u", "-m"]
        images, packages, charts = self.paths.images, self.paths.packages, self.paths.charts
        files = self.paths.checkout / "rehearsal" / "cni"
        commands: dict[str, list[str]] = {
            "cloud": [
                *python,
                "rehearsal.moto_server",
                *("--listen", f"{SERVICES}:5000", "--bell", str(run / EC2_CHANGED)),
            ],
            "names": [*python, "rehearsal.names", "--endpoint", cloud.ENDPOINT],
            "registry": [
                *python,
                "rehearsal.mirrors.registry",
                *("--listen", f"{SERVICES}:5001", "--images", str(images)),
            ],
            "mirrors": [
                *python,
                "rehearsal.mirrors.server",
                *("--listen", f"{SERVICES}:80", "--packages", str(packages)),
                *("--charts", str(charts), "--git", str(run / "git"), "--files", str(files)),
            ],
            "reconciler": [*python, "rehearsal.reconciler", "--endpoint", cloud.ENDPOINT],
            "volumes": [*python, "rehearsal.volumes", "--endpoint", cloud.ENDPOINT],
        }
        environment = {
            **cloud.ENVIRONMENT,
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(self.paths.checkout),
            "HOME": str(run),
            "GROUNDWORK_CACHE": str(self.paths.cache),
            "MOTO_AMIS_PATH": str(amis),
            # as strict as AWS where moto can be
            "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
            "MOTO_ENABLE_KEYPAIR_VALIDATION": "true",
            "MOTO_ENABLE_AMI_VALIDATION": "true",
            "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
            # seconds; the provider's stand-in looks whether a certificate is proven
            "MOTO_ACM_VALIDATION_WAIT": "0",
        }
        return [
            Daemon(name, daemon_command(command), environment, run)
            for name, command in commands.items()
        ]

    def _ready(self, name: str) -> bool:
        """Whether a part answers, or says that it works."""
        if name in _READY_FILES:
            return (self.paths.run / _READY_FILES[name]).exists()
        with inside(OPERATOR):
            if name == "names":
                return _resolves()
            return _answers(f"http://{SERVICES}:{_PORTS[name]}/")

    def _check_port(self, name: str) -> None:
        """Raises if a program that is none of ours holds a part's port."""
        port = _PORTS.get(name)
        if port is None:
            return
        with inside(OPERATOR), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((SERVICES, port))
            except OSError as error:
                raise RehearsalError(
                    f"port {port} in namespace {OPERATOR} is taken ({error.strerror}), and {name} "
                    f"needs it; find its holder with `ip netns exec {OPERATOR} ss -tlnp`, end it, "
                    "and run this again"
                ) from None

    def make_ssh_key(self) -> None:
        """The operator's key pair, made once a run, and an ssh configuration that uses it.

        The jump host needs the key too, and ssh takes that from a file alone.
        """
        key = self.paths.ssh_key
        if key.exists() and key.with_suffix(".pub").exists():
            return
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key.unlink(missing_ok=True)
        (key.parent / "config").write_text(
            f"User {USER}\nIdentityFile {key}\nUserKnownHostsFile {key.parent}/known_hosts\n"
            "StrictHostKeyChecking accept-new\nLogLevel ERROR\n"
        )
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rehearsal", "-f", str(key)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            reason = " ".join((done.stderr or done.stdout).split()) or "ssh-keygen said nothing"
            raise RehearsalError(f"no SSH key can be made in {key.parent}: {reason}")


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _resolves() -> bool:
    question = dnslib.DNSRecord.question("git.rehearsal.test")
    try:
        answer = dnslib.DNSRecord.parse(question.send(SERVICES, 53, timeout=2))
    except OSError:
        return False
    return bool(answer.rr)
