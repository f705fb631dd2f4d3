"""One sale as its viewers see it: a snapshot, kept up to date by journal entries. No I/O."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from flashguard.errors import Code
from flashguard.journal import Counters, SaleChange
from flashguard.model import (
    Durability,
    Item,
    LocationStock,
    Pool,
    Sale,
    SaleId,
    SaleStatus,
    Sku,
    from_millis,
    to_millis,
)
from flashguard.model.locations import item_and_location
from flashguard.model.pools import drawn, located, own_stock
from flashguard.model.rules import from_kernel
from flashguard.model.whole import whole_number

from . import sse
from .channel import Channel
from .source import Snapshot

AWAY_DETAIL: Final = "Memory does not answer now; the numbers are those last known."

SaleView = Callable[[Sale], dict[str, Any]]
"""A sale as the API shows it."""
News = Counters | SaleChange
Counted = TypeVar("Counted", Item, Pool)


class Topic:
    """A sale with viewers.

    Its state includes everything up to journal entry `epoch`-`seq`. Counters are absolute, so a viewer
    resumes after an event with the items that changed since.
    """

    def __init__(self, sale_id: SaleId, sale_view: SaleView) -> None:
        self.sale_id = sale_id
        self.channel = Channel(self.snapshot_event)
        self.away = True
        self.epoch = 0
        self.seq = 0
        self.snapshot_due_at = 0.0
        """When to compare with a fresh snapshot, in seconds by the loop's clock."""
        self._view = sale_view
        self._sale: Sale | None = None
        self._items: dict[Sku, Item] = {}
        self._pools: dict[Sku, Pool] = {}
        self._since = 0
        self._sale_seq = 0
        self._changed_at: dict[Sku, int] = {}
        self._early: dict[Sku | None, tuple[int, int, News]] = {}
        self._dirty: set[Sku] = set()
        self._sale_dirty = False
        self._encoded: bytes | None = None
        self._skew_ms = 0.0

    @property
    def loaded(self) -> bool:
        return self._sale is not None

    @property
    def is_draft(self) -> bool:
        return self._sale is not None and self._sale.status is SaleStatus.DRAFT

    @property
    def spread(self) -> bool:
        """Whether the sale is spread over several partitions: then no single journal has its stock."""
        return self._sale is not None and self._sale.spread > 1

    def adopt(self, snapshot: Snapshot, local_ms: float) -> None:
        """Take a snapshot of memory. After an absence viewers get the whole sale, else what differs."""
        fresh = self.away or snapshot.epoch != self.epoch
        before, after = self._sale, snapshot.sale
        self._skew_ms = snapshot.now_ms - local_ms
        if fresh:
            self.away, self.epoch, self._since, self._changed_at = False, snapshot.epoch, snapshot.seq, {}
            self._items, self._pools = {}, {}
        self.seq = snapshot.seq
        if fresh or before is None or _face(before) != _face(after):
            # What the clock, a name or an item's terms changed has no news: no viewer resumes from before it.
            self._renew(after, snapshot.seq if fresh else snapshot.seq + 1)
        self._items = {item.sku: self._items[item.sku] for item in after.items if item.sku in self._items}
        for pool in after.pools:
            self._put(pool.id, pool, self._pools, snapshot.seq)
        for item in after.items:
            self._put(item.sku, item, self._items, snapshot.seq)
        early, self._early = self._early, {}
        for epoch, seq, news in early.values():
            self.take(epoch, seq, news)
        if not self.channel.viewers:
            self._dirty.clear()
            self._sale_dirty = False

    def adopt_last_known(self, sale: Sale) -> None:
        """Take the ledger's sale, for viewers that come while memory is away."""
        self._sale = sale
        self._items = {item.sku: item for item in sale.items}
        self._pools = {pool.id: pool for pool in sale.pools}
        self._encoded = None

    def take(self, epoch: int, seq: int, news: News) -> None:
        """Apply what a journal entry says of this sale, unless the snapshot had it already."""
        if self.away:
            self._early[news.sku if isinstance(news, Counters) else None] = (epoch, seq, news)
        elif epoch != self.epoch or seq <= self.seq or self._sale is None:
            return
        elif isinstance(news, SaleChange):
            changed = _changed(self._sale, news)
            if _face(changed) != _face(self._sale):  # the clock's change may be known before it is journalled
                self._renew(changed, seq)
        elif not self.spread:
            self._count(news, seq)

    def _count(self, news: Counters, seq: int) -> None:
        """Take the counters of an item, a pool, or an item at a location; those of a pool change what its
        items have available."""
        replace = msgspec.structs.replace
        if item := self._items.get(news.sku):
            stock = own_stock(item, news.stock)
            self._put(item.sku, replace(item, stock=stock, held=news.held, sold=news.sold), self._items, seq)
        elif pool := self._pools.get(news.sku):
            counted = replace(pool, stock=news.stock, held=news.held, sold=news.sold)
            self._put(pool.id, counted, self._pools, seq)
            drawing = [item for item in self._items.values() if any(use.pool == pool.id for use in item.uses)]
            for item in drawn(drawing, self._pools.values()):
                self._put(item.sku, item, self._items, seq)
        else:
            sku, location = item_and_location(news.sku)
            if location is not None and (item := self._items.get(sku)):
                counters = {news.sku: (news.stock, news.held, news.sold)}
                places = located(item, counters)
                self._put(sku, replace(item, locations=places), self._items, seq)

    def lose(self) -> None:
        """Tell viewers once that memory is away, and apply no entry until the next snapshot."""
        self._early.clear()
        if not self.away:
            self.away = True
            self._encoded = None
            self.channel.publish(_away_event())

    def flush(self, epoch: int, seq: int) -> None:
        """Publish as one event what changed up to this entry."""
        if self.away:
            return
        if epoch == self.epoch:
            self.seq = max(self.seq, seq)
        if self._sale_dirty:
            self.channel.publish(self.snapshot_event())
        elif self._dirty:
            self.channel.publish(self._stock_event(sorted(self._dirty)))
        self._sale_dirty = False
        self._dirty.clear()

    def snapshot_event(self) -> bytes:
        """Return the whole sale, encoded once per change."""
        if self._encoded is None:
            assert self._sale is not None
            items, pools = tuple(self._items.values()), tuple(self._pools.values())
            sale = msgspec.structs.replace(self._sale, items=items, pools=pools)
            if self.away:
                self._encoded = sse.event("sale", self._view(sale)) + _away_event()
            else:
                self._encoded = sse.event("sale", self._view(sale), self._id)
        return self._encoded

    def first_event(self, last_event_id: str | None) -> bytes:
        """Return what a viewer gets first: the changes since its last event if it can resume, else all."""
        epoch, _, seq = (last_event_id or "").partition("-")
        if (
            self.away
            or self.spread
            or whole_number(epoch) != self.epoch
            or (last := whole_number(seq)) is None
        ):
            return self.snapshot_event()
        if not max(self._since, self._sale_seq) <= last <= self.seq:
            return self.snapshot_event()
        return self._stock_event([sku for sku, at in self._changed_at.items() if at > last])

    def next_turn_ms(self) -> float | None:
        """Return when the clock next opens or ends the sale, in Unix milliseconds of the local clock."""
        if self._sale is None or self.away:
            return None
        status, turns = self._sale.status, []
        if status is SaleStatus.SCHEDULED and self._sale.starts_at:
            turns.append(to_millis(self._sale.starts_at))
        if status not in (SaleStatus.DRAFT, SaleStatus.CLOSED) and self._sale.ends_at:
            turns.append(to_millis(self._sale.ends_at))
        return min(turns) - self._skew_ms if turns else None

    @property
    def _id(self) -> str:
        return f"{self.epoch}-{self.seq}"

    def _renew(self, sale: Sale, seq: int) -> None:
        self._sale, self._sale_seq, self._sale_dirty, self._encoded = sale, seq, True, None

    def _put(self, name: Sku, counted: Counted, known: dict[Sku, Counted], seq: int) -> None:
        if known.get(name) != counted:
            known[name] = counted
            self._changed_at[name] = seq
            self._dirty.add(name)
            self._encoded = None

    def _stock_event(self, names: list[Sku]) -> bytes:
        items = [{"sku": name, **_counters(self._items[name])} for name in names if name in self._items]
        pools = [{"id": name, **_counters(self._pools[name])} for name in names if name in self._pools]
        data = {"sale_id": self.sale_id, "at": datetime.now(UTC), "items": items, "pools": pools}
        return sse.event("stock", data, self._id)


