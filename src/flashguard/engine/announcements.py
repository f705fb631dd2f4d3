"""One subscription to commits per process, for the lifetime of the process.

Every process hears every announcement, also of entries that it did not write. With many small processes this
is a hot path: nothing stands between the socket and the watermark but this file.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from flashguard.valkey.address import Address
from flashguard.valkey.client import ValkeyClient
from flashguard.valkey.connection import CONNECT_SECONDS, connect
from flashguard.valkey.errors import LostConnection, RedisError
from flashguard.valkey.push import Subscription

log = logging.getLogger("flashguard")

RESUBSCRIBE_SECONDS: Final = 0.2
SILENCE_SECONDS: Final = 2.0
"""How long the channels may be silent before the connection is pinged."""


class Announcements:
    """Feeds the messages of some channels to `hear`. Subscribes again after every fault, and at the new node
    after every move of a slot.

    Messages in between are lost; their waiters ask the ledger.
    """

    def __init__(self, client: ValkeyClient, channels: Sequence[str], hear: Callable[[bytes], None]) -> None:
        self._client = client
        self._channels = channels
        self._hear = hear
        self._listening: dict[tuple[str, tuple[str, ...]], asyncio.Task[None]] = {}
        self._heard: set[str] = set()
        self.subscribed = asyncio.Event()
        """Set once every channel is subscribed for the first time."""

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            while True:
                pause = RESUBSCRIBE_SECONDS
                try:
                    await self._follow_homes()
                    if self._listening:
                        await asyncio.wait(
                            self._listening.values(),
                            timeout=SILENCE_SECONDS,
                            return_when=asyncio.FIRST_COMPLETED,
                        )
                    if not any(task.done() for task in self._listening.values()):
                        pause = 0.0
                except (RedisError, OSError, TimeoutError) as error:
                    log.warning("cannot subscribe to commits, trying again: %s", error or "no answer in time")
                if pause:
                    await asyncio.sleep(pause)
        finally:
            for task in self._listening.values():
                task.cancel()
            await asyncio.gather(*self._listening.values(), return_exceptions=True)

    async def _follow_homes(self) -> None:
        """Keep one subscription per server that announces, and end the others."""
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
            log.warning(
                "the subscription to commits of %s ended, trying again: %s",
                home.name,
                error or "no answer in time",
            )

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
                    raise OSError("no push and no pong in time")
                else:
                    subscription.write(("PING",))
                    asked = True
            raise subscription.lost
        finally:
            subscription.end(LostConnection("closed"))
