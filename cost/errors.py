"""The errors that a person can mend: one line each, no traceback."""

from __future__ import annotations


class CostError(Exception):
    """What cannot be estimated, why, and what to do."""
