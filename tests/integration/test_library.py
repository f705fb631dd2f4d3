"""FlashGuard inside a Python program: typed outcomes, next to the running recorder."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from flashguard import (
    Code,
    FlashGuard,
    Granted,
    Item,
    Line,
    NewSale,
    Refused,
    ReservationStatus,
    SaleStatus,
    Settings,
)
from flashguard.errors import ConfigurationError, FlashGuardError
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import MinorUnits, Outcome, Reservation, Sku

UNIT = Sku("unit")


@pytest.fixture(scope="module")
async def guard(service) -> AsyncIterator[FlashGuard]:
    settings = Settings(redis_url=service.redis_url, database_url=service.database_url)
    async with await FlashGuard.connect(settings) as connected:
        yield connected


async def open_sale(guard: FlashGuard, stock: int = 5, **more: int) -> str:
    item = Item(sku=UNIT, name="Unit", price_minor=MinorUnits(100), currency="EUR", stock=stock)
    created = await guard.shop.create_sale(
        NewSale(name="Library", items=(item,), id=f"lib-{uuid.uuid4().hex[:12]}", **more)
    )
    assert not isinstance(created, Refused)
    sale, again = created
    assert (sale.status, again) == (SaleStatus.DRAFT, False)
    for replayed in (False, True):
        opened = await guard.shop.change(sale.id, "open", key="open")
        assert not isinstance(opened, Refused)
        assert (opened[0].status, opened[1]) == (SaleStatus.OPEN, replayed)
    return sale.id


def granted(outcome: Outcome) -> Reservation:
    assert isinstance(outcome, Granted), outcome
    return outcome.reservation


async def test_the_example_of_the_package(guard):
    sale = await open_sale(guard)
    outcome = await guard.buy(sale, "customer-1", [Line(UNIT, 1)])
    match outcome:
        case Granted(reservation, replayed):
            assert reservation.status is ReservationStatus.CONFIRMED
            assert not replayed
        case Refused():
            pytest.fail(f"{outcome}")


async def test_reserve_confirm_and_release_are_values(guard):
    sale = await open_sale(guard, stock=3)
    held = granted(await guard.reserve(sale, "ann", [Line(UNIT, 1), Line(UNIT, 1)]))
    assert held.status is ReservationStatus.HELD
    assert held.items == (Line(UNIT, 2),)
    assert held.expires_at is not None
    assert held.expires_at > held.created_at

    refused = await guard.reserve(sale, "bob", [Line(UNIT, 2)])
    assert isinstance(refused, Refused)
    assert (refused.code, refused.available, refused.sku) == (Code.SOLD_OUT, 1, UNIT)

    order = granted(await guard.confirm(held.id))
    assert order.status is ReservationStatus.CONFIRMED
    again = await guard.confirm(held.id)
    assert isinstance(again, Granted)
    assert again.replayed
    assert again.reservation.confirmed_at == order.confirmed_at
    crossing = await guard.release(held.id)
    assert isinstance(crossing, Refused)
    assert crossing.code is Code.RESERVATION_CONFIRMED

    other = granted(await guard.reserve(sale, "bob", [Line(UNIT, 1)]))
    longer = granted(await guard.extend(other.id))
    assert longer.expires_at is not None
    assert other.expires_at is not None
    assert longer.expires_at >= other.expires_at
    assert granted(await guard.release(other.id)).status is ReservationStatus.RELEASED
    found = await guard.reservation(other.id)
    assert isinstance(found, Reservation)
    assert found.status is ReservationStatus.RELEASED
    report = await guard.shop.audit(sale)
    assert report is not None
    assert report.ok


async def test_a_confirmed_order_is_in_the_ledger_when_the_answer_is_there(guard, service):
    sale = await open_sale(guard, stock=50)
    connection = await asyncpg.connect(service.database_url)
    try:
        for number in range(20):
            order = granted(await guard.buy(sale, f"c{number}", [Line(UNIT, 1)]))
            status = await connection.fetchval(
                "SELECT status FROM flashguard.reservations WHERE sale_id = $1 AND id = $2",
                sale, order.id.partition(".")[2],
            )  # fmt: skip
            assert status == "confirmed"
    finally:
        await connection.close()


async def test_one_key_one_outcome(guard):
    sale = await open_sale(guard)
    first = await guard.buy(sale, "ann", [Line(UNIT, 1)], key="k")
    again = await guard.buy(sale, "ann", [Line(UNIT, 1)], key="k")
    assert isinstance(again, Granted)
    assert again.replayed
    assert again.reservation == granted(first)
    other = await guard.buy(sale, "ann", [Line(UNIT, 2)], key="k")
    assert isinstance(other, Refused)
    assert other.code is Code.IDEMPOTENCY_MISMATCH


async def test_what_cannot_be_a_basket_is_a_refusal_too(guard):
    sale = await open_sale(guard, limit_per_customer=2)
    one = [Line(UNIT, 1)]
    wrong = [
        ("Not A Sale", "ann", one), (sale, "", one), (sale, "ann", []), (sale, "ann", one * 51),
        (sale, "ann", [Line(UNIT, 0)]), (sale, "ann", [Line(UNIT, -1)]), (sale, "ann", [Line(UNIT, 10**9)]),
        (sale, "ann", [Line(Sku(""), 1)]),
    ]  # fmt: skip
    for basket in wrong:
        refused = await guard.reserve(*basket)
        assert isinstance(refused, Refused)
        assert refused.code is Code.INVALID_REQUEST
        assert refused.detail
    for outcome, code in (
        (await guard.buy("no-such-sale", "ann", one), Code.UNKNOWN_SALE),
        (await guard.buy(sale, "ann", [Line(Sku("other"), 1)]), Code.UNKNOWN_ITEM),
        (await guard.buy(sale, "ann", [Line(UNIT, 3)]), Code.LIMIT_REACHED),
        (await guard.confirm("nonsense"), Code.UNKNOWN_RESERVATION),
        (await guard.release(f"{sale}.{'0' * 24}"), Code.UNKNOWN_RESERVATION),
        (await guard.extend(f"no-such-sale.{'0' * 24}"), Code.UNKNOWN_RESERVATION),
        (await guard.reservation("nonsense"), Code.UNKNOWN_RESERVATION),
    ):
        assert isinstance(outcome, Refused)
        assert outcome.code is code


async def test_two_programs_share_one_stock(guard, service):
    settings = Settings(redis_url=service.redis_url, database_url=service.database_url)
    sale = await open_sale(guard, stock=100)
    async with await FlashGuard.connect(settings) as other:
        outcomes = await asyncio.gather(
            *(one.buy(sale, f"c{n}", [Line(UNIT, 1)]) for n in range(100) for one in (guard, other))
        )
    assert sum(isinstance(outcome, Granted) for outcome in outcomes) == 100
    refused = {outcome.code for outcome in outcomes if isinstance(outcome, Refused)}
    assert refused == {Code.SOLD_OUT}
    report = await guard.shop.audit(sale)
    assert report is not None
    assert report.ok
    assert report.orders == 100


async def test_closing_answers_what_was_asked(guard, service):
    settings = Settings(redis_url=service.redis_url, database_url=service.database_url)
    sale = await open_sale(guard, stock=20)
    other = await FlashGuard.connect(settings)
    asked = [asyncio.create_task(other.buy(sale, f"c{n}", [Line(UNIT, 1)])) for n in range(20)]
    await asyncio.sleep(0)
    await other.close()
    assert all(isinstance(outcome, Granted) for outcome in await asyncio.gather(*asked))


@pytest.mark.parametrize("missing", ["redis_url", "database_url"])
async def test_without_an_address_connecting_says_what_to_set(service, missing):
    urls = {"redis_url": service.redis_url, "database_url": service.database_url} | {missing: None}
    with pytest.raises(ConfigurationError, match="FLASHGUARD_"):
        await FlashGuard.connect(Settings(**urls))


async def test_a_ledger_that_was_not_migrated_is_a_configuration_error(service):
    name = f"fresh_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(service.database_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        before, question, after = service.database_url.partition("?")
        fresh = f"{before.rpartition('/')[0]}/{name}{question}{after}"
        with pytest.raises(ConfigurationError, match="migrate"):
            await FlashGuard.connect(Settings(redis_url=service.redis_url, database_url=fresh))
        await connection.execute(f"DROP DATABASE {name}")  # nothing of ours is still connected
    finally:
        await connection.close()


async def test_a_server_that_is_not_there_is_named(service):
    nowhere = "redis://127.0.0.1:1"
    with pytest.raises(MemoryAway):
        await FlashGuard.connect(Settings(redis_url=nowhere, database_url=service.database_url))
    with pytest.raises(LedgerAway):
        await FlashGuard.connect(
            Settings(redis_url=service.redis_url, database_url="postgresql://postgres@127.0.0.1:1/x")
        )
    assert issubclass(ConfigurationError, FlashGuardError)
