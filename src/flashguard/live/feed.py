"""Follows one partition's journal for all its viewers with one reader."""

import asyncio
import logging
import time
from typing import Final

from flashguard.errors import FlashGuardError
from flashguard.journal import Entry, ItemChange, SaleChange, decode_entry
from flashguard.model import Position, SaleId

from .source import Source
from .topic import Topic

log = logging.getLogger("flashguard")

EVENT_INTERVAL_SECONDS: Final = 0.1
"""Changes reach a viewer at most this often."""
SECONDS_PER_VIEWER: Final = 125e-6
"""The interval grows beyond 800 viewers, so that fanning out takes less than half of a core."""
PAGE_ENTRIES: Final = 500
PAGES_PER_EVENT: Final = 20
"""Pages of a backlog that are read before viewers see it."""
BLOCK_MS: Final = 1000
SNAPSHOT_SECONDS: Final = 3.0
"""How often a sale is compared with a fresh snapshot: only a snapshot has a new name."""
ITEM_SECONDS: Final = 0.2
"""From the journal's entry about a changed item to the snapshot that has it."""
SPREAD_SNAPSHOT_SECONDS: Final = 0.2
"""The same for a spread sale: its stock is in several journals, so all its shards are read."""
TURN_SECONDS: Final = 0.1
"""How long after the clock opens or ends a sale its snapshot is read."""
JOURNAL_RETRY_SECONDS: Final = 0.25


class Feed:
    """One partition's topics and the task that keeps them up to date."""

    def __init__(self, source: Source, partition: int) -> None:
        self.topics: dict[SaleId, Topic] = {}
        self.reads = 0
        self._source = source
        self._partition = partition
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def load(self, topic: Topic) -> None:
        """Give a topic its first state: memory's, or the ledger's while memory is away.

        Raises:
            LookupError: there is no such sale.
            FlashGuardError: the ledger does not answer either.
        """
        try:
            await self._refresh(topic)
        except FlashGuardError:
            sale = await self._source.last_known(topic.sale_id)
            if sale is None:
                raise LookupError(topic.sale_id) from None
            topic.adopt_last_known(sale)

    async def _refresh(self, topic: Topic) -> None:
        topic.snapshot_due_at = _clock() + (SPREAD_SNAPSHOT_SECONDS if topic.spread else SNAPSHOT_SECONDS)
        spread = topic.spread
        snapshot = await self._source.snapshot(topic.sale_id)
        if snapshot is None:
            raise LookupError(topic.sale_id)
        topic.adopt(snapshot, time.time() * 1000)
        if topic.spread and not spread:  # the first snapshot shows it
            topic.snapshot_due_at = _clock() + SPREAD_SNAPSHOT_SECONDS

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except FlashGuardError as error:
                log.info(
                    "live view of partition %d is away, next try in %.2f s: %s",
                    self._partition,
                    JOURNAL_RETRY_SECONDS,
                    error,
                )
            except Exception:
                log.exception(
                    "live view of partition %d: next try in %.2f s", self._partition, JOURNAL_RETRY_SECONDS
                )
            for topic in self.topics.values():
                topic.lose()
            await asyncio.sleep(JOURNAL_RETRY_SECONDS)

    async def _follow(self) -> None:
        """Follow the journal for as long as it is one history."""
        position = await self._source.head(self._partition)
        while True:
            await self._refresh_due()
            self._flush(position)
            reached = await self._read(position)
            if reached is None:
                return
            if reached == position:
                continue  # nothing came for the whole wait: the first news need not wait longer
            position = reached
            self._flush(position)
            await asyncio.sleep(self._interval_seconds())

    async def _read(self, position: Position) -> Position | None:
        """Apply the entries after this position; return the new position, None for another history."""
        for page in range(PAGES_PER_EVENT):
            block_ms = self._block_ms() if page == 0 else 1
            self.reads += 1
            raw = await self._source.entries(self._partition, position, count=PAGE_ENTRIES, block_ms=block_ms)
            if not raw and page == 0:
                return await self._still_there(position)
            for raw_id, fields in raw:
                entry = decode_entry(raw_id, fields)
                if not entry.follows(position):
                    return None
                self._take(entry)
                position = entry.position
            if len(raw) < PAGE_ENTRIES:
                break
        return position

    async def _still_there(self, position: Position) -> Position | None:
        """Return the position while memory is still the history that we follow; else None."""
        head = await self._source.head(self._partition)
        return position if (head.epoch, head.seq) >= (position.epoch, position.seq) else None

    def _take(self, entry: Entry) -> None:
        for counters in entry.body.counters:
            topic = self.topics.get(counters.sale)
            if topic is not None:
                topic.take(entry.epoch, entry.seq, counters)
        for transition in entry.body.transitions:
            if isinstance(transition, SaleChange | ItemChange):
                topic = self.topics.get(transition.sale)
                if topic is not None and isinstance(transition, SaleChange):
                    topic.take(entry.epoch, entry.seq, transition)
                elif topic is not None:  # the ledger has the item soon
                    topic.snapshot_due_at = _clock() + ITEM_SECONDS

    def _flush(self, position: Position) -> None:
        for topic in self.topics.values():
            topic.flush(position.epoch, position.seq)

    async def _refresh_due(self) -> None:
        now, local_ms = _clock(), time.time() * 1000
        for topic in list(self.topics.values()):
            turn = topic.next_turn_ms()
            turned = turn is not None and local_ms > turn + TURN_SECONDS * 1000
            if topic.spread and now >= topic.snapshot_due_at:
                try:
                    await self._refresh(topic)
                except FlashGuardError:
                    topic.lose()  # another shard of it is away, not this partition
            elif topic.loaded and not topic.spread and (topic.away or turned or now >= topic.snapshot_due_at):
                await self._refresh(topic)

    def _block_ms(self) -> int:
        """Return the milliseconds to wait for entries: until the clock changes a sale, at most a second."""
        if any(topic.spread for topic in self.topics.values()):
            return round(SPREAD_SNAPSHOT_SECONDS * 1000)
        turns = [turn for topic in self.topics.values() if (turn := topic.next_turn_ms()) is not None]
        left = min(turns) - time.time() * 1000 + TURN_SECONDS * 1000 if turns else BLOCK_MS
        return max(1, min(BLOCK_MS, round(left)))

    def _interval_seconds(self) -> float:
        viewers = sum(len(topic.channel.viewers) for topic in self.topics.values())
        return max(EVENT_INTERVAL_SECONDS, viewers * SECONDS_PER_VIEWER)


def _clock() -> float:
    return asyncio.get_running_loop().time()
