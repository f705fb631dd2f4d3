"""A spread sale as the shop sees it: one sale, whose shards the shop need not know."""

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

ALIGN_TRIES: Final = 3
"""Tries to change all shards: another change may come between. A recorder completes what is left."""
NOT_ALL: Final = Refused(
    code=Code.RECOVERING,
    detail="Not all shards of the sale have changed yet; the change completes by itself.",
    retry_after_seconds=RETRY_SECONDS,
)
NO_LIST: Final = Refused(
    code=Code.INVALID_REQUEST, detail="spread: a sale with a waiting list can't be spread"
)


def unfit(spread: int, partitions: int, *, has_room: bool, rules: Rules) -> Refused | None:
    """Return the refusal of a sale that can't be spread like this; None when it can."""
    if spread == 1:
        return None
    fault = None
    if not 1 <= spread <= partitions:
        fault = f"spread: 1 to {partitions}, the number of partitions of this installation"
    elif has_room:
        fault = "spread: a sale with a waiting room can't be spread"
    elif rules.waiting_list is not None:
        return NO_LIST
    return None if fault is None else Refused(code=Code.INVALID_REQUEST, detail=fault)


def shard_drafts(stored: StoredSale) -> list[StoredSale]:
    """Return the drafts of a new sale as the ledger stores them: one, or one for each shard."""
    sale = stored.sale
    if sale.spread == 1:
        return [stored]
    drafts = []
    for number, shard in enumerate(shard_ids(sale.id, sale.spread)):
        items = split_items(sale.items, sale.spread, number)
        draft = msgspec.structs.replace(stored, sale=msgspec.structs.replace(sale, id=shard, items=items))
        if number:  # the idempotency key belongs to the first shard, which has the sale's id
            draft = msgspec.structs.replace(draft, creation_key=None, creation_body=None)
        drafts.append(draft)
    return drafts


def with_memory_state(sale: Sale, result: list[Any]) -> Sale:
    """Return the ledger's sale with memory's status, rules and counters."""
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
    """Reads and changes a spread sale as one sale. A server that does not answer raises an exception."""

    def __init__(self, kernel: Kernel, ledger: Ledger, decisions: Decisions) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._decisions = decisions

    async def live(self, sale: Sale) -> Sale:
        """Return the ledger's sale with memory's counters of all shards, or the ledger's counters of a shard
        that does not answer."""
        shards = shard_ids(sale.id, sale.spread)
        decisions = await asyncio.gather(*(self._decisions.ask(Verb.GET, shard, ("",)) for shard in shards))
        return await self._whole(
            sale,
            [
                decision.result if decision.status is DecisionStatus.DECIDED else ["unknown-sale"]
                for decision in decisions
            ],
        )

    async def in_memory(self, sale: Sale) -> tuple[Sale, int, int, int]:
        """Return the sale with memory's counters of all shards, the epoch and sequence of the first shard's
        journal, and memory's clock.

        Raises:
            MemoryAway: a shard is not in memory.
        """
        shards = shard_ids(sale.id, sale.spread)
        replies = await asyncio.gather(
            *(
                self._kernel.run(Verb.GET, self._decisions.partition(shard), [shard], [(0, "")])
                for shard in shards
            )
        )
        for shard, reply in zip(shards, replies, strict=True):
            closed = sale.status is SaleStatus.CLOSED
            if reply.status or (reply.results[0][0] == "unknown-sale" and not closed):
                raise MemoryAway(f"sale {shard}: {reply.status or 'not loaded yet'}")
        first = replies[0]
        whole = await self._whole(sale, [reply.results[0] for reply in replies])
        return whole, first.epoch, first.seq, first.now_ms

    async def _whole(self, sale: Sale, results: list[list[Any]]) -> Sale:
        shards = shard_ids(sale.id, sale.spread)
        items = await self._ledger.sales.items(shards)
        in_transit: dict[str, int] = {}
        shard_items: list[tuple[Item, ...]] = []
        for shard, result in zip(shards, results, strict=True):
            stored = items.get(shard, ())
            if result[0] == "unknown-sale":
                shard_items.append(stored)
                continue
            shard_items.append(_counted(stored, result))
            moving = result[7] if len(result) > 7 else []
            for sku, units in zip(moving[::2], moving[1::2], strict=True):
                in_transit[sku] = in_transit.get(sku, 0) + units
        if any(result[0] == "unknown-sale" for result in results):
            in_transit = {}  # the counts of some shards alone mean nothing
        if results[0][0] != "unknown-sale":
            sale = with_memory_state(sale, results[0])
        return msgspec.structs.replace(sale, items=sum_items(shard_items, in_transit))

    async def align(self, sale: SaleId) -> Refused | None:
        """Change all shards to match the first one, and wait until the ledger has it; return the refusal if
        not all have changed."""
        for _ in range(ALIGN_TRIES):
            behind = await shards_behind(self._ledger, sale)
            if not behind:
                return None
            decisions = await asyncio.gather(
                *(
                    self._decisions.ask(
                        Verb.CHANGE_SALE, shard, request, durable=lambda result: result[1:2] == [False]
                    )
                    for shard, _, request in behind
                )
            )
            for decision in decisions:
                if refused_by_status(decision) or decision.result[0] == "unknown-sale":
                    return NOT_ALL
        return None
