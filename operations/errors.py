"""The errors that a person can mend: one line each, no traceback."""

from __future__ import annotations


class OperationsError(Exception):
    """What could not be done, why, and what to do."""
