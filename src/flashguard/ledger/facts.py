"""The feed of facts: whether it runs, what it has, and how far it has been forgotten."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from msgspec import Struct

from .connections import Connections, LedgerAway


class FeedState(Struct, frozen=True):
    """A run of the feed."""

    since: datetime
    """The feed has every fact from then on. No two runs have the same."""
    forgotten: tuple[int, ...]
    """By partition: its facts up to this id are deleted, or of an earlier run."""
    written_us: int | None
    """When the fact that was asked about was written, in microseconds since 1970; None: it is not there."""


class FactBook:
    """Reads and forgets facts. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def start(self) -> None:
        """Begin a run of the feed, if none is under way: from the return on, no fact is missing.

        Raises:
            LedgerAway: also when a recorder's transaction does not end in time.
        """
        try:
            await self._connections.run("start_feed")
        except asyncpg.LockNotAvailableError as error:
            raise LedgerAway("the feed of facts waits for the recorders; retry shortly") from error

    async def state(self, partition: int, id_: int) -> FeedState | None:
        """Return this run of the feed, and note that it was read; None while it has none.

        Parameters:
            partition, id_: the fact that is asked about.
        """
        row = await self._connections.row("feed_state", partition, id_)
        if row is None:
            return None
        if row["note_read"]:
            await self._connections.run("note_feed_read")
        return FeedState(row["since"], tuple(row["forgotten"]), row["written_us"])

    async def after(self, ids: Sequence[int], limit: int) -> list[asyncpg.Record]:
        """Return the next facts after these ids, one of each partition, in the order of their ids."""
        return await self._connections.rows("facts_after", list(ids), limit)

    async def newest(self) -> tuple[int, ...]:
        """Return the id of each partition's newest fact; 0 where there was none."""
        return tuple(row["id"] for row in await self._connections.rows("newest_facts"))

    async def forget(self, seconds: float, limit: int) -> int:
        """Delete facts older than this, at most `limit`; return how many."""
        return int(await self._connections.value("forget_facts", seconds, limit))

    async def forget_beyond(self, most: int, limit: int) -> int:
        """Delete facts that are more than `most` behind the newest, at most `limit`; return how many."""
        return int(await self._connections.value("forget_facts_beyond", most, limit))

    async def end_unread(self, seconds: float) -> None:
        """End the feed if it was not read for this long: the recorders write no more facts for it."""
        await self._connections.run("end_unread_feed", seconds)
