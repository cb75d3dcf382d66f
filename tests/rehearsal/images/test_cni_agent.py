"""The CNI agent, as it is in its image, on two nodes: real VXLAN, real plugins, a small API server.

tc-a (10.9.0.1) --- tc-net (bridge, 10.9.0.254: API server) --- tc-b (10.9.0.2)
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal.images import catalog
from rehearsal.images.debian import DebianFiles
from tests.rehearsal.images.test_catalog import fake_binaries, find
from tests.rehearsal.images.unpack import unpack

API = "10.9.0.254"
PORT = 6400
NODES = {"a": ["192.168.1.0/24", "10.9.0.1"], "b": ["192.168.2.0/24", "10.9.0.2"]}
MANIFEST = Path(__file__).resolve().parents[3] / "rehearsal/cni/manifest.yaml"
CONFIG = "10-rehearsal.conflist"


def run(*command: str, **options: Any) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
    assert result.returncode == 0, f"{shlex.join(command)}: {result.stderr or result.stdout}"
    return str(result.stdout)


def inside(namespace: str, *command: str, **options: Any) -> str:
    return run("ip", "netns", "exec", namespace, *command, **options)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


@dataclass
class Region:
    """Two nodes' namespaces, the API server, and what runs in them."""

    root: Path
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    version: int = 0

    def start_api(self, namespace: str = "tc-net", address: str = API) -> None:
        server = [sys.executable, str(Path(__file__).parent / "fake_api.py"), address, str(PORT)]
        command = ["ip", "netns", "exec", namespace, *server, str(self.folder / "state")]
        self._start(f"api-{namespace}", command)
        # Listening is done when the port shows up in the namespace's table.
        table = ["ip", "netns", "exec", namespace, "cat", "/proc/net/tcp"]
        wait_for(lambda: f":{PORT:04X} 00000000:0000 0A" in run(*table), "the API server")

    def nodes(self, nodes: dict[str, Any]) -> None:
        self.version += 1
        state = self.folder / "state.new"
        state.write_text(json.dumps({"version": self.version, "nodes": nodes}))
        state.rename(self.folder / "state")

    def start_agent(self, node: str) -> None:
        settings = {
            "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/bin",
            "NODE_NAME": node,
            "API_URL": f"http://{API}:{PORT}",
            "HOST_PLUGIN_DIR": f"/host-{node}/plugins",
            "HOST_CONFIG_DIR": f"/host-{node}/config",
            "STATE_DIR": f"/run/agent-{node}",
        }
        # What a container runtime mounts, in a mount namespace that goes with the agent; and the
        # manifest's one capability (the other is for chroot itself).
        script = (
            f"mount --make-rprivate / && mount --bind /dev {self.root}/dev && "
            f"mount -t proc proc {self.root}/proc && "
            "exec setpriv --bounding-set=-all,+net_admin,+sys_chroot "
            f"chroot {self.root} /usr/local/bin/agent"
        )
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--"]
        command = ["ip", "netns", "exec", f"tc-{node}", *isolated, "sh", "-c", script]
        self._start(f"agent-{node}", command, env=settings)

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def config(self, node: str) -> Path:
        return self.root / f"host-{node}/config/{CONFIG}"

    def ready(self, node: str) -> bool:
        return (self.root / f"run/agent-{node}/ready").exists()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def add_pod(self, node: str) -> str:
        """A pod's namespace on the node, by the plugin and configuration the agent put there."""
        pod = f"tc-pod-{node}"
        document = json.loads(self.config(node).read_text())
        bridge, portmap = document["plugins"]
        assert portmap["type"] == "portmap"
        bridge["ipam"]["dataDir"] = str(self.folder / f"leases-{node}")
        settings = {key: document[key] for key in ("cniVersion", "name")} | bridge
        plugins = self.root / f"host-{node}/plugins"
        environment = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": pod,
            "CNI_NETNS": f"/run/netns/{pod}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(plugins),
        }
        plugin = str(plugins / bridge["type"])
        made = inside(f"tc-{node}", plugin, input=json.dumps(settings), env=environment)
        return str(json.loads(made)["ips"][0]["address"]).split("/")[0]

    def busybox(self, namespace: str, *command: str) -> str:
        return inside(namespace, str(self.root / "usr/bin/busybox"), *command)

    def caller(self, namespace: str, address: str = API) -> str:
        """Whom a server at `address` sees when it is asked from the namespace."""
        return self.busybox(namespace, "wget", "-qO-", "-T5", f"http://{address}:{PORT}/caller")

    def routes(self, node: str) -> list[str]:
        said = inside(f"tc-{node}", "ip", "-json", "route", "show", "dev", "vxlan.pods")
        return sorted(route["dst"] for route in json.loads(said))

    def _start(self, name: str, command: list[str], **options: Any) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, **options)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, debian: DebianFiles) -> Path:
    folder = tmp_path_factory.mktemp("cni")
    image = find(catalog.images("kubernetes", fake_binaries(folder), lambda: debian), "/cni")
    made = unpack(image, folder)
    # What a runtime gives a container: /dev, /proc, the service account.
    account = made / "var/run/secrets/kubernetes.io/serviceaccount"
    for path in (made / "dev", made / "proc", account):
        path.mkdir(parents=True)
    (account / "token").write_text("test-token")
    (account / "ca.crt").write_text("")
    return made


