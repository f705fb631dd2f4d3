"""Changes of a sale that exists: its status, its rules, its stock."""

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from flashguard.engine.decision import Decision
from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import RETRY_SECONDS, newly_done, refusal, refused_by_status
from flashguard.errors import Code
from flashguard.kernel.results import Refusal, Restocked, Result, SaleChanged
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, StoredSale
from flashguard.model import (
    Durability,
    Item,
    Key,
    Pool,
    Refused,
    Sale,
    SaleId,
    SaleStatus,
    ScopedKey,
    Sku,
    is_str,
    to_millis,
    unknown_sale,
)
from flashguard.model.arguments import (
    KEY,
    NAME,
    ONE_OF_BOTH,
    SALE,
    first_wrong,
    is_key,
    is_sale,
    is_text,
    is_whole,
    to_refusal,
)
from flashguard.model.fingerprints import fingerprint
from flashguard.model.locations import counter_at
from flashguard.model.pools import with_counters
from flashguard.model.rules import changes_to_kernel
from flashguard.model.sale_arguments import invalid_changes
from flashguard.settings import Settings
from flashguard.spread import ShardRouter, Whole

from .drafts import (
    KEPT_WHILE_SPREAD,
    KEPT_WITH_POOLS,
    LIMITS_FIXED,
    changed_limits,
    kernel_items,
    not_counted,
    not_draft,
    room_change,
)
from .new_sale import ENDED, ENDS_FIRST, wrong_times
from .restocks import not_restockable
from .shared_rooms import SharedRooms

MAX_STOCK: Final = 1_000_000_000
"""Units of one item."""
ENDED_BEFORE_IT_OPENED: Final = Refused(
    code=Code.SALE_NOT_OPEN, detail="The sale's ends_at has passed. Change or clear it, then open the sale."
)
RECOVERING: Final = Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
IN_FLIGHT: Final = Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=RETRY_SECONDS)


def item_after(done: tuple[Sale, bool] | Refused, sku: str) -> tuple[Item, bool] | Refused:
    """Return the item in a sale after its change, and whether it is a replay; or the refusal."""
    if isinstance(done, Refused):
        return done
    sale, replayed = done
    item = next((item for item in sale.items if item.sku == sku), None)
    return Refused(code=Code.UNKNOWN_ITEM, sku=sku) if item is None else (item, replayed)


