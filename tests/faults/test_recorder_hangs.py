"""A partition whose task hangs or waits for a lock is restarted; the others go on; nothing comes twice."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from flashguard.journal import Entry
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.model import Position
from flashguard.recorder import Recorder, watchdog, write
from flashguard.recorder import process as sharing
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started

BOUND_SECONDS = 1.5


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    """Servers and API; each test runs a recorder of its own, inside its process."""
    async with started(http) as running:
        yield running


@pytest.fixture(autouse=True)
def short_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "STALLED_SECONDS", BOUND_SECONDS)
    monkeypatch.setattr(sharing, "LEDGER_WATCH_SECONDS", 0.2)


@asynccontextmanager
async def recording(stack: Stack) -> AsyncIterator[Recorder]:
    settings = Settings()
    client = connect_kernel(stack.servers.redis_url, settings)
    ledger = await Ledger.connect(stack.servers.database_url)
    one = Recorder(Kernel(client), ledger, settings, 16)
    running = asyncio.create_task(one.run())
    try:
        await eventually(stack.service.ready, "it records")
        yield one
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await client.aclose()
        await ledger.close()


async def two_sales(stack: Stack) -> tuple[str, str]:
    """Sales of different partitions."""
    first = await stack.service.create_sale(stock=100)
    while True:
        second = await stack.service.create_sale(stock=100)
        if stack.partition(second) != stack.partition(first):
            return first, second


def restarts(one: Recorder) -> float:
    family = next(f for f in one.meters.families({}) if f.name == "flashguard_recorder_restarts_total")
    return sum(sample.value for sample in family.samples)


async def sold_and_sound(stack: Stack, sale: str, sold: int) -> None:
    await stack.recorded(sale)
    assert (await stack.service.item(sale))["sold"] == sold
    assert (await stack.service.audit(sale))["orders"] == sold


async def test_a_task_that_never_returns_is_restarted_and_its_orders_are_recorded(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await stack.ready()
    hung, other = await two_sales(stack)
    await stack.end("recorder")
    number, whole = stack.partition(hung), write.write_group
    waits = asyncio.Event()

    async def write_group(connection: Any, partition: int, run: Sequence[Entry], *rest: Position) -> Any:
        if partition == number and not waits.is_set():
            waits.set()
            await asyncio.Event().wait()
        return await whole(connection, partition, run, *rest)

    monkeypatch.setattr(write, "write_group", write_group)
    try:
        async with recording(stack) as one:
            buy = asyncio.create_task(stack.retried(lambda: stack.service.buy(hung, "ann", key="hangs")))
            await asyncio.wait_for(waits.wait(), 10)
            (await stack.service.buy(other, "bob")).ok(201)
            with caplog.at_level(logging.ERROR, "flashguard.recorder"):
                (await asyncio.wait_for(buy, 20)).ok(201)
            assert re.search(
                rf"partition {number}: nothing was recorded for .*restarted.*runbook", caplog.text
            )
            assert restarts(one) == 1
            await sold_and_sound(stack, hung, 1)
            await sold_and_sound(stack, other, 1)
    finally:
        stack.start("recorder")


async def test_a_partition_whose_rows_are_locked_is_told_and_comes_back_when_the_lock_is_gone(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    await stack.ready()
    locked, other = await two_sales(stack)
    await stack.end("recorder")
    number = stack.partition(locked)
    rival = await asyncpg.connect(stack.servers.database_url)
    try:
        async with recording(stack) as one:
            lock = rival.transaction()
            await lock.start()
            await rival.execute("SELECT FROM flashguard.items WHERE sale_id = $1 FOR UPDATE", locked)
            buy = asyncio.create_task(stack.retried(lambda: stack.service.buy(locked, "ann", key="locked")))

            async def restarted() -> bool:
                return restarts(one) >= 1

            with caplog.at_level(logging.ERROR, "flashguard.recorder"):
                await eventually(restarted, "the partition's task is restarted", 20)
            assert f"partition {number}: nothing was recorded" in caplog.text
            assert "pg_blocking_pids" in caplog.text

            async def shown() -> bool:
                return (await stack.readiness())["components"]["recorder"].get("stuck_partitions") == [number]

            await eventually(shown, "readiness names the stuck partition", 20)
            (await stack.service.buy(other, "bob")).ok(201)
            await lock.rollback()
            (await asyncio.wait_for(buy, 20)).ok(201)
            await sold_and_sound(stack, locked, 1)
            await sold_and_sound(stack, other, 1)
    finally:
        await rival.close()
        stack.start("recorder")


def test_each_restart_in_a_row_waits_twice_as_long_and_progress_resets_it() -> None:
    stalls = watchdog.Stalls(30)
    told = [now for now in range(301) if 3 in stalls.note({3: "a"}, float(now))]
    assert told == [30, 90, 210]
    assert stalls.note({3: "b"}, 301.0) == {}
    assert stalls.note({3: "b"}, 331.0) == {3: 30.0}
    assert stalls.note({}, 332.0) == {}
    assert stalls.note({3: "b"}, 400.0) == {}
