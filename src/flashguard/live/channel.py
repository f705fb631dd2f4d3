"""The newest events of one subject, and their viewers.

An event is encoded once; viewers share its bytes. A viewer is a place in the channel's ring, so a slow viewer
costs nothing: when the ring has passed its place, it gets a fresh snapshot.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final

RING_EVENTS: Final = 64
"""How far a viewer may fall behind: at ten events per second, about six seconds."""

WAKE_AT_ONCE: Final = 20
"""Viewers sent to in one round of the loop: about 1 ms."""


class Channel:
    """A ring of encoded events.

    Parameters:
        snapshot: the whole subject as it is now, as bytes; for viewers that are new or fell behind.
    """

    def __init__(self, snapshot: Callable[[], bytes]) -> None:
        self.snapshot = snapshot
        self.viewers: set[Viewer] = set()
        self.ended = False
        self.published = 0
        self._ring: deque[bytes] = deque(maxlen=RING_EVENTS)
        self._waiting: list[asyncio.Future[None]] = []

    def publish(self, event: bytes) -> None:
        """Publish an event to every viewer, without waiting for any."""
        self._ring.append(event)
        self.published += 1
        self._wake()

    def end(self) -> None:
        """End every viewer's stream after it has what was published before."""
        self.ended = True
        self._wake()

    def since(self, place: int) -> bytes | None:
        """Return all events from this place on; None when the ring does not reach back to it."""
        count = self.published - place
        if count == 1:
            return self._ring[-1]
        if count > len(self._ring):
            return None
        return b"".join(islice(self._ring, len(self._ring) - count, None))

    def wait(self) -> "asyncio.Future[None]":
        """Return a new future that resolves at the next event."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._wake_some(waiting, 0)

    def _wake_some(self, waiting: "list[asyncio.Future[None]]", start: int) -> None:
        """Wake a few viewers and, in the loop's next round, the next few: buyers have their turn between."""
        end = start + WAKE_AT_ONCE
        for future in waiting[start:end]:
            if not future.done():
                future.set_result(None)
        if end < len(waiting):
            asyncio.get_running_loop().call_soon(self._wake_some, waiting, end)


class Viewer:
    """One open stream on a channel.

    Parameters:
        first: the bytes that it gets first.
        left: called once, when the stream is over.
    """

    def __init__(self, channel: Channel, first: bytes, left: Callable[[], None]) -> None:
        self._channel = channel
        self._place = channel.published
        self._first: bytes | None = first
        self._left = left
        self._wait: asyncio.Future[None] | None = None
        self._gone = False
        self.sending_since: float | None = None
        """When it was last given bytes that it has not taken yet, by the loop's clock."""
        self.task: asyncio.Task[None] | None = None
        channel.viewers.add(self)

    async def next(self) -> bytes | None:
        """Wait for the next bytes to send; return None when the stream is over."""
        channel = self._channel
        if self._first is not None:
            first, self._first = self._first, None
            return first
        while not self._gone:
            if self._place < channel.published:
                events = channel.since(self._place)
                self._place = channel.published
                return channel.snapshot() if events is None else events
            if channel.ended:
                return None
            self._wait = channel.wait()
            await self._wait
        return None

    def leave(self) -> None:
        """End this viewer's stream; a second call does nothing."""
        if self._gone:
            return
        self._gone = True
        self._channel.viewers.discard(self)
        if self._wait is not None and not self._wait.done():
            self._wait.set_result(None)
        self._left()