class SaleChanges:
    """Asks the kernel for changes of sales, and waits until the ledger has them.

    Parameters:
        read: returns a sale as it is now.
    """

    def __init__(
        self,
        ledger: Ledger,
        decisions: Decisions,
        settings: Settings,
        spread: ShardRouter,
        whole: Whole,
        rooms: SharedRooms,
        read: Callable[[SaleId], Awaitable[Sale | None]],
    ) -> None:
        self._ledger = ledger
        self._decisions = decisions
        self._settings = settings
        self._spread = spread
        self._whole = whole
        self._read = read
        self._rooms = rooms

    async def change(
        self, sale_id: SaleId, verb: str, key: str | None, changes: Mapping[str, Any]
    ) -> tuple[Sale, bool] | Refused:
        """Return the sale after the change, and whether it is a replay: see `Shop.change`."""
        wrong = to_refusal(
            first_wrong((is_sale(sale_id), SALE), (key is None or is_key(key), KEY))
            or invalid_changes(verb, changes)
        ) or wrong_times(changes.get("starts_at"), changes.get("ends_at"))
        if wrong:
            return wrong
        stored = await self._ledger.sales.get(sale_id)
        if stored is None:
            return unknown_sale(sale_id)
        refused = await self._rooms.may_change(stored, verb, changes)
        asked = refused or self._kernel_changes(changes, stored)
        if isinstance(asked, Refused):
            return asked
        field = "" if key is None else f"sale-change:{key}"
        if field and await self._ledger.refusals.is_parked(sale_id, "sale", field):
            return Refused(code=Code.LEDGER_REFUSED)
        decision = await self._decisions.ask(
            Verb.CHANGE_SALE,
            sale_id,
            (verb, asked, field),
            name=field or verb,
            durable=newly_done,
        )
        return refused_by_status(decision) or await self._changed(stored, verb, field, decision)

    def _kernel_changes(self, changes: Mapping[str, Any], stored: StoredSale) -> dict[str, Any] | Refused:
        """Return the changes as the kernel takes them: times in milliseconds, 0 or '' where cleared."""
        asked: dict[str, Any] = {}
        if rules := changes_to_kernel(changes):
            asked["rules"] = rules
        for name in ("starts_at", "ends_at"):
            if name in changes:
                asked[f"{name[:-3]}_ms"] = to_millis(changes[name]) if changes[name] else 0
        if "hold_seconds" in changes:
            asked["hold_ms"] = changes["hold_seconds"] * 1000
            asked["max_hold_ms"] = max(changes["hold_seconds"], self._settings.max_hold_seconds) * 1000
        if "hold_durability" in changes:
            wanted = Durability(changes["hold_durability"])
            asked["durability"] = "" if wanted is Durability.DISK else wanted
        if "limit_per_customer" in changes:
            asked["limit"] = changes["limit_per_customer"] or 0
        limits = changed_limits(changes, stored.sale)
        if isinstance(limits, Refused):
            return limits
        if limits:
            asked["rules"] = asked.get("rules", {}) | limits
        if "items" in changes:
            if stored.sale.spread > 1:
                return KEPT_WHILE_SPREAD
            drawing = any(item.uses or item.locations for item in changes["items"])
            if stored.sale.pools or stored.sale.locations or drawing:
                return KEPT_WITH_POOLS
            asked["items"], asked["only"] = kernel_items(changes["items"]), [SaleStatus.DRAFT]
        starts_at = changes.get("starts_at", stored.sale.starts_at)
        ends_at = changes.get("ends_at", stored.sale.ends_at)
        if starts_at and ends_at and ends_at <= starts_at:
            return ENDS_FIRST
        described = [changes.get("name") or "", ""]
        room = room_change(stored.sale, changes)
        if isinstance(room, Refused):
            return room
        if room is not None:
            asked["rules"] = asked.get("rules", {}) | room.rules
            if room.only:
                asked.setdefault("only", room.only)
            described[1:] = room.described or ("",)
        if any(described):
            asked["describe"] = described
        return asked

    async def _changed(
        self, stored: StoredSale, verb: str, field: str, decision: Decision
    ) -> tuple[Sale, bool] | Refused:
        sale_id, result = stored.sale.id, decision.result
        match result:
            case Refusal("unknown-sale"):
                return await self._change_closed(stored.sale, verb, field)
            case Refusal("sale-not-open", (status, *_)):
                return not_open(status)
            case Refusal("sale-not-draft", (status, *_)):
                return not_draft(status)
            case Refusal("limit-not-counted", (sku,)):
                return LIMITS_FIXED if not sku else not_counted(sku)
            case Refusal("ended"):
                return ENDED if verb == "patch" else ENDED_BEFORE_IT_OPENED
        if not isinstance(result, SaleChanged):
            return refusal(result)
        replayed = result.replayed
        if replayed and result.seq and await self._ledger.sales.change_made_with(sale_id, field) is None:
            return IN_FLIGHT
        behind = await self._whole.align(sale_id) if stored.sale.spread > 1 else None
        behind = behind or await self._rooms.open_doors(stored.sale)
        if behind:
            return behind
        now = await self._read(sale_id)
        if now is None:
            return unknown_sale(sale_id)
        return (msgspec.structs.replace(now, status=result.status) if replayed else now), replayed

    async def _change_closed(self, sale: Sale, verb: str, field: str) -> tuple[Sale, bool] | Refused:
        """Return the outcome where memory has no such sale: it closed long ago, or is not loaded yet."""
        if sale.status is not SaleStatus.CLOSED:
            return RECOVERING
        earlier = await self._ledger.sales.change_made_with(sale.id, field) if field else None
        if earlier is not None:
            if earlier[0] != verb:
                return Refused(code=Code.IDEMPOTENCY_MISMATCH)
            return msgspec.structs.replace(sale, status=earlier[1]), True
        return (sale, False) if verb == "close" else not_open(SaleStatus.CLOSED)

    async def delete(self, sale_id: SaleId) -> Refused | None:
        """Delete a draft, and wait until the ledger has done it; return the refusal otherwise."""
        if not is_sale(sale_id):
            return Refused(code=Code.INVALID_REQUEST, detail=SALE)
        stored = await self._ledger.sales.get(sale_id)
        if stored is None:
            return unknown_sale(sale_id)
        if stored.sale.spread > 1:
            return KEPT_WHILE_SPREAD
        if refused := await self._rooms.in_use(stored.sale):
            return refused
        decision = await self._decisions.ask(
            Verb.CHANGE_SALE, sale_id, ("delete", {}, ""), name="delete", durable=newly_done
        )
        refused = refused_by_status(decision)
        if refused is None and not isinstance(decision.result, SaleChanged):
            match decision.result:
                case Refusal("sale-not-draft", (status, *_)):
                    return not_draft(status)
                case Refusal("unknown-sale"):  # closed long ago; or deleted, or not loaded, a moment ago
                    closed = stored.sale.status is SaleStatus.CLOSED
                    return not_draft(SaleStatus.CLOSED) if closed else RECOVERING
            return refusal(decision.result)
        return refused

    async def restock(
        self, sale_id: SaleId, sku: str, delta: int | None, reason: str, stock: int | None, key: Key | None,
        location: str | None = None,
    ) -> tuple[Item, bool] | Refused:  # fmt: skip
        """Return the item after the change, and whether it is a replay: see `Shop.restock`."""
        done = await self._restock(sale_id, sku, delta, reason, stock, key, pool=False, location=location)
        return item_after(done, sku)

    async def restock_pool(
        self, sale_id: SaleId, pool: str, delta: int | None, reason: str, stock: int | None, key: Key | None
    ) -> tuple[Pool, bool] | Refused:
        """Return the pool after the change, and whether it is a replay: see `Shop.restock_pool`."""
        done = await self._restock(sale_id, pool, delta, reason, stock, key, pool=True)
        if isinstance(done, Refused):
            return done
        sale, replayed = done
        return next(each for each in sale.pools if each.id == pool), replayed

    async def _restock(
        self, sale_id: SaleId, sku: str, delta: int | None, reason: str, stock: int | None, key: Key | None,
        *, pool: bool, location: str | None = None,
    ) -> tuple[Sale, bool] | Refused:  # fmt: skip
        """Return the sale after the change, and whether it is a replay.

        Parameters:
            sku: of an item, or the id of a pool.
        """
        wrong = first_wrong(
            (is_sale(sale_id), SALE),
            (is_str(sku), f"sku: {NAME}"),
            ((delta is None) != (stock is None), ONE_OF_BOTH),
            (
                delta is None or is_whole(delta, -MAX_STOCK, MAX_STOCK),
                f"delta: a whole number of at most {MAX_STOCK}",
            ),
            (stock is None or is_whole(stock, 0, MAX_STOCK), f"stock: 0 to {MAX_STOCK}"),
            (is_text(reason), f"reason: {NAME}"),
            (location is None or is_text(location), f"location: {NAME}"),
            (key is None or is_key(key), KEY),
        )
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        known = await self._ledger.sales.get(sale_id)
        if known is None:
            return unknown_sale(sale_id)
        refused = not_restockable(known.sale, sku, pool, location)
        if refused:
            return refused
        counter = sku if location is None else counter_at(sku, location)
        field = restock_field(key)
        body = fingerprint("restock", counter, delta, reason, *(() if stock is None else (stock,)))
        request = (counter, delta, reason, field, body, MAX_STOCK)
        if key is not None and await self._ledger.refusals.is_parked(sale_id, "restock", field):
            return Refused(code=Code.LEDGER_REFUSED)
        decision = await self._spread.restock(sale_id, request, stock)
        if isinstance(decision, Refused):
            return decision
        refused = refused_by_status(decision)
        if refused:
            return refused
        stored = await self._ledger.sales.get(sale_id)
        if stored is None:
            return unknown_sale(sale_id)
        result = decision.result
        if not isinstance(result, Restocked):
            return _not_restocked(stored.sale, sku, stock, result)
        replayed = result.replayed
        unsure = replayed and result.seq  # memory alone may have it, and lose it
        if unsure and not await self._ledger.sales.has_restock(sale_id, field):
            return IN_FLIGHT
        if stored.sale.spread > 1:
            return await self._whole.live(stored.sale), replayed
        counters = {Sku(counter): (result.stock, result.held, result.sold)}
        return with_counters(stored.sale, counters), replayed