NAMESPACES = ("tc-net", "tc-a", "tc-b", "tc-pod-a", "tc-pod-b")


def remove_namespaces() -> None:
    for name in NAMESPACES:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.fixture
def region(root: Path, tmp_path: Path) -> Iterator[Region]:
    remove_namespaces()
    for node in "ab":
        for old in (f"host-{node}", f"run/agent-{node}"):
            subprocess.run(["rm", "-rf", str(root / old)], check=True)
    for name in NAMESPACES:
        run("ip", "netns", "add", name)
        inside(name, "ip", "link", "set", "lo", "up")
    inside("tc-net", "ip", "link", "add", "lan", "type", "bridge")
    inside("tc-net", "ip", "address", "add", f"{API}/24", "dev", "lan")
    inside("tc-net", "ip", "link", "set", "lan", "up")
    for node, (_, address) in NODES.items():
        pair = ["type", "veth", "peer", "name", "eth0", "netns", f"tc-{node}"]
        inside("tc-net", "ip", "link", "add", f"to-{node}", *pair)
        inside("tc-net", "ip", "link", "set", f"to-{node}", "master", "lan", "up")
        inside(f"tc-{node}", "ip", "address", "add", f"{address}/24", "dev", "eth0")
        inside(f"tc-{node}", "ip", "link", "set", "eth0", "up")
        inside(f"tc-{node}", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    made = Region(root, tmp_path)
    made.nodes(NODES)
    made.start_api()
    yield made
    for name in list(made.processes):
        made.stop(name)
    remove_namespaces()


@pytest.fixture
def connected(region: Region) -> Region:
    for node in NODES:
        region.start_agent(node)
    for node in NODES:
        wait_for(lambda node=node: region.ready(node), f"node {node}")  # type: ignore[misc]
    wait_for(lambda: region.log("api-tc-net").count("watched") == len(NODES), "all to watch")
    return region


def test_pods_of_two_nodes_reach_each_other(connected: Region) -> None:
    pods = {node: connected.add_pod(node) for node in NODES}
    assert pods["a"].startswith("192.168.1.") and pods["b"].startswith("192.168.2.")
    for node, other in (("a", "b"), ("b", "a")):
        # Large enough to fill the pods' MTU: 1450 = 1422 + ICMP's 8 + IP's 20.
        connected.busybox(f"tc-pod-{node}", "ping", "-c1", "-W5", "-s1422", pods[other])
    links = json.loads(inside("tc-pod-a", "ip", "-json", "link", "show", "eth0"))
    assert links[0]["mtu"] == 1450
    # A node, its own pods, and other nodes' pods.
    connected.busybox("tc-a", "ping", "-c1", "-W5", pods["a"])
    connected.busybox("tc-a", "ping", "-c1", "-W5", pods["b"])
    connected.busybox("tc-pod-a", "ping", "-c1", "-W5", NODES["b"][1])


def test_pods_keep_their_address_among_pods_and_leave_with_their_nodes(connected: Region) -> None:
    pods = {node: connected.add_pod(node) for node in NODES}
    assert connected.caller("tc-pod-a") == NODES["a"][1]
    assert connected.caller("tc-pod-b") == NODES["b"][1]
    connected.start_api("tc-pod-b", pods["b"])
    assert connected.caller("tc-pod-a", pods["b"]) == pods["a"]


def test_node_is_ready_only_when_it_has_a_pod_range(region: Region) -> None:
    region.nodes({**NODES, "b": [None, NODES["b"][1]]})
    for node in NODES:
        region.start_agent(node)
    wait_for(lambda: region.ready("a"), "node a")
    wait_for(lambda: "no pod range yet" in region.log("agent-b"), "node b's agent to wait")
    assert not region.config("b").exists() and not region.ready("b")
    region.nodes(NODES)
    wait_for(lambda: region.ready("b"), "node b")
    wait_for(lambda: region.routes("a") == ["192.168.2.0/24"], "a's route to b")


def test_a_node_that_goes_takes_its_route_with_it(connected: Region) -> None:
    assert connected.routes("a") == ["192.168.2.0/24"]
    third = {**NODES, "c": ["192.168.3.0/24", "10.9.0.3"]}
    connected.nodes(third)
    wait_for(lambda: connected.routes("a") == ["192.168.2.0/24", "192.168.3.0/24"], "c's route")
    connected.nodes(NODES)
    wait_for(lambda: connected.routes("a") == ["192.168.2.0/24"], "c's route to go")

    def tables() -> str:
        forwarding = inside("tc-a", "bridge", "fdb", "show", "dev", "vxlan.pods")
        return forwarding + inside("tc-a", "ip", "neighbour", "show", "dev", "vxlan.pods")

    wait_for(lambda: "10.9.0.3" not in tables() and "192.168.3.0" not in tables(), "c to go")
    assert "10.9.0.2" in tables()


def test_heartbeats_change_nothing(connected: Region) -> None:
    before = {node: connected.log(f"agent-{node}") for node in NODES}
    connected.nodes(NODES)
    connected.nodes({**NODES, "c": ["192.168.3.0/24", "10.9.0.3"]})
    wait_for(lambda: "192.168.3.0/24" in connected.routes("a"), "the event after the heartbeats")
    (line,) = connected.log("agent-a")[len(before["a"]) :].splitlines()
    assert line.endswith("ADDED c 192.168.3.0/24 10.9.0.3")


def test_node_with_a_new_address_is_reached_there(connected: Region) -> None:
    pods = {node: connected.add_pod(node) for node in NODES}
    connected.stop("agent-b")
    inside("tc-b", "ip", "address", "delete", "10.9.0.2/24", "dev", "eth0")
    inside("tc-b", "ip", "address", "add", "10.9.0.7/24", "dev", "eth0")
    connected.nodes({**NODES, "b": ["192.168.2.0/24", "10.9.0.7"]})
    connected.start_agent("b")

    def reached() -> bool:
        ping = ["ip", "netns", "exec", "tc-pod-a", str(connected.root / "usr/bin/busybox")]
        command = [*ping, "ping", "-c1", "-W1", pods["b"]]
        return subprocess.run(command, capture_output=True).returncode == 0

    wait_for(reached, "the pod at b's new address")
    forwarding = inside("tc-a", "bridge", "fdb", "show", "dev", "vxlan.pods")
    assert "10.9.0.7" in forwarding and "10.9.0.2" not in forwarding


def test_traffic_goes_on_without_agents_and_they_catch_up(connected: Region) -> None:
    pods = {node: connected.add_pod(node) for node in NODES}
    config = connected.config("a").stat()
    connected.stop("agent-a")
    connected.nodes({**NODES, "c": ["192.168.3.0/24", "10.9.0.3"]})
    connected.stop("api-tc-net")
    connected.busybox("tc-pod-a", "ping", "-c1", "-W5", pods["b"])
    connected.start_agent("a")
    wait_for(lambda: "curl" in connected.log("agent-a"), "the agent to miss the API server")
    connected.start_api()
    wait_for(lambda: "192.168.3.0/24" in connected.routes("a"), "c's route")
    connected.busybox("tc-pod-a", "ping", "-c1", "-W5", pods["b"])
    assert connected.config("a").stat() == config


def test_token_is_no_argument_of_a_process(connected: Region) -> None:
    shown = "\n".join(
        file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for file in Path("/proc").glob("[0-9]*/cmdline")
        if file.exists()
    )
    assert f"http://{API}:{PORT}/api/v1/nodes?watch=1" in shown
    assert "test-token" not in shown


def test_manifest_runs_the_image_on_every_node_with_no_more_than_it_needs() -> None:
    documents = {document["kind"]: document for document in yaml.safe_load_all(MANIFEST.open())}
    assert documents["ClusterRole"]["rules"] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}
    ]
    pod = documents["DaemonSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == catalog.CNI
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert pod["hostNetwork"] and pod["priorityClassName"] == "system-node-critical"
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert {volume["hostPath"]["path"] for volume in pod["volumes"]} == {
        "/opt/cni/bin",
        "/etc/cni/net.d",
    }


def test_agent_passes_shellcheck() -> None:
    run("shellcheck", str(MANIFEST.parent / "agent.sh"))
