"""Writes an operator's choice about a ledger that is older than memory: see dilemma.py.

All partitions are written in one transaction, which also raises the ledger's epochs above memory's: a choice
takes effect as a whole or not at all, and may be repeated after a crash. The shards of a spread sale are on
several partitions, so units on their way between shards are corrected last.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from flashguard.journal import Create, Entry
from flashguard.kernel.errors import MemoryBroken
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.records import (
    AmendRecord,
    ChangeRecord,
    EndedRecord,
    EntryRecord,
    HoldRecord,
    Record,
    RecordStatus,
    RestockRecord,
)
from flashguard.ledger import Connection, Ledger, recovering
from flashguard.ledger.positions import adopt_epoch, lock_position
from flashguard.ledger.recording import reservation_statuses, restore_sales
from flashguard.ledger.recovering import FromMemory
from flashguard.ledger.spread import (
    arrivals_without_departure,
    departures_under_way,
    partitions_of_shards,
    record_arrival,
    record_departure,
    return_units,
)
from flashguard.model import Position, SaleId, public_sale
from flashguard.model.room import without_own_room

from .dilemma import PAGE, Dilemma, journal_tail
from .fold import Group
from .rebuild import close_for_operator
from .runs import first_run
from .write import write_doubtful_group

AFTER_THE_LIST: Final = (
    FromMemory.OFFERS, FromMemory.ENDED, FromMemory.HELD, FromMemory.RESTOCKS, FromMemory.CHANGES,
)  # fmt: skip
"""An ended hold that the ledger lacks has its content in the waiting list, where it came from there. The
amendments come last: they are of reservations."""
_json = msgspec.json.Encoder().encode


async def take_ledger(kernel: Kernel, ledger: Ledger, choices: Sequence[Dilemma]) -> None:
    """Make the ledger the truth as it is: the recorder may rebuild memory from it. What only memory had is
    lost, and its units are on sale again.

    Raises:
        LedgerAway: nothing was written.
    """
    async with ledger.connection() as connection, connection.transaction():
        await _lock(kernel, connection, choices)
        for transfer in await arrivals_without_departure(connection, _numbers(choices)):
            await record_departure(connection, transfer, units_in_stock=True)
        await _adopt_epochs(connection, choices)


async def take_memory(kernel: Kernel, ledger: Ledger, choices: Sequence[Dilemma]) -> list[str]:
    """Make memory the truth: write what the journal still has, then every sale, hold, order, waiting list
    entry, key and counter as memory has it.

    Memory keeps neither buyer nor basket of an order. An order that the ledger lacks therefore can't be
    written; its units leave the stock, so that they are not sold again.

    Returns:
        the orders of the journal's tail that could not be written; their units leave the stock too.

    Raises:
        MemoryAway, LedgerAway: nothing was written.
    """
    refused: list[str] = []
    async with ledger.connection() as connection, connection.transaction():
        await _lock(kernel, connection, choices)
        known: dict[int, list[SaleId]] = {}
        for choice in choices:
            sales = known[choice.partition] = sorted(await kernel.sales(choice.partition))
            tail = await journal_tail(
                kernel,
                choice.partition,
                await lock_position(connection, choice.partition),
                choice.memory_epoch,
            )
            await _have_sales(kernel, connection, choice, sales, tail)
            refused += await _write_tail(connection, choice, tail)
        for choice in choices:
            for sale in known[choice.partition]:
                await _as_in_memory(kernel, connection, choice, sale)
        await _settle_transfers(kernel, connection, choices)
        for choice in choices:
            for sale in known[choice.partition]:
                await _return_lost_units(kernel, connection, choice, sale, _numbers(choices))
        await _adopt_epochs(connection, choices)
        recorded = await _confirmed(connection, refused)
    return [name for name in refused if name not in recorded]


async def _lock(kernel: Kernel, connection: Connection, choices: Sequence[Dilemma]) -> None:
    """Stop all decisions in memory and lock the positions, until the choice is written."""
    for choice in choices:
        await close_for_operator(kernel, choice.partition, choice.why)
        position = await lock_position(connection, choice.partition)
        if (position.epoch, position.seq) != (choice.ledger_epoch, choice.ledger_seq):
            raise RuntimeError(f"a recorder moved partition {choice.partition} meanwhile: run it again")


async def _adopt_epochs(connection: Connection, choices: Sequence[Dilemma]) -> None:
    """Raise the ledger's epochs above memory's: the next ones are newer for every process."""
    for choice in choices:
        await adopt_epoch(connection, choice.partition, choice.memory_epoch)


async def _have_sales(
    kernel: Kernel, connection: Connection, choice: Dilemma, sales: Sequence[SaleId], tail: Sequence[Entry]
) -> None:
    """Write every sale and item that memory has and the ledger lacks: from the journal, else as far as memory
    has it."""
    group = Group()
    for entry in tail:
        for transition in entry.body.transitions:
            if isinstance(transition, Create):
                group.add(transition)
    if group.creations:
        await restore_sales(connection, group.creations_argument())
    for sale in sales:
        counters = await kernel.counters(choice.partition, sale)
        recipes = await kernel.recipes(choice.partition, sale)
        await recovering.add_sale(connection, sale, choice.partition, list(counters), recipes)
    await recovering.raise_stock(connection, sales)


async def _write_tail(connection: Connection, choice: Dilemma, tail: Sequence[Entry]) -> list[str]:
    refused: list[str] = []
    position = await lock_position(connection, choice.partition)
    at = 0
    while at < len(tail):
        run = [_without_creations(entry) for entry in first_run(tail[at : at + PAGE])]
        at += len(run)
        end = Position(position.epoch, run[-1].seq, run[-1].token)
        applied, names = await write_doubtful_group(connection, choice.partition, run, position, end)
        if not applied:
            raise AssertionError("the position is locked")
        position, refused = end, refused + [str(name) for name in names]
    return refused


def _without_creations(entry: Entry) -> Entry:
    rest = [one for one in entry.body.transitions if not isinstance(one, Create)]
    return msgspec.structs.replace(entry, body=msgspec.structs.replace(entry.body, transitions=rest))


async def _as_in_memory(kernel: Kernel, connection: Connection, choice: Dilemma, sale: SaleId) -> None:
    """Make the ledger's rows of a sale those of memory, as far as memory has their content."""
    partition = choice.partition
    config = await kernel.sale_config(partition, sale)
    if config is None:
        raise MemoryBroken(f"memory has lost the rules of sale {sale}")
    of_ledger = without_own_room(config.rules)
    await recovering.write_rules(
        connection,
        sale,
        (
            config.status,
            config.starts_ms,
            config.ends_ms,
            config.hold_ms,
            config.max_hold_ms,
            config.limit,
            config.durability,
        ),
        _json(of_ledger).decode(),
    )
    for kinds in ((FromMemory.WAITING,), AFTER_THE_LIST, (FromMemory.AMENDMENTS,)):
        async for page in kernel.records(partition, sale):
            rows = _rows(page)
            for kind in kinds:
                await recovering.write_records(connection, kind, sale, rows[kind])
    async for customers in kernel.used(partition, sale):
        await recovering.write_used_limits(connection, sale, list(customers), list(customers.values()))
    await recovering.write_terms(connection, sale, await kernel.terms(partition, sale))
    counters = await kernel.counters(partition, sale)
    stock, held, sold = ([three[at] for three in counters.values()] for at in range(3))
    await recovering.write_counters(connection, sale, list(counters), stock, held, sold, choice.memory_epoch)


