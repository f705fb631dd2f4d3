"""Small groups of several partitions share a transaction, and what stops one partition stops no other."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from flashguard.journal import Entry, decode_sound, last_position
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.model import Position
from flashguard.recorder import together as sharing
from flashguard.recorder.together import Together
from flashguard.recorder.write import Written, write_alone
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.faults.test_recorder_hangs import two_sales
from tests.support.real_stack import Stack, started

Waiting = tuple[int, Sequence[Entry], Position, Position]
"""A partition with what its journal has for the ledger: the arguments of `Together.write`."""


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


class Groups:
    """One hold each of two sales on different partitions, in the journals and not in the ledger."""

    def __init__(self, ledger: Ledger, sales: tuple[str, str], waiting: list[Waiting]) -> None:
        self.ledger = ledger
        self.together = Together(ledger)
        self.sales = sales
        self.waiting = waiting

    async def write(self) -> list[Written]:
        """Write both, as two recorders do whose groups become ready in one loop turn."""
        return list(await asyncio.gather(*(self.together.write(*each) for each in self.waiting)))


@asynccontextmanager
async def two_groups(stack: Stack) -> AsyncIterator[Groups]:
    await stack.ready()
    sales = await two_sales(stack)
    for sale in sales:
        await stack.recorded(sale)
    await stack.end("recorder", signal.SIGTERM)  # it leaves, so that `ready` means the next one
    client = connect_kernel(stack.servers.redis_url, Settings())
    kernel, ledger = Kernel(client), await Ledger.connect(stack.servers.database_url)
    try:
        waiting: list[Waiting] = []
        for sale in sales:
            (await stack.service.hold(sale, "ann")).ok(201)
            partition = stack.partition(sale)
            position = await ledger.positions.get(partition)
            raw = await kernel.entries(partition, position.epoch, position.seq + 1, count=10)
            run, end, _ = last_position(decode_sound(raw)[0], position)
            waiting.append((partition, run, position, end))
        yield Groups(ledger, sales, waiting)
    finally:
        await ledger.close()
        await client.aclose()
        stack.start("recorder")


@asynccontextmanager
async def database(stack: Stack) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(stack.servers.database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def transactions(stack: Stack, sales: Sequence[str]) -> list[int]:
    """Return the transactions that wrote the holds of these sales, one per hold."""
    async with database(stack) as connection:
        rows = await connection.fetch(
            "SELECT xmin::text::bigint AS number FROM flashguard.reservations WHERE sale_id = ANY($1)", sales
        )
    return [row["number"] for row in rows]


async def test_groups_that_are_ready_together_are_one_transaction(stack: Stack) -> None:
    async with two_groups(stack) as groups:
        assert await groups.write() == [Written(True, []), Written(True, [])]
        numbers = await transactions(stack, groups.sales)
        assert len(numbers) == 2
        assert len(set(numbers)) == 1
        for partition, _, _, end in groups.waiting:
            assert await groups.ledger.positions.get(partition) == end


async def test_a_partition_that_another_recorder_wrote_applies_nothing_twice_and_stops_no_other(
    stack: Stack,
) -> None:
    async with two_groups(stack) as groups:
        assert (await write_alone(groups.ledger, *groups.waiting[0])).applied
        assert [each.applied for each in await groups.write()] == [False, True]
        assert len(await transactions(stack, groups.sales)) == 2


async def test_a_group_of_an_epoch_that_is_over_is_not_written_and_stops_no_other(stack: Stack) -> None:
    async with two_groups(stack) as groups:
        partition = groups.waiting[0][0]
        move = "UPDATE flashguard.partitions SET epoch = epoch + $2 WHERE partition = $1"
        async with database(stack) as connection:
            await connection.execute(move, partition, 1)  # as another recorder that built memory again
            assert [each.applied for each in await groups.write()] == [False, True]
            await connection.execute(move, partition, -1)
        assert len(await transactions(stack, groups.sales[:1])) == 0
        assert len(await transactions(stack, groups.sales[1:])) == 1


async def test_what_the_ledger_refuses_of_one_partition_is_refused_alone(stack: Stack) -> None:
    async with two_groups(stack) as groups:
        epoch = await stack.epoch(groups.sales[0])
        async with database(stack) as connection:  # behind memory's back
            await connection.execute(
                "UPDATE flashguard.items SET stock = 0 WHERE sale_id = $1", groups.sales[0]
            )
        first, second = await groups.write()
        assert first.applied
        assert len(first.refused) == 1
        assert second == Written(True, [])
        assert len(await transactions(stack, groups.sales[:1])) == 0
        assert len(await transactions(stack, groups.sales[1:])) == 1
    await stack.rebuilt(groups.sales[0], epoch)


async def test_a_difference_of_counters_is_told_to_its_own_partition(stack: Stack) -> None:
    async with two_groups(stack) as groups:
        async with database(stack) as connection:  # behind memory's back
            await connection.execute(
                "UPDATE flashguard.items SET stock = stock + 1 WHERE sale_id = $1", groups.sales[1]
            )
        first, second = await groups.write()
        assert first == Written(True, [])
        assert [item.split("/")[0] for item in second.drift] == [groups.sales[1]]
        assert len(set(await transactions(stack, groups.sales))) == 1


@pytest.mark.parametrize(
    "locked",
    [
        "SELECT FROM flashguard.partitions WHERE partition = $1::int AND $2::text <> '' FOR UPDATE",
        "SELECT FROM flashguard.items WHERE $1::int >= 0 AND sale_id = $2 FOR UPDATE",
    ],
)
async def test_a_partition_that_waits_for_a_lock_does_not_make_others_wait(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    monkeypatch.setattr(sharing, "TOGETHER_SECONDS", 0.5)
    async with two_groups(stack) as groups, database(stack) as rival:
        lock = rival.transaction()
        await lock.start()
        await rival.execute(locked, stack.partition(groups.sales[0]), groups.sales[0])
        waits, free = (asyncio.create_task(groups.together.write(*each)) for each in groups.waiting)
        assert (await asyncio.wait_for(free, 5)).applied
        assert not waits.done()
        await lock.rollback()
        assert (await asyncio.wait_for(waits, 5)).applied


async def test_a_group_that_is_written_alone_and_hangs_does_not_make_others_wait_for_long(
    stack: Stack,
) -> None:
    async with two_groups(stack) as groups, database(stack) as rival:
        lock = rival.transaction()
        await lock.start()
        await rival.execute("SELECT FROM flashguard.items WHERE sale_id = $1 FOR UPDATE", groups.sales[0])
        waits = asyncio.create_task(groups.together.write(*groups.waiting[0]))
        await asyncio.sleep(0)  # it is submitted first, and finds no other
        await asyncio.sleep(0)
        assert (await asyncio.wait_for(groups.together.write(*groups.waiting[1]), 5)).applied
        assert not waits.done()
        waits.cancel()
        await lock.rollback()
