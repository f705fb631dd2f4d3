"""A spread sale as its shop sees it: one sale, whose parts are nobody else's matter."""

import asyncio
from typing import Any, Final

import msgspec

from flashguard.engine.decision import DecisionStatus
from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import RETRY_SECONDS, refused_by_status
from flashguard.errors import Code
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, StoredSale
from flashguard.model import Item, Refused, Sale, SaleId, SaleStatus, from_millis
from flashguard.model.rules import Rules
from flashguard.model.shards import shard_ids, split_items, sum_items
from flashguard.recorder.transfers import shards_behind

FOLLOW_TRIES: Final = 3
"""Another change may come in between; what is left then, the recorder does."""
NOT_ALL: Final = Refused(
    code=Code.RECOVERING,
    detail="Not all parts of the sale have changed yet; they will.",
    retry_after_seconds=RETRY_SECONDS,
)
NO_LIST: Final = Refused(
    code=Code.INVALID_REQUEST, detail="spread: a sale with a waiting list lives on one partition"
)


def unfit(spread: int, partitions: int, *, has_room: bool, rules: Rules) -> Refused | None:
    """Why a sale can't be spread so."""
    if spread == 1:
        return None
    what = None
    if not 1 <= spread <= partitions:
        what = f"spread: 1 to {partitions}, the partitions of this installation"
    elif has_room:
        what = "spread: a sale with a waiting room lives on one partition"
    elif rules.waiting_list is not None:
        return NO_LIST
    return None if what is None else Refused(code=Code.INVALID_REQUEST, detail=what)


def drafts_of(stored: StoredSale) -> list[StoredSale]:
    """A new sale as the ledger keeps it: once, or once for each part."""
    sale = stored.sale
    if sale.spread == 1:
        return [stored]
    drafts = []
    for number, part in enumerate(shard_ids(sale.id, sale.spread)):
        items = split_items(sale.items, sale.spread, number)
        draft = msgspec.structs.replace(stored, sale=msgspec.structs.replace(sale, id=part, items=items))
        if number:  # the sale's key names the sale
            draft = msgspec.structs.replace(draft, creation_key=None, creation_body=None)
        drafts.append(draft)
    return drafts


def as_in_memory(sale: Sale, result: list[Any]) -> Sale:
    """The ledger's sale with memory's status, rules and counters."""
    status, starts_ms, ends_ms, hold_ms, _, limit, *_ = result
    return msgspec.structs.replace(
        sale,
        status=SaleStatus(status),
        items=_counted(sale.items, result),
        starts_at=from_millis(starts_ms) if starts_ms else None,
        ends_at=from_millis(ends_ms) if ends_ms else None,
        hold_seconds=hold_ms // 1000,
        limit_per_customer=limit or None,
    )


def _counted(items: tuple[Item, ...], result: list[Any]) -> tuple[Item, ...]:
    flat = result[6]
    counters = {flat[at]: flat[at + 1 : at + 4] for at in range(0, len(flat), 4)}
    return tuple(
        Item(
            sku=item.sku, name=item.name, price_minor=item.price_minor, currency=item.currency,
            stock=counters[item.sku][0], held=counters[item.sku][1], sold=counters[item.sku][2],
        )
        if item.sku in counters else item
        for item in items
    )  # fmt: skip


class Whole:
    """Every spread sale, seen as one. A server that is away is an exception."""

    def __init__(self, kernel: Kernel, ledger: Ledger, decisions: Decisions) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._decisions = decisions

    async def live(self, sale: Sale) -> Sale:
        """A sale of the ledger with memory's counters of all parts; of a part that does not answer, the
        ledger's."""
        parts = shard_ids(sale.id, sale.spread)
        looks = await asyncio.gather(*(self._decisions.ask(Verb.GET, part, ("",)) for part in parts))
        return await self._added_up(
            sale,
            [look.result if look.status is DecisionStatus.DECIDED else ["unknown-sale"] for look in looks],
        )

    async def in_memory(self, sale: Sale) -> tuple[Sale, int, int, int]:
        """The same, or not at all; with epoch and sequence of the first part's journal, and memory's clock.

        Raises:
            MemoryAway: a part is not in memory.
        """
        parts = shard_ids(sale.id, sale.spread)
        replies = await asyncio.gather(
            *(
                self._kernel.run(Verb.GET, self._decisions.partition(part), [part], [(0, "")])
                for part in parts
            )
        )
        for part, reply in zip(parts, replies, strict=True):
            closed = sale.status is SaleStatus.CLOSED
            if reply.status or (reply.results[0][0] == "unknown-sale" and not closed):
                raise MemoryAway(f"sale {part}: {reply.status or 'not loaded yet'}")
        first = replies[0]
        whole = await self._added_up(sale, [reply.results[0] for reply in replies])
        return whole, first.epoch, first.seq, first.now_ms

    async def _added_up(self, sale: Sale, results: list[list[Any]]) -> Sale:
        parts = shard_ids(sale.id, sale.spread)
        items = await self._ledger.sales.items(parts)
        in_transit: dict[str, int] = {}
        of_parts: list[tuple[Item, ...]] = []
        for part, result in zip(parts, results, strict=True):
            known = items.get(part, ())
            if result[0] == "unknown-sale":
                of_parts.append(known)
                continue
            of_parts.append(_counted(known, result))
            away = result[7] if len(result) > 7 else []
            for sku, units in zip(away[::2], away[1::2], strict=True):
                in_transit[sku] = in_transit.get(sku, 0) + units
        if any(result[0] == "unknown-sale" for result in results):
            in_transit = {}  # half of it says nothing
        if results[0][0] != "unknown-sale":
            sale = as_in_memory(sale, results[0])
        return msgspec.structs.replace(sale, items=sum_items(of_parts, in_transit))

    async def follow(self, sale: SaleId) -> Refused | None:
        """Has all parts be as the first one, and waits until the ledger has it; or why not all are yet."""
        for _ in range(FOLLOW_TRIES):
            behind = await shards_behind(self._ledger, sale)
            if not behind:
                return None
            decisions = await asyncio.gather(
                *(
                    self._decisions.ask(
                        Verb.CHANGE_SALE, part, request, durable=lambda result: result[1:2] == [False]
                    )
                    for part, _, request in behind
                )
            )
            for decision in decisions:
                if refused_by_status(decision) or decision.result[0] == "unknown-sale":
                    return NOT_ALL
        return None
