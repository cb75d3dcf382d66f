"""What an update is doing, a line when a resource of note is done or fails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from delivery.events import Event, layer

_QUIET = frozenset({"same", "read", "refresh"})
_PAST = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "replace": "replaced",
    "create-replacement": "created anew",
    "delete-replaced": "deleted the old",
}


@dataclass
class Progress:
    """Says what is done. Names and operations alone: properties and messages may hold secrets."""

    say: Callable[[str], None]
    _began: dict[str, tuple[str, float]] = field(default_factory=dict)
    _done: Counter[str] = field(default_factory=Counter)

    def take(self, event: Event) -> None:
        """One event of an update or a destroy."""
        if (found := event.get("resourcePreEvent")) and not found.get("planning"):
            meta = found["metadata"]
            self._began[meta["urn"]] = (meta["op"], time.monotonic())
        elif (found := event.get("resOutputsEvent")) and not found.get("planning"):
            self._finished(found["metadata"])
        elif found := event.get("resOpFailedEvent"):
            meta = found["metadata"]
            self.say(f"  {layer(meta['urn'])}: {meta['op']} {_called(meta)} FAILED")

    def _finished(self, meta: Event) -> None:
        state = meta.get("new") or meta.get("old") or {}
        now = time.monotonic()
        begun, since = self._began.get(meta["urn"], (meta["op"], now))
        # a refresh ends in the word for what it has found
        if _QUIET & {meta["op"], begun} or not state.get("custom"):
            return
        where = layer(meta["urn"])
        self._done[where] += 1
        done = _PAST.get(meta["op"], meta["op"])
        self.say(f"  {where} {self._done[where]:>3}: {done} {_called(meta)} ({now - since:.0f} s)")


def _called(meta: Event) -> str:
    name = str(meta["urn"]).rsplit("::", 1)[-1]
    return f"{str(meta['type']).rsplit(':', 1)[-1]} {name}"
