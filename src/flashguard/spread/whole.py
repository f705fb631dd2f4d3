"""A spread sale as the shop sees it: one sale, whose shards the shop need not know."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import RETRY_SECONDS, newly_done, refused_by_status
from flashguard.errors import Code
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.results import SaleNow, read_result
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Goods, Ledger, StoredSale
from flashguard.model import IdentityLimit, Refused, Sale, SaleId, SaleStatus, from_millis
from flashguard.model.pools import Counters, counters_of, with_counters
from flashguard.model.shards import shard_ids, split_stock, sum_counters
from flashguard.recorder.transfers import shards_behind

ALIGN_TRIES: Final = 3
"""Tries to change all shards: another change may come between. A recorder completes what is left."""
NOT_ALL: Final = Refused(
    code=Code.RECOVERING,
    detail="Not all shards of the sale have changed yet; the change completes by itself.",
    retry_after_seconds=RETRY_SECONDS,
)
NO_LOCATIONS: Final = Refused(
    code=Code.INVALID_REQUEST, detail="spread: a sale with locations can't be spread"
)


NO_IDENTITIES: Final = Refused(
    code=Code.INVALID_REQUEST,
    detail="spread: a sale with limits by identity can't be spread: one identity's units are on many shards",
)


def unfit(spread: int, partitions: int, *, limits: Sequence[IdentityLimit] = ()) -> Refused | None:
    """Return the refusal of a sale that can't be spread like this; None when it can."""
    if spread == 1:
        return None
    fault = None
    if not 1 <= spread <= partitions:
        fault = f"spread: 1 to {partitions}, the number of partitions of this installation"
    elif limits:
        return NO_IDENTITIES
    return None if fault is None else Refused(code=Code.INVALID_REQUEST, detail=fault)


def shard_drafts(stored: StoredSale) -> list[StoredSale]:
    """Return the drafts of a new sale as the ledger stores them: one, or one for each shard."""
    sale = stored.sale
    if sale.spread == 1:
        return [stored]
    drafts = []
    for number, shard in enumerate(shard_ids(sale.id, sale.spread)):
        items = split_stock(sale.items, sale.spread, number)
        pools = split_stock(sale.pools, sale.spread, number)
        of_shard = msgspec.structs.replace(sale, id=shard, items=items, pools=pools)
        draft = msgspec.structs.replace(stored, sale=of_shard)
        if number:  # the idempotency key belongs to the first shard, which has the sale's id
            draft = msgspec.structs.replace(draft, creation_key=None, creation_body=None)
        drafts.append(draft)
    return drafts


def with_memory_state(sale: Sale, now: SaleNow) -> Sale:
    """Return the ledger's sale with memory's status, rules and counters."""
    return msgspec.structs.replace(
        with_counters(sale, now.items),
        status=now.status,
        starts_at=from_millis(now.starts_ms) if now.starts_ms else None,
        ends_at=from_millis(now.ends_ms) if now.ends_ms else None,
        hold_seconds=now.hold_ms // 1000,
        limit_per_customer=now.limit or None,
    )


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
            [each.result if isinstance(each.result, SaleNow) else None for each in decisions],
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
        in_memory: list[SaleNow | None] = []
        for shard, reply in zip(shards, replies, strict=True):
            closed = sale.status is SaleStatus.CLOSED
            now = None if reply.status else read_result(Verb.GET, reply.results[0])
            in_memory.append(now if isinstance(now, SaleNow) else None)
            if reply.status or (in_memory[-1] is None and not closed):
                raise MemoryAway(f"sale {shard}: {reply.status or 'not loaded yet'}")
        first = replies[0]
        whole = await self._whole(sale, in_memory)
        return whole, first.epoch, first.seq, first.now_ms

    async def _whole(self, sale: Sale, in_memory: list[SaleNow | None]) -> Sale:
        shards = shard_ids(sale.id, sale.spread)
        goods = await self._ledger.sales.goods(shards)
        in_transit: dict[str, int] = {}
        counters: list[Counters] = []
        for shard, now in zip(shards, in_memory, strict=True):
            stored = goods.get(shard, Goods())
            counted = counters_of(stored.items, stored.pools)
            counters.append(counted if now is None else counted | now.items)
            if now is None:
                continue
            moving = now.moved_away
            for sku, units in zip(moving[::2], moving[1::2], strict=True):
                in_transit[sku] = in_transit.get(sku, 0) + units
        if None in in_memory:
            in_transit = {}  # the counts of some shards alone mean nothing
        first, *_ = in_memory
        if first is not None:
            sale = with_memory_state(sale, first)
        return with_counters(sale, sum_counters(counters, in_transit))

    async def align(self, sale: SaleId) -> Refused | None:
        """Change all shards to match the first one, and wait until the ledger has it; return the refusal if
        not all have changed."""
        for _ in range(ALIGN_TRIES):
            behind = await shards_behind(self._ledger, sale)
            if not behind:
                return None
            decisions = await asyncio.gather(
                *(
                    self._decisions.ask(Verb.CHANGE_SALE, shard, request, durable=newly_done)
                    for shard, _, request in behind
                )
            )
            for decision in decisions:
                if refused_by_status(decision) or decision.code == Code.UNKNOWN_SALE:
                    return NOT_ALL
        return None
