"""Runs `ip`, `nft`, `conntrack` and `sysctl`, by argument lists and standard input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rehearsal.errors import RehearsalError

NAMESPACES = Path("/run/netns")


def run(*argv: str, stdin: str = "", allowed: Sequence[int] = (0,)) -> str:
    """Standard output of a command. Raises RehearsalError on any other exit code."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise RehearsalError(
            f"The command {argv[0]} is missing; install the packages that the rehearsal needs."
        ) from error
    if done.returncode not in allowed:
        reason = " ".join(done.stderr.split())[:500] or f"exit code {done.returncode}"
        raise RehearsalError(
            f"`{' '.join(argv)}` failed: {reason}; `make down` and `make up` "
            "make the rehearsal's network anew."
        )
    return done.stdout


def inside(namespace: str, *argv: str, stdin: str = "", allowed: Sequence[int] = (0,)) -> str:
    """`run` in a network namespace, with the machine's own mounts."""
    return run("nsenter", f"--net={NAMESPACES / namespace}", *argv, stdin=stdin, allowed=allowed)


def ip_batch(namespace: str, *lines: str) -> None:
    """Several `ip` commands in one process; stops at the first that fails."""
    run("ip", "-n", namespace, "-batch", "-", stdin="\n".join(lines) + "\n")


def ip_json(namespace: str, *arguments: str) -> list[dict[str, Any]]:
    """What `ip -json` says; an empty list when it says nothing or the thing is not there."""
    text = run("ip", "-n", namespace, "-json", *arguments, allowed=(0, 1, 2, 255))
    return [entry for entry in json.loads(text or "[]") if entry]


def sysctl(namespace: str, values: Mapping[str, int]) -> None:
    """Set kernel parameters of a namespace."""
    inside(namespace, "sysctl", "-q", "-w", *(f"{key}={value}" for key, value in values.items()))