def _rows(page: dict[str, Record]) -> dict[FromMemory, list[tuple[Any, ...]]]:
    """Return the records of a page as rows, by their kind."""
    offers: list[tuple[Any, ...]] = []
    ended: list[tuple[Any, ...]] = []
    held: list[tuple[Any, ...]] = []
    waiting: list[tuple[Any, ...]] = []
    restocks: list[tuple[Any, ...]] = []
    changes: list[tuple[Any, ...]] = []
    amendments: list[tuple[Any, ...]] = []
    for name, record in page.items():
        match record:
            case EndedRecord() as r:
                ended.append((name, RecordStatus(r.status).name.lower(), r.ended_ms))
                offers.append((*ended[-1], r.fingerprint, r.created_ms, r.hold_ms))
            case HoldRecord() as r:
                times = (r.created_ms, r.hold_ms, r.expires_ms)
                more = _json(r.extensions).decode() if r.extensions else None
                kept = _json(r.kept).decode() if r.kept else None
                held.append((name, r.customer, _json(r.lines).decode(), r.fingerprint, *times, more, kept))
            case EntryRecord() as r:
                basket = (r.customer, r.sku, r.quantity, r.fingerprint)
                id_ = name.removeprefix("waiting:")
                who = _json(r.identities).decode() if r.identities else None
                waiting.append((id_, r.place, *basket, r.state, r.created_ms, r.admitted, who))
            case RestockRecord() as r if not name.startswith("transfer:"):
                restocks.append((name, r.fingerprint, r.stock, r.held, r.sold))
            case ChangeRecord() as r:
                changes.append((name, r.verb, r.status))
            case AmendRecord() as r:
                more = _json(r.details).decode() if r.details else None
                what = (r.fingerprint, r.id, r.revision, r.customer, _json(r.lines).decode(), more)
                amendments.append((name, *what))
    return {
        FromMemory.WAITING: waiting, FromMemory.OFFERS: offers, FromMemory.ENDED: ended,
        FromMemory.HELD: held, FromMemory.RESTOCKS: restocks, FromMemory.CHANGES: changes,
        FromMemory.AMENDMENTS: amendments,
    }  # fmt: skip


async def _settle_transfers(kernel: Kernel, connection: Connection, choices: Sequence[Dilemma]) -> None:
    """Write the missing half of every transfer between shards; the counters have both halves already."""
    numbers = _numbers(choices)
    for transfer in await arrivals_without_departure(connection, numbers):
        await record_departure(connection, transfer, units_in_stock=False)
    for transfer in await departures_under_way(connection, numbers):
        if await kernel.has_record(transfer.partition, transfer.receiver, f"transfer:{transfer.id}:in"):
            await record_arrival(connection, transfer)


async def _return_lost_units(
    kernel: Kernel, connection: Connection, choice: Dilemma, shard: SaleId, numbers: Sequence[int]
) -> None:
    """Return units to this shard's stock that left a shard in a transfer that the ledger does not have.

    They would arrive nowhere. This is safe only where all shards wait for the choice, so that none moves
    units now.
    """
    shards = await partitions_of_shards(connection, public_sale(shard))
    if len(shards) < 2 or any(partition not in numbers for partition in shards.values()):
        return
    for sku in await kernel.counters(choice.partition, shard):
        away = [await kernel.moved_away(partition, each, sku) for each, partition in shards.items()]
        await return_units(connection, shard, sku, sum(away), choice.memory_epoch)


def _numbers(choices: Sequence[Dilemma]) -> list[int]:
    return [choice.partition for choice in choices]


async def _confirmed(connection: Connection, names: Sequence[str]) -> set[str]:
    """Return those of these orders that the ledger has after all."""
    ids = [(sale, id_) for sale, id_ in (name.rsplit(".", 1) for name in names)]
    statuses = await reservation_statuses(connection, ids)
    return {
        f"{sale}.{id_}" for (sale, id_), status in statuses.items() if status in ("confirmed", "cancelled")
    }
