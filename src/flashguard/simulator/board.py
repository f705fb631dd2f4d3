"""The board: a few keys in Valkey/Redis through which a simulation and its followers in any process exchange
events."""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from flashguard.kernel import keys
from flashguard.kernel.errors import MemoryAway
from flashguard.valkey.client import Commands
from flashguard.valkey.errors import RedisError

from .progress import BoardEvent, decode_event, encode_event

CLAIM_MS: Final = 10_000
"""Lifetime of a claim that is not renewed: this long after its process died, the next simulation may
start."""
EVENTS_KEPT: Final = 50_000
"""More than a simulation of all strategies can write."""
EVENTS_SECONDS: Final = 3600
STOP_SECONDS: Final = 3600
ANSWER_SECONDS: Final = 5.0
"""Longer than any read blocks."""
PAGE_EVENTS: Final = 5_000


class Board:
    """Claims, events and requests to stop. Every method raises `MemoryAway` if Valkey/Redis does not
    answer."""

    def __init__(self, client: Commands) -> None:
        self._client = client

    async def claim(self, id_: str) -> bool:
        """Claim the only slot; return False if it is taken."""
        return bool(await self._ask("SET", keys.simulation_running(), id_, "NX", "PX", CLAIM_MS))

    async def running(self) -> str | None:
        """Return the simulation that has the slot."""
        raw = cast("bytes | None", await self._ask("GET", keys.simulation_running()))
        return None if raw is None else raw.decode()

    async def renew(self, id_: str) -> bool:
        """Keep the slot; return False if it was lost."""
        if await self.running() != id_:
            return False
        await self._ask("PEXPIRE", keys.simulation_running(), CLAIM_MS)
        return True

    async def free(self, id_: str) -> None:
        """Free the slot, if this simulation still has it."""
        if await self.running() == id_:
            await self._ask("DEL", keys.simulation_running())

    async def ask_to_stop(self, id_: str) -> None:
        await self._ask("SET", keys.simulation_stop(id_), "1", "EX", STOP_SECONDS)

    async def asked_to_stop(self, id_: str) -> bool:
        return bool(await self._ask("EXISTS", keys.simulation_stop(id_)))

    async def write(self, id_: str, events: Sequence[BoardEvent]) -> None:
        """Add events in this order."""
        key = keys.simulation_events(id_)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                for event in events:
                    await self._client.execute_command(
                        "XADD", key, "MAXLEN", "~", EVENTS_KEPT, "*", "e", encode_event(event)
                    )
                await self._client.execute_command("EXPIRE", key, EVENTS_SECONDS)
        except (RedisError, OSError) as error:
            raise MemoryAway(f"simulation events: {error or 'no answer in time'}") from error

    async def read(self, id_: str, after: bytes, *, block_ms: int = 0) -> list[tuple[bytes, BoardEvent]]:
        """Return the events after this place, each with its own place.

        Parameters:
            block_ms: how long to wait for the first.
        """
        command: list[object] = ["XREAD", "COUNT", PAGE_EVENTS]
        if block_ms:
            command += ["BLOCK", block_ms]
        raw = await self._ask(*command, "STREAMS", keys.simulation_events(id_), after)
        streams = cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", raw or [])
        entries = streams[0][1] if streams else []
        return [(place, decode_event(fields[b"e"])) for place, fields in entries]

    async def _ask(self, *command: object) -> object:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._client.execute_command(*command)
        except (RedisError, OSError) as error:
            raise MemoryAway(f"{command[0]}: {error or 'no answer in time'}") from error
