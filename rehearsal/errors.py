"""Errors that are meant for the person at the terminal."""

from __future__ import annotations


class RehearsalError(Exception):
    """One sentence: what is wrong and what to do about it. Shown without a traceback."""
