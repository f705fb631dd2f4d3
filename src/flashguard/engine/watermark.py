"""The watermark: which entries of the journal the ledger has committed, as this process waits for them."""

import asyncio
from typing import Final

from msgspec import Struct

from flashguard.journal import decode_announcement
from flashguard.model import ReservationId


class Recorded(Struct, frozen=True):
    """A committed entry: the id that carried the token, and the reservations of its group that the ledger
    refused."""

    epoch: int
    seq: int
    refused: frozenset[ReservationId]


_NONE_REFUSED: Final[frozenset[ReservationId]] = frozenset()


class Watermark:
    """Lets a caller wait until its journal entry is in the ledger.

    A caller registers the token before it sends the script call, so that no announcement comes too early. It
    then compares the announced id with the id that the call returned: an id with another token belongs to a
    lost history and is never announced under this token.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[Recorded]] = {}
        self._next: asyncio.Future[None] | None = None
        self.announcements = 0

    def expect(self, token: str) -> "asyncio.Future[Recorded]":
        """Return a future of the entry with this token. Call `forget` after use."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        return future

    def forget(self, token: str) -> None:
        """Stop waiting for this token."""
        self._waiting.pop(token, None)

    def next_announcement(self) -> "asyncio.Future[None]":
        """Return a future that is done when any commit is announced. Do not cancel it: others may wait for
        it."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    def announced(self, message: bytes) -> None:
        """Read one message of a partition's channel."""
        self.announcements += 1
        if self._next is not None:
            self._next.set_result(None)
            self._next = None
        waiting = self._waiting
        if not waiting:
            return
        announcement = decode_announcement(message)
        refused = frozenset(announcement.refused) if announcement.refused else _NONE_REFUSED
        for seq, token in announcement.entries:
            future = waiting.get(token)
            if future is not None and not future.done():
                future.set_result(Recorded(announcement.epoch, seq, refused))

    @property
    def waiting(self) -> int:
        """Return the number of tokens that are waited for."""
        return len(self._waiting)
