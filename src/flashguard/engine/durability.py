"""Waits until what memory decided is on its disk, or has reached its replicas.

WAIT and WAITAOF concern the connection that wrote, and would block every command behind them. So each server
that decides has a second connection for waiting: it writes a mark after the decision and waits for the mark.
The server's writes are one stream, so the decisions before the mark have then arrived too. One mark serves
all holds that wait. If the connection that brought the decision is lost meanwhile, another server may have
taken over, and the durability is unknown.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final

from flashguard.kernel import keys
from flashguard.model import Durability
from flashguard.valkey.client import ValkeyClient
from flashguard.valkey.connection import Connection, connect
from flashguard.valkey.errors import LostConnection, RedisError, ResponseError

log = logging.getLogger("flashguard")

MARK_SECONDS: Final = 60
"""Lifetime of a mark in Valkey. Its value means nothing."""
FIRST_READ_SECONDS: Final = 0.25
"""How long a read of a sale waits for the settings of a server that was not asked before."""
READ_AGAIN_SECONDS: Final = 10.0
"""How long a server's settings are trusted: an operator or a failover may change them."""


class DurabilityWaiter:
    """Waits for the durability that a sale demands of its holds.

    Parameters:
        client: the client that brings the decisions.
        replicas: how many replicas must have a write for `replicated`.
        timeout_seconds: how long to wait for disk or replicas.
        read_again_seconds: how long a server's settings are trusted.
    """

    def __init__(
        self,
        client: ValkeyClient,
        replicas: int,
        timeout_seconds: float,
        read_again_seconds: float = READ_AGAIN_SECONDS,
    ) -> None:
        self._client = client
        self._replicas = replicas
        self._timeout_seconds = timeout_seconds
        self._read_again_seconds = read_again_seconds
        self._servers: dict[Connection, _Server] = {}

    def server_waits(self, partition: int) -> bool:
        """Return whether a partition's server answers only after its disk has the write, or has no disk;
        False while its settings are unknown."""
        link = self._client.link(keys.mark(partition))
        server = None if link is None else self._servers.get(link)
        return server is not None and server.waits

    async def reach(self, durability: Durability, partition: int) -> bool:
        """Return whether every decision of a partition that this process has seen reached this durability
        within the timeout."""
        if durability is Durability.MEMORY:
            return True
        link = self._client.link(keys.mark(partition))
        if link is None:
            return False
        return await self._server(link).reach(durability, keys.mark(partition)) and link.lost is None

    async def effective(self, durability: Durability, partitions: Iterable[int]) -> Durability | None:
        """Return the durability that a hold over these partitions really has when it is answered: less than
        `disk` where a server syncs nothing to its disk. None while a server's settings are unknown."""
        if durability is not Durability.DISK:
            return durability  # the others are waited for, or the hold is refused
        servers = {self._server(link) for each in partitions if (link := self._client.link(keys.mark(each)))}
        said = [await server.has_disk() for server in servers]
        if not said or None in said:
            return None
        return Durability.DISK if all(said) else Durability.MEMORY

    def _server(self, link: Connection) -> "_Server":
        server = self._servers.get(link)
        if server is None:
            for lost in [each for each in self._servers if each.lost is not None]:
                self._servers.pop(lost).close()
            server = self._servers[link] = _Server(
                link, self._replicas, self._timeout_seconds, self._read_again_seconds
            )
        return server

    def close(self) -> None:
        """Close every connection."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()


class _Server:
    """One server, for the lifetime of the connection that brings its decisions."""

    def __init__(
        self, link: Connection, replicas: int, timeout_seconds: float, read_again_seconds: float
    ) -> None:
        self._link = link
        self._replicas = replicas
        self._timeout_seconds = timeout_seconds
        self._read_again_seconds = read_again_seconds
        self._always = False
        self._has_disk: bool | None = None
        self._known_until = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._rounds: dict[Durability, asyncio.Task[bool]] = {}
        self._begun: dict[Durability, bool] = {}
        self._waiting: dict[Durability, Connection] = {}

    @property
    def waits(self) -> bool:
        return self._always and self._loop.time() < self._known_until

    async def reach(self, durability: Durability, mark: str) -> bool:
        if self._loop.time() >= self._known_until:
            await self._read()
            if self._loop.time() >= self._known_until:
                return False
        if durability is Durability.DISK and self._always:
            return True
        running = self._rounds.get(durability)
        if running is not None and self._begun.get(durability):
            await asyncio.wait([running])  # its mark may be older than our decision: take part in the next
            running = self._rounds.get(durability)
        if running is None or running.done():
            self._begun[durability] = False
            running = self._rounds[durability] = asyncio.create_task(self._round(durability, mark))
        await asyncio.wait([running])
        return not running.cancelled() and running.result()  # cancelled: the connection is lost

    async def has_disk(self) -> bool | None:
        """Return whether the server syncs an append-only file, by its last known settings; None: unknown.

        Refresh the settings where they are old. Only the first read waits for the answer, for at most
        FIRST_READ_SECONDS.
        """
        if self._loop.time() >= self._known_until:
            reading = self._read_now()
            if self._has_disk is None:
                await asyncio.wait((reading,), timeout=FIRST_READ_SECONDS)
        return self._has_disk

    async def _round(self, durability: Durability, mark: str) -> bool:
        await asyncio.sleep(0)  # let those of this turn of the event loop join
        self._begun[durability] = True
        copies = self._replicas if durability is Durability.REPLICATED else 0
        seconds = self._timeout_seconds
        milliseconds = round(seconds * 1000)
        try:
            async with asyncio.timeout(seconds * 2):
                one = await self._beside(durability)
                await one.ask(("SET", mark, "", "EX", MARK_SECONDS), seconds)
                local, reached = 1, 0
                if copies:
                    reached = await one.ask(("WAIT", copies, milliseconds), seconds * 2)
                if not self._always:
                    answer: list[Any] = await one.ask(("WAITAOF", 1, 0, milliseconds), seconds * 2)
                    local = answer[0]
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("holds cannot reach durability %s: %s", durability, error or "timed out")
            return False
        return local >= 1 and reached >= copies

    async def _beside(self, durability: Durability) -> Connection:
        """Return the connection for waiting, to the server that brings the decisions."""
        one = self._waiting.get(durability)
        if one is None or one.lost is not None:
            if self._link.address is None:
                raise LostConnection("the server that decided is unknown")
            one = self._waiting[durability] = await connect(self._link.address, Connection)
        return one

    async def _read(self) -> None:
        """Read the server's settings; concurrent callers share one read. It is cancelled with the connection:
        they then stay unknown."""
        reading = self._read_now()
        await asyncio.wait([reading])
        if not reading.cancelled():
            reading.result()

    def _read_now(self) -> asyncio.Task[None]:
        if self._reading is None or self._reading.done():
            self._reading = self._loop.create_task(self._ask_settings())
        return self._reading

    async def _ask_settings(self) -> None:
        try:
            flat: list[bytes] = await self._link.ask(
                ("CONFIG", "GET", "appendonly", "appendfsync"), self._timeout_seconds
            )
        except ResponseError:  # a managed server that forbids CONFIG: `flashguard doctor` says so
            flat = []
        except (RedisError, OSError, TimeoutError) as error:
            log.warning(
                "cannot read the sync settings of Valkey/Redis, holds that demand disk wait: %s",
                error or "timed out",
            )
            return
        text = [each.decode() for each in flat]
        config = dict(zip(text[::2], text[1::2], strict=True))
        self._always = config.get("appendonly") != "yes" or config.get("appendfsync") != "everysec"
        if config:
            self._has_disk = config.get("appendonly") == "yes" and config.get("appendfsync") != "no"
        else:
            self._has_disk = await self._has_file()
        self._known_until = self._loop.time() + self._read_again_seconds

    async def _has_file(self) -> bool | None:
        """Return whether INFO reports an append-only file; None where INFO does not answer."""
        try:
            said: bytes = await self._link.ask(("INFO", "persistence"), self._timeout_seconds)
        except (RedisError, OSError, TimeoutError):
            return None
        return b"aof_enabled:1" in said

    def close(self) -> None:
        for task in (self._reading, *self._rounds.values()):
            if task is not None:
                task.cancel()
        for connection in self._waiting.values():
            connection.end(LostConnection("closed"))
