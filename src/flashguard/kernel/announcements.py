"""Hears what the recorder commits: one subscription per process, for as long as the process lives.

Every process hears every announcement, also those of entries that are not its own. So this is on the hot
path of whoever runs many small processes, and has no more between the socket and the watermark than that.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import hiredis
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError

from .connection import CONNECT_SECONDS, Address, Connection, connect

log = logging.getLogger("flashguard")

RESUBSCRIBE_SECONDS: Final = 0.2
SILENCE_SECONDS: Final = 2.0
"""How long the channels may be silent before we ask whether anybody is there."""


class Subscription(Connection):
    """A connection that, once it has subscribed, has messages pushed to it.

    Parameters:
        hear: takes each message; what it raises ends the connection.
    """

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        super().__init__()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.subscribed: asyncio.Future[None] = self._loop.create_future()
        self.pushes = 0
        """Answers of any kind since the subscription: also those to a ping."""
        self._hear = hear
        self._channels = 0

    def subscribe(self, channels: Sequence[str]) -> None:
        """Asks for the messages of these channels; `subscribed` has a result once all are heard."""
        self._channels = len(channels)
        self.write(("SUBSCRIBE", *channels))

    def data_received(self, data: bytes) -> None:
        if not self._channels:
            super().data_received(data)
            return
        self._reader.feed(data)
        try:
            while (push := self._reader.gets()) is not False:
                self.pushes += 1
                self._take(push)
        except (hiredis.ProtocolError, RedisError) as error:
            self.end(LostConnection(f"the announcements ended: {error}"))
        except Exception:
            log.exception("an announcement can't be read")
            self.end(LostConnection("an announcement can't be read"))

    def _take(self, push: Any) -> None:
        if isinstance(push, RedisError):
            raise push
        if push[0] == b"message":
            self._hear(push[2])
        elif push[0] == b"subscribe" and push[2] >= self._channels and not self.subscribed.done():
            self.subscribed.set_result(None)

    def end(self, why: RedisError) -> None:
        super().end(why)
        for future in (self.ended, self.subscribed):
            if not future.done():
                future.set_result(None)


class Announcements:
    """Feeds the messages of some channels to `hear`; subscribes anew after every fault.

    Messages in between are lost: whoever waits for one asks the ledger after a while.
    """

    def __init__(self, url: str, channels: Sequence[str], hear: Callable[[bytes], None]) -> None:
        self._address = Address(url)
        self._channels = channels
        self._hear = hear
        self.subscribed = asyncio.Event()
        """Set once the channels were heard for the first time."""

    async def run(self) -> None:
        """Listens until cancelled."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("announcements stopped: %s", error)
            await asyncio.sleep(RESUBSCRIBE_SECONDS)

    async def _listen(self) -> None:
        subscription = await connect(self._address, lambda: Subscription(self._hear))
        try:
            subscription.subscribe(self._channels)
            await asyncio.wait([subscription.subscribed], timeout=CONNECT_SECONDS)
            asked = not subscription.subscribed.done()
            if not asked and subscription.lost is None:
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
