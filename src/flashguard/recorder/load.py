"""Loads sales from the ledger into memory: the same code for a new sale and for a rebuild after a loss."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

import asyncpg
from msgspec import Struct

from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.records import MovedRecord, PlaceRecord
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Connection
from flashguard.ledger.loading import SaleRows
from flashguard.ledger.unreadable import CANT_BE_READ, TIMES_UNREADABLE, UNREADABLE
from flashguard.model import Durability, SaleId
from flashguard.model.limits import LIMIT_RULES
from flashguard.model.room import host_of
from flashguard.model.rules import from_kernel, keeps_hold_history

from .abreast import Abreast
from .load_records import (
    amend_records,
    change_record,
    ended_records,
    hold_history,
    hold_records,
    item_text,
    parked_record,
    recipes_of,
    restock_record,
    sale_config,
    waited_counters,
    waiting_records,
)

PAGE: Final = 2_000
"""Rows of one call; keeps a script call in the low milliseconds."""
NOTHING: Final[list[Any]] = []


class Fence(Struct):
    """The fence that a rebuild stands under.

    Parameters:
        epoch: the one being built.
        loads: how many calls memory has taken; it counts them too, and opens only if it has as many.
    """

    epoch: str
    loads: int = 0


class Unloadable(Exception):
    """The ledger's rows of a sale can't be read: it is left out of memory."""


class LoadRefused(Exception):
    """Memory did not take the load: another recorder fenced it, or it is empty."""


def more_keys(partition: int, sale_id: SaleId) -> tuple[str, ...]:
    """Return the keys that load.lua takes beside the sale's own keys."""
    return keys.sales(partition), *keys.room(partition, sale_id)


async def load_sale(
    kernel: Kernel,
    connection: Connection,
    partition: int,
    sale: asyncpg.Record,
    *,
    fence: Fence | None = None,
) -> int:
    """Write one sale into memory: its rules, stock, live holds, limits used and idempotency keys.

    Parameters:
        sale: a row of `sales_in_memory` or `sale_by_id`.
        fence: that of a rebuild; None for a sale that is new to an open partition.

    Returns:
        the number of reservations that were loaded.

    Raises:
        LoadRefused: the partition is not open, or not fenced by us, or the draft was deleted.
        Unloadable: what the ledger has of it can't be read. Under a fence memory may have a part of it.
    """
    sale_id = SaleId(sale["id"])
    if not sale.get("readable", True):
        UNREADABLE.note("sale", sale_id, TIMES_UNREADABLE)
        raise Unloadable(f"sale {sale_id}: {TIMES_UNREADABLE}")
    calls = Abreast()
    try:
        Durability(sale["hold_durability"])
        from_kernel(json.loads(sale["rules"]))
        sale_config(sale)
        loaded = await SaleLoad(kernel, connection, partition, sale, fence, calls).run()
    except CANT_BE_READ as error:
        await calls.settled()
        UNREADABLE.note("sale", sale_id, error)
        UNREADABLE.put_off(sale_id)
        raise Unloadable(f"sale {sale_id}: {error}") from error
    UNREADABLE.loaded(sale_id)
    return loaded


