"""Waits until what memory decided is on its disk, or has reached its replicas.

A wait concerns the connection that wrote, and would hold up every command behind it. So the waits have a
connection of their own: it writes a mark after the decision, and waits for the mark. What came before the
mark in the server's one stream of writes has then arrived too. However many holds wait, one mark is out.
"""

import asyncio
import logging
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from flashguard.kernel import keys
from flashguard.model import Durability

log = logging.getLogger("flashguard")

MARK_SECONDS: Final = 60
"""How long a mark stays; it means nothing."""


class Copies:
    """Asks one server how far its newest writes have come.

    Parameters:
        redis: a client of its own.
        replicas: how many must have a write for `replicated`.
        timeout_seconds: how long to wait for them.
    """

    def __init__(self, redis: "Redis", replicas: int, timeout_seconds: float) -> None:
        self._redis = redis
        self._replicas = replicas
        self._timeout_seconds = timeout_seconds
        self._always: bool | None = None
        self._rounds: dict[Durability, asyncio.Task[bool]] = {}
        self._begun: dict[Durability, bool] = {}

    @property
    def server_waits(self) -> bool:
        """Whether the server itself answers only after its disk; False while that is not known."""
        return self._always is True

    async def reach(self, durability: Durability) -> bool:
        """Whether all that this process was told so far has come so far; False when it has not in time."""
        if durability is Durability.MEMORY:
            return True
        if self._always is None:
            self._always = await self._answers_come_after_the_disk()
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
                if not self.server_waits:
                    answer = await one.execute_command("WAITAOF", 1, 0, milliseconds)  # type: ignore[no-untyped-call]
                    local = answer[0]
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("holds can not be kept %s: %s", durability, error or "timed out")
            return False
        return local >= 1 and reached >= copies

    async def _answers_come_after_the_disk(self) -> bool:
        """Whether the server itself answers only after the disk, or has none that it could wait for."""
        try:
            config = await self._redis.config_get("appendonly", "appendfsync")
        except (RedisError, OSError):
            return True  # a managed server that does not let us look: `flashguard doctor` says so
        text = {_text(name): _text(value) for name, value in config.items()}
        return text.get("appendonly") != "yes" or text.get("appendfsync") != "everysec"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
