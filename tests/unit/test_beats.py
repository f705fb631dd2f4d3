"""The beat of a shared room does not wait again and again for a guest that hangs."""

import asyncio
from typing import Any

import pytest

from flashguard.kernel.errors import MemoryBroken
from flashguard.kernel.results import Result
from flashguard.kernel.room_results import AdmissionsGranted, GuestNow, LetIn, Reported
from flashguard.model import SaleId
from flashguard.recorder.admission import beat
from flashguard.recorder.beats import WaitingOnce

HOST, QUICK, HANGS = SaleId("host"), SaleId("quick"), SaleId("hangs")
PATIENCE_SECONDS = 0.3
REPORT = Reported(
    granted=0, active=0, waiting=3, free=0, held=0, soon=0, settled=True, places=[1, 2, 3], session_ms=60_000
)  # fmt: skip


class Room:
    """A room with two guests, one of which can hang: it notes which units each grant had."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.broken = False
        self.asked = 0
        self.granted: list[int] = []
        self._guests = WaitingOnce(self._ask)

    async def _ask(self, sale: SaleId, request: tuple[Any, ...]) -> Result | None:
        match request[0]:
            case "report":
                return REPORT
            case "grant":
                self.granted.append(request[-1])
                return AdmissionsGranted(0, [0, 0], 0, False, 1.0)
            case "let-in":
                return LetIn(0)
        if sale == HANGS:
            self.asked += 1
            if self.broken:
                raise MemoryBroken("no such script")
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self.answers.wait()
            except TimeoutError:
                return None
        return GuestNow(free=4, held=0, soon=0)

    async def beat(self) -> float:
        """Have one beat; return the seconds that it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await beat(self._ask, self._guests.ask, lambda _: [QUICK, HANGS], HOST, 1)
        return loop.time() - began


async def test_a_guest_that_hangs_delays_one_beat_and_counts_again_once_it_answers() -> None:
    room = Room()
    room.answers.set()
    await room.beat()
    assert room.granted == [8]
    room.answers.clear()
    assert await room.beat() >= PATIENCE_SECONDS
    began = room.asked
    for _ in range(12):
        assert await room.beat() < PATIENCE_SECONDS / 2
        await asyncio.sleep(PATIENCE_SECONDS / 6)
    assert room.granted[1:] == [4] * 13
    assert 1 <= room.asked - began <= 4, "asked one at a time"
    room.answers.set()
    while room.granted[-1] == 4:  # the answer comes beside the beats
        assert len(room.granted) < 20
        await room.beat()
        await asyncio.sleep(0.02)
    assert room.granted[-1] == 8


async def test_what_breaks_beside_the_beats_is_raised_once_in_the_next() -> None:
    room = Room()
    await room.beat()
    room.broken = True
    await asyncio.sleep(PATIENCE_SECONDS * 1.5)
    await room.beat()
    await asyncio.sleep(0.05)
    with pytest.raises(MemoryBroken):
        await room.beat()
    room.broken = False
    room.answers.set()
    await room.beat()
    assert room.granted[-1] == 8
