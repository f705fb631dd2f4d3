"""Changes of the items of a sale that exists: one more, another name or price, off sale, or gone."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from flashguard.engine.decision import Decision
from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import newly_done, refusal, refused_by_status
from flashguard.errors import Code
from flashguard.kernel.results import Refusal, SaleChanged
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.ledger.sales import goods_columns
from flashguard.model import (
    Item,
    Key,
    LocationStock,
    Refused,
    Sale,
    SaleId,
    SaleStatus,
    unknown_sale,
)
from flashguard.model.arguments import (
    KEY,
    MAX_ITEMS,
    NAME,
    SALE,
    first_wrong,
    is_key,
    is_sale,
    is_text,
)
from flashguard.model.fingerprints import fingerprint
from flashguard.model.limits import MAX_ITEM_LIMITS
from flashguard.model.pools import flat_uses
from flashguard.model.sale_arguments import invalid_item, invalid_item_changes

from .changes import IN_FLIGHT, RECOVERING, item_after, not_open
from .drafts import KEPT_WHILE_SPREAD, not_counted
from .new_sale import item_body

TOO_MANY: Final = Refused(code=Code.INVALID_REQUEST, detail=f"items: a sale has at most {MAX_ITEMS}")
TOO_MANY_LIMITS: Final = Refused(
    code=Code.INVALID_REQUEST, detail=f"limit_per_customer: at most {MAX_ITEM_LIMITS} items may have one"
)
THE_LAST: Final = Refused(code=Code.ITEM_IN_USE, detail="It is the sale's only item.")

COLUMNS: Final = ("sku", "name", "price_minor", "currency", "stock", "kind", "uses")
"""Of a row of the ledger, in the order of `goods_columns`."""
_json = msgspec.json.Encoder().encode


class SaleItems:
    """Asks the kernel for changes of items, and waits until the ledger has them.

    Parameters:
        read: returns a sale as it is now.
        changed: told of each sale that was changed.
    """

    def __init__(
        self,
        ledger: Ledger,
        decisions: Decisions,
        read: Callable[[SaleId], Awaitable[Sale | None]],
        changed: Callable[[SaleId], None],
    ) -> None:
        self._ledger = ledger
        self._decisions = decisions
        self._read = read
        self._changed = changed

    async def add(
        self, sale_id: SaleId, item: Item, *, key: Key | None = None
    ) -> tuple[Item, bool] | Refused:
        """Add an item to a sale that is not closed; what it draws from pools stays as it is.

        Parameters:
            key: an idempotency key; the same key again changes nothing.

        Returns:
            the item as it is now, and whether the same key had added it before; or a refusal.
        """
        wrong = invalid_item(item)
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        body = fingerprint("add", item_body(item))
        stored = await self._ledger.sales.get(sale_id) if item.locations and is_sale(sale_id) else None
        if stored is not None:
            places = {each.id: 0 for each in stored.sale.locations} | {e.id: e.stock for e in item.locations}
            unknown = places.keys() - {each.id for each in stored.sale.locations}
            if unknown:
                return Refused(
                    code=Code.UNKNOWN_LOCATION, detail=f"The sale has no location {min(unknown)!r}."
                )
            at = tuple(LocationStock(id=id_, stock=stock) for id_, stock in places.items())
            item = msgspec.structs.replace(item, locations=at)
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*goods_columns([item], ()), strict=True)]
        change = {
            "counters": [value for row in rows for value in (row["sku"], row["stock"], _recipe(item, row))],
            "price": item.price_minor,
            "row": _json([row | {"uses": flat_uses(item.uses) or None} for row in rows]).decode(),
        }
        if item.limit_per_customer is not None:
            change["limit"] = item.limit_per_customer
        return await self._done(sale_id, "add", item.sku, change, body, key)

    async def change(
        self, sale_id: SaleId, sku: str, *, key: Key | None = None, **changes: Any
    ) -> tuple[Item, bool] | Refused:
        """Change an item of a sale that is not closed. A reservation keeps the price of its hold.

        Parameters:
            key: an idempotency key; the same key again changes nothing.
            changes: name, price_minor, limit_per_customer (None: none), on_sale (False: no new holds; what is
                held goes on).

        Returns:
            the item as it is now, and whether the same key had changed it before; or a refusal.
        """
        wrong = invalid_item_changes(changes)
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        row = {name: value for name, value in changes.items() if name != "limit_per_customer"}
        change: dict[str, Any] = {"row": _json(row).decode()}
        if "limit_per_customer" in changes:
            change["limit"] = changes["limit_per_customer"] or False
        for name, short in (("price_minor", "price"), ("on_sale", "on_sale")):
            if name in changes:
                change[short] = changes[name]
        what = (sku if is_text(sku) else "", sorted(changes.items()))
        return await self._done(sale_id, "set", sku, change, fingerprint("set", *what), key)

    async def remove(self, sale_id: SaleId, sku: str, *, key: Key | None = None) -> bool | Refused:
        """Remove an item of which nothing was ever held or sold, and for which no one waits.

        Parameters:
            key: an idempotency key; the same key again changes nothing.

        Returns:
            whether the same key had removed it before; or a refusal: `item-in-use`.
        """
        wrong = _wrong(sale_id, sku, key)
        if wrong:
            return wrong
        history = await self._ledger.sales.item_history(sale_id, sku)
        if history is None:
            return unknown_sale(sale_id)
        change = {"row": "{}", "used": history.used, "epoch": history.epoch, "seq": history.seq}
        answer = await self._ask(sale_id, "remove", sku, change, fingerprint("remove", sku), key)
        return answer if isinstance(answer, Refused) else answer[1]

    async def _done(
        self, sale_id: SaleId, what: str, sku: str, change: Mapping[str, Any], body: int, key: Key | None
    ) -> tuple[Item, bool] | Refused:
        wrong = _wrong(sale_id, sku, key)
        return item_after(wrong or await self._ask(sale_id, what, sku, change, body, key), sku)

    async def _ask(
        self, sale_id: SaleId, what: str, sku: str, change: Mapping[str, Any], body: int, key: Key | None
    ) -> tuple[Sale, bool] | Refused:
        """Return the sale after the change, and whether it is a replay."""
        stored = await self._ledger.sales.get(sale_id)
        if stored is None:
            return unknown_sale(sale_id)
        if stored.sale.spread > 1:
            return KEPT_WHILE_SPREAD
        skus = {item.sku for item in stored.sale.items}
        if what == "add" and len(skus) >= MAX_ITEMS and sku not in skus:
            return TOO_MANY
        limited = {item.sku for item in stored.sale.items if item.limit_per_customer is not None}
        if change.get("limit") and len(limited) >= MAX_ITEM_LIMITS and sku not in limited:
            return TOO_MANY_LIMITS
        if what == "remove" and skus == {sku}:
            change = {**change, "used": True}
        if "price" in change and what == "set":  # the first price, where it has not changed before
            first = next((item.price_minor for item in stored.sale.items if item.sku == sku), 0)
            change = {**change, "first": first}
        field = "" if key is None else f"sale-change:{key}"
        if field and await self._ledger.refusals.is_parked(sale_id, "item", field):
            return Refused(code=Code.LEDGER_REFUSED)
        decision = await self._decisions.ask(
            Verb.CHANGE_ITEM, sale_id, (what, sku, change, field, body), name=field or sku, durable=newly_done
        )
        self._changed(sale_id)
        return refused_by_status(decision) or await self._after(stored.sale, sku, field, body, decision)

    async def _after(
        self, sale: Sale, sku: str, field: str, body: int, decision: Decision
    ) -> tuple[Sale, bool] | Refused:
        match decision.result:
            case SaleChanged(_, replayed, seq):
                if replayed and seq and await self._ledger.sales.change_made_with(sale.id, field) is None:
                    return IN_FLIGHT
                now = await self._read(sale.id)
                return unknown_sale(sale.id) if now is None else (now, replayed)
            case Refusal("unknown-sale") if sale.status is SaleStatus.CLOSED:
                earlier = await self._ledger.sales.change_made_with(sale.id, field) if field else None
                if earlier is None:
                    return not_open(SaleStatus.CLOSED)
                same = earlier[0] == f"item {body}"
                return (sale, True) if same else Refused(code=Code.IDEMPOTENCY_MISMATCH)
            case Refusal("unknown-sale"):
                return RECOVERING
            case Refusal("item-exists", (name,)) if any(pool.id == name for pool in sale.pools):
                return Refused(
                    code=Code.INVALID_REQUEST, detail=f"sku: a pool has the name {name!r}.", sku=name
                )
            case Refusal("limit-not-counted", (name,)):
                return not_counted(name)
            case Refusal("item-in-use") if len(sale.items) == 1:
                return THE_LAST
            case _:
                return refusal(decision.result)


def _recipe(item: Item, row: Mapping[str, object]) -> object:
    """Return what memory keeps of what a row's counter draws: see lib/pools.lua and lib/locations.lua."""
    if row["kind"] == "location":
        return "location"
    return {"at": True} if item.locations else flat_uses(item.uses)


def _wrong(sale_id: object, sku: object, key: object) -> Refused | None:
    fault = first_wrong(
        (is_sale(sale_id), SALE), (is_text(sku), f"sku: {NAME}"), (key is None or is_key(key), KEY)
    )
    return None if fault is None else Refused(code=Code.INVALID_REQUEST, detail=fault)
