"""Waits until what memory decided is on its disk, or has reached its replicas.

A wait concerns the connection that wrote, and would hold up every command behind it. So the waits have a
connection of their own: it writes a mark after the decision, and waits for the mark. What came before the
mark in the server's one stream of writes has then arrived too. However many holds wait, one mark is out.
"""

import asyncio
import logging
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from flashguard.kernel import keys
from flashguard.model import Durability

log = logging.getLogger("flashguard")

MARK_SECONDS: Final = 60
"""How long a mark stays; it means nothing."""
LOOK_AGAIN_SECONDS: Final = 10.0
"""How long we trust what a server said of its settings: an operator or a failover may change them."""


class Copies:
    """Asks one server how far its newest writes have come.

    Parameters:
        redis: a client of its own.
        replicas: how many must have a write for `replicated`.
        timeout_seconds: how long to wait for them.
        look_again_seconds: how long the server's own settings are trusted.
    """

    def __init__(
        self,
        redis: "Redis",
        replicas: int,
        timeout_seconds: float,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
    ) -> None:
        self._redis = redis
        self._replicas = replicas
        self._timeout_seconds = timeout_seconds
        self._look_again_seconds = look_again_seconds
        self._always = False
        self._known_until = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._rounds: dict[Durability, asyncio.Task[bool]] = {}
        self._begun: dict[Durability, bool] = {}

    @property
    def server_waits(self) -> bool:
        """Whether the server answers only after its disk, or has none; False while that is not known."""
        return self._always and self._loop.time() < self._known_until

    async def reach(self, durability: Durability) -> bool:
        """Whether all that this process was told so far has come so far; False when it has not in time."""
        if durability is Durability.MEMORY:
            return True
        if self._loop.time() >= self._known_until:
            await self._look()
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
            running = self._rounds[durability] = asyncio.create_task(self._round(durability))
        return await asyncio.shield(running)

    async def _round(self, durability: Durability) -> bool:
        await asyncio.sleep(0)  # let those of this turn of the event loop join
        self._begun[durability] = True
        copies = self._replicas if durability is Durability.REPLICATED else 0
        milliseconds = round(self._timeout_seconds * 1000)
        try:
            async with asyncio.timeout(self._timeout_seconds * 2), self._redis.client() as one:
                await one.set(keys.mark(), "", ex=MARK_SECONDS)
                local, reached = 1, 0
                if copies:
                    reached = await one.execute_command("WAIT", copies, milliseconds)  # type: ignore[no-untyped-call]
                if not self._always:
                    answer = await one.execute_command("WAITAOF", 1, 0, milliseconds)  # type: ignore[no-untyped-call]
                    local = answer[0]
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("holds can not be kept %s: %s", durability, error or "timed out")
            return False
        return local >= 1 and reached >= copies

    async def _look(self) -> None:
        """Asks for the server's settings; however many want to know them, one asks."""
        if self._looking is None or self._looking.done():
            self._looking = self._loop.create_task(self._ask_settings())
        await asyncio.shield(self._looking)

    async def _ask_settings(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                config = await self._redis.config_get("appendonly", "appendfsync")
        except ResponseError:  # a managed server that does not let us look: `flashguard doctor` says so
            config = {}
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("nobody knows when holds are on the disk: %s", error or "timed out")
            return
        text = {_text(name): _text(value) for name, value in config.items()}
        self._always = text.get("appendonly") != "yes" or text.get("appendfsync") != "everysec"
        self._known_until = self._loop.time() + self._look_again_seconds


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
