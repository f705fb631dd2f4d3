"""Valkey keeps nothing of what has ended: journals have a tail, closed sales go, buckets expire."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from flashguard.kernel import keys
from tests.integration.test_waiting_room import ROOM
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started

TAIL = 10
LASTS = ("partition", "journal", "sales")
"""What a partition has while it has no sale."""


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession) -> AsyncIterator[Stack]:
    async with started(
        http,
        FLASHGUARD_JOURNAL_TAIL_ENTRIES=str(TAIL),
        FLASHGUARD_CLOSED_SALE_HOURS="0",
        FLASHGUARD_RATE_PER_CUSTOMER="20/40",
    ) as it:
        yield it


async def test_a_journal_keeps_its_tail_behind_a_recorder_that_works(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=1000, hold_seconds=1)
    journal = keys.journal(stack.partition(sale))
    for number in range(3 * TAIL):
        (await stack.service.hold(sale, f"ann-{number}")).ok(201)

    async def trimmed() -> bool:
        return 0 < await stack.memory.xlen(journal) <= TAIL + 1

    await stack.recorded(sale)
    (await stack.service.hold(sale, "bob")).ok(201)  # a journal is trimmed by what is recorded next
    await eventually(trimmed, "the journal has its tail")


async def test_nothing_of_a_closed_sale_stays_in_memory(stack: Stack) -> None:
    service = stack.service
    rules = {"max_held_per_customer": 3, "cool_down_after": 2, "cool_down_seconds": 60}
    plain = await service.create_sale(stock=4, hold_seconds=1, **rules)
    roomy = await service.create_sale(stock=4, waiting_room=ROOM)
    listed = await service.create_sale(stock=1, waiting_list=10)
    (await service.buy(plain, "ann", key="bought")).ok(201)
    held = (await service.hold(plain, "ann", key="held")).ok(201)["id"]
    (await service.verb(held, "release")).ok()
    (await service.hold(plain, "bob", key="expires")).ok(201)
    for name in ("ann", "bob"):
        (await service.call("POST", f"/v1/sales/{roomy}/tickets", {"customer": name})).ok(201)
    (await service.buy(listed, "ann")).ok(201)
    entry = {"customer": "bob", "items": [{"sku": "unit", "quantity": 1}]}
    (await service.call("POST", f"/v1/sales/{listed}/waiting-list", entry, key="waits")).ok(201)
    sales = (plain, roomy, listed)
    kinds = {name.split(":")[2] for name in await named(stack, *sales)}
    assert {"sale", "reservations", "used", "deadlines", "habits", "line", "room"} <= kinds, kinds
    for sale in sales:
        await service.admin("POST", f"/v1/sales/{sale}/close")

    async def gone() -> bool:
        return await named(stack, *sales) == []

    await eventually(gone, "nothing in memory names these sales")
    assert (await service.buy(plain, "ann", key="bought")).replayed  # the ledger knows its keys


async def test_every_key_that_is_of_no_sale_expires_or_is_one_of_few(stack: Stack) -> None:
    for sale in (await stack.service.call("GET", "/v1/sales", admin=True)).ok()["data"]:
        await stack.service.admin("POST", f"/v1/sales/{sale['id']}/close")

    lasting: list[str] = []

    async def few() -> bool:
        names = [name.decode() for name in await stack.memory.keys("fg:*")]
        lasting[:] = [
            name for name in names
            if await stack.memory.ttl(name) == -1
            and not name.endswith(LASTS) and name not in (keys.recorders(), keys.sharing())
        ]  # fmt: skip
        return not lasting

    await eventually(few, lambda: f"only partitions and recorders are left, not {lasting}")


async def test_a_bucket_of_a_rate_limit_goes_once_it_is_full(stack: Stack) -> None:
    async def buckets() -> list[bytes]:
        return [name async for name in stack.memory.scan_iter("fg:{limits}:*")]

    async def counted() -> bool:  # one token comes back after 2 seconds
        await stack.service.hold("no-such-sale", "zoe")
        return await buckets() != []

    async def gone() -> bool:
        return await buckets() == []

    await eventually(counted, "our address has a bucket")
    await eventually(gone, "it is full again")


async def named(stack: Stack, *sales: str) -> list[str]:
    found = [name.decode() for name in await stack.memory.keys("fg:*")]
    return [name for name in found if any(sale in name for sale in sales)]
