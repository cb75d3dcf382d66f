"""Running things inside a network namespace."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

OPERATOR = "gw-internet"
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def exists(name: str) -> bool:
    """True if the named network namespace stands."""
    return Path("/run/netns", name).exists()


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread's sockets belong to the namespace; threads started meanwhile inherit it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            _enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)


def operator_command(command: Sequence[str]) -> list[str]:
    """`command` as the operator runs it: in the operator's namespace, with its resolver."""
    return ["ip", "netns", "exec", OPERATOR, *command]


def operator_environment() -> dict[str, str]:
    """This process's, less the proxies: where the operator sits there are none to be reached."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}


def daemon_command(command: Sequence[str]) -> list[str]:
    """`command` in the operator's namespace, with this machine's mounts.

    `ip netns exec` would lay a new /sys over the cgroup hierarchies that hosts need.
    """
    return ["nsenter", f"--net=/run/netns/{OPERATOR}", *command]


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter a network namespace: {os.strerror(number)}")
