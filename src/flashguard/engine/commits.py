"""Waits until the ledger has committed what memory decided.

The recorder announces each committed entry by its token. An announcement may be lost; a waiter therefore asks
the ledger itself after LEDGER_CHECK_SECONDS, and again until the deadline.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final

from flashguard.journal import decode_sound
from flashguard.kernel import keys
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel, Reply
from flashguard.kernel.results import Result
from flashguard.ledger import Ledger, LedgerAway
from flashguard.telemetry.metrics import Batches

from .decision import Decision, DecisionStatus, PendingDecision
from .listening import Listening
from .watermark import Recorded, Watermark

log = logging.getLogger("flashguard")

LEDGER_CHECK_SECONDS: Final = 1.0
"""How long a waiter relies on announcements before it asks the ledger."""

Waiting = list[tuple[PendingDecision, Result]]
"""Requests whose result is known and not committed yet."""


class Commits:
    """The requests of this process that wait for a commit.

    Parameters:
        timeout_seconds: how long a request waits before its status is UNKNOWN.
        listening: the subscriptions of a process that subscribes only while a commit is pending; None where
            one subscription lives as long as the process.
    """

    def __init__(
        self,
        kernel: Kernel,
        ledger: Ledger,
        watermark: Watermark,
        batches: Batches,
        *,
        timeout_seconds: float,
        listening: Listening | None,
    ) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._watermark = watermark
        self._batches = batches
        self._timeout_seconds = timeout_seconds
        self._listening = listening
        self._tasks: set[asyncio.Task[None]] = set()

    async def expect(self, partition: int, token: str) -> "asyncio.Future[Recorded]":
        """Return a future of the entry with this token. Call it before the script runs (decision 0003)."""
        recorded = self._watermark.expect(token)
        if self._listening is not None:
            try:
                await self._listening.begin(keys.recorded(partition))
            except BaseException:
                self.forget(partition, token)
                raise
        return recorded

    def forget(self, partition: int, token: str) -> None:
        """Stop waiting for the entry with this token."""
        self._watermark.forget(token)
        if self._listening is not None:
            self._listening.end(keys.recorded(partition))

    def settle(
        self,
        partition: int,
        token: str,
        recorded: "asyncio.Future[Recorded]",
        reply: Reply,
        decided: Sequence[tuple[PendingDecision, Result]],
    ) -> bool:
        """Answer the requests whose result needs no commit; return whether the others wait, in a task."""
        waiting: Waiting = []
        for ask, result in decided:
            if ask.durable is not None and ask.durable(result):
                waiting.append((ask, result))
            else:
                ask.settle(Decision(DecisionStatus.DECIDED, result, reply.now_ms))
        if not waiting:
            return False
        task = asyncio.get_running_loop().create_task(self._wait(partition, token, recorded, reply, waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _wait(
        self,
        partition: int,
        token: str,
        recorded: "asyncio.Future[Recorded]",
        reply: Reply,
        waiting: Waiting,
    ) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()
        deadline = since + self._timeout_seconds
        try:
            while waiting and loop.time() < deadline:
                await asyncio.wait([recorded], timeout=min(LEDGER_CHECK_SECONDS, deadline - loop.time()))
                if recorded.done():
                    entry = recorded.result()
                    if (entry.epoch, entry.seq) == (reply.epoch, reply.seq):
                        self._batches.ledger_wait.note(loop.time() - since)
                        self._settle_recorded(entry, reply, waiting)
                        waiting = []
                        return
                with contextlib.suppress(TimeoutError, LedgerAway, MemoryAway):
                    async with asyncio.timeout_at(deadline):
                        waiting = await self._ask_ledger(partition, token, reply, waiting)
        except Exception:
            log.exception("waiting for entry %d-%d of partition %d", reply.epoch, reply.seq, partition)
        finally:
            self.forget(partition, token)
            for ask, _ in waiting:
                ask.settle(Decision(DecisionStatus.UNKNOWN))

    @staticmethod
    def _settle_recorded(entry: Recorded, reply: Reply, waiting: Waiting) -> None:
        for ask, result in waiting:
            refused = bool(entry.refused) and f"{ask.sale}.{ask.name}" in entry.refused
            status = DecisionStatus.REFUSED_BY_LEDGER if refused else DecisionStatus.DECIDED
            ask.settle(Decision(status, result, reply.now_ms))

    async def _ask_ledger(self, partition: int, token: str, reply: Reply, waiting: Waiting) -> Waiting:
        """Answer the requests that the ledger has decided by now; return those that still wait."""
        position = await self._ledger.positions.get(partition)
        # Past our entry's id, in whatever history: what the ledger does not have by now, it never will.
        past = (position.epoch, position.seq) >= (reply.epoch, reply.seq)
        # A ledger that fell back is not past it, whatever memory has noted: the journal brings it back.
        noted = past and position.epoch == reply.epoch and await self._noted(partition, token, reply)
        orders = await self._ledger.reservations.recorded([(ask.sale, ask.id) for ask, _ in waiting])
        if await self._ledger.positions.get(partition) < position:
            return waiting  # it fell back in between, and perhaps before the orders were read
        still: Waiting = []
        for ask, result in waiting:
            order = orders.get((ask.sale, ask.id))
            if order is not None and ask.is_same(result, order):
                status = DecisionStatus.DECIDED
            elif noted:
                status = DecisionStatus.REFUSED_BY_LEDGER if ask.id else DecisionStatus.DECIDED
            elif position.epoch > reply.epoch or (ask.id and past):
                status = DecisionStatus.LOST
            else:
                still.append((ask, result))
                continue
            ask.settle(Decision(status, result if status is DecisionStatus.DECIDED else None, reply.now_ms))
        return still

    async def _noted(self, partition: int, token: str, reply: Reply) -> bool:
        """Return whether memory says that our entry is recorded: memory has that very entry, and its mark of
        what is recorded stands at the entry or after it."""
        head = await self._kernel.head(partition)
        if int(head.get("epoch", 0)) != reply.epoch or int(head.get("recorded", 0)) < reply.seq:
            return False
        entries, _ = decode_sound(await self._kernel.entries(partition, reply.epoch, reply.seq, count=1))
        return bool(entries) and (entries[0].seq, entries[0].token) == (reply.seq, token)

    async def drain(self) -> None:
        """Wait until no request waits for a commit."""
        while self._tasks:
            await asyncio.wait(self._tasks)
