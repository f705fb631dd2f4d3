"""Pools and recipes after memory or the ledger lost something: no unit of a pool is sold twice."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flashguard.kernel import keys
from flashguard.kernel.records import HoldRecord, read_record
from flashguard.ledger import Ledger
from flashguard.model import SaleId
from tests.faults.test_ledger_fell_back import TAIL_ENTRIES, recover, set_back, trimmed
from tests.integration.test_pools import available, buy, festival, hold, pools_of
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started

SHORT = {"FLASHGUARD_JOURNAL_TAIL_ENTRIES": str(TAIL_ENTRIES), "FLASHGUARD_JOURNAL_TAIL_SECONDS": "0"}


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


async def bought(stack: Stack, sale: str, customer: str, **basket: int) -> dict[str, Any]:
    answer = await stack.retried(lambda: buy(stack.service, sale, customer, key=customer, **basket))
    return answer.ok(201)


async def flushed(stack: Stack, sale: str) -> None:
    """Memory is lost, and built again from the ledger."""
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, before)
    await stack.ready()


async def test_what_is_drawn_from_pools_is_kept_rebuilt_confirmed_and_given_back(stack: Stack) -> None:
    service = stack.service
    sale = await festival(service, 5, 4)
    held = (await hold(service, sale, "ann", **{"pass": 2})).ok(201)
    order = await bought(stack, sale, "bob", fri=1, **{"pass": 1})
    await stack.recorded(sale)
    ledger = await Ledger.connect(stack.servers.database_url)
    async with ledger.connection() as connection:
        rows = await connection.fetch("SELECT details FROM flashguard.reservations WHERE sale_id = $1", sale)
    await ledger.close()
    takes = [json.loads(row["details"])["takes"] for row in rows]
    assert sorted(takes) == [
        ["fri", 1, "friday", 2, "pass", 1, "saturday", 1], ["pass", 2, "friday", 2, "saturday", 2],
    ]  # fmt: skip

    await flushed(stack, sale)
    name = keys.sale(stack.partition(sale), SaleId(sale)).reservations
    record = read_record(await stack.memory.hget(name, held["id"].rsplit(".", 1)[1]))
    assert isinstance(record, HoldRecord)
    assert record.kept == {"takes": ["pass", 2, "friday", 2, "saturday", 2]}
    assert await pools_of(service, sale) == {"friday": (5, 1, 2, 2), "saturday": (4, 1, 2, 1)}
    await service.audit(sale)

    await stack.confirm(held["id"])
    for each, restock in ((held, True), (order, False)):
        body = {"restock": restock, "reason": "refund"}
        (await service.call("POST", f"/v1/orders/{each['id']}/cancel", body, admin=True)).ok()
    assert await pools_of(service, sale) == {"friday": (3, 3, 0, 0), "saturday": (3, 3, 0, 0)}
    await service.audit(sale)


async def test_a_recipe_that_memory_lost_sells_nothing_until_it_is_there_again(stack: Stack) -> None:
    sale = await festival(stack.service, 2, 1)
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.memory.hdel(keys.sale(stack.partition(sale), SaleId(sale)).sale, "recipe:pass")
    await bought(stack, sale, "ann", **{"pass": 1})
    await stack.rebuilt(sale, before)
    assert await pools_of(stack.service, sale) == {"friday": (2, 1, 0, 1), "saturday": (1, 0, 0, 1)}
    await stack.service.audit(sale)


async def test_a_late_confirm_takes_from_the_pools_again(stack: Stack) -> None:
    sale = await festival(stack.service, 2, 2, hold_seconds=1)
    held = (await hold(stack.service, sale, "ann", **{"pass": 2})).ok(201)

    async def expired() -> bool:
        return (await available(stack.service, sale))["pass"] == 2

    await eventually(expired, "the hold's units are back")
    path, body = f"/v1/reservations/{held['id']}/confirm", {"receipt": held["receipt"]}
    (await stack.service.call("POST", path, body)).ok()
    assert await pools_of(stack.service, sale) == {"friday": (2, 0, 0, 2), "saturday": (2, 0, 0, 2)}
    await stack.recorded(sale)
    await flushed(stack, sale)
    await stack.service.audit(sale)


async def test_a_ledger_that_lost_the_sale_gets_its_pools_and_recipes_from_the_journal(http) -> None:
    async with started(http) as stack:
        async with set_back(stack):
            sale = await festival(stack.service, 3, 2)
            await bought(stack, sale, "ann", **{"pass": 1})
            await stack.recorded(sale)
        await stack.ready()
        await stack.recorded(sale)
        await flushed(stack, sale)
        await bought(stack, sale, "bob", **{"pass": 1})
        assert await pools_of(stack.service, sale) == {"friday": (3, 1, 0, 2), "saturday": (2, 0, 0, 2)}
        await stack.service.audit(sale)


async def test_an_operator_takes_the_memory_of_a_sale_that_only_memory_has(http) -> None:
    """Its creation is no longer in the journal: recipes come from memory too."""
    async with started(http, **SHORT) as stack:
        async with set_back(stack):
            sale = await festival(stack.service, 6, 5)
            held = (await hold(stack.service, sale, "ann", **{"pass": 2})).ok(201)
            for customer in "bcd":
                await bought(stack, sale, customer, fri=1)
            await stack.recorded(sale)
            await eventually(lambda: trimmed(stack, sale), "the journal's tail is short")

        async def fenced() -> bool:
            return "why" in await stack.head(sale)

        await eventually(fenced, "the partition waits for an operator")
        code, _ = recover(stack, "--take", "memory")
        assert code == 0
        await stack.ready()
        pools = await pools_of(stack.service, sale)
        assert pools["saturday"] == (5, 3, 2, 0)
        assert pools["friday"][1:3] == (
            1,
            2,
        )  # what was sold of it may have left its stock with orders that are lost
        assert (await available(stack.service, sale))["pass"] == 1
        await stack.confirm(held["id"])
        await bought(stack, sale, "eve", **{"pass": 1})
        await stack.service.audit(sale)
