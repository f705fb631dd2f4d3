"""Remembers that memory does not answer, so that nobody else waits for it until it does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

log = logging.getLogger("flashguard")

PROBE_EVERY_SECONDS: Final = 0.05
PROBE_TIMEOUT_SECONDS: Final = 0.5
"""A server that hangs takes the question and never answers it."""


class Circuit:
    """Open while memory is away. Opened by a call that got no answer, closed by a probe that got one.

    Parameters:
        probe: asks the server something small; raises when there is no answer.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]]) -> None:
        self.open = False
        self.opened_total = 0
        self._probe = probe
        self._probing: asyncio.Task[None] | None = None

    def trip(self, why: object) -> None:
        """Opens the circuit, and has it closed as soon as memory answers again."""
        if self.open:
            return
        self.open = True
        self.opened_total += 1
        log.warning("memory does not answer: %s", why)
        self._probing = asyncio.get_running_loop().create_task(self._close_when_it_answers())

    async def _close_when_it_answers(self) -> None:
        started = asyncio.get_running_loop().time()
        while self.open:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                    await self._probe()
                self.open = False
            except Exception as error:
                log.debug("memory still does not answer: %s", error)
                await asyncio.sleep(PROBE_EVERY_SECONDS)
        log.warning("memory answers again after %.1f s", asyncio.get_running_loop().time() - started)

    def stop(self) -> None:
        """Probes no more."""
        if self._probing is not None:
            self._probing.cancel()
