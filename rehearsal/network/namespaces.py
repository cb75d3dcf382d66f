"""Makes and removes the namespaces and the links between them.

Every step looks at what is there and completes or redoes it, so a run that was killed at any
point is repaired by the next.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.network.commands import NAMESPACES, ip_batch, ip_json, run, sysctl
from rehearsal.network.layout import Layout, link_name

UPLINK = "uplink"
_SETTINGS = Path("/etc/netns")
_NO_IPV6 = {
    "net.ipv6.conf.all.disable_ipv6": 1,
    "net.ipv6.conf.default.disable_ipv6": 1,
}
_NO_FORWARDING = {"net.ipv4.ip_forward": 0}
_ROUTER = {
    "net.ipv4.ip_forward": 1,
    # Two hosts of one subnet ask each other's address by ARP: the router answers.
    "net.ipv4.conf.default.proxy_arp": 1,
    # A redirect would tell hosts of one subnet to bypass the router, which they can't.
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
    # The rule set checks sources itself, as the plan says for each host.
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
}


def create(layout: Layout) -> None:
    """Make the internet and the router, and the link between them. Idempotent."""
    for namespace, settings in ((layout.internet, _NO_FORWARDING), (layout.vpc, _ROUTER)):
        _ensure_namespace(namespace)
        sysctl(namespace, settings)
    _ensure_link((layout.internet, UPLINK), (layout.vpc, UPLINK))
    sysctl(layout.vpc, {f"net.ipv4.conf.{UPLINK}.proxy_arp": 0})
    for namespace, address in ((layout.internet, layout.services), (layout.vpc, layout.router)):
        ip_batch(
            namespace,
            f"address replace {address} dev {UPLINK}",
            f"link set {UPLINK} mtu {layout.internet_mtu} up",
        )
    resolver = _SETTINGS / layout.internet / "resolv.conf"
    resolver.parent.mkdir(parents=True, exist_ok=True)
    resolver.write_text(f"nameserver {layout.services.ip}\n")


def destroy(layout: Layout) -> None:
    """Remove every namespace, link and file of the layout, also half-made ones.

    Raises RehearsalError when a process still lives in one of them, so that it isn't really gone.
    """
    inodes: dict[int, str] = {}
    for name in _namespaces(layout):
        with contextlib.suppress(FileNotFoundError):
            inodes[(NAMESPACES / name).stat().st_ino] = name
        _remove_namespace(name)
    (_SETTINGS / layout.internet / "resolv.conf").unlink(missing_ok=True)
    for folder in (_SETTINGS / layout.internet, _SETTINGS):
        with contextlib.suppress(OSError):  # absent, or others keep something in it
            folder.rmdir()
    _prove_gone(layout, inodes)


def inhabited(layout: Layout) -> bool:
    """True while a process lives in a namespace of the layout."""
    inodes = {}
    for name in _namespaces(layout):
        with contextlib.suppress(FileNotFoundError):
            inodes[(NAMESPACES / name).stat().st_ino] = name
    return any(True for _ in _inhabitants(inodes))


def attach_host(
    layout: Layout, instance_id: str, private_ip: IPv4Address, subnet: IPv4Network
) -> str:
    """Make a host's namespace and its link to the router; returns the namespace's name.

    Idempotent; `create` has run. Inside, `eth0` has the address with the subnet's prefix, and the
    default route is the subnet's first address, where the router answers.
    """
    namespace, link, gateway = layout.host(instance_id), link_name(private_ip), subnet[1]
    _ensure_namespace(namespace)
    if not ip_json(namespace, "link", "show", "eth0"):
        sysctl(namespace, _NO_FORWARDING)  # only at first: later it's the host's own to change
    _ensure_link((layout.vpc, link), (namespace, "eth0"))
    ip_batch(
        layout.vpc,
        # By default an answer by proxy ARP waits for up to 0.8 seconds.
        f"ntable change name arp_cache dev {link} proxy_delay 0",
        f"address replace {gateway}/32 dev {link}",
        f"link set {link} mtu {layout.vpc_mtu} up",
        f"route replace {private_ip}/32 dev {link}",
    )
    ip_batch(
        namespace,
        f"link set eth0 mtu {layout.vpc_mtu} up",
        f"address replace {private_ip}/{subnet.prefixlen} dev eth0",
        f"route replace default via {gateway}",
    )
    return namespace


def detach_host(layout: Layout, instance_id: str) -> None:
    """Remove a host's link and namespace. Idempotent."""
    _remove_namespace(layout.host(instance_id))


def _ensure_namespace(name: str) -> None:
    if not ip_json(name, "link", "show", "lo"):
        _remove_namespace(name)
        run("ip", "netns", "add", name)
    if Path("/proc/sys/net/ipv6").exists():
        sysctl(name, _NO_IPV6)
    ip_batch(name, "link set lo up")


def _remove_namespace(name: str) -> None:
    """Links first: a namespace lives on while a process is in it, and they with it."""
    path = NAMESPACES / name
    if not path.exists():
        return
    for link in ip_json(name, "link", "show", "type", "veth"):
        # the other end may have been removed meanwhile, and this one with it
        run("ip", "-n", name, "link", "delete", str(link["ifname"]), allowed=(0, 1))
    run("ip", "netns", "delete", name, allowed=(0, 1))  # 1: a file that nothing is mounted on
    path.unlink(missing_ok=True)


def _ensure_link(one: tuple[str, str], other: tuple[str, str]) -> None:
    """A veth pair between two (namespace, device); devices of these names but other peers go."""
    ends = [ip_json(namespace, "link", "show", device) for namespace, device in (one, other)]
    if all(ends):
        here, there = ends[0][0], ends[1][0]
        if (
            here.get("link_index") == there["ifindex"]
            and there.get("link_index") == here["ifindex"]
            and _namespace_at(one[0], here.get("link_netnsid")) == other[0]
        ):
            return
    for (namespace, device), end in zip((one, other), ends, strict=True):
        if end:
            run("ip", "-n", namespace, "link", "delete", device, allowed=(0, 1))
    run(
        *("ip", "link", "add", "name", one[1], "netns", one[0]),
        *("type", "veth", "peer", "name", other[1], "netns", other[0]),
    )


def _namespace_at(namespace: str, netnsid: object) -> str | None:
    """Name of the namespace that another one knows by a number."""
    for entry in ip_json(namespace, "netns", "list-id"):
        if entry.get("nsid") == netnsid:
            return entry.get("name")
    return None


def _namespaces(layout: Layout) -> list[str]:
    if not NAMESPACES.is_dir():
        return []
    ours = re.compile(re.escape(layout.prefix) + r"(internet|vpc|i-[0-9a-f]+)")
    return sorted(path.name for path in NAMESPACES.iterdir() if ours.fullmatch(path.name))


def _prove_gone(layout: Layout, inodes: dict[int, str]) -> None:
    left = [str(NAMESPACES / name) for name in _namespaces(layout)]
    left += [str(path) for path in (_SETTINGS / layout.internet,) if path.exists()]
    if left:
        raise RehearsalError(f"Not removed: {', '.join(left)}; try again.")
    alive = dict(_inhabitants(inodes))
    if alive:
        listed = ", ".join(f"{pid} ({name})" for pid, name in sorted(alive.items())[:10])
        raise RehearsalError(
            f"{len(alive)} processes still live in removed network namespaces: {listed}; end them."
        )


def _inhabitants(inodes: dict[int, str]) -> Iterable[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile, or is a zombie
                inode = (entry / "ns" / "net").stat().st_ino
                if inode in inodes:
                    yield int(entry.name), inodes[inode]
