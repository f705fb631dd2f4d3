"""Subscriptions to commits that last only while one is pending.

For a process that serves one request at a time and may be frozen in between (AWS Lambda). With a lasting
subscription, every commit would be sent to every instance, and Valkey would buffer them for a frozen one.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import hiredis

from flashguard.valkey.client import ValkeyClient
from flashguard.valkey.connection import Connection, connect
from flashguard.valkey.errors import LostConnection, RedisError

log = logging.getLogger("flashguard")

LISTEN_SECONDS: Final = 0.5
"""How long a subscription may take. Without it, the waiter asks the ledger: see commits.py."""


class ChannelConnection(Connection):
    """A connection whose channels come and go.

    Parameters:
        hear: takes each message; an exception of it ends the connection.
        sharded: use the sharded channels of a cluster.
    """

    def __init__(self, hear: Callable[[bytes], None], *, sharded: bool) -> None:
        super().__init__()
        self._hear = hear
        self._shard = "S" if sharded else ""
        self._heard: dict[bytes, asyncio.Future[None]] = {}
        self._pong: asyncio.Future[None] | None = None
        self.greeted = False
        """True once logged in: from then on, replies are pushes."""

    def hear(self, channel: str) -> "asyncio.Future[None]":
        """Subscribe to a channel; return a future, done once subscribed or once the connection is lost."""
        name = channel.encode()
        heard = self._heard.get(name)
        if heard is None:
            heard = self._heard[name] = self._loop.create_future()
            self.write((f"{self._shard}SUBSCRIBE", channel))
        return heard

    def leave(self, channel: str) -> None:
        """Unsubscribe from the channel, if it was subscribed."""
        if self._heard.pop(channel.encode(), None) is not None and self.lost is None:
            self.write((f"{self._shard}UNSUBSCRIBE", channel))

    async def check(self, seconds: float) -> None:
        """End the connection if it does not answer a ping in time."""
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
                self._read(push)
        except (hiredis.ProtocolError, RedisError) as error:
            self.end(LostConnection(f"the announcements ended: {error}"))
        except Exception:
            log.exception(
                "cannot read an announcement; the subscription ends, and the next waiter makes a new one"
            )
            self.end(LostConnection("an announcement can't be read"))

    def _read(self, push: Any) -> None:
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
    """The channels with a pending commit. A missed message loses nothing: the waiter asks the ledger."""

    def __init__(self, client: ValkeyClient, hear: Callable[[bytes], None]) -> None:
        self._client = client
        self._hear = hear
        self._connections: dict[str, ChannelConnection] = {}
        self._connecting = asyncio.Lock()
        self._waiting: Counter[str] = Counter()

    async def begin(self, channel: str) -> None:
        """Subscribe to the channel; return once subscribed, or after LISTEN_SECONDS without."""
        self._waiting[channel] += 1
        connection = None
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(LISTEN_SECONDS):
                connection = await self._connection(channel)
                await asyncio.wait([connection.hear(channel)])
                return
        if connection is not None:
            connection.end(LostConnection("a subscription got no answer"))

    def end(self, channel: str) -> None:
        """End what `begin` began; the last one unsubscribes."""
        self._waiting[channel] -= 1
        if self._waiting[channel] > 0:
            return
        del self._waiting[channel]
        for connection in self._connections.values():
            connection.leave(channel)

    async def check(self, seconds: float) -> None:
        """Give up connections that do not answer in time; the next waiter makes new ones."""
        await asyncio.gather(*(connection.check(seconds) for connection in self._connections.values()))

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections.values():
            connection.end(LostConnection("closed"))

    async def _connection(self, channel: str) -> ChannelConnection:
        """Return the connection to the server that announces the channel."""
        async with self._connecting:
            connection = self._connections.get(self._client.node_of(channel))
            if connection is not None and connection.lost is None:
                return connection
            ((home, _),) = await self._client.homes([channel])
            connection = self._connections.get(home.name)
            if connection is None or connection.lost is not None:
                connection = await connect(
                    home, lambda: ChannelConnection(self._hear, sharded=self._client.sharded)
                )
                connection.greeted = True
                self._connections[home.name] = connection
            return connection


async def check(client: ValkeyClient, seconds: float) -> None:
    """End a client's connections that do not answer in time; the next command makes a new one."""
    await asyncio.gather(*(_ping(node.link(""), seconds) for node in client.nodes().values()))


async def _ping(link: Connection | None, seconds: float) -> None:
    if link is not None:
        with contextlib.suppress(RedisError, OSError):
            await link.ask(("PING",), seconds)
