"""Reads a waiting room's counts in Valkey all through a round: are its pace and its number of buyers kept?

A room admits what its rate allows, with one second's worth saved up. So in any time of `t` seconds it admits
at most `rate * (t + 1)`, and the buyer whose turn began before. Over shards, and where sales share a room,
the first shard grants by that rule, and a grant counts for a second: a beat may come that late. A ticket that
waits while it is in, or is in on two shards, would be let in twice.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Final

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from flashguard.kernel import keys
from flashguard.model import SaleId, partition_of
from flashguard.model.shards import shard_ids

SAMPLE_SECONDS: Final = 0.1
SAVED_SECONDS: Final = 1.0
GRANT_SECONDS: Final = 1.0


class Sample(Struct, frozen=True):
    """The counts of all shards at one moment between two times of our clock."""

    asked: float
    answered: float
    admitted: tuple[int, ...]
    """The admissions so far, of each shard: lower than before where memory was lost."""
    inside: int
    twice: tuple[str, ...] = ()
    """The tickets that wait while they are in, or are in on two shards."""


class RoomWatch:
    """Samples one room until it is stopped."""

    def __init__(self, socket: str, sale: str, spread: int, partitions: int) -> None:
        self.samples: list[Sample] = []
        self._socket = socket
        shards = shard_ids(SaleId(sale), spread)
        self._rooms = [keys.room(partition_of(shard, partitions), shard) for shard in shards]

    async def run(self) -> None:
        """Sample until cancelled; without a sample where Valkey does not answer."""
        client = Redis(unix_socket_path=self._socket, socket_timeout=1.0)
        try:
            while True:
                with suppress(RedisError, OSError):
                    self.samples.append(await self.sample(client))
                await asyncio.sleep(SAMPLE_SECONDS)
        finally:
            await client.aclose()

    async def sample(self, client: Redis) -> Sample:
        """Read all shards in one step."""
        asked = time.monotonic()
        async with client.pipeline(transaction=True) as pipe:
            pipe.time()
            for room in self._rooms:
                pipe.hget(room.room, "admitted")
                pipe.zrange(room.active, 0, -1, withscores=True)
                pipe.zrange(room.waiting, 0, -1)
            (seconds, micros), *answers = await pipe.execute()
        now_ms = seconds * 1000 + micros / 1000
        inside = [ticket for active in answers[1::3] for ticket, until in active if until > now_ms]
        places = Counter(inside)
        places.update({ticket for waiting in answers[2::3] for ticket in waiting if ticket in places})
        twice = tuple(ticket.decode() for ticket, count in places.items() if count > 1)
        return Sample(asked, time.monotonic(), tuple(int(n or 0) for n in answers[::3]), len(inside), twice)


def pace_broken(samples: Sequence[Sample], rate: float, *, grants: bool) -> Iterator[str]:
    """Yield a sentence about the worst time in which a room admitted more than its pace allows."""
    late = GRANT_SECONDS if grants else 0.0
    worst, sentence = 0.0, ""
    for segment in _without_losses(samples):
        for at, first in enumerate(segment):
            for last in segment[at + 1 :]:
                seconds = last.answered - first.asked
                count = sum(last.admitted) - sum(first.admitted)
                most = rate * (seconds + SAVED_SECONDS + late) + 1
                if count - most > worst:
                    worst = count - most
                    sentence = (
                        f"{count} admitted in {seconds:.2f} s at {rate:g} per second, {most:.1f} allowed"
                    )
    if sentence:
        yield sentence


def too_many_inside(samples: Sequence[Sample], most: int) -> Iterator[str]:
    """Yield a sentence about the most buyers who were in at once, where that is too many."""
    inside = max((sample.inside for sample in samples), default=0)
    if inside > most:
        yield f"{inside} buyers were in, of at most {most}"


def let_in_twice(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield a sentence about each ticket that had two places at once."""
    for ticket in sorted({ticket for sample in samples for ticket in sample.twice}):
        yield f"ticket {ticket} was in, and had another place beside it"


def _without_losses(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """Yield the samples in runs in which no shard's count went back."""
    run = list(samples[:1])
    for before, after in pairwise(samples):
        if any(new < old for old, new in zip(before.admitted, after.admitted, strict=True)):
            yield run
            run = []
        run.append(after)
    yield run
