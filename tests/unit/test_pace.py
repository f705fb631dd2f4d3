"""The pace of script calls: small calls that follow each other closely share the next one."""

import asyncio

from flashguard.kernel.coalescer import ENOUGH, Coalescer
from flashguard.kernel.pace import REST_MOST_SECONDS, Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Resting(Pace):
    """A pace whose rest never ends by itself."""

    rest_seconds = 3600.0  # type: ignore[assignment]


def paced(clock: Clock, seconds: float) -> Pace:
    """Return the pace after a call that took this long and has just ended."""
    pace = Pace(clock)
    pace.begin()
    clock.now += seconds
    pace.end()
    return pace


def test_a_call_rests_as_long_as_the_one_before_took() -> None:
    clock = Clock()
    pace = paced(clock, 0.001)
    assert round(pace.rest_seconds, 6) == 0.001
    clock.now += 0.0004
    assert round(pace.rest_seconds, 6) == 0.0006


def test_a_lone_call_does_not_rest() -> None:
    clock = Clock()
    assert Pace(clock).rest_seconds == 0
    pace = paced(clock, 0.001)
    clock.now += 0.0011
    assert pace.rest_seconds == 0


def test_no_rest_is_longer_than_the_longest() -> None:
    assert round(paced(Clock(), 5.0).rest_seconds, 6) == REST_MOST_SECONDS


def calls_of(pace: Pace | None, members: int) -> list[int]:
    """Return the sizes of the calls made at once for members that come one by one, a loop turn apart."""
    sizes: list[int] = []

    async def send(batch: list[int]) -> None:
        sizes.append(len(batch))

    async def press() -> None:
        coalescer = Coalescer(send, max_batch=512, max_queue=512, pace=pace)
        for member in range(members):
            coalescer.submit(member)
            await asyncio.sleep(0)
        for _ in range(3):  # the last member's call
            await asyncio.sleep(0)

    asyncio.run(press())
    return sizes


def test_members_that_come_during_the_rest_share_a_call() -> None:
    assert calls_of(Resting(), ENOUGH - 1) == []
    assert calls_of(None, ENOUGH - 1) == [1] * (ENOUGH - 1)


def test_enough_members_end_the_rest() -> None:
    assert calls_of(Resting(), ENOUGH) == [ENOUGH]


def test_members_are_sent_when_the_rest_is_over() -> None:
    sizes: list[int] = []

    async def send(batch: list[int]) -> None:
        sizes.append(len(batch))
        await asyncio.sleep(0.002)

    async def press() -> None:
        coalescer = Coalescer(send, max_batch=512, max_queue=512, pace=Pace())
        for member in range(3):
            coalescer.submit(member)
            await asyncio.sleep(0.0005)
        async with asyncio.timeout(5):
            await coalescer.drain()

    asyncio.run(press())
    assert sum(sizes) == 3
