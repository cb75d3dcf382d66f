"""Processor time of a command and of all that it starts, by what they are."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_EVERY_S = 0.05  # what a process uses between the last look and its end is missed
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Processors:
    """Watches the processes of a session while it is entered.

    kinds: a part of the command line, by the kind that it tells; the first that fits counts.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._found: dict[int, tuple[str, float]] = {}
        self._session = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def watch(self, session: int) -> None:
        """Begins. session: the id of its leader's process."""
        self._session = session
        self._thread.start()

    def seconds(self) -> dict[str, float]:
        """Ends; user and system time together by kind, `other` for what none of them fits."""
        self._end.set()
        self._thread.join()
        total: defaultdict[str, float] = defaultdict(float)
        for kind, used in self._found.values():
            total[kind] += used
        return dict(total)

    def _watch(self) -> None:
        while not self._end.wait(_EVERY_S):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    self._look(folder)
                except OSError:
                    continue  # it has ended

    def _look(self, folder: Path) -> None:
        # after the name, which may hold anything: state, parent, group, session, …
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        if int(fields[3]) != self._session:
            return
        used = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
        pid = int(folder.name)
        line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        kind = next((kind for kind, part in self._kinds.items() if part in line), "other")
        if not line and pid in self._found:  # it ends
            kind = self._found[pid][0]
        self._found[pid] = kind, used
