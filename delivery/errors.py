"""The errors that a person can mend: what, why and the fix, no traceback."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit code means; 2 is argparse's own, for a wrong command line."""

    DONE = 0
    FAILED = 1
    DRIFT = 3
    LOCKED = 4
    REFUSED = 5
    INTERRUPTED = 130


class DeliveryError(Exception):
    """What went wrong and what to do about it. exit: the command's exit code."""

    exit = Exit.FAILED


class LockedError(DeliveryError):
    """Another process holds the stack's state."""

    exit = Exit.LOCKED


class DriftError(DeliveryError):
    """What exists is not what the state says."""

    exit = Exit.DRIFT


class RefusedError(DeliveryError):
    """What was asked for is not allowed, or would break what others need."""

    exit = Exit.REFUSED
