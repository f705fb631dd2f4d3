"""Loads sales from the ledger into memory: the same code for a new sale and for a rebuild after a loss."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Final

import asyncpg

from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.records import (
    ChangeRecord,
    EndedRecord,
    EntryRecord,
    HoldRecord,
    MovedRecord,
    PlaceRecord,
    Record,
    RecordStatus,
    RestockRecord,
    WaitsRecord,
    record_blob,
)
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Connection
from flashguard.ledger.loading import SaleRows
from flashguard.ledger.unreadable import CANT_BE_READ, TIMES_UNREADABLE, UNREADABLE, sound_lines
from flashguard.model import CustomerId, Durability, SaleId, Sku, to_millis
from flashguard.model.room import decode_room, room_rule
from flashguard.model.rules import from_kernel, keeps_hold_history

PAGE: Final = 2_000
"""Rows of one call; keeps a script call in the low milliseconds."""
NO_FINGERPRINT: Final = -1
"""Fingerprints of requests are never below zero."""
NOTHING: Final[list[Any]] = []


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


class Unloadable(Exception):
    """The ledger's rows of a sale can't be read: it is left out of memory."""


class LoadRefused(Exception):
    """Memory did not take the load: another recorder fenced it, or it is empty."""


def more_keys(partition: int, sale_id: SaleId) -> tuple[str, ...]:
    """Return the keys that load.lua takes beside the sale's own keys."""
    return keys.sales(partition), *keys.room(partition, sale_id)


async def load_sale(
    kernel: Kernel, connection: Connection, partition: int, sale: asyncpg.Record, *, fence: str = ""
) -> int:
    """Write one sale into memory: its rules, stock, live holds, limits used and idempotency keys.

    Parameters:
        sale: a row of `sales_in_memory` or `sale_by_id`.
        fence: the epoch being built; '' for a sale that is new to an open partition.

    Returns:
        the number of reservations that were loaded.

    Raises:
        LoadRefused: the partition is not open, or not fenced by us.
        Unloadable: what the ledger has of it can't be read. Under a fence memory may have a part of it.
    """
    sale_id = SaleId(sale["id"])
    if not sale.get("readable", True):
        UNREADABLE.note("sale", sale_id, TIMES_UNREADABLE)
        raise Unloadable(f"sale {sale_id}: {TIMES_UNREADABLE}")
    abreast = Abreast()
    try:
        Durability(sale["hold_durability"])
        from_kernel(json.loads(sale["rules"]))
        _config(sale)
        loaded = await _load_sale(kernel, connection, partition, sale, fence, abreast)
    except CANT_BE_READ as error:
        await abreast.settled()
        UNREADABLE.note("sale", sale_id, error)
        UNREADABLE.put_off(sale_id)
        raise Unloadable(f"sale {sale_id}: {error}") from error
    UNREADABLE.loaded(sale_id)
    return loaded


