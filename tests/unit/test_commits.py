"""A caller without an announcement asks the ledger: what it believes of one that falls back meanwhile."""

from types import SimpleNamespace
from typing import Any

import pytest

from flashguard.engine.commits import Commits
from flashguard.kernel.kernel import Reply
from flashguard.model import Position

ENTRY = Reply("", epoch=1, seq=5, now_ms=0, results=[])
PAST = Position(1, 7, "t")
FELL_BACK = Position(1, 3, "t")


class FallingLedger:
    """A ledger without the order, with one position before the orders are read and another one after."""

    def __init__(self, *positions: Position) -> None:
        self._left = list(positions)
        self.positions = self.reservations = self

    async def get(self, partition: int) -> Position:
        return self._left.pop(0)

    async def recorded(self, ids: list[Any]) -> dict[Any, Any]:
        return {}


@pytest.mark.parametrize(("after", "waits"), [(PAST, False), (FELL_BACK, True)])
async def test_an_order_is_not_called_lost_by_a_ledger_that_fell_back_meanwhile(after: Position, waits: bool):
    kernel = SimpleNamespace(head=lambda partition: _head())
    commits: Any = Commits(
        kernel,
        FallingLedger(PAST, after),
        None,
        None,
        timeout_seconds=1,
        listening=None,  # type: ignore[arg-type]
    )
    settled: list[Any] = []
    ask = SimpleNamespace(sale="s", id="a", settle=settled.append)
    still = await commits._ask_ledger(0, "token", ENTRY, [(ask, None)])
    assert (bool(still), bool(settled)) == (waits, not waits)


async def _head() -> dict[str, str]:
    return {}
