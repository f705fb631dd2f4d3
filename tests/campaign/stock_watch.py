"""Reads the counters of a sale's items in Valkey all through a round: has memory promised a unit twice, or
has the open sale got one that was set aside?

- At every moment the units that are held, those that are sold, and those that are set aside for the waiting
  list are no more than the stock. Scripts are atomic, so what memory has lost makes no difference to that.
- While units are set aside for an entry that wants more, and the same entries wait and can be served some
  time, the open sale gets none. Over shards the order is that of the rounds, and is not checked here.
"""

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, cast

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from flashguard.kernel import keys
from flashguard.model import SaleId, partition_of
from flashguard.model.shards import shard_ids

SAMPLE_SECONDS: Final = 0.05
ITEM: Final = "item:"


class Aside(Struct, frozen=True):
    """What is set aside of an item at a moment of Valkey's clock, and for whom."""

    now_ms: float
    units: int
    until_ms: int
    unsold: int
    waiting: tuple[bytes, ...]
    """The entries that wait for it, as the sale's queue has them."""

    @property
    def is_for_all(self) -> bool:
        """Whether no entry wants more than there will ever be."""
        sizes = (each.split(b"\0")[1] for each in self.waiting if each.startswith(b"q"))
        return max(map(int, sizes), default=0) <= self.unsold


class Kept(Struct, frozen=True):
    """A time, of Valkey's clock, in which the open sale may get nothing of an item."""

    sale: str
    sku: str
    from_ms: float
    to_ms: float


class Grant(Struct, frozen=True):
    """A hold or an order of the open sale, as the ledger has it."""

    id: str
    skus: frozenset[str]
    created_ms: int


class StockWatch:
    """Samples the items of some sales until it is stopped.

    Parameters:
        sales: over how many partitions each sale is spread, by its id.
    """

    def __init__(self, socket: str, sales: Mapping[str, int], partitions: int) -> None:
        self.found: dict[str, str] = {}
        """A sentence about each item that was promised twice, by its sale and name."""
        self.kept: list[Kept] = []
        self._socket = socket
        self._sales = [
            (str(shard), keys.sale(partition_of(shard, partitions), shard), spread == 1)
            for sale, spread in sales.items()
            for shard in shard_ids(SaleId(sale), spread)
        ]
        self._before: dict[tuple[str, str], Aside] = {}

    async def run(self) -> None:
        """Sample until cancelled; without a sample where Valkey does not answer."""
        client = Redis(unix_socket_path=self._socket, socket_timeout=1.0)
        try:
            while True:
                with suppress(RedisError, OSError):
                    await self.sample(client)
                await asyncio.sleep(SAMPLE_SECONDS)
        finally:
            await client.aclose()

    async def sample(self, client: Redis) -> None:
        """Read all items once, those of a sale in one step."""
        for sale, its, is_whole in self._sales:
            async with client.pipeline(transaction=True) as pipe:
                pipe.time()
                pipe.hgetall(its.sale)
                pipe.zrangebylex(its.queue, "[p", "(s")
                (seconds, micros), fields, waiting = await pipe.execute()
            items = items_of(cast("dict[bytes, bytes]", fields))
            for sku, said in promised_twice(items):
                self.found.setdefault(f"{sale} {sku}", f"{sale} has {sku} {said}")
            if is_whole:
                self._note(sale, items, seconds * 1000 + micros / 1000, waiting)

    def _note(
        self, sale: str, items: Mapping[str, tuple[int, ...]], now_ms: float, waiting: Iterable[bytes]
    ) -> None:
        """Note since the last sample which items the open sale could not get."""
        for sku, (stock, _, sold, units, until_ms) in items.items():
            mine = tuple(each for each in waiting if each[1:].startswith(sku.encode() + b"\0"))
            now = Aside(now_ms, units, until_ms, stock - sold, mine)
            before, self._before[sale, sku] = self._before.get((sale, sku)), now
            if not before or before.units == 0 or before.waiting != mine or now_ms >= before.until_ms:
                continue
            if before.is_for_all and now.is_for_all:
                self.kept.append(Kept(sale, sku, before.now_ms, now_ms))

    def given_away(self, sale: str, grants: Iterable[Grant]) -> Iterator[str]:
        """Yield a sentence about each grant of the open sale that took what was set aside."""
        mine = [each for each in self.kept if each.sale == sale]
        for grant in grants:
            for kept in mine:
                between = math.ceil(kept.from_ms) <= grant.created_ms and grant.created_ms + 1 <= kept.to_ms
                if between and kept.sku in grant.skus:
                    yield f"{grant.id} got {kept.sku} at {grant.created_ms}, which was set aside: {kept}"


def items_of(fields: Mapping[bytes, bytes]) -> dict[str, tuple[int, ...]]:
    """Return stock, held, sold, set aside and until when, of each item in a sale's hash, by SKU."""
    found = {}
    for name, value in fields.items():
        if name.decode().startswith(ITEM):
            numbers = [int(part) for part in value.split()[:5]]
            found[name.decode().removeprefix(ITEM)] = (*numbers, 0, 0)[:5]
    return found


def promised_twice(items: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, str]]:
    """Yield SKU and counters of each item that has more units promised than there are."""
    for sku, (stock, held, sold, set_aside, until_ms) in items.items():
        if min(held, sold, stock - held - sold - set_aside) < 0:
            yield sku, f"{stock} {held} {sold} {set_aside} {until_ms}"
