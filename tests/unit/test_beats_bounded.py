"""What ended sales leave behind in a recorder is bounded."""

import pytest

from flashguard.kernel.list_results import ListReported
from flashguard.kernel.results import Result
from flashguard.model import SaleId
from flashguard.recorder import beats
from flashguard.recorder.beats import WaitingOnce
from flashguard.recorder.shared_list import COUNTERS_MOST, SharedLists


async def test_what_ended_sales_leave_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "REMEMBERED_MOST", 5)

    async def ask(shard: SaleId, request: tuple[object, ...]) -> Result | None:
        if request[0] != "report":
            return None  # it has closed since
        rows = [each for n in range(COUNTERS_MOST) for each in ("", f"unit-{n}", 1)]
        return ListReported(room_is_empty=True, rows=rows)

    async def move(counter: str, units: int, left: SaleId, to: SaleId) -> bool:
        raise AssertionError("nothing is moved")

    lists = SharedLists(ask, move, lambda: 0.0)
    for number in range(20):
        assert not await lists.round(SaleId(f"sale-{number}"), 2)
    assert len(lists._after) == 5


async def test_shards_that_never_answered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "REMEMBERED_MOST", 5)

    async def ask(shard: SaleId, request: tuple[object, ...]) -> Result | None:
        return None

    waiting = WaitingOnce(ask)
    for number in range(20):
        assert await waiting.ask(SaleId(f"sale-{number}"), ()) is None
    assert len(waiting._beside) == 5
