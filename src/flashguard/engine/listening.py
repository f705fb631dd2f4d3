"""Hears what the recorder commits while somebody waits for it, and at no other time.

For a process that does one thing at a time and may be frozen in between: were it subscribed all along, every
commit would be sent to every instance there is, and a frozen one would have memory keep them all for it.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import hiredis

from flashguard.valkey.client import MemoryClient
from flashguard.valkey.connection import Connection, connect
from flashguard.valkey.errors import LostConnection, RedisError

log = logging.getLogger("flashguard")

LISTEN_SECONDS: Final = 0.5
"""How long a subscription may take; without it, whoever waits asks the ledger after a while."""


class Ear(Connection):
    """A connection whose channels come and go.

    Parameters:
        hear: takes each message; what it raises ends the connection.
        sharded: the channels are those of a cluster's shard.
    """

    def __init__(self, hear: Callable[[bytes], None], *, sharded: bool) -> None:
        super().__init__()
        self._hear = hear
        self._shard = "S" if sharded else ""
        self._heard: dict[bytes, asyncio.Future[None]] = {}
        self._pong: asyncio.Future[None] | None = None
        self.greeted = False
        """Set once it has logged in: from then on, what comes is pushed."""

    def hear(self, channel: str) -> "asyncio.Future[None]":
        """Asks for a channel; the future is done once it is heard, or the connection is lost."""
        name = channel.encode()
        heard = self._heard.get(name)
        if heard is None:
            heard = self._heard[name] = self._loop.create_future()
            self.write((f"{self._shard}SUBSCRIBE", channel))
        return heard

    def leave(self, channel: str) -> None:
        """Hears the channel no more, if it did."""
        if self._heard.pop(channel.encode(), None) is not None and self.lost is None:
            self.write((f"{self._shard}UNSUBSCRIBE", channel))

    async def check(self, seconds: float) -> None:
        """Ends the connection when it does not answer in time."""
        if self.lost is None:
            pong = self._pong = self._loop.create_future()
            self.write(("PING",))
            await asyncio.wait([pong], timeout=seconds)
            if not pong.done():
                self.end(LostConnection("no answer to a ping"))

    def data_received(self, data: bytes) -> None:
        if not self.greeted:
            super().data_received(data)
            return
        self._reader.feed(data)
        try:
            while (push := self._reader.gets()) is not False:
                self._take(push)
        except (hiredis.ProtocolError, RedisError) as error:
            self.end(LostConnection(f"the announcements ended: {error}"))
        except Exception:
            log.exception("an announcement can't be read")
            self.end(LostConnection("an announcement can't be read"))

    def _take(self, push: Any) -> None:
        if isinstance(push, RedisError):
            raise push
        if isinstance(push, bytes):
            _settle(self._pong)
            return
        word = push[0]
        if word in (b"message", b"smessage"):
            self._hear(push[2])
        elif word in (b"subscribe", b"ssubscribe"):
            _settle(self._heard.get(push[1]))
        elif word == b"sunsubscribe" and push[1] in self._heard:
            self.end(LostConnection("the channel has moved to another node"))
        elif word == b"pong":
            _settle(self._pong)

    def end(self, why: RedisError) -> None:
        super().end(why)
        for future in (*self._heard.values(), self._pong):
            _settle(future)


def _settle(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)


class Listening:
    """The channels that somebody waits for. A message that is missed is no loss: the ledger is asked then."""

    def __init__(self, client: MemoryClient, hear: Callable[[bytes], None]) -> None:
        self._client = client
        self._hear = hear
        self._ears: dict[str, Ear] = {}
        self._connecting = asyncio.Lock()
        self._waiting: Counter[str] = Counter()

    async def begin(self, channel: str) -> None:
        """Returns once the channel is heard, or can't be in time."""
        self._waiting[channel] += 1
        ear = None
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(LISTEN_SECONDS):
                ear = await self._ear(channel)
                await asyncio.wait([ear.hear(channel)])
                return
        if ear is not None:
            ear.end(LostConnection("a subscription got no answer"))

    def end(self, channel: str) -> None:
        """Whoever began does not wait any more."""
        self._waiting[channel] -= 1
        if self._waiting[channel] > 0:
            return
        del self._waiting[channel]
        for ear in self._ears.values():
            ear.leave(channel)

    async def check(self, seconds: float) -> None:
        """Gives up connections that do not answer in time; who waits next makes new ones."""
        await asyncio.gather(*(ear.check(seconds) for ear in self._ears.values()))

    def close(self) -> None:
        for ear in self._ears.values():
            ear.end(LostConnection("not needed any more"))

    async def _ear(self, channel: str) -> Ear:
        """The connection to whichever server announces the channel."""
        async with self._connecting:
            ear = self._ears.get(self._client.node_of(channel))
            if ear is not None and ear.lost is None:
                return ear
            ((home, _),) = await self._client.homes([channel])
            ear = self._ears.get(home.name)
            if ear is None or ear.lost is not None:
                ear = await connect(home, lambda: Ear(self._hear, sharded=self._client.sharded))
                ear.greeted = True
                self._ears[home.name] = ear
            return ear


async def check(client: MemoryClient, seconds: float) -> None:
    """Ends a client's connections that do not answer in time; the next command makes a new one."""
    await asyncio.gather(*(_ping(node.link(""), seconds) for node in client.nodes().values()))


async def _ping(link: Connection | None, seconds: float) -> None:
    if link is not None:
        with contextlib.suppress(RedisError, OSError):
            await link.ask(("PING",), seconds)
