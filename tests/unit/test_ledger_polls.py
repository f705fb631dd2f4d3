"""How often callers read a row that the recorder is about to write, while no recorder writes."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from flashguard.engine.fallback import Fallback
from flashguard.errors import Code
from flashguard.model import Refused, ReservationStatus, SaleId

SALE, WAIT_SECONDS, READS_MOST = SaleId("sale"), 1.0, 10


@pytest.fixture
def reads() -> Counter[str]:
    return Counter()


@pytest.fixture
def fallback(reads: Counter[str]) -> Fallback:
    """The answers of a ledger that never gets the row."""

    async def nothing(*_: Any) -> None:
        reads["rows"] += 1

    async def no_reason(*_: Any) -> None:
        reads["reasons"] += 1

    ledger: Any = SimpleNamespace(
        reservations=SimpleNamespace(get_with_fingerprint=nothing), refusals=SimpleNamespace(reason=no_reason)
    )
    return Fallback(ledger, WAIT_SECONDS)


async def test_who_waits_for_an_order_reads_it_seldom(fallback: Fallback, reads: Counter[str]) -> None:
    answer = await fallback.ended(SALE, "x", ReservationStatus.CONFIRMED, wait=True)
    assert isinstance(answer, Refused)
    assert answer.code is Code.REQUEST_IN_FLIGHT
    assert 0 < reads["rows"] < READS_MOST


async def test_who_waits_for_a_row_reads_it_seldom(fallback: Fallback, reads: Counter[str]) -> None:
    assert await fallback.recorded(SALE, "x") is None
    assert 0 < reads["rows"] < READS_MOST
