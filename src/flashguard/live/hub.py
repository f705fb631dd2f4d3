"""The open event streams of one process: bounded, cleaned up, and ended with the process."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from flashguard.errors import FlashGuardError
from flashguard.model import SaleId, SaleStatus

from . import sse
from .channel import Channel, Viewer
from .feed import Feed
from .source import Source
from .topic import SaleView, Topic

log = logging.getLogger("flashguard")

PING_SECONDS: Final = 5.0
STUCK_SECONDS: Final = 30.0
"""A viewer that takes no bytes for this long is cut off."""
LINGER_PINGS: Final = 3
"""Pings during which a sale without viewers is kept up to date, so that a returning viewer can resume."""


class Full(Exception):
    """This process has the most viewers that it may have."""


class Ending(Exception):
    """This process is ending and admits no viewers."""


class Hub:
    """All open event streams of one process.

    Parameters:
        sale_view: shows a sale as the API does.
        max_viewers: open streams at most, of sales, tickets and simulations together.
    """

    def __init__(self, source: Source, sale_view: SaleView, *, max_viewers: int) -> None:
        self.viewers = 0
        self.ended = False
        self._source = source
        self._view = sale_view
        self._max_viewers = max_viewers
        self._feeds: dict[int, Feed] = {}
        self._loading: dict[SaleId, asyncio.Task[None]] = {}
        self._channels: set[Channel] = set()
        self._lonely: dict[SaleId, int] = {}
        self._reads_before = 0
        self._pinger = asyncio.create_task(self._ping())

    @property
    def reads(self) -> int:
        """Reads of the journal so far."""
        return self._reads_before + sum(feed.reads for feed in self._feeds.values())

    async def watch_sale(
        self, sale_id: SaleId, last_event_id: str | None, *, may_see_draft: Callable[[], Awaitable[bool]]
    ) -> Viewer:
        """Return a new viewer of a sale; the caller must make it `leave` in the end.

        Parameters:
            may_see_draft: called when the sale is a draft.

        Raises:
            LookupError: there is no such sale, or a draft that this viewer may not see.
            Full, Ending: not now.
            FlashGuardError: neither memory nor ledger answers.
        """
        self.check_room()
        feed = self._feed(self._source.partition(sale_id))
        topic = feed.topics.get(sale_id)
        if topic is None or not topic.loaded:
            topic = await self._load(feed, sale_id)
        if topic.is_draft and not await may_see_draft() and await self._is_draft(sale_id):
            raise LookupError(sale_id)
        return self._enter(topic.channel, topic.first_event(last_event_id))

    async def _is_draft(self, sale_id: SaleId) -> bool:
        """Return whether a sale is a draft now: a topic may be about 100 ms behind its opening."""
        try:
            found = await self._source.snapshot(sale_id)
            sale = None if found is None else found.sale
        except FlashGuardError:
            sale = await self._source.last_known(sale_id)
        return sale is None or sale.status is SaleStatus.DRAFT

    def watch(self, channel: Channel) -> Viewer:
        """Return a new viewer of any channel, which gets a snapshot first.

        Raises:
            Full, Ending: not now.
        """
        self.check_room()
        self._channels.add(channel)
        return self._enter(channel, channel.snapshot())

    def end(self) -> None:
        """End every stream, and admit no new one."""
        self.ended = True
        for channel in self._all_channels():
            channel.end()

    async def close(self) -> None:
        """End every stream, and wait for our own tasks."""
        self.end()
        self._pinger.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pinger
        for feed in self._feeds.values():
            feed.stop()

    def check_room(self) -> None:
        """Check that one more viewer may come.

        Raises:
            Full, Ending: not now.
        """
        if self.ended:
            raise Ending
        if self.viewers >= self._max_viewers:
            raise Full

    def _enter(self, channel: Channel, first: bytes) -> Viewer:
        self.check_room()
        self.viewers += 1
        return Viewer(channel, sse.RETRY + first, self._left)

    def _left(self) -> None:
        self.viewers -= 1

    def _feed(self, partition: int) -> Feed:
        feed = self._feeds.get(partition)
        if feed is None:
            feed = self._feeds[partition] = Feed(self._source, partition)
        return feed

    async def _load(self, feed: Feed, sale_id: SaleId) -> Topic:
        """Load a sale once for all viewers that wait for it."""
        topic = feed.topics.get(sale_id)
        if topic is None:
            topic = feed.topics[sale_id] = Topic(sale_id, self._view)
            feed.start()  # from now on, nothing that the journal says of it is missed
            self._loading[sale_id] = asyncio.create_task(self._load_topic(feed, topic))
        loading = self._loading.get(sale_id)
        if loading is not None:
            await asyncio.shield(loading)
        return topic

    async def _load_topic(self, feed: Feed, topic: Topic) -> None:
        try:
            await feed.load(topic)
        except BaseException:
            feed.topics.pop(topic.sale_id, None)
            raise
        finally:
            self._loading.pop(topic.sale_id, None)

    def _all_channels(self) -> list[Channel]:
        topics = [topic.channel for feed in self._feeds.values() for topic in feed.topics.values()]
        return [*topics, *self._channels]

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            try:
                self._cut_off_the_stuck()
                self._drop_unviewed()
                event = sse.ping()
                for channel in self._all_channels():
                    channel.publish(event)
            except Exception:
                log.exception("pinging viewers: next try in %.0f s", PING_SECONDS)

    def _cut_off_the_stuck(self) -> None:
        long_ago = asyncio.get_running_loop().time() - STUCK_SECONDS
        for channel in self._all_channels():
            for viewer in list(channel.viewers):
                if viewer.sending_since is not None and viewer.sending_since < long_ago and viewer.task:
                    viewer.task.cancel()

    def _drop_unviewed(self) -> None:
        """Drop channels and topics that have had no viewer for a while."""
        self._channels = {channel for channel in self._channels if channel.viewers}
        for partition, feed in list(self._feeds.items()):
            for sale_id, topic in list(feed.topics.items()):
                if topic.channel.viewers or sale_id in self._loading:
                    self._lonely.pop(sale_id, None)
                    continue
                self._lonely[sale_id] = self._lonely.get(sale_id, 0) + 1
                if self._lonely[sale_id] > LINGER_PINGS:
                    del self._lonely[sale_id], feed.topics[sale_id]
            if not feed.topics:
                feed.stop()
                self._reads_before += feed.reads
                del self._feeds[partition]