async def _load_sale(
    kernel: Kernel,
    connection: Connection,
    partition: int,
    sale: asyncpg.Record,
    fence: str,
    abreast: Abreast,
) -> int:
    sale_id = SaleId(sale["id"])
    step = "first" if fence else "new"
    rules: dict[str, Any] = json.loads(sale["rules"])
    of_sale = SaleRows(connection, sale_id, PAGE)
    items = [
        value
        for row in await of_sale.items()
        for value in (f"item:{row['sku']}", f"{row['stock']} {row['held']} {row['sold']}")
    ]

    async def send(
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
    ) -> None:
        nonlocal step
        reply = await kernel.run(
            Verb.LOAD,
            partition,
            [sale_id],
            (
                *("adopt" if staged else step, fence, config, items, records),
                *(deadlines, used, staged, history, queue, definition, reserved),
            ),
            more_keys=more_keys(partition, sale_id) + (staged_keys if staged else ()),
        )
        if reply.status or reply.results[0] == "incomplete":
            raise LoadRefused(f"sale {sale_id}: memory is {reply.status or reply.results[0]}")
        if fence:
            step = "more"

    async def stage(key: str, names: list[Any], values: list[Any]) -> None:
        """Write a page of a staged hash; the script notes the progress and checks that the fence is ours."""
        pairs: list[Any] = names + values
        pairs[::2], pairs[1::2] = names, values
        await asyncio.gather(kernel.stage(key, pairs), send())

    loaded = 0
    staged_keys: tuple[str, ...] = ()
    if fence:
        await send()
        staged_keys = ended_key, used_key = keys.staged(partition, sale_id, fence)
        customers = 0
        # `aclosing`: a fault ends the page that is read ahead before the connection is used for anything else
        async with connection.transaction():  # a cursor needs one
            async with aclosing(of_sale.ended()) as ended_pages:
                async for rows in ended_pages:
                    await abreast.add(stage(ended_key, [row[0] for row in rows], _ended_records(rows)))
                    loaded += len(rows)
            async with aclosing(of_sale.used()) as used_pages:
                async for rows in used_pages:
                    await abreast.add(stage(used_key, [row[0] for row in rows], [row[1] for row in rows]))
                    customers += len(rows)
            await abreast.all_done()
            await send(staged=(loaded, customers))
            async with aclosing(of_sale.holds()) as hold_pages:
                async for rows in hold_pages:
                    records, deadlines = _hold_records(sale_id, rows)
                    await abreast.add(send(records=records, deadlines=deadlines))
                    loaded += len(records)
            newest = 0
            async with aclosing(of_sale.waiting()) as waiting_pages:
                async for rows in waiting_pages:
                    records, queue = _waiting_records(rows, sale["waiting_room"] is not None)
                    await abreast.add(send(records=records, queue=queue))
                    newest = rows[-1]["place"]
            if newest:
                await abreast.add(send(records=[("waiting-place", PlaceRecord(newest))]))
            if keeps_hold_history(rules):
                since_ms = rules.get("counted_since_ms", 0)
                async with aclosing(of_sale.hold_history(since_ms)) as history_pages:
                    async for rows in history_pages:
                        await abreast.add(send(history=_hold_history(rows)))
            if sale["waiting_room"] is not None:
                async with aclosing(of_sale.reserved()) as reserved_pages:
                    async for rows in reserved_pages:
                        await abreast.add(send(reserved=[value for row in rows for value in row]))
        restocks = await of_sale.restocks()
        for at in range(0, len(restocks), PAGE):
            await abreast.add(send(records=[_restock_record(row) for row in restocks[at : at + PAGE]]))
        if "spread" in rules:
            moves = await of_sale.moves()
            await abreast.add(send(records=[(f"moved:{row['sku']}", MovedRecord(*row[1:])) for row in moves]))
        parked = await of_sale.parked()
        for at in range(0, len(parked), PAGE):
            await abreast.add(send(records=[_parked_record(row) for row in parked[at : at + PAGE]]))
        changes = await of_sale.changes()
        for at in range(0, len(changes), PAGE):
            await abreast.add(send(records=[_change_record(row) for row in changes[at : at + PAGE]]))
        await abreast.all_done()
    for at in range(0, max(0, len(items) - 2 * PAGE), 2 * PAGE):
        await send(items=items[at : at + 2 * PAGE])
    rest = items[(max(0, len(items) - 1) // (2 * PAGE)) * 2 * PAGE :]
    definition = None if fence else await of_sale.definition()
    await send(_config(sale), rest, definition=definition)
    return loaded


def _waiting_records(rows: list[asyncpg.Record], room: bool) -> tuple[list[Any], list[Any]]:
    """Return the waiting list's entries as records, and the queue of those that wait: see lib/waiting.lua.

    Parameters:
        room: the sale has a waiting room; without one every entry counts as admitted.
    """
    records: list[Any] = []
    queue: list[Any] = []
    for row in rows:
        admitted = row["admitted"] or not room
        entry = EntryRecord(
            fingerprint=row["fingerprint"], state=row["state"], created_ms=row["created_ms"],
            place=row["place"], seq=0, customer=row["customer"], sku=row["sku"], quantity=row["quantity"],
            admitted=admitted,
        )  # fmt: skip
        records.append((f"waiting:{row['id']}", entry))
        if row["state"] == "waiting":
            records.append((f"waits:{row['customer']}", WaitsRecord(row["id"])))
            queue += (row["sku"], row["place"], row["id"], row["quantity"], admitted)
    return records, queue


def _hold_history(rows: list[asyncpg.Record]) -> list[Any]:
    return [value for customer, *counts in rows for value in (customer, " ".join(map(str, counts)))]


def _config(sale: asyncpg.Record) -> list[Any]:
    starts_at, ends_at = sale["starts_at"], sale["ends_at"]
    return [
        sale["status"],
        to_millis(starts_at) if starts_at else 0,
        to_millis(ends_at) if ends_at else 0,
        sale["hold_seconds"] * 1000,
        sale["max_hold_seconds"] * 1000,
        sale["limit_per_customer"] or 0,
        *_options(sale),
    ]


def _options(sale: asyncpg.Record) -> list[Any]:
    """Return what most sales do without: another durability than the disk, and optional rules."""
    durability = "" if sale["hold_durability"] == Durability.DISK else sale["hold_durability"]
    rules: dict[str, Any] = json.loads(sale["rules"])
    if sale["waiting_room"] is not None:
        room = decode_room(sale["waiting_room"])
        rules["room"] = room_rule(room, opened=sale["room_opened_at"] is not None)
    if rules:
        return [durability, rules]
    return [durability] if durability else []


def _restock_record(row: asyncpg.Record) -> tuple[str, Record]:
    return row["key"], RestockRecord(row["fingerprint"], row["stock"], row["held"], row["sold"])


def _change_record(row: asyncpg.Record) -> tuple[str, Record]:
    return row["key"], ChangeRecord(row["verb"], row["status"])


def _parked_record(row: asyncpg.Record) -> tuple[str, Record]:
    """Return a record that no request matches, so that nothing is granted or ended under a parked id."""
    if row["entry"]:
        entry = EntryRecord(
            fingerprint=NO_FINGERPRINT, state="ended", created_ms=row["created_ms"], place=0, seq=0,
            customer=CustomerId(""), sku=Sku(""), quantity=0,
        )  # fmt: skip
        return f"waiting:{row['id']}", entry
    return row["id"], EndedRecord(
        RecordStatus.EXPIRED, NO_FINGERPRINT, row["created_ms"], hold_ms=1, lasted_ms=0
    )


def _hold_records(sale_id: str, rows: list[asyncpg.Record]) -> tuple[list[Any], list[Any]]:
    """Return the records and deadlines of live holds."""
    records: list[Any] = []
    deadlines: list[Any] = []
    for row in rows:
        if not sound_lines(json.loads(row["lines"])):
            UNREADABLE.note("reservation", f"{sale_id}.{row['id']}", f"its lines are {row['lines'][:100]}")
            continue
        created_ms, expires_ms = row["created_ms"], row["expires_ms"]
        extensions = json.loads(row["extensions"]) if row["extensions"] else []
        hold = HoldRecord(
            status=RecordStatus.HELD, fingerprint=row["fingerprint"], created_ms=created_ms,
            hold_ms=row["hold_ms"], lasts_ms=expires_ms - created_ms, customer=row["customer"],
            lines=json.loads(row["lines"]), extensions=extensions,
        )  # fmt: skip
        records.append((row["id"], hold))
        deadlines += (expires_ms, row["id"])
    return records, deadlines


def _ended_records(rows: list[asyncpg.Record]) -> list[bytes]:
    """Pack orders and ended holds as the kernel does."""
    return [record_blob(EndedRecord(*values)) for _, *values in rows]


async def drop_sale(kernel: Kernel, partition: int, sale_id: SaleId, *, fence: str = "") -> bool:
    """Remove a sale that memory need not have; return False when it still has live holds."""
    step = "drop" if fence else "unload"
    reply = await kernel.run(
        Verb.LOAD,
        partition,
        [sale_id],
        (step, fence, [], [], [], [], []),
        more_keys=more_keys(partition, sale_id),
    )
    if reply.status:
        raise LoadRefused(f"sale {sale_id}: memory is {reply.status}")
    return bool(reply.results[0] == "loaded")
