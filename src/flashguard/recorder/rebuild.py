"""Judges whether memory is still the history that the ledger recorded, and rebuilds it when it is not."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from flashguard.journal import decode_sound
from flashguard.kernel.kernel import Kernel, new_token
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.ledger.loading import sales_in_memory
from flashguard.ledger.positions import note_recovery, raise_epoch
from flashguard.model import Position, SaleId

from .load import Fence, LoadRefused, Unloadable, drop_sale, load_sale

log = logging.getLogger("flashguard.recorder")

LEASE_MS: Final = 2_000
"""After this time without progress, another recorder may take a rebuild over."""


class Memory(StrEnum):
    """What a partition's memory is, compared with the ledger's position."""

    SOUND = "sound"
    LOST = "lost"
    """It lacks what the ledger has, or its journal lacks an entry: rebuild it."""
    NEWER = "newer"
    """The ledger has lost something that it once had: only an operator may decide."""


def judge(position: Position, head: Mapping[str, str], link: str | None) -> tuple[Memory, str]:
    """Compare memory with the ledger's position; return the verdict, and why.

    Parameters:
        head: the partition hash; empty when there is none.
        link: the token that the entry after the position names as the one before it; None when the journal
            has no such entry, or one that can't be read.
    """
    if not head or head.keys() == {"fence", "why"}:
        return Memory.LOST, "memory is empty"
    try:
        epoch, seq, token, recorded = (
            int(head["epoch"]), int(head["seq"]), head["token"], int(head["recorded"])
        )  # fmt: skip
    except (KeyError, ValueError):
        return Memory.LOST, "memory's own position is missing or can't be read"
    if epoch < position.epoch:
        return Memory.LOST, f"memory is at epoch {epoch}, the ledger at {position.epoch}"
    if epoch > position.epoch:
        return Memory.NEWER, f"memory is at epoch {epoch}, the ledger only at {position.epoch}"
    if head.get("stuck") == _place(position):
        return Memory.NEWER, head.get("why", "the ledger lacks what the journal needs")
    if seq < position.seq:
        return Memory.LOST, f"memory ends at entry {seq}, the ledger has {position.seq}"
    if seq == position.seq and token != position.token:
        return Memory.LOST, f"entry {seq} is of another history"
    if seq > position.seq and link is None:
        if recorded > position.seq:
            return (
                Memory.NEWER,
                f"the ledger had entry {recorded} once, now it ends at {position.seq}, "
                "and the journal does not reach back to that",
            )
        return Memory.LOST, f"the journal has a gap, or an entry that can't be read, after {position.seq}"
    if seq > position.seq and link != position.token:
        return Memory.LOST, f"the entry after {position.seq} is of another history"
    if "fence" in head:
        return Memory.LOST, "memory was fenced by a rebuild that did not end"
    return Memory.SOUND, ""


async def inspect(kernel: Kernel, partition: int, position: Position) -> tuple[Memory, str]:
    """Read memory's head and the journal around the position, and judge them.

    Raises:
        MemoryAway: no answer.
        MemoryBroken: a key holds something that is not ours.
    """
    head = await kernel.head(partition)
    link = None
    for entry in decode_sound(await kernel.entries(partition, position.epoch, position.seq + 1, count=1))[0]:
        if (entry.epoch, entry.seq) == (position.epoch, position.seq + 1):
            link = entry.previous
    return judge(position, head, link)


class Overtaken(Exception):
    """Another recorder moved the position or holds the fence: compare memory and ledger again."""


async def fence(kernel: Kernel, partition: int, value: str = "0", *, builder: str, why: str) -> str:
    """Close a partition to every decision; return the fence that stands.

    Raises:
        Overtaken: another recorder rebuilds it, and makes progress.
    """
    reply = await kernel.run(Verb.FENCE, partition, [], [value, builder, LEASE_MS, why])
    stands, *busy = reply.results
    if busy:
        raise Overtaken
    return str(stands)


async def close_for_operator(
    kernel: Kernel, partition: int, why: str, *, stuck: Position | None = None
) -> None:
    """Close a partition until an operator decides.

    Parameters:
        stuck: the ledger's position, where only what is missing in the ledger shows that it is too old.
            Memory keeps it, so that every recorder leaves the partition closed while the ledger stands there.
    """
    await kernel.run(Verb.FENCE, partition, [], ["0", None, 0, why, None if stuck is None else _place(stuck)])


def _place(position: Position) -> str:
    return f"{position.epoch}-{position.seq}"


async def close_where_a_sale_is_lost(
    kernel: Kernel, ledger: Ledger, partition: int, position: Position
) -> None:
    """Close the partition for an operator when memory has a sale that the ledger does not have.

    The ledger has recorded all of the journal, so it lost the sale; a rebuild would lose it in memory too.

    Raises:
        Overtaken: the partition was closed.
    """
    head = await kernel.head(partition)
    epoch = head.get("epoch", "")
    if not epoch.isdigit() or int(epoch) < position.epoch:
        return  # memory is older or has no position, or an operator chose the ledger
    lost = await ledger.sales.unknown(await kernel.sales(partition))
    if lost:
        why = f"the ledger has no sale {lost[0]}, which memory has: the ledger is older than memory"
        log.error("partition %d: %s", partition, why)
        await close_for_operator(kernel, partition, why, stuck=position)
        raise Overtaken


class CompletedRebuild(Struct, frozen=True):
    """A rebuild that is done."""

    position: Position
    sales: int
    reservations: int
    first: bool
    """The partition was new: an installation's start, not a loss."""


