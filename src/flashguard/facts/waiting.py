"""Readers that wait for new facts: one look at the ledger after a commit serves all of a process."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from flashguard.ledger import LedgerAway
from flashguard.ledger.facts import FactBook

log = logging.getLogger("flashguard")

MAX_WAITING: Final = 200
"""Readers that wait at once in one process."""
LOOK_SECONDS: Final = 1.0
"""How often the ledger is read while no commit is announced: an announcement may be lost, and a process of
AWS Lambda hears none."""
REST_SECONDS: Final = 0.05
"""Between two looks, however many commits are announced."""


class TooManyReaders(Exception):
    """This process has the most waiting readers that it may have."""


class NewFacts:
    """Wakes readers when the ledger has facts that they have not read.

    Parameters:
        next_commit: returns a future that is done when the next commit is announced.
    """

    def __init__(self, book: FactBook, next_commit: "Callable[[], asyncio.Future[None]]") -> None:
        self._book = book
        self._next_commit = next_commit
        self._waiting: dict[asyncio.Future[None], Sequence[int]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._ended = False

    @property
    def waiting(self) -> int:
        """Readers that wait now."""
        return len(self._waiting)

    async def beyond(self, ids: Sequence[int], seconds: float) -> None:
        """Return when a partition has a fact after its id of these, or after this time.

        Raises:
            TooManyReaders: too many wait already.
            LedgerAway: PostgreSQL does not answer.
        """
        if self._ended:
            return
        if len(self._waiting) >= MAX_WAITING:
            raise TooManyReaders
        reader = asyncio.get_running_loop().create_future()
        self._waiting[reader] = ids
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            await asyncio.wait([reader], timeout=seconds)
            if reader.done():
                reader.result()
        finally:
            del self._waiting[reader]
            reader.cancel()

    def end(self) -> None:
        """Wake every reader, and let none wait: the process stops."""
        self._ended = True
        for reader in self._waiting:
            if not reader.done():
                reader.set_result(None)

    async def close(self) -> None:
        """Wake every reader, and wait for our own task."""
        self.end()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        """Look after every commit, until no reader waits."""
        try:
            while self._waiting and not self._ended:
                commit = self._next_commit()
                await self._wake()
                await asyncio.sleep(REST_SECONDS)
                await asyncio.wait([commit], timeout=LOOK_SECONDS - REST_SECONDS)
        finally:
            self._looking = None

    async def _wake(self) -> None:
        """Read the newest facts, and wake the readers that have not read them."""
        try:
            newest = await self._book.newest()
        except (LedgerAway, asyncpg.PostgresError) as error:
            for reader in self._waiting:
                if not reader.done():
                    reader.set_exception(LedgerAway(str(error)))
            return
        for reader, ids in self._waiting.items():
            if not reader.done() and any(new > seen for new, seen in zip(newest, ids, strict=True)):
                reader.set_result(None)
