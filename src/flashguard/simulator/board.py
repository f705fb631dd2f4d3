"""Where a simulation and those who follow it meet, whatever process they are in: a few keys in memory."""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from flashguard.kernel import keys
from flashguard.kernel.kernel import MemoryAway
from flashguard.valkey.client import Commands
from flashguard.valkey.errors import RedisError

from .progress import Happened, decode_happened, encode_happened

CLAIM_MS: Final = 10_000
"""How long a claim stands without being renewed: so long after its process died, the next one may start."""
EVENTS_KEPT: Final = 25_000
"""More than a simulation of nine strategies can write."""
EVENTS_SECONDS: Final = 3600
STOP_SECONDS: Final = 3600
ANSWER_SECONDS: Final = 5.0
"""Longer than any read here blocks."""
PAGE_EVENTS: Final = 5_000


class Board:
    """Claims, events and requests to stop. Every method raises `MemoryAway` when memory does not answer."""

    def __init__(self, client: Commands) -> None:
        self._client = client

    async def claim(self, id_: str) -> bool:
        """Takes the one place that there is; False when it is taken."""
        return bool(await self._ask("SET", keys.simulation_running(), id_, "NX", "PX", CLAIM_MS))

    async def running(self) -> str | None:
        """The simulation that has the place."""
        raw = cast("bytes | None", await self._ask("GET", keys.simulation_running()))
        return None if raw is None else raw.decode()

    async def renew(self, id_: str) -> bool:
        """Keeps the place; False when it was lost."""
        if await self.running() != id_:
            return False
        await self._ask("PEXPIRE", keys.simulation_running(), CLAIM_MS)
        return True

    async def free(self, id_: str) -> None:
        """Gives the place back, if it is still ours."""
        if await self.running() == id_:
            await self._ask("DEL", keys.simulation_running())

    async def ask_to_stop(self, id_: str) -> None:
        await self._ask("SET", keys.simulation_stop(id_), "1", "EX", STOP_SECONDS)

    async def asked_to_stop(self, id_: str) -> bool:
        return bool(await self._ask("EXISTS", keys.simulation_stop(id_)))

    async def write(self, id_: str, events: Sequence[Happened]) -> None:
        """Adds events, in this order."""
        key = keys.simulation_events(id_)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                for event in events:
                    await self._client.execute_command(
                        "XADD", key, "MAXLEN", "~", EVENTS_KEPT, "*", "e", encode_happened(event)
                    )
                await self._client.execute_command("EXPIRE", key, EVENTS_SECONDS)
        except (RedisError, OSError) as error:
            raise MemoryAway(f"simulation events: {error or 'no answer in time'}") from error

    async def read(self, id_: str, after: bytes, *, block_ms: int = 0) -> list[tuple[bytes, Happened]]:
        """Events after this place, each with its own; waits so long for the first."""
        command: list[object] = ["XREAD", "COUNT", PAGE_EVENTS]
        if block_ms:
            command += ["BLOCK", block_ms]
        raw = await self._ask(*command, "STREAMS", keys.simulation_events(id_), after)
        streams = cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", raw or [])
        entries = streams[0][1] if streams else []
        return [(place, decode_happened(fields[b"e"])) for place, fields in entries]

    async def _ask(self, *command: object) -> object:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._client.execute_command(*command)
        except (RedisError, OSError) as error:
            raise MemoryAway(f"{command[0]}: {error or 'no answer in time'}") from error
