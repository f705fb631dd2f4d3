"""The shop's side of FlashGuard: sales, stock, orders, audit."""

import asyncio
import dataclasses
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from flashguard.engine.decision import DecisionStatus
from flashguard.engine.decisions import Decisions
from flashguard.engine.durability import DurabilityWaiter
from flashguard.engine.outcomes import RETRY_SECONDS, refused_by_status
from flashguard.errors import Code
from flashguard.kernel.kernel import Kernel, MemoryAway, Verb
from flashguard.ledger import ALL_ORDERS, Ledger, LedgerAway, OrderFilter, StoredSale
from flashguard.ledger.loading import sale_to_load
from flashguard.model import (
    Durability,
    Item,
    Key,
    Refused,
    Reservation,
    Sale,
    SaleId,
    SaleStatus,
    ScopedKey,
    Sku,
    WaitingRoom,
    invalid_time,
    is_name,
    is_str,
    rounded_time,
    to_millis,
    unknown_sale,
)
from flashguard.model.arguments import (
    CURSOR,
    KEY,
    LIMIT,
    MAX_PAGE,
    NAME,
    SALE,
    first_wrong,
    invalid_changes,
    invalid_new_sale,
    is_cursor,
    is_key,
    is_sale,
    is_shard,
    is_text,
    is_whole,
    must,
    to_refusal,
)
from flashguard.model.fingerprints import fingerprint
from flashguard.model.lottery import new_seed
from flashguard.model.room import encode_room, room_rule
from flashguard.model.rules import NO_RULES, Rules, changes_to_kernel
from flashguard.model.shards import shard_ids
from flashguard.recorder.load import LoadRefused, Unloadable, load_sale
from flashguard.settings import Settings
from flashguard.spread import NO_LIST, ShardRouter, Whole, as_in_memory, drafts_of, unfit

from .audit import SaleAudit, audit_sale
from .spread_audit import audit_spread_sale

MAX_STOCK: Final = 1_000_000_000
NOT_IN_MEMORY: Final = Refused(
    code=Code.RECOVERING,
    detail="Memory does not have the new sale yet. Repeat the request with the same Idempotency-Key.",
    retry_after_seconds=RETRY_SECONDS,
)

ENDS_FIRST: Final = Refused(code=Code.INVALID_REQUEST, detail="ends_at: must be after starts_at")
ENDED: Final = Refused(
    code=Code.INVALID_REQUEST, detail="ends_at: must be in the future. To end an open sale now, close it."
)
ENDED_BEFORE_IT_OPENED: Final = Refused(
    code=Code.SALE_NOT_OPEN, detail="The sale's ends_at has passed. Change or clear it, then open the sale."
)


@dataclass(frozen=True, slots=True)
class NewSale:
    """A sale to create. `id` may be left out: it is then made from the name."""

    name: str
    items: tuple[Item, ...]
    id: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    hold_seconds: int = 120
    limit_per_customer: int | None = None
    hold_durability: Durability = Durability.DISK
    waiting_room: WaitingRoom | None = None
    rules: Rules = NO_RULES
    spread: int = 1

    def has_ended(self) -> bool:
        """Return whether its end has passed, so that it could never open."""
        return self.ends_at is not None and self.ends_at <= datetime.now(UTC)


