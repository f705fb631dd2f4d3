"""A few calls of a load that are on their way at once."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

IN_FLIGHT: Final = 3
"""Pages on their way at once: the server writes them to its disk together."""


class Abreast:
    """A few calls at once; the next `add` or `all_done` raises the first fault.

    A page that is on its way after a fault changes nothing that counts: each page checks the fence.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, call: Coroutine[Any, Any, None]) -> None:
        """Start a call; wait while the most are on their way."""
        self._tasks.add(asyncio.create_task(call))
        if len(self._tasks) >= IN_FLIGHT:
            await self._wait(asyncio.FIRST_COMPLETED)

    async def all_done(self) -> None:
        """Wait for all calls."""
        if self._tasks:
            await self._wait(asyncio.ALL_COMPLETED)

    async def settled(self) -> None:
        """Wait for all calls, and ignore their faults."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self, until: str) -> None:
        done, self._tasks = await asyncio.wait(self._tasks, return_when=until)
        faults = [fault for task in done if (fault := task.exception()) is not None]
        if faults:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            raise faults[0]
