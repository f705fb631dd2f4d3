"""Completes what a process left half done in a spread sale when it died: transfers, changes of shards."""

import asyncio
import json
import logging
import secrets
from typing import Any, Final

import asyncpg

from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.results import Restocked, read_result
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.spread import shards_that_differ, transfers_to_complete
from flashguard.model import Durability, SaleId, partition_of, to_millis
from flashguard.model.fingerprints import fingerprint
from flashguard.model.room import NEITHER, decode_room, guest_rules, room_rules
from flashguard.model.shards import arrival, departure, transfer_keys

log = logging.getLogger("flashguard.recorder")

ROUND_SECONDS: Final = 1.0
IN_HAND_SECONDS: Final = 2.0
"""How long a transfer is left to the process that began it; completing it twice changes nothing."""
SHARD_SECONDS: Final = 1.0
"""How long a transfer waits for a shard's memory."""
POLL_SECONDS: Final = 0.005
POLLS: Final = 200
"""How often a transfer asks the ledger for its departure; after that, a round of repair completes it."""
AT_ONCE: Final = 500
"""Transfers or shards that one round completes."""


async def repair_spread_sales(kernel: Kernel, ledger: Ledger) -> None:
    """Repair spread sales, and open the doors of sales whose shared room admits no more, until cancelled.
    Several recorders may do it at once: every step is idempotent."""
    while True:
        await asyncio.sleep(ROUND_SECONDS)
        try:
            await complete_transfers(kernel, ledger, in_hand_seconds=IN_HAND_SECONDS)
            for shard, partition, request in await shards_behind(ledger):
                await kernel.run(Verb.CHANGE_SALE, partition, [shard], [(0, *request)])
            for shard, partition, host in await ledger.sales.doors_to_open(None, AT_ONCE):
                await kernel.run(Verb.CHANGE_SALE, partition, [shard], [(0, *open_doors(host))])
        except (MemoryAway, LedgerAway, asyncpg.PostgresError) as error:
            log.debug("spread sales: next try in the next round: %s", error)
        except Exception:
            log.exception("spread sales: next try in the next round")


class Transfers:
    """Moves units between shards for the waiting list."""

    def __init__(self, kernel: Kernel, ledger: Ledger, partitions: int) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._partitions = partitions

    async def move(self, counter: str, units: int, donor: SaleId, receiver: SaleId) -> bool:
        """Transfer units: they leave, the ledger commits that, and only then do they arrive. Return whether
        they arrived; units that left and did not are brought by `complete_transfers`."""
        id_ = f"list-{secrets.token_hex(12)}"  # scripts/lib/moved.lua tells it from one for a buyer
        body = fingerprint("transfer", id_, counter, units, donor, receiver)
        try:
            if not await self._restock(donor, departure(counter, units, receiver, id_, body)):
                return False
            if not await self._recorded(donor, transfer_keys(id_)[0]):
                return False
            return await self._restock(receiver, arrival(counter, units, donor, id_, body))
        except (MemoryAway, LedgerAway, TimeoutError, asyncpg.PostgresError) as error:
            log.info("%d units of %s, from %s to %s: %s", units, counter, donor, receiver, error or "not yet")
            return False

    async def _recorded(self, shard: SaleId, key: str) -> bool:
        for _ in range(POLLS):
            if await self._ledger.sales.has_restock(shard, key):
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    async def _restock(self, shard: SaleId, request: tuple[Any, ...]) -> bool:
        partition = partition_of(shard, self._partitions)
        async with asyncio.timeout(SHARD_SECONDS):
            reply = await self._kernel.run(Verb.RESTOCK, partition, [shard], [(0, *request)])
        return not reply.status and isinstance(read_result(Verb.RESTOCK, reply.results[0]), Restocked)


async def complete_transfers(
    kernel: Kernel, ledger: Ledger, *, sale: SaleId | None = None, in_hand_seconds: float
) -> int:
    """Let units arrive whose process died after they left; return the number of completed transfers.

    Parameters:
        in_hand_seconds: leave out transfers that began a shorter time ago.

    Raises:
        MemoryAway, LedgerAway: a server does not answer; the next round completes the rest.
    """
    done = 0
    for transfer in await transfers_to_complete(ledger, sale, in_hand_seconds, AT_ONCE):
        receiver, sku, units = transfer.receiver, transfer.sku, transfer.units
        request = arrival(sku, units, transfer.donor, transfer.id, transfer.fingerprint)
        reply = await kernel.run(Verb.RESTOCK, transfer.partition, [receiver], [(0, *request)])
        if reply.status:
            continue  # that partition is being rebuilt
        result = read_result(Verb.RESTOCK, reply.results[0])
        if not isinstance(result, Restocked):
            log.error("%d units of %s can't arrive at %s: %s", units, sku, receiver, result)
        elif not result.replayed:
            done += 1
            log.warning("completed a transfer of %d units of %s to %s", units, sku, receiver)
    return done


async def shards_behind(
    ledger: Ledger, sale: SaleId | None = None
) -> list[tuple[SaleId, int, tuple[Any, ...]]]:
    """Return the shards that differ from the first shard of their sale, of one sale or of all: each with its
    partition, and the change that it needs as the kernel takes it.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    rows = await shards_that_differ(ledger, sale, AT_ONCE)
    return [(SaleId(row["id"]), row["partition"], _change_of(row)) for row in rows]


def open_doors(host: SaleId) -> tuple[Any, ...]:
    """Return the change that opens the doors of a sale that shares the host's room."""
    return ("patch", {"rules": NEITHER | guest_rules(host, opened=True)}, "")


def _change_of(row: asyncpg.Record) -> tuple[Any, ...]:
    rules: dict[str, Any] = NEITHER | dict.fromkeys(json.loads(row["had"]), False) | json.loads(row["rules"])
    rules.pop("counted_since_ms", None)
    if row["waiting_room"] is not None:
        rules |= room_rules(decode_room(row["waiting_room"]), opened=row["room_opened_at"] is not None)
    disk = row["hold_durability"] == Durability.DISK
    changes = {
        "status": row["status"],
        "starts_ms": to_millis(row["starts_at"]) if row["starts_at"] else 0,
        "ends_ms": to_millis(row["ends_at"]) if row["ends_at"] else 0,
        "hold_ms": row["hold_seconds"] * 1000,
        "max_hold_ms": row["max_hold_seconds"] * 1000,
        "limit": row["limit_per_customer"] or 0,
        "durability": "" if disk else row["hold_durability"],
        "rules": rules,
    }
    return ("follow", changes, "")
