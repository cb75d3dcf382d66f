"""What a proxy forwards is closed only between two sends."""

from __future__ import annotations

import threading
from typing import Any, cast

from rehearsal.plugins.command.forwarded import Forwarded


class _SlowChannel:
    """Its send is on its way until `let_go` is set."""

    def __init__(self) -> None:
        self.sending, self.let_go = threading.Event(), threading.Event()
        self.done: list[str] = []

    def send(self, data: bytes) -> int:
        self.sending.set()
        assert self.let_go.wait(30)
        self.done.append("sent")
        return len(data)

    def close(self) -> None:
        self.done.append("closed")


def test_a_close_waits_for_the_send_that_is_on_its_way() -> None:
    channel = _SlowChannel()
    link = Forwarded(cast(Any, channel))
    sending = threading.Thread(target=link.send, args=(b"data",))
    sending.start()
    assert channel.sending.wait(30)
    closing = threading.Thread(target=link.close)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    channel.let_go.set()
    sending.join(30)
    closing.join(30)
    assert channel.done == ["sent", "closed"]
