"""The operator's side of FlashGuard: sales, stock, orders, audits."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from flashguard.engine.decision import DecisionStatus
from flashguard.engine.decisions import Decisions
from flashguard.engine.durability import DurabilityWaiter
from flashguard.engine.outcomes import RETRY_SECONDS
from flashguard.errors import Code
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.results import SaleNow, read_result
from flashguard.kernel.verbs import Verb
from flashguard.ledger import ALL_ORDERS, Ledger, OrderFilter, StoredSale
from flashguard.ledger.loading import sale_to_load
from flashguard.model import (
    Item,
    Key,
    Pool,
    Refused,
    Reservation,
    Sale,
    SaleId,
    SaleStatus,
    is_str,
    public_sale,
)
from flashguard.model.arguments import (
    CURSOR,
    KEY,
    LIMIT,
    MAX_PAGE,
    SALE,
    is_cursor,
    is_key,
    is_sale,
    is_shard,
    is_whole,
    must,
)
from flashguard.model.shards import shard_ids
from flashguard.recorder.load import LoadRefused, Unloadable, bury_draft, load_sale
from flashguard.settings import Settings
from flashguard.spread import ShardRouter, Whole, shard_drafts, with_memory_state

from .audit import SaleAudit, audit_sale
from .changes import SaleChanges
from .items import SaleItems
from .new_sale import NewSale, draft, refused_sale, slug
from .recent import RecentSales
from .reservations import SaleReservations
from .shared_rooms import SharedRooms
from .spread_audit import audit_spread_sale

NOT_IN_MEMORY: Final = Refused(
    code=Code.RECOVERING,
    detail="Memory does not have the new sale yet. Repeat the request with the same Idempotency-Key.",
    retry_after_seconds=RETRY_SECONDS,
)


class Shop:
    """What an operator does with sales. Refusals are values; a server that is away is an exception."""

    def __init__(
        self,
        kernel: Kernel,
        ledger: Ledger,
        decisions: Decisions,
        settings: Settings,
        spread: ShardRouter,
        durability: DurabilityWaiter,
    ) -> None:
        self._durability = durability
        self._spread = spread
        self._whole = Whole(kernel, ledger, decisions)
        self._kernel, self._ledger, self._decisions = kernel, ledger, decisions
        self._settings = settings
        self.rooms = rooms = SharedRooms(ledger, decisions)
        self._changes = SaleChanges(ledger, decisions, settings, spread, self._whole, rooms, self.sale)
        self.recent = RecentSales(self.sale)
        self.items = SaleItems(ledger, decisions, self.sale, self.recent.forget)
        seconds = settings.record_timeout_seconds
        self.reservations = SaleReservations(kernel, ledger, decisions, spread, seconds)

    async def create_sale(self, new: NewSale, *, key: str | None = None) -> tuple[Sale, bool] | Refused:
        """Write a draft sale into the ledger, then into memory and its journal.

        Returns:
            the sale, and whether the same key had created it before; or a refusal. `recovering` while only
            the ledger has it: a recorder completes it within seconds, and a retry with the same key does.
        """
        wrong = self.unfit(new)
        if wrong:
            return wrong
        if not (key is None or is_key(key)):
            return Refused(code=Code.INVALID_REQUEST, detail=KEY)
        sale_id = SaleId(new.id if new.id is not None else slug(new.name))
        creation_key = None if key is None else f"sale:{key}"
        if wrong := await self.rooms.refused_now(sale_id, new, {}, creation_key):
            return wrong
        stored = self.draft_of(new, sale_id, creation_key)
        body = stored.creation_body
        drafts = self.placed(stored)
        if not await self.may_create([draft.sale.id for draft, _ in drafts]):
            return NOT_IN_MEMORY
        created = not await self._ledger.sales.create_all(drafts)
        if not created:
            earlier = await self._ledger.sales.created_with(creation_key) if creation_key else None
            if earlier is None:
                return Refused(code=Code.INVALID_REQUEST, detail=f"A sale with the id {sale_id} exists.")
            sale_id = earlier
        shards = shard_ids(sale_id, await self._spread.shards_of(sale_id))
        if not all([await self.load(shard, self._decisions.partition(shard)) for shard in shards]):
            return NOT_IN_MEMORY
        found = await self.sale(sale_id)
        if found is None:
            raise AssertionError(f"sale {sale_id} was just written")
        if not created:
            first = await self._ledger.sales.get(sale_id)
            if first is None or first.creation_body != body:
                return Refused(code=Code.IDEMPOTENCY_MISMATCH)
        return found, not created

    def unfit(self, new: object) -> Refused | None:
        """Return why such a sale can't be created; None where it can."""
        return refused_sale(new, self._decisions.partitions)

    def placed(self, stored: StoredSale) -> list[tuple[StoredSale, int]]:
        """Return a new sale, or its shards, each with its partition.

        Raises:
            ValueError: the argument does not come from `draft_of`.
        """
        must((isinstance(stored, StoredSale), "stored: must be a StoredSale"))
        return [(draft, self._decisions.partition(draft.sale.id)) for draft in shard_drafts(stored)]

    def draft_of(self, new: NewSale, sale_id: SaleId, creation_key: str | None) -> StoredSale:
        """Return a new sale as the ledger keeps it. Each entrance puts its own label before the key.

        Raises:
            ValueError: the sale, the id or the key is invalid.
        """
        wrong = self.unfit(new)
        must(
            (wrong is None, "" if wrong is None else wrong.detail),
            (is_sale(sale_id), SALE),
            (creation_key is None or is_str(creation_key), KEY),
        )
        return draft(new, sale_id, creation_key, self._settings.max_hold_seconds)

    async def may_create(self, sale_ids: Sequence[SaleId]) -> bool:
        """Return whether memory answers for these new sales, and has none of them. A sale that memory has and
        the ledger lost comes back from the journal, or an operator must decide about it.

        Raises:
            LedgerAway: PostgreSQL does not answer.
            ValueError: one of the ids is invalid.
        """
        must((isinstance(sale_ids, list | tuple) and all(map(is_shard, sale_ids)), SALE))
        known = await asyncio.gather(*(self._decisions.ask(Verb.GET, id_, ("",)) for id_ in sale_ids))
        if any(each.status is not DecisionStatus.DECIDED for each in known):
            return False
        there = [id_ for id_, each in zip(sale_ids, known, strict=True) if each.code != Code.UNKNOWN_SALE]
        return not await self._ledger.sales.unknown(there)

    async def load(self, sale_id: SaleId, partition: int) -> bool:
        """Put a new sale into memory and its journal; return whether it is there now. If not, a recorder does
        it.

        Raises:
            LedgerAway: PostgreSQL does not answer.
            ValueError: the id is invalid, or there is no such partition.
        """
        most = self._decisions.partitions - 1
        must((is_shard(sale_id), SALE), (is_whole(partition, 0, most), f"partition: 0 to {most}"))
        try:
            async with self._ledger.connection() as connection:
                row = await sale_to_load(connection, sale_id)
                if row is not None and row["status"] == SaleStatus.DRAFT:
                    await load_sale(self._kernel, connection, partition, row)
        except (MemoryAway, LoadRefused, Unloadable):
            return False
        finally:
            self.recent.forget(public_sale(sale_id))
        return True

    async def sale(self, sale_id: SaleId) -> Sale | None:
        """Return a sale with memory's current counters and status; the ledger's while memory is away."""
        if not is_sale(sale_id):
            return None
        stored = await self._ledger.sales.get(sale_id)
        return None if stored is None else await self._live(stored.sale)

    async def _live(self, sale: Sale) -> Sale:
        return await self._with_durability(await self._counted(sale))

    async def _with_durability(self, sale: Sale) -> Sale:
        partitions = {self._decisions.partition(shard) for shard in shard_ids(sale.id, sale.spread)}
        effective = await self._durability.effective(sale.hold_durability, partitions)
        return msgspec.structs.replace(sale, effective_hold_durability=effective)

    async def _counted(self, sale: Sale) -> Sale:
        if sale.spread > 1:
            return await self._whole.live(sale)
        decision = await self._decisions.ask(Verb.GET, sale.id, ("",))
        return with_memory_state(sale, decision.result) if isinstance(decision.result, SaleNow) else sale

    async def sale_in_memory(self, sale_id: SaleId) -> tuple[Sale, int, int, int] | None:
        """Return a sale as memory has it, with the epoch and sequence of the newest journal entry it includes
        and memory's clock in milliseconds. None where there is no such sale.

        Raises:
            MemoryAway: memory does not answer, or does not have this sale yet.
        """
        stored = await self._ledger.sales.get(sale_id) if is_sale(sale_id) else None
        if stored is None:
            return None
        if stored.sale.spread > 1:
            whole, epoch, seq, now_ms = await self._whole.in_memory(stored.sale)
            return await self._with_durability(whole), epoch, seq, now_ms
        reply = await self._kernel.run(Verb.GET, self._decisions.partition(sale_id), [sale_id], [(0, "")])
        if reply.status:
            raise MemoryAway(reply.status)
        sale, result = stored.sale, read_result(Verb.GET, reply.results[0])
        if isinstance(result, SaleNow):
            sale = with_memory_state(sale, result)
        elif sale.status is not SaleStatus.CLOSED:
            raise MemoryAway(f"sale {sale_id} is not loaded yet")
        return await self._with_durability(sale), reply.epoch, reply.seq, reply.now_ms

    async def sales(
        self, after: tuple[datetime, str] | None, limit: int, *, drafts: bool = True
    ) -> list[Sale]:
        """Return a page of sales, newest first, with or without drafts.

        Raises:
            ValueError: `after` is not a time and an id, `limit` not from 1 to 10,000, or `drafts` not a bool.
        """
        must(
            (is_cursor(after), CURSOR),
            (is_whole(limit, 1, MAX_PAGE), LIMIT),
            (isinstance(drafts, bool), "drafts: must be True or False"),
        )
        stored = await self._ledger.sales.page(after, limit, drafts=drafts)
        return list(await asyncio.gather(*map(self._live, stored)))  # together: a few script calls

    async def change(
        self, sale_id: SaleId, verb: str, *, key: str | None = None, **changes: Any
    ) -> tuple[Sale, bool] | Refused:
        """Open, pause, close or patch a sale; the answer waits until the ledger has the change.

        Parameters:
            verb: open, pause, close or patch.
            key: an idempotency key; the same key again changes nothing and returns the status of then.
            changes: with patch: name, starts_at, ends_at, hold_seconds, limit_per_customer (None clears it),
                hold_durability, waiting_room (the fields to change), room (whose it shares), and the fields
                of `Rules` (None ends a rule). Of a draft also items (all of them), and a waiting_room or room
                that it did not have (None takes it away).

        Returns:
            the sale after the change, and whether the same key had made it before; or a refusal.
        """
        try:
            return await self._changes.change(sale_id, verb, key, changes)
        finally:
            self.recent.forget(sale_id)

    async def delete_sale(self, sale_id: SaleId) -> Refused | None:
        """Delete a draft; its id can be used again. Answers when the ledger has deleted it.

        Returns:
            None, or the refusal: `sale-not-draft` of a sale that was opened or closed.
        """
        try:
            refused = await self._changes.delete(sale_id)
        finally:
            self.recent.forget(sale_id)
        if refused is None:
            with contextlib.suppress(MemoryAway, LoadRefused):  # a recorder does it within seconds
                await bury_draft(self._kernel, self._decisions.partition(sale_id), sale_id)
        return refused

    async def restock(
        self, sale_id: SaleId, sku: str, delta: int | None, reason: str, *,
        stock: int | None = None, location: str | None = None, key: Key | None = None,
    ) -> tuple[Item, bool] | Refused:  # fmt: skip
        """Change an item's stock by some units, or to what was counted; never below held + sold.

        Parameters:
            delta: units to add; None with `stock`.
            stock: the units that were counted, held and sold ones among them.
            location: where, of an item that has its stock at locations.

        Returns:
            the item after the change, and whether the same key had made it before; or a refusal.
        """
        try:
            return await self._changes.restock(sale_id, sku, delta, reason, stock, key, location)
        finally:
            self.recent.forget(sale_id)

    async def restock_pool(
        self, sale_id: SaleId, pool: str, delta: int | None, reason: str, *,
        stock: int | None = None, key: Key | None = None,
    ) -> tuple[Pool, bool] | Refused:  # fmt: skip
        """Change a pool's stock, as `restock` changes an item's."""
        try:
            return await self._changes.restock_pool(sale_id, pool, delta, reason, stock, key)
        finally:
            self.recent.forget(sale_id)

    async def orders(
        self, sale_id: SaleId, after: tuple[datetime, str] | None, limit: int, which: OrderFilter = ALL_ORDERS
    ) -> list[Reservation] | None:
        """Return a page of orders, oldest first by default; None where there is no such sale.

        Raises:
            ValueError: `after` is not a time and an id, `limit` not from 1 to 10,000, or `which` asks for
                what no order can have.
        """
        must(
            (is_cursor(after), CURSOR),
            (is_whole(limit, 1, MAX_PAGE), LIMIT),
            (isinstance(which, OrderFilter), "which: must be an OrderFilter"),
        )
        if not is_sale(sale_id):
            return None
        shards = shard_ids(sale_id, await self._spread.shards_of(sale_id))
        rows = await self._ledger.reservations.orders(shards, after, limit, which)
        if not rows and await self._ledger.sales.get(sale_id) is None:
            return None
        return rows

    async def audit(self, sale_id: SaleId) -> SaleAudit | None:
        """Return the audit of a sale; None where there is no such sale."""
        if not is_sale(sale_id):
            return None
        stored = await self._ledger.sales.get(sale_id)
        if stored is None:
            return None
        if stored.sale.spread > 1:
            return await audit_spread_sale(self._kernel, self._ledger, stored.sale, self._decisions.partition)
        return await audit_sale(self._kernel, self._ledger, sale_id, self._decisions.partition(sale_id))
