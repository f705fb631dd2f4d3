"""A connection for subscriptions."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from .connection import Connection
from .errors import LostConnection, RedisError

log = logging.getLogger("flashguard")


class Subscription(Connection):
    """A connection that receives the messages of its channels.

    Parameters:
        hear: called with each message; an exception ends the connection.
    """

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        super().__init__()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.subscribed: asyncio.Future[None] = self._loop.create_future()
        self.pushes = 0
        """Answers of any kind since the subscription, including those to a ping."""
        self._hear = hear
        self._channels = 0

    def subscribe(self, channels: Sequence[str], *, sharded: bool = False) -> None:
        """Subscribe to these channels; `subscribed` has a result once all of them are confirmed.

        Parameters:
            sharded: the channels of a cluster's shard, subscribed to one by one.
        """
        self._channels = len(channels)
        if sharded:
            for channel in channels:
                self.write(("SSUBSCRIBE", channel))
        else:
            self.write(("SUBSCRIBE", *channels))

    def data_received(self, data: bytes) -> None:
        if not self._channels:
            super().data_received(data)
            return
        self._reader.feed(data)
        try:
            while (push := self._reader.gets()) is not False:
                self.pushes += 1
                self._read(push)
        except (hiredis.ProtocolError, RedisError) as error:
            self.end(LostConnection(f"the subscription ended: {error}"))
        except Exception:
            log.exception("cannot read an announcement; subscribing again")
            self.end(LostConnection("an announcement can't be read"))

    def _read(self, push: Any) -> None:
        if isinstance(push, RedisError):
            raise push
        if push[0] in (b"message", b"smessage"):
            self._hear(push[2])
        elif push[0] in (b"subscribe", b"ssubscribe"):
            if push[2] >= self._channels and not self.subscribed.done():
                self.subscribed.set_result(None)
        elif push[0] == b"sunsubscribe":
            self.end(LostConnection("the channel has moved to another node"))

    def end(self, why: RedisError) -> None:
        super().end(why)
        for future in (self.ended, self.subscribed):
            if not future.done():
                future.set_result(None)