async def rebuild(
    kernel: Kernel,
    ledger: Ledger,
    partition: int,
    *,
    why: str,
    closed_sale_hours: float,
    drain: Callable[[Position], Awaitable[None]],
) -> CompletedRebuild:
    """Rebuild a partition: fence it, record what its journal still has, raise the epoch, load every sale from
    the ledger, unfence it.

    Parameters:
        drain: writes into the ledger what the fenced journal has after this position.

    Raises:
        Overtaken: another recorder has rebuilt it, or does now; or memory lost a part of the rebuild.
        MemoryAway, LedgerAway: a server went away; the fence stays.
    """
    builder = new_token()
    await fence(kernel, partition, builder=builder, why=why)
    await drain(await ledger.positions.get(partition))
    position = await ledger.positions.get(partition)
    await close_where_a_sale_is_lost(kernel, ledger, partition, position)
    token = new_token()
    sales = reservations = 0
    async with ledger.connection() as connection:
        epoch = await raise_epoch(connection, partition, position, token)
        if epoch is None:
            raise Overtaken
        if await fence(kernel, partition, str(epoch), builder=builder, why=why) != str(epoch):
            raise Overtaken
        under = Fence(str(epoch))
        try:
            wanted = await sales_in_memory(connection, partition, closed_sale_hours * 3600)
            keep = {SaleId(row["id"]) for row in wanted}
            for sale_id in await kernel.sales(partition) - keep:
                await drop_sale(kernel, partition, sale_id, fence=under)
            for sale in wanted:
                try:
                    reservations += await load_sale(kernel, connection, partition, sale, fence=under)
                    sales += 1
                except Unloadable:  # it stops no other sale
                    await drop_sale(kernel, partition, SaleId(sale["id"]), fence=under)
        except LoadRefused as error:
            raise Overtaken from error
    reply = await kernel.run(Verb.UNFENCE, partition, [], [under.epoch, token, why, under.loads])
    if reply.results == ["incomplete"]:
        log.warning("partition %d: memory lost a part of its rebuild; it is rebuilt again", partition)
    if reply.results != ["open"]:
        raise Overtaken
    return CompletedRebuild(Position(epoch, 0, token), sales, reservations, first=position.epoch == 0)


async def note_rebuild(
    ledger: Ledger, partition: int, done: CompletedRebuild, why: str, seconds: float, entries: int
) -> None:
    """Note a rebuild in the log and in the ledger, where readiness and metrics read it.

    Parameters:
        seconds: from the moment memory was found wrong until buyers are served again.
        entries: those of the fenced journal that were recorded first.
    """
    log.warning(
        "partition %d rebuilt from the ledger (%s): %d entries recorded first, %d sales, "
        "%d reservations, epoch %d, %.0f ms",
        partition, why, entries, done.sales, done.reservations, done.position.epoch, seconds * 1000,
    )  # fmt: skip
    async with ledger.connection() as connection:
        await note_recovery(
            connection, partition, done.position.epoch, why=why, seconds=seconds,
            entries=entries, sales=done.sales, reservations=done.reservations,
        )  # fmt: skip
