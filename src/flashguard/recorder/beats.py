"""Duties that spread sales and shared rooms need at a fixed pace, and how their steps ask the shards."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.results import Result, read_result
from flashguard.kernel.verbs import Verb
from flashguard.model import SaleId, partition_of

log = logging.getLogger("flashguard.recorder")

BEAT_SECONDS: Final = 0.25
SHARD_SECONDS: Final = 1.0
"""A shard that does not answer within this time is left out of the beat."""
SALES_MOST: Final = 1_000
"""Sales with a beat at the same time; others have none until one of these ends."""
REMEMBERED_MOST: Final = 10_000
"""Sales, shards and groups that a duty remembers between beats; what is forgotten begins again."""

Ask = Callable[[SaleId, tuple[object, ...]], Awaitable[Result | None]]
"""Returns a shard's result of one verb; None where the shard does not answer."""
Key = TypeVar("Key")
Value = TypeVar("Value")


class Beats:
    """The beats of one duty, for the spread sales and shared rooms whose first shard this process records.

    Parameters:
        duty: its name, for the log.
        beat: does the duty once for a sale with this number of shards.
    """

    def __init__(self, duty: str, beat: Callable[[SaleId, int], Awaitable[object]]) -> None:
        self._duty = duty
        self._beat = beat
        self._sales: dict[SaleId, int] = {}
        self._tasks: dict[SaleId, asyncio.Task[None]] = {}

    def note(self, sale: SaleId, shards: int) -> None:
        """Remember a sale that needs its next beat."""
        if len(self._sales) < SALES_MOST:
            self._sales[sale] = shards

    async def run(self) -> None:
        """Give the sales their beats until cancelled. A sale waits only for its own shards."""
        try:
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                sales, self._sales = self._sales, {}
                for sale, shards in sales.items():
                    if sale not in self._tasks:
                        task = self._tasks[sale] = asyncio.create_task(self._once(sale, shards))
                        task.add_done_callback(partial(self._done, sale))
        finally:
            for task in self._tasks.values():
                task.cancel()

    def _done(self, sale: SaleId, _: asyncio.Task[None]) -> None:
        del self._tasks[sale]

    async def _once(self, sale: SaleId, shards: int) -> None:
        try:
            await self._beat(sale, shards)
        except Exception:
            log.exception("%s of sale %s: next try in the next beat", self._duty, sale)


def asking(kernel: Kernel, partitions: int, verb: Verb) -> Ask:
    """Return how the shards are asked for this verb.

    Parameters:
        partitions: of the installation.
    """

    async def ask(shard: SaleId, request: tuple[object, ...]) -> Result | None:
        try:
            async with asyncio.timeout(SHARD_SECONDS):
                reply = await kernel.run(verb, partition_of(shard, partitions), [shard], [(0, *request)])
        except (MemoryAway, TimeoutError) as error:
            log.debug("%s at %s: next try in the next beat: %s", verb, shard, error)
            return None
        return None if reply.status else read_result(verb, reply.results[0])

    return ask


class WaitingOnce:
    """Asks sales, and waits only once for one that does not answer. From then on it is asked beside the
    beats, until it answers.

    Parameters:
        ask: asks a sale.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._beside: dict[SaleId, asyncio.Task[Result | None]] = {}

    async def ask(self, sale: SaleId, request: tuple[object, ...]) -> Result | None:
        """Return the sale's result; None where it does not answer, or did not when it was asked last."""
        last = self._beside.pop(sale, None)
        if last is None or (last.done() and last.result() is not None):
            answer = await self._ask(sale, request)
            if answer is not None:
                return answer
        if last is None or last.done():
            last = asyncio.ensure_future(self._ask(sale, request))
        bounded(self._beside)[sale] = last
        return None


def bounded(known: dict[Key, Value]) -> dict[Key, Value]:
    """Return this with room for one more: what a sale left behind that ended goes first."""
    while len(known) >= REMEMBERED_MOST:
        del known[next(iter(known))]
    return known
