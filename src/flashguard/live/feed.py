"""Follows one partition's journal for all its viewers: one reader, however many they are."""

import asyncio
import logging
import time
from typing import Final

from flashguard.errors import FlashGuardError
from flashguard.journal import Entry, SaleChange, decode_entry
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
"""A backlog is read on before it is shown, but not for ever."""
BLOCK_MS: Final = 1000
LOOK_AGAIN_SECONDS: Final = 3.0
"""How often a sale is compared with a fresh snapshot: only that has a new name."""
SPREAD_LOOK_SECONDS: Final = 0.2
"""The same for a sale over several partitions: its stock is in several journals, so all its parts are
read."""
TURN_SECONDS: Final = 0.1
"""How long after the clock's turn we look what it did."""
RETRY_SECONDS: Final = 0.25


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
        """Gives a topic its first state: memory's, or the ledger's while memory is away.

        Raises:
            LookupError: there is no such sale.
            FlashGuardError: the ledger does not answer either.
        """
        try:
            await self._look(topic)
        except FlashGuardError:
            sale = await self._source.last_known(topic.sale_id)
            if sale is None:
                raise LookupError(topic.sale_id) from None
            topic.adopt_last_known(sale)

    async def _look(self, topic: Topic) -> None:
        topic.look_again_at = _clock() + (SPREAD_LOOK_SECONDS if topic.spread else LOOK_AGAIN_SECONDS)
        spread = topic.spread
        snapshot = await self._source.snapshot(topic.sale_id)
        if snapshot is None:
            raise LookupError(topic.sale_id)
        topic.adopt(snapshot, time.time() * 1000)
        if topic.spread and not spread:  # the first look has told
            topic.look_again_at = _clock() + SPREAD_LOOK_SECONDS

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except FlashGuardError as error:
                log.info("live view of partition %d: %s", self._partition, error)
            except Exception:
                log.exception("live view of partition %d", self._partition)
            for topic in self.topics.values():
                topic.lose()
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        """Follows the journal for as long as it is one history; returns when it is not."""
        position = await self._source.head(self._partition)
        while True:
            await self._look_at_those_due()
            self._flush(position)
            reached = await self._read(position)
            if reached is None:
                return
            if reached == position:
                continue  # nothing came in all that time: no need to wait longer for the first news
            position = reached
            self._flush(position)
            await asyncio.sleep(self._interval_seconds())

    async def _read(self, position: Position) -> Position | None:
        """Takes what the journal has after this position; None when that is another history."""
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
        """Nothing came. Is memory still the one that we follow?"""
        head = await self._source.head(self._partition)
        return position if (head.epoch, head.seq) >= (position.epoch, position.seq) else None

    def _take(self, entry: Entry) -> None:
        for counters in entry.body.counters:
            topic = self.topics.get(counters.sale)
            if topic is not None:
                topic.take(entry.epoch, entry.seq, counters)
        for transition in entry.body.transitions:
            if isinstance(transition, SaleChange):
                topic = self.topics.get(transition.sale)
                if topic is not None:
                    topic.take(entry.epoch, entry.seq, transition)

    def _flush(self, position: Position) -> None:
        for topic in self.topics.values():
            topic.flush(position.epoch, position.seq)

    async def _look_at_those_due(self) -> None:
        now, local_ms = _clock(), time.time() * 1000
        for topic in list(self.topics.values()):
            turn = topic.next_turn_ms()
            turned = turn is not None and local_ms > turn + TURN_SECONDS * 1000
            if topic.spread and now >= topic.look_again_at:
                try:
                    await self._look(topic)
                except FlashGuardError:
                    topic.lose()  # a part of it is away, and not this partition
            elif topic.loaded and not topic.spread and (topic.away or turned or now >= topic.look_again_at):
                await self._look(topic)

    def _block_ms(self) -> int:
        """How long to wait for news: until the clock's next turn, but at most a second."""
        if any(topic.spread for topic in self.topics.values()):
            return round(SPREAD_LOOK_SECONDS * 1000)
        turns = [turn for topic in self.topics.values() if (turn := topic.next_turn_ms()) is not None]
        left = min(turns) - time.time() * 1000 + TURN_SECONDS * 1000 if turns else BLOCK_MS
        return max(1, min(BLOCK_MS, round(left)))

    def _interval_seconds(self) -> float:
        viewers = sum(len(topic.channel.viewers) for topic in self.topics.values())
        return max(EVENT_INTERVAL_SECONDS, viewers * SECONDS_PER_VIEWER)


def _clock() -> float:
    return asyncio.get_running_loop().time()
