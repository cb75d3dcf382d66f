"""What went wrong, said so that it can be mended."""

from __future__ import annotations


class BootstrapError(Exception):
    """One line: what, why, and what to do."""