class Shop:
    """What the operator of a shop does. Refusals are values; a server that is away is an exception."""

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
        self._kernel = kernel
        self._ledger = ledger
        self._decisions = decisions
        self._settings = settings

    async def create_sale(self, new: NewSale, *, key: str | None = None) -> tuple[Sale, bool] | Refused:
        """Writes a draft sale into the ledger, then into memory and its journal.

        Returns:
            the sale, and whether it had been created before under the same key; or why not. `recovering` when
            only the ledger has it so far: a recorder completes it within seconds, and so does the same key.
        """
        wrong = self.unfit(new)
        if wrong:
            return wrong
        if not (key is None or is_key(key)):
            return Refused(code=Code.INVALID_REQUEST, detail=KEY)
        sale_id = SaleId(new.id if new.id is not None else slug(new.name))
        creation_key = None if key is None else f"sale:{key}"
        if new.has_ended() and (
            creation_key is None or await self._ledger.sales.created_with(creation_key) is None
        ):
            return ENDED
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
        parts = shard_ids(sale_id, await self._spread.of(sale_id))
        if not all([await self.load(part, self._decisions.partition(part)) for part in parts]):
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
        """Why such a sale can't be."""
        if not isinstance(new, NewSale):
            return Refused(code=Code.INVALID_REQUEST, detail="new: must be a NewSale")
        if new.id is not None and not is_sale(new.id):
            return Refused(code=Code.INVALID_REQUEST, detail="id: 1 to 64 of a-z, 0-9 and '-'")
        wrong = to_refusal(invalid_new_sale(new)) or _wrong_times(new.starts_at, new.ends_at)
        if wrong:
            return wrong
        if new.starts_at and new.ends_at and new.ends_at <= new.starts_at:
            return ENDS_FIRST
        has_room = new.waiting_room is not None
        return unfit(new.spread, self._decisions.partitions, has_room=has_room, rules=new.rules)

    def placed(self, stored: StoredSale) -> list[tuple[StoredSale, int]]:
        """A new sale, or its parts, each with its partition.

        Raises:
            ValueError: this is no sale of `draft_of`.
        """
        must((isinstance(stored, StoredSale), "stored: must be a StoredSale"))
        return [(draft, self._decisions.partition(draft.sale.id)) for draft in drafts_of(stored)]

    def draft_of(self, new: NewSale, sale_id: SaleId, creation_key: str | None) -> StoredSale:
        """A new sale as the ledger keeps it. Each entrance puts its own label before its creation keys.

        Raises:
            ValueError: the sale is unfit, or the id or the key can't be one.
        """
        wrong = self.unfit(new)
        must(
            (wrong is None, "" if wrong is None else wrong.detail),
            (is_sale(sale_id), SALE),
            (creation_key is None or is_str(creation_key), KEY),
        )
        return StoredSale(
            Sale(
                id=sale_id,
                name=new.name,
                status=SaleStatus.DRAFT,
                items=new.items,
                starts_at=rounded_time(new.starts_at),
                ends_at=rounded_time(new.ends_at),
                hold_seconds=new.hold_seconds,
                limit_per_customer=new.limit_per_customer,
                hold_durability=new.hold_durability,
                waiting_room=new.waiting_room,
                rules=new.rules,
                spread=new.spread,
            ),
            max(new.hold_seconds, self._settings.max_hold_seconds),
            creation_key,
            _creation_body(new),
            None if new.waiting_room is None else new_seed(),
        )

    async def may_create(self, sale_ids: Sequence[SaleId]) -> bool:
        """Whether memory answers for these new sales, and has none that the ledger lost: such a sale comes
        back from the journal, or an operator must decide about it.

        Raises:
            LedgerAway: PostgreSQL does not answer.
            ValueError: one of the ids can't be one.
        """
        must((isinstance(sale_ids, list | tuple) and all(map(is_shard, sale_ids)), SALE))
        looks = await asyncio.gather(*(self._decisions.ask(Verb.LOOK, id_, ("",)) for id_ in sale_ids))
        if any(look.status is not DecisionStatus.DECIDED for look in looks):
            return False
        there = [id_ for id_, look in zip(sale_ids, looks, strict=True) if look.result[0] != "unknown-sale"]
        return not await self._ledger.sales.unknown(there)

    async def load(self, sale_id: SaleId, partition: int) -> bool:
        """Puts a new sale into memory and its journal; whether it is there now. If not, a recorder does it.

        Raises:
            LedgerAway: PostgreSQL does not answer.
            ValueError: the id can't be one, or there is no such partition.
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
        return True

    async def sale(self, sale_id: SaleId) -> Sale | None:
        """A sale with memory's counters and status of this moment; the ledger's while memory is away."""
        if not is_sale(sale_id):
            return None
        stored = await self._ledger.sales.get(sale_id)
        return None if stored is None else await self._live(stored.sale)

    async def _live(self, sale: Sale) -> Sale:
        return await self._with_durability(await self._counted(sale))

    async def _with_durability(self, sale: Sale) -> Sale:
        partitions = {self._decisions.partition(part) for part in shard_ids(sale.id, sale.spread)}
        effective = await self._durability.effective(sale.hold_durability, partitions)
        return msgspec.structs.replace(sale, effective_hold_durability=effective)

    async def _counted(self, sale: Sale) -> Sale:
        if sale.spread > 1:
            return await self._whole.live(sale)
        decision = await self._decisions.ask(Verb.LOOK, sale.id, ("",))
        if decision.status is not DecisionStatus.DECIDED or decision.result[0] == "unknown-sale":
            return sale
        return as_in_memory(sale, decision.result)

    async def sale_in_memory(self, sale_id: SaleId) -> tuple[Sale, int, int, int] | None:
        """A sale as memory has it, and when: epoch and sequence of the newest journal entry it includes, and
        memory's clock in milliseconds. None when there is no such sale.

        Raises:
            MemoryAway: memory does not answer, or does not have this sale yet.
        """
        stored = await self._ledger.sales.get(sale_id) if is_sale(sale_id) else None
        if stored is None:
            return None
        if stored.sale.spread > 1:
            whole, epoch, seq, now_ms = await self._whole.in_memory(stored.sale)
            return await self._with_durability(whole), epoch, seq, now_ms
        reply = await self._kernel.run(Verb.LOOK, self._decisions.partition(sale_id), [sale_id], [(0, "")])
        if reply.status:
            raise MemoryAway(reply.status)
        sale, result = stored.sale, reply.results[0]
        if result[0] != "unknown-sale":
            sale = as_in_memory(sale, result)
        elif sale.status is not SaleStatus.CLOSED:
            raise MemoryAway(f"sale {sale_id} is not loaded yet")
        return await self._with_durability(sale), reply.epoch, reply.seq, reply.now_ms

    async def sales(
        self, after: tuple[datetime, str] | None, limit: int, *, drafts: bool = True
    ) -> list[Sale]:
        """A page of sales, newest first, with or without drafts.

        Raises:
            ValueError: `after` is no time and id, `limit` no number from 1 to 10,000, or `drafts` no bool.
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
        """Opens, pauses, closes or patches a sale; the answer waits until the ledger has it.

        Parameters:
            verb: open, pause, close or patch.
            key: an idempotency key; the same one again changes nothing and answers the status of then.
            changes: with patch: name, starts_at, ends_at, hold_seconds, limit_per_customer (None clears),
                hold_durability, waiting_room (what of it changes), and what `Rules` names (None ends a rule).

        Returns:
            the sale after it, and whether the same key had done it before; or why not.
        """
        wrong = to_refusal(
            first_wrong((is_sale(sale_id), SALE), (key is None or is_key(key), KEY))
            or invalid_changes(verb, changes)
        )
        if wrong:
            return wrong
        kernel_changes: dict[str, Any] = {}
        if rules := changes_to_kernel(changes):
            kernel_changes["rules"] = rules
        wrong = _wrong_times(changes.get("starts_at"), changes.get("ends_at"))
        if wrong:
            return wrong
        for name in ("starts_at", "ends_at"):
            if name in changes:
                kernel_changes[f"{name[:-3]}_ms"] = to_millis(changes[name]) if changes[name] else 0
        if "hold_seconds" in changes:
            kernel_changes["hold_ms"] = changes["hold_seconds"] * 1000
            kernel_changes["max_hold_ms"] = (
                max(changes["hold_seconds"], self._settings.max_hold_seconds) * 1000
            )
        if "hold_durability" in changes:
            wanted = Durability(changes["hold_durability"])
            kernel_changes["durability"] = "" if wanted is Durability.DISK else wanted
        if "limit_per_customer" in changes:
            kernel_changes["limit"] = changes["limit_per_customer"] or 0
        stored = await self._ledger.sales.get(sale_id)
        if stored is None:
            return unknown_sale(sale_id)
        if stored.sale.spread > 1 and changes.get("waiting_list") is not None:
            return NO_LIST
        starts_at = changes.get("starts_at", stored.sale.starts_at)
        ends_at = changes.get("ends_at", stored.sale.ends_at)
        if starts_at and ends_at and ends_at <= starts_at:
            return ENDS_FIRST
        described = [changes.get("name") or "", ""]
        if "waiting_room" in changes:
            if stored.sale.waiting_room is None:
                return Refused(
                    code=Code.INVALID_REQUEST, detail="waiting_room: the sale was made without one"
                )
            room = msgspec.structs.replace(stored.sale.waiting_room, **changes["waiting_room"])
            kernel_changes.setdefault("rules", {})["room"] = room_rule(room, opened=False)
            described[1] = encode_room(room)
        if any(described):
            kernel_changes["describe"] = described
        field = "" if key is None else f"sale-change:{key}"
        if field and await self._ledger.refusals.is_parked(sale_id, "sale", field):
            return Refused(code=Code.LEDGER_REFUSED)
        decision = await self._decisions.ask(
            Verb.CHANGE_SALE,
            sale_id,
            (verb, kernel_changes, field),
            name=field or verb,
            durable=lambda result: result[1:2] == [False],
        )
        refused = refused_by_status(decision)
        if refused:
            return refused
        result = decision.result
        if result[0] == "unknown-sale":
            return await self._change_closed(stored.sale, verb, field)
        if result[0] == "sale-not-open":
            return _not_open(result[1])
        if result[0] == "ended":
            return ENDED if verb == "patch" else ENDED_BEFORE_IT_OPENED
        if result[0] == Code.IDEMPOTENCY_MISMATCH:
            return Refused(code=Code.IDEMPOTENCY_MISMATCH)
        status, replayed, seq = result
        if replayed and seq and await self._ledger.sales.change_made_with(sale_id, field) is None:
            return Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=RETRY_SECONDS)
        behind = await self._whole.follow(sale_id) if stored.sale.spread > 1 else None
        if behind:
            return behind
        now = await self.sale(sale_id)
        if now is None:
            return unknown_sale(sale_id)
        return (msgspec.structs.replace(now, status=SaleStatus(status)) if replayed else now), replayed

    async def _change_closed(self, sale: Sale, verb: str, field: str) -> tuple[Sale, bool] | Refused:
        """Memory does not have the sale: closed long ago, or not loaded yet."""
        if sale.status is not SaleStatus.CLOSED:
            return Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
        earlier = await self._ledger.sales.change_made_with(sale.id, field) if field else None
        if earlier is not None:
            if earlier[0] != verb:
                return Refused(code=Code.IDEMPOTENCY_MISMATCH)
            return msgspec.structs.replace(sale, status=earlier[1]), True
        return (sale, False) if verb == "close" else _not_open(SaleStatus.CLOSED)

    async def restock(
        self, sale_id: SaleId, sku: str, delta: int, reason: str, *, key: Key | None = None
    ) -> tuple[Item, bool] | Refused:
        """Changes an item's stock by a signed number of units, never below held + sold.

        Returns:
            the item after it, and whether the same key had done it before; or why not.
        """
        wrong = first_wrong(
            (is_sale(sale_id), SALE),
            (is_str(sku), f"sku: {NAME}"),
            (
                is_whole(delta, -MAX_STOCK, MAX_STOCK),
                f"delta: a whole number of at most {MAX_STOCK}",
            ),
            (is_text(reason), f"reason: {NAME}"),
            (key is None or is_key(key), KEY),
        )
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        if not is_name(sku):  # no item is called so
            known = await self._ledger.sales.get(sale_id)
            return unknown_sale(sale_id) if known is None else Refused(code=Code.UNKNOWN_ITEM)
        field = _restock_field(key)
        request = (sku, delta, reason, field, fingerprint("restock", sku, delta, reason), MAX_STOCK)
        if key is not None and await self._ledger.refusals.is_parked(sale_id, "restock", field):
            return Refused(code=Code.LEDGER_REFUSED)
        decision = await self._spread.restock(sale_id, request)
        if isinstance(decision, Refused):
            return decision
        refused = refused_by_status(decision)
        if refused:
            return refused
        stored = await self._ledger.sales.get(sale_id)
        if stored is None:
            return unknown_sale(sale_id)
        result = decision.result
        unsure = result[0] == "restocked" and result[1] and result[5]  # memory alone may have it, and lose it
        if unsure and not await self._ledger.sales.has_restock(sale_id, field):
            return Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=RETRY_SECONDS)
        if result[0] == "restocked" and stored.sale.spread > 1:
            whole = await self._whole.live(stored.sale)
            return next(item for item in whole.items if item.sku == sku), bool(result[1])
        if result[0] == "restocked":
            item = next(item for item in stored.sale.items if item.sku == sku)
            after = Item(
                sku=item.sku, name=item.name, price_minor=item.price_minor, currency=item.currency,
                stock=result[2], held=result[3], sold=result[4],
            )  # fmt: skip
            return after, bool(result[1])
        if result[0] == "unknown-sale":
            if stored.sale.status is SaleStatus.CLOSED:
                return _not_open(SaleStatus.CLOSED)
            return Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
        if result[0] == "unknown-item":
            return Refused(code=Code.UNKNOWN_ITEM, sku=Sku(sku))
        if result[0] == "recovering":
            return Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
        if result[0] == "invalid-request":
            return Refused(
                code=Code.INVALID_REQUEST,
                detail=f"delta: {result[1]} units are available, and stock is at most {MAX_STOCK}",
                available=result[1],
            )
        return Refused(code=Code(result[0]))

    async def orders(
        self,
        sale_id: SaleId,
        after: tuple[datetime, str] | None,
        limit: int,
        which: OrderFilter = ALL_ORDERS,
    ) -> list[Reservation] | None:
        """A page of orders, oldest first unless asked otherwise; None when there is no such sale.

        Raises:
            ValueError: `after` is no pair of a time and an id, `limit` no number from 1 to 10,000, or `which`
                asks for what no order can have.
        """
        must(
            (is_cursor(after), CURSOR),
            (is_whole(limit, 1, MAX_PAGE), LIMIT),
            (isinstance(which, OrderFilter), "which: must be an OrderFilter"),
        )
        if not is_sale(sale_id):
            return None
        parts = shard_ids(sale_id, await self._spread.of(sale_id))
        rows = await self._ledger.reservations.orders(parts, after, limit, which)
        if not rows and await self._ledger.sales.get(sale_id) is None:
            return None
        return rows

    async def audit(self, sale_id: SaleId) -> SaleAudit | None:
        """The audit report; None when there is no such sale."""
        if not is_sale(sale_id):
            return None
        stored = await self._ledger.sales.get(sale_id)
        if stored is None:
            return None
        if stored.sale.spread > 1:
            return await audit_spread_sale(self._kernel, self._ledger, stored.sale, self._decisions.partition)
        return await audit_sale(self._kernel, self._ledger, sale_id, self._decisions.partition(sale_id))


def _creation_body(new: NewSale) -> int:
    """What tells a creation from another; of an unspread sale as before there were others."""
    *values, spread = dataclasses.astuple(new)
    return fingerprint("create", *values, *((spread,) if spread > 1 else ()))


def _restock_field(key: Key | None) -> str:
    """Return the name of a restock's record. No caller chooses what stands before the first colon: restock
    and shadow here, transfer in shards.py, recover in recording.sql."""
    if isinstance(key, ScopedKey):
        return f"{key.scope}:{json.dumps(key.parts)}"
    return f"restock:{secrets.token_hex(12) if key is None else key}"


def _wrong_times(starts_at: object, ends_at: object) -> Refused | None:
    for name, time in (("starts_at", starts_at), ("ends_at", ends_at)):
        wrong = None if time is None else invalid_time(time)
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=f"{name}: {wrong}")
    return None


def _not_open(status: str) -> Refused:
    return Refused(code=Code.SALE_NOT_OPEN, detail=f"The sale is {status}.")


def slug(name: str) -> str:
    """A sale id from its name, with random digits so that two sales of one name differ."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return f"{words or 'sale'}-{secrets.token_hex(3)}"


__all__ = ["LedgerAway", "NewSale", "Shop", "refused_by_status", "slug"]