def _not_restocked(sale: Sale, sku: str, counted: int | None, result: Result | None) -> Refused:
    match result:
        case Refusal("unknown-sale"):
            return not_open(SaleStatus.CLOSED) if sale.status is SaleStatus.CLOSED else RECOVERING
        case Refusal("unknown-item"):
            return Refused(code=Code.UNKNOWN_ITEM, sku=Sku(sku))
        case Refusal("recovering"):
            return RECOVERING
        case Refusal("invalid-request", (available, delta)):
            detail = f"delta: {available} units are available, and stock is at most {MAX_STOCK}"
            if counted is not None:
                detail = f"stock: {counted - delta - available} units are held or sold"
            return Refused(code=Code.INVALID_REQUEST, detail=detail, available=available)
    return refusal(result)


def restock_field(key: Key | None) -> str:
    """Return the name of a restock's record. No caller chooses what stands before the first colon: restock
    and shadow here, transfer in shards.py, recover in recovering.sql."""
    if isinstance(key, ScopedKey):
        return f"{key.scope}:{json.dumps(key.parts)}"
    return f"restock:{secrets.token_hex(12) if key is None else key}"


def not_open(status: str) -> Refused:
    """Return the refusal of a change that the sale's status forbids."""
    return Refused(code=Code.SALE_NOT_OPEN, detail=f"The sale is {status}.")
