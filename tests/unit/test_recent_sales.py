"""One read for all readers of a sale, at most 100 ms old, without any server."""

import asyncio
from datetime import UTC, datetime

import pytest

from flashguard.model import Item, MinorUnits, Sale, SaleId, SaleStatus, Sku
from flashguard.shop import recent
from flashguard.shop.recent import RecentSales

SALE = SaleId("drop")


def sale(stock: int = 5, id_: str = SALE, items: int = 1) -> Sale:
    listed = tuple(
        Item(sku=Sku(f"unit-{n}"), name="Unit", price_minor=MinorUnits(1), currency="EUR", stock=stock)
        for n in range(items)
    )
    return Sale(
        id=SaleId(id_),
        name="Drop",
        status=SaleStatus.OPEN,
        items=listed,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Shop:
    """Sales that a test changes, read when the test says so."""

    def __init__(self) -> None:
        self.stock = 5
        self.items = 1
        self.reads = 0
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def sale(self, id_: SaleId) -> Sale | None:
        self.reads += 1
        found = sale(self.stock, id_, self.items)
        await self.may_read.wait()
        return found


async def turns() -> None:
    """Let every task come as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Clock:
    """Goes on by a microsecond whenever it is read, and when a test says so."""

    def __init__(self) -> None:
        self.now = 7.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(recent, "_clock", clock)
    return clock


@pytest.fixture
async def shop() -> Shop:
    return Shop()


def stock_of(reading: recent.Reading) -> int:
    assert reading.sale is not None
    return reading.sale.items[0].stock


async def test_a_crowd_shares_one_read(shop: Shop) -> None:
    sales = RecentSales(shop.sale)
    readings = await asyncio.gather(*(sales.read(SALE) for _ in range(1_000)))
    assert shop.reads == 1
    assert set(readings) == {sales.get(SALE)}


async def test_a_reading_is_used_for_100_ms_and_no_longer(shop: Shop, clock: Clock) -> None:
    sales = RecentSales(shop.sale)
    await sales.read(SALE)
    shop.stock = 4
    clock.now += 0.099
    assert stock_of(await sales.read(SALE)) == 5
    assert sales.get(SALE) is not None
    clock.now += 0.002
    assert sales.get(SALE) is None
    assert stock_of(await sales.read(SALE)) == 4


async def test_a_slow_read_is_shared_only_by_readers_who_came_within_100_ms(shop: Shop, clock: Clock) -> None:
    sales = RecentSales(shop.sale)
    shop.may_read.clear()
    early = [asyncio.ensure_future(sales.read(SALE)) for _ in range(3)]
    await turns()
    shop.stock = 4
    clock.now += 0.2
    late = [asyncio.ensure_future(sales.read(SALE)) for _ in range(3)]
    await turns()
    shop.may_read.set()
    assert [stock_of(each) for each in await asyncio.gather(*early, *late)] == [5, 5, 5, 4, 4, 4]
    assert shop.reads == 2


async def test_who_demands_the_newest_gets_a_read_that_began_afterwards(shop: Shop) -> None:
    sales = RecentSales(shop.sale)
    await sales.read(SALE)
    shop.may_read.clear()
    running = asyncio.ensure_future(sales.read(SALE, newest=True))
    await turns()
    shop.stock = 4
    newest = [asyncio.ensure_future(sales.read(SALE, newest=True)) for _ in range(1_000)]
    await turns()
    shop.may_read.set()
    assert {stock_of(each) for each in await asyncio.gather(*newest)} == {4}
    assert stock_of(await running) == 5
    assert shop.reads == 3


async def test_a_change_by_this_process_is_seen_at_once_also_during_a_read(shop: Shop) -> None:
    sales = RecentSales(shop.sale)
    shop.may_read.clear()
    before = asyncio.ensure_future(sales.read(SALE))
    await turns()
    shop.stock = 4
    sales.forget(SALE)
    after = asyncio.ensure_future(sales.read(SALE))
    await turns()
    shop.may_read.set()
    assert stock_of(await after) == 4
    assert stock_of(await before) == 5
    kept = sales.get(SALE)
    assert kept is not None
    assert stock_of(kept) == 4


async def test_a_failed_read_fails_for_its_readers_and_is_not_kept(shop: Shop) -> None:
    async def fails(_: SaleId) -> Sale | None:
        raise OSError

    sales = RecentSales(fails)
    found = await asyncio.gather(*(sales.read(SALE) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in found] == [OSError] * 3
    sales._read = shop.sale
    assert stock_of(await sales.read(SALE)) == 5


async def test_a_reader_who_leaves_does_not_end_the_read_of_the_others(shop: Shop) -> None:
    sales = RecentSales(shop.sale)
    shop.may_read.clear()
    leaves, stays = (asyncio.ensure_future(sales.read(SALE)) for _ in range(2))
    await turns()
    leaves.cancel()
    await turns()
    shop.may_read.set()
    assert stock_of(await stays) == 5
    assert shop.reads == 1


async def test_an_unchanged_sale_keeps_its_answer(shop: Shop) -> None:
    sales = RecentSales(shop.sale)
    (await sales.read(SALE)).answer = "encoded"
    assert (await sales.read(SALE, newest=True)).answer == "encoded"
    shop.stock = 4
    assert (await sales.read(SALE, newest=True)).answer is None


async def test_what_is_kept_is_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_LINES", 100)
    sales = RecentSales(shop.sale)
    shop.items = 9
    for number in range(50):
        await sales.read(SaleId(f"sale-{number}"))
    assert [number for number in range(50) if sales.get(SaleId(f"sale-{number}"))] == list(range(40, 50))
    shop.items = 1_000
    await sales.read(SaleId("huge"))
    assert list(sales._readings) == ["huge"]
    sales.clear()
    assert (sales._readings, sales._lines) == ({}, 0)