class SaleLoad:
    """One load of one sale. Under a fence it writes everything; a new sale has only its rules and stock.

    Parameters:
        calls: the script calls on their way; its caller waits for them after a fault.
    """

    def __init__(
        self,
        kernel: Kernel,
        connection: Connection,
        partition: int,
        sale: asyncpg.Record,
        fence: Fence | None,
        calls: Abreast,
    ) -> None:
        self._kernel = kernel
        self._connection = connection
        self._partition = partition
        self._sale = sale
        self._sale_id = SaleId(sale["id"])
        self._rules: dict[str, Any] = json.loads(sale["rules"])
        self._fence = fence
        self._calls = calls
        self._rows = SaleRows(connection, self._sale_id, PAGE)
        self._step = "first" if fence else "new"

    async def run(self) -> int:
        """Load the sale; return the number of its reservations."""
        rows = await self._rows.items()
        waited = await self._waited(rows)
        texts = [item_text(row, waited=row["sku"] in waited) for row in rows]
        items = [
            value for row, text in zip(rows, texts, strict=True) for value in (f"item:{row['sku']}", text)
        ]
        recipes = recipes_of(rows) if self._rules.get("pools") else []
        loaded = 0
        if self._fence:
            await self._send()
            async with self._connection.transaction():  # a cursor needs one
                loaded = await self._load_ended() + await self._load_holds()
                await self._load_waiting()
                await self._load_customers()
            await self._load_keys()
            await self._calls.all_done()
        await self._finish(items, recipes)
        return loaded

    async def _waited(self, rows: list[asyncpg.Record]) -> set[str]:
        """Return the items and pools of a shard that entries of any shard may wait for."""
        if not self._fence or not {"spread", "waiting_most"} <= self._rules.keys():
            return set()
        return waited_counters(rows, {row["sku"] for row in await self._rows.waited_for()})

    async def _load_ended(self) -> int:
        """Stage the orders, the ended holds and the limits used, and adopt them when all are there."""
        ended_key, used_key = staged_keys = keys.staged(self._partition, self._sale_id, _epoch(self._fence))
        ended = customers = 0
        # `aclosing`: a fault ends the page that is read ahead before the connection is used for anything else
        async with aclosing(self._rows.ended()) as pages:
            async for rows in pages:
                page = self._stage(ended_key, [row[0] for row in rows], ended_records(rows))
                await self._calls.add(page)
                ended += len(rows)
        used = [self._rows.used()]
        if self._rules.keys() & LIMIT_RULES:
            used.append(self._rows.limits_used())
        for each in used:
            async with aclosing(each) as pages:
                async for rows in pages:
                    page = self._stage(used_key, [row[0] for row in rows], [row[1] for row in rows])
                    await self._calls.add(page)
                    customers += len(rows)
        await self._calls.all_done()
        await self._send(staged=(ended, customers), staged_keys=staged_keys)
        return ended

    async def _load_holds(self) -> int:
        loaded = 0
        async with aclosing(self._rows.holds()) as pages:
            async for rows in pages:
                records, deadlines = hold_records(self._sale_id, rows)
                await self._calls.add(self._send(records=records, deadlines=deadlines))
                loaded += len(records)
        return loaded

    async def _load_waiting(self) -> None:
        newest = 0
        async with aclosing(self._rows.waiting()) as pages:
            async for rows in pages:
                room = self._sale["waiting_room"] is not None or host_of(self._rules) is not None
                records, queue = waiting_records(rows, room)
                await self._calls.add(self._send(records=records, queue=queue))
                newest = rows[-1]["place"]
        if newest:
            await self._calls.add(self._send(records=[("waiting-place", PlaceRecord(newest))]))

    async def _load_customers(self) -> None:
        """Load what the sale's optional rules count of each customer."""
        if keeps_hold_history(self._rules):
            since_ms = self._rules.get("counted_since_ms", 0)
            async with aclosing(self._rows.hold_history(since_ms)) as pages:
                async for rows in pages:
                    await self._calls.add(self._send(history=hold_history(rows)))
        if self._sale["waiting_room"] is not None:
            async with aclosing(self._rows.reserved()) as pages:
                async for rows in pages:
                    await self._calls.add(self._send(reserved=[value for row in rows for value in row]))

    async def _load_keys(self) -> None:
        """Load the idempotency keys of restocks and changes, the transfers, and the parked ids."""
        await self._send_records([restock_record(row) for row in await self._rows.restocks()])
        if "spread" in self._rules:
            moves = await self._rows.moves()
            await self._calls.add(
                self._send(records=[(f"moved:{row['sku']}", MovedRecord(*row[1:])) for row in moves])
            )
        await self._send_records([parked_record(row) for row in await self._rows.parked()])
        await self._send_records([change_record(row) for row in await self._rows.changes()])
        await self._send_records(amend_records(self._sale_id, await self._rows.amendments()))

    async def _finish(self, items: list[Any], recipes: list[Any]) -> None:
        """Load stock and rules; with the last call the sale is open to decisions."""
        for at in range(0, len(recipes), PAGE):
            await self._send(recipes=recipes[at : at + PAGE])
        for at in range(0, max(0, len(items) - 2 * PAGE), 2 * PAGE):
            await self._send(items=items[at : at + 2 * PAGE])
        rest = items[(max(0, len(items) - 1) // (2 * PAGE)) * 2 * PAGE :]
        definition = None if self._fence else await self._rows.definition()
        await self._send(sale_config(self._sale), rest, definition=definition)

    async def _send_records(self, records: list[Any]) -> None:
        for at in range(0, len(records), PAGE):
            await self._calls.add(self._send(records=records[at : at + PAGE]))

    async def _stage(self, key: str, names: list[Any], values: list[Any]) -> None:
        """Write a page of a staged hash; the script notes the progress and checks that the fence is ours."""
        pairs: list[Any] = names + values
        pairs[::2], pairs[1::2] = names, values
        await asyncio.gather(self._kernel.stage(key, pairs), self._send())

    async def _send(
        self,
        config: list[Any] = NOTHING,
        items: list[Any] = NOTHING,
        records: list[Any] = NOTHING,
        deadlines: list[Any] = NOTHING,
        used: list[Any] = NOTHING,
        staged: Sequence[int] = (),
        history: list[Any] = NOTHING,
        queue: list[Any] = NOTHING,
        definition: str | None = None,
        reserved: list[Any] = NOTHING,
        recipes: list[Any] = NOTHING,
        staged_keys: tuple[str, ...] = (),
    ) -> None:
        """Call load.lua.

        Raises:
            LoadRefused: the partition is not open, or not fenced by us, or a staged page is missing.
        """
        reply = await self._kernel.run(
            Verb.LOAD,
            self._partition,
            [self._sale_id],
            (
                *("adopt" if staged else self._step, _epoch(self._fence), config, items, records),
                *(deadlines, used, staged, history, queue, definition, reserved, recipes),
            ),
            more_keys=more_keys(self._partition, self._sale_id) + staged_keys,
        )
        if reply.status or reply.results[0] in ("incomplete", "deleted"):
            raise LoadRefused(f"sale {self._sale_id}: memory is {reply.status or reply.results[0]}")
        if self._fence:
            self._fence.loads += 1
            self._step = "more"


def _epoch(fence: Fence | None) -> str:
    return fence.epoch if fence else ""


async def bury_draft(kernel: Kernel, partition: int, sale_id: SaleId) -> bool:
    """Remove what memory keeps of a deleted draft once the ledger has deleted it; return False where memory
    has not deleted such a sale.

    Raises:
        LoadRefused: the partition is not open.
    """
    return await _remove(kernel, partition, sale_id, "bury", None)


async def drop_sale(kernel: Kernel, partition: int, sale_id: SaleId, *, fence: Fence | None = None) -> bool:
    """Remove a sale that memory need not have; return False when it still has live holds."""
    return await _remove(kernel, partition, sale_id, "drop" if fence else "unload", fence)


async def _remove(kernel: Kernel, partition: int, sale_id: SaleId, step: str, fence: Fence | None) -> bool:
    reply = await kernel.run(
        Verb.LOAD,
        partition,
        [sale_id],
        (step, _epoch(fence), [], [], [], [], []),
        more_keys=more_keys(partition, sale_id),
    )
    if reply.status:
        raise LoadRefused(f"sale {sale_id}: memory is {reply.status}")
    if fence:
        fence.loads += 1
    return bool(reply.results[0] == "loaded")
