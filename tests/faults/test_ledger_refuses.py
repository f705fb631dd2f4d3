"""What the ledger refuses stays refused, also when the recorder dies before it can build memory again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from real_stack import Stack, started, until

from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.memory import connect_kernel
from flashguard.recorder.recorder import PartitionRecorder
from flashguard.settings import Settings


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


class Killed(Exception):
    """The recorder is killed here."""


async def record_and_die(stack: Stack, sale: str) -> None:
    """A recorder that is killed when the group is committed, and nobody was told."""

    async def dies(*_: Any) -> None:
        raise Killed

    settings = Settings()
    client = connect_kernel(stack.servers.redis_url, settings)
    ledger = await Ledger.connect(stack.servers.database_url)
    try:
        recorder = PartitionRecorder(stack.partition(sale), Kernel(client), ledger, settings)
        recorder._announce = dies  # type: ignore[assignment, method-assign]
        await recorder._settle()
        with pytest.raises(Killed):
            await recorder._follow()
    finally:
        await ledger.close()
        await client.aclose()


async def test_an_order_that_was_refused_is_never_confirmed_by_a_recorder_that_starts_anew(stack: Stack):
    service = stack.service
    await stack.ready()
    sale = await service.create_sale(stock=5)
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.end("recorder")
    buys = [asyncio.create_task(service.buy(sale, f"c{n}", 2, key=f"k{n}")) for n in range(2)]

    async def both_taken() -> bool:
        return (await service.item(sale))["available"] == 1

    await until(both_taken, "memory has sold four units")
    connection = await asyncpg.connect(stack.servers.database_url)
    await connection.execute(
        "UPDATE flashguard.items SET stock = 3 WHERE sale_id = $1", sale
    )  # behind its back
    await connection.close()
    await record_and_die(stack, sale)
    stack.start("recorder")
    answers = [await each for each in buys]
    await stack.rebuilt(sale, before)
    again = [await stack.retried(lambda n=n: service.buy(sale, f"c{n}", 2, key=f"k{n}")) for n in range(2)]
    assert {each.body["id"] for each in (*answers, *again) if each.status == 201} == {
        each.body["id"] for each in again if each.status == 201
    }
    assert sorted(each.status for each in again) == [201, 409]
    await service.audit(sale)
