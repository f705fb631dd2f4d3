"""Recovery: is memory still the history that the ledger recorded? If not, build it again from the ledger."""

import logging
import time
from collections.abc import Mapping
from enum import StrEnum

from flashguard.journal import decode_entry
from flashguard.kernel.kernel import Kernel, Verb, new_token
from flashguard.ledger import Ledger
from flashguard.ledger.sql import query
from flashguard.model import Position, SaleId
from flashguard.recorder.loading import LoadRefused, drop_sale, load_sale

log = logging.getLogger("flashguard.recorder")


class Memory(StrEnum):
    """What a partition's memory is, compared with the ledger's position."""

    SOUND = "sound"
    LOST = "lost"
    """It misses something the ledger has: build it again."""
    NEWER = "newer"
    """The ledger misses something that memory no longer has in its journal: only an operator may decide."""


def judge(position: Position, head: Mapping[str, str], link: str | None) -> tuple[Memory, str]:
    """Compares memory with the ledger's position.

    Parameters:
        head: the partition hash; empty when there is none.
        link: the token that the journal gives for the position's entry: the entry's own, or the `prev` of
            the one after it; None when the journal reaches back to neither.
    """
    if "epoch" not in head:
        return Memory.LOST, "memory is empty"
    epoch, seq, token = int(head["epoch"]), int(head["seq"]), head["token"]
    if epoch < position.epoch:
        return Memory.LOST, f"memory is at epoch {epoch}, the ledger at {position.epoch}"
    if epoch > position.epoch:
        return Memory.NEWER, f"memory is at epoch {epoch}, the ledger only at {position.epoch}"
    if "fence" in head:
        return Memory.LOST, "memory was fenced by a rebuild that did not end"
    if seq < position.seq:
        return Memory.LOST, f"memory ends at entry {seq}, the ledger has {position.seq}"
    if seq == position.seq:
        if token == position.token:
            return Memory.SOUND, ""
        return Memory.LOST, f"entry {seq} is of another history"
    if link is None:
        return Memory.NEWER, f"the journal no longer reaches back to entry {position.seq}"
    if link != position.token:
        return Memory.LOST, f"the entry after {position.seq} is of another history"
    return Memory.SOUND, ""


async def inspect(kernel: Kernel, partition: int, position: Position) -> tuple[Memory, str]:
    """Reads memory's head and the journal around the position, and judges them.

    Raises:
        MemoryAway: no answer.
    """
    head = await kernel.head(partition)
    after = await kernel.entries(partition, position.epoch, position.seq, count=1)
    link = None
    if after:
        entry = decode_entry(*after[0])
        if (entry.epoch, entry.seq) == (position.epoch, position.seq):
            link = entry.token
        elif (entry.epoch, entry.seq) == (position.epoch, position.seq + 1):
            link = entry.previous
    return judge(position, head, link)


class Overtaken(Exception):
    """Another recorder moved the position or took the fence; look again."""


async def fence(kernel: Kernel, partition: int, value: str = "0") -> str:
    """Closes a partition to every decision; returns the fence that stands."""
    reply = await kernel.run(Verb.FENCE, partition, [], [value])
    return str(reply.results[0])


async def rebuild(
    kernel: Kernel, ledger: Ledger, partition: int, *, why: str, closed_sale_hours: float
) -> Position:
    """Fences the partition, raises the epoch, loads every sale from the ledger, unfences.

    Returns:
        the position of the new epoch's start.

    Raises:
        Overtaken: another recorder did it, or is doing it.
        MemoryAway, LedgerAway: a server went away; the fence stays.
    """
    started = time.monotonic()
    await fence(kernel, partition)
    position = await ledger.position(partition)
    token = new_token()
    sales = reservations = 0
    async with ledger.connection() as connection:
        epoch = await connection.fetchval(
            query("raise_epoch"), partition, position.epoch, position.seq, position.token, token
        )
        if epoch is None or await fence(kernel, partition, str(epoch)) != str(epoch):
            raise Overtaken
        try:
            wanted = await connection.fetch(query("sales_in_memory"), partition, closed_sale_hours * 3600)
            keep = {SaleId(row["id"]) for row in wanted}
            for sale_id in await kernel.sales(partition) - keep:
                await drop_sale(kernel, partition, sale_id, fence=str(epoch))
            for sale in wanted:
                reservations += await load_sale(kernel, connection, partition, sale, fence=str(epoch))
                sales += 1
        except LoadRefused as error:
            raise Overtaken from error
    reply = await kernel.run(Verb.UNFENCE, partition, [], [str(epoch), token, why])
    if reply.status:
        raise Overtaken
    if sales or position.epoch:
        log.warning(
            "partition %d rebuilt from the ledger (%s): %d sales, %d reservations, epoch %d, %.0f ms",
            partition, why, sales, reservations, epoch, (time.monotonic() - started) * 1000,
        )  # fmt: skip
    return Position(epoch, 0, token)
