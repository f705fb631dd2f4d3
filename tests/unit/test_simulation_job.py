"""A simulation's process: the board gets every event, also one that is written while the simulation ends."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from unittest.mock import AsyncMock

import pytest

from flashguard.ledger.simulations import StoredSimulation
from flashguard.settings import Settings
from flashguard.simulator import job
from flashguard.simulator.order import Order
from flashguard.simulator.plan import LogLine
from flashguard.simulator.progress import RunEnded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STORED = StoredSimulation(
    id="s", status="starting", environment="e", buyers=1, stock=1, strategies=("naive",), created_at=NOW
)


async def test_an_event_that_is_being_written_when_the_simulation_ends_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[Any] = []
    is_writing, ends = asyncio.Event(), asyncio.Event()

    async def write(_: str, events: list[Any]) -> None:
        is_writing.set()
        if not ends.is_set():
            await ends.wait()
            await asyncio.sleep(0.01)  # the simulation ends while the write is under way
        written.extend(events)

    async def simulate(_plan: Any, take: Any, *_: Any, **__: Any) -> None:
        take(LogLine(at_ms=1, text="sold 1 of 1", level="info"))
        await is_writing.wait()
        ends.set()

    monkeypatch.setattr(job, "run_simulation", simulate)
    board, book = AsyncMock(), AsyncMock()
    board.write, board.asked_to_stop.return_value, book.finish.return_value = write, False, NOW
    await job.Job(Order(STORED, "http://127.0.0.1"), Settings(), board, book).run()
    assert [type(event) for event in written] == [LogLine, RunEnded]