def _counters(of: Item | Pool | LocationStock) -> dict[str, Any]:
    counters = {"available": of.available, "held": of.held, "sold": of.sold}
    if not isinstance(of, Item):
        return {"stock": of.stock, **counters}
    places = {"locations": [{"id": at.id, **_counters(at)} for at in of.locations]} if of.locations else {}
    return {"stock": of.stock_in_all, **counters, **places}


def _face(sale: Sale) -> tuple[object, ...]:
    """Return what of a sale is not its stock."""
    times = sale.starts_at, sale.ends_at, sale.hold_seconds
    durability = sale.hold_durability, sale.effective_hold_durability
    items = [(i.sku, i.name, i.price_minor, i.currency, i.limit_per_customer, i.on_sale) for i in sale.items]
    return sale.name, sale.status, times, sale.limit_per_customer, sale.waiting_room, durability, items


def _changed(sale: Sale, change: SaleChange) -> Sale:
    durability = Durability(change.durability or Durability.DISK)
    same = durability is sale.hold_durability
    return msgspec.structs.replace(
        sale,
        status=SaleStatus(change.status),
        starts_at=from_millis(change.starts_ms) if change.starts_ms else None,
        ends_at=from_millis(change.ends_ms) if change.ends_ms else None,
        hold_seconds=change.hold_ms // 1000,
        limit_per_customer=change.limit or None,
        hold_durability=durability,
        effective_hold_durability=sale.effective_hold_durability if same else None,
        rules=from_kernel(change.rules),
    )


def _away_event() -> bytes:
    return sse.event("away", {"code": Code.RECOVERING, "detail": AWAY_DETAIL})
