"""Hears what the recorder commits: one subscription per process, for as long as the process lives.

Every process hears every announcement, also those of entries that are not its own. So this is on the hot
path of whoever runs many small processes, and has no more between the socket and the watermark than that.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from flashguard.valkey.address import Address
from flashguard.valkey.client import MemoryClient
from flashguard.valkey.connection import CONNECT_SECONDS, connect
from flashguard.valkey.errors import LostConnection, RedisError
from flashguard.valkey.push import Subscription

log = logging.getLogger("flashguard")

RESUBSCRIBE_SECONDS: Final = 0.2
SILENCE_SECONDS: Final = 2.0
"""How long the channels may be silent before we ask whether anybody is there."""


class Announcements:
    """Feeds the messages of some channels to `hear`; subscribes anew after every fault, and elsewhere after
    every move.

    Messages in between are lost: whoever waits for one asks the ledger after a while.
    """

    def __init__(self, client: MemoryClient, channels: Sequence[str], hear: Callable[[bytes], None]) -> None:
        self._client = client
        self._channels = channels
        self._hear = hear
        self._listening: dict[tuple[str, tuple[str, ...]], asyncio.Task[None]] = {}
        self._heard: set[str] = set()
        self.subscribed = asyncio.Event()
        """Set once every channel was heard for the first time."""

    async def run(self) -> None:
        """Listens until cancelled."""
        try:
            while True:
                pause = RESUBSCRIBE_SECONDS
                try:
                    await self._listen_where_it_is_said()
                    if self._listening:
                        await asyncio.wait(
                            self._listening.values(),
                            timeout=SILENCE_SECONDS,
                            return_when=asyncio.FIRST_COMPLETED,
                        )
                    if not any(task.done() for task in self._listening.values()):
                        pause = 0.0
                except (RedisError, OSError, TimeoutError) as error:
                    log.warning("announcements stopped: %s", error or "no answer in time")
                if pause:
                    await asyncio.sleep(pause)
        finally:
            for task in self._listening.values():
                task.cancel()
            await asyncio.gather(*self._listening.values(), return_exceptions=True)

    async def _listen_where_it_is_said(self) -> None:
        """One subscription per server that announces, and none to any other."""
        places = {(home.name, channels): home for home, channels in await self._client.homes(self._channels)}
        for place, task in list(self._listening.items()):
            if place not in places or task.done():
                task.cancel()
                del self._listening[place]
        for place, home in places.items():
            if place not in self._listening:
                self._listening[place] = asyncio.create_task(self._listen_on(home, place[1]))

    async def _listen_on(self, home: Address, channels: tuple[str, ...]) -> None:
        try:
            await self._listen(home, channels)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("announcements of %s stopped: %s", home.name, error or "no answer in time")

    async def _listen(self, home: Address, channels: tuple[str, ...]) -> None:
        subscription = await connect(home, lambda: Subscription(self._hear))
        try:
            subscription.subscribe(channels, sharded=self._client.sharded)
            await asyncio.wait([subscription.subscribed], timeout=CONNECT_SECONDS)
            asked = not subscription.subscribed.done()
            if not asked and subscription.lost is None:
                self._heard.update(channels)
                if self._heard.issuperset(self._channels):
                    self.subscribed.set()
            while subscription.lost is None:
                heard = subscription.pushes
                await asyncio.wait([subscription.ended], timeout=SILENCE_SECONDS)
                if subscription.pushes > heard:
                    asked = False
                elif asked:
                    raise OSError("the channel is dead")
                else:
                    subscription.write(("PING",))
                    asked = True
            raise subscription.lost
        finally:
            subscription.end(LostConnection("not needed any more"))
