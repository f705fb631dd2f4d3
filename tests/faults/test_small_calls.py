"""Processes of one request each share commits: after a group of many entries, the next group rests."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from flashguard.journal import Entry
from flashguard.kernel.pace import Pace
from flashguard.model import Position
from flashguard.recorder import partition as recorder
from flashguard.recorder import write
from tests.faults.test_recorder_hangs import recording
from tests.support.real_stack import Stack, started

REST_SECONDS = 2.0
"""Longer than two holds take on a busy machine."""


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int | str]:
    """The number of entries of each group that is written, and "rest" after each that lets the next rest."""
    events: list[int | str] = []
    whole = write.write_group

    class LongRest(Pace):
        def end(self) -> None:
            self._rests_until = self._clock() + REST_SECONDS
            events.append("rest")

    async def write_group(connection: Any, partition: int, run: Sequence[Entry], *rest: Position) -> Any:
        events.append(len(run))
        return await whole(connection, partition, run, *rest)

    monkeypatch.setattr(write, "write_group", write_group)
    monkeypatch.setattr(recorder, "Pace", LongRest)
    return events


async def record(stack: Stack, entries: int) -> None:
    """Record a group of this many entries, then two entries that come alone."""
    await stack.ready()
    sale = await stack.service.create_sale(stock=100)
    await stack.recorded(sale)
    await stack.end("recorder")
    for number in range(entries):
        (await stack.service.hold(sale, f"early {number}")).ok(201)
    try:
        async with recording(stack):
            await stack.recorded(sale)
            for number in range(2):
                (await stack.service.hold(sale, f"late {number}")).ok(201)
            await stack.recorded(sale)
    finally:
        stack.start("recorder")


async def test_callers_that_come_back_after_a_group_of_many_share_the_next(stack, seen) -> None:
    await record(stack, recorder.CROWD)
    assert seen == [recorder.CROWD, "rest", 2]


async def test_no_group_rests_after_one_of_few_entries(stack, seen) -> None:
    await record(stack, recorder.CROWD - 1)
    assert seen[0] == recorder.CROWD - 1
    assert "rest" not in seen
