"""What is wrong with the settings, said so that it can be mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One refusal. file: with its line; key: dotted path; reason: one sentence."""

    file: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.reason}"


def _place(problem: Problem) -> tuple[str, int, str, str]:
    file, _, line = problem.file.partition(":")
    return file, int(line) if line.isdigit() else 0, problem.key, problem.reason


class SettingsError(Exception):
    """All refusals at once, a line each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(set(problems), key=_place)
        count = len(self.problems)
        head = f"{count} setting{'s' if count > 1 else ''} refused; nothing was changed:"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))
