"""Writes small groups of several partitions in one transaction: its fixed cost is paid once for all of them.

One transaction is in hand at a time; the small groups that become ready meanwhile share the next one. A group
that finds no other is written alone, and so is every group of a transaction that did not go through: what
stops one partition does not stop another.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import asyncpg

from flashguard.journal import Entry
from flashguard.kernel.coalescer import Coalescer
from flashguard.ledger import Ledger, LedgerAway, recording
from flashguard.model import Position

from .fold import Group, arguments_of, fold
from .write import Written, write_alone

log = logging.getLogger("flashguard.recorder")

SMALL: Final = 64
"""Transitions of a small group. A larger one pays its own commit, and no other waits for it."""
PARTITIONS_MOST: Final = 64
"""Groups of one transaction, and groups that wait for one."""
TOGETHER_SECONDS: Final = 1.0
"""How long a shared transaction may take. It may wait for a lock on a row, which should stop that row's
partition only."""
LONE_SECONDS: Final = 0.1
"""How long others wait for a group that is written alone, for the same reason."""


class _Share:
    """One partition's group, from its queueing until it is written."""

    def __init__(self, partition: int, run: Sequence[Entry], position: Position, end: Position) -> None:
        self.run = run
        self.move = {
            "partition": partition, "epoch": position.epoch, "seq": position.seq, "token": position.token,
            "to_seq": end.seq, "to_token": end.token,
        }  # fmt: skip
        loop = asyncio.get_running_loop()
        self.written: asyncio.Future[Written | None] = loop.create_future()
        """What became of it with others; None: it must be written alone."""
        self.ended: asyncio.Future[None] = loop.create_future()

    def answer(self, written: Written | None) -> None:
        if not self.written.done():
            self.written.set_result(written)


class Together:
    """The small groups of one recorder process, on their way into the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._coalescer = Coalescer(self._send, max_batch=PARTITIONS_MOST, max_queue=PARTITIONS_MOST)
        self._newest = -1
        """The partition whose group came last."""

    async def write(self, partition: int, run: Sequence[Entry], position: Position, end: Position) -> Written:
        """Apply a run of entries, with the small groups of other partitions or alone.

        Raises:
            LedgerAway: PostgreSQL does not answer.
            Unreplayable: the ledger lacks a sale or an item of the run; nothing is applied.
        """
        only, self._newest = self._newest == partition, partition  # the only busy one need not wait
        small = sum(len(entry.body.transitions) for entry in run) <= SMALL
        if only or not small or self._coalescer.waiting >= PARTITIONS_MOST:
            return await write_alone(self._ledger, partition, run, position, end)
        share = _Share(partition, run, position, end)
        self._coalescer.submit(share)
        try:
            written = await share.written
            if written is None:
                written = await write_alone(self._ledger, partition, run, position, end)
            return written
        finally:
            share.ended.set_result(None)

    async def _send(self, shares: list[_Share]) -> None:
        shares = [share for share in shares if not share.ended.done()]  # the others' callers were cancelled
        if len(shares) == 1:
            shares[0].answer(None)
            await asyncio.wait([shares[0].ended], timeout=LONE_SECONDS)
            return
        plain: dict[_Share, Group] = {}
        for share in shares:
            group, *more = fold(share.run)
            if not more and group.rare_arguments() is None:
                plain[share] = group
            else:
                share.answer(None)
        try:
            await self._write(plain)
        finally:
            for share in plain:
                share.answer(None)

    async def _write(self, groups: dict[_Share, Group]) -> None:
        """Write the groups in one transaction, and answer those that it wrote."""
        moves, rows = [share.move for share in groups], arguments_of(list(groups.values()))
        try:
            async with asyncio.timeout(TOGETHER_SECONDS), self._ledger.connection() as connection:
                applied, drift = await recording.record_groups(connection, moves, rows)
        except LedgerAway as error:
            for share in groups:
                if not share.written.done():
                    share.written.set_exception(LedgerAway(str(error)))
        except (asyncpg.PostgresError, TimeoutError) as error:
            log.debug("the groups of %d partitions are written one by one: %s", len(groups), error)
        except Exception:
            log.exception("the groups of %d partitions are written one by one", len(groups))
        else:
            for share, group in groups.items() if applied else ():
                names = {f"{sale}/{sku}" for sale, sku in group.items} if drift else set()
                share.answer(Written(True, [item for item in drift if item in names]))
