"""Readers that wait for facts share their looks at the ledger, and are woken by commits."""

import asyncio
import time

import pytest

from flashguard.facts.waiting import LOOK_SECONDS, MAX_WAITING, NewFacts, TooManyReaders
from flashguard.ledger import LedgerAway
from flashguard.ledger.facts import FactBook


class Newest(FactBook):
    """A ledger with two partitions; counts how often it is looked at."""

    def __init__(self) -> None:
        self.ids = (1, 1)
        self.looks = 0
        self.away = False
        self.commit = asyncio.get_running_loop().create_future()

    async def newest(self) -> tuple[int, ...]:
        self.looks += 1
        if self.away:
            raise LedgerAway("no answer")
        return self.ids

    def next_commit(self) -> "asyncio.Future[None]":
        if self.commit.done():
            self.commit = asyncio.get_running_loop().create_future()
        return self.commit

    def commits(self, ids: tuple[int, ...]) -> None:
        self.ids = ids
        if not self.commit.done():
            self.commit.set_result(None)


async def test_a_commit_wakes_those_who_have_not_read_it_and_no_other() -> None:
    ledger = Newest()
    facts = NewFacts(ledger, ledger.next_commit)
    behind = [asyncio.create_task(facts.beyond((1, 1), 30)) for _ in range(50)]
    read_already = asyncio.create_task(facts.beyond((1, 2), 30))
    await asyncio.sleep(0.1)
    looks, began = ledger.looks, time.monotonic()
    ledger.commits((1, 2))
    await asyncio.gather(*behind)
    assert time.monotonic() - began < LOOK_SECONDS / 2
    assert ledger.looks - looks <= 2, "one look serves all"
    assert not read_already.done()
    facts.end()
    await read_already
    await facts.close()


async def test_a_commit_that_was_not_announced_is_found_and_nothing_is_read_when_none_waits() -> None:
    ledger = Newest()
    facts = NewFacts(ledger, ledger.next_commit)
    reader = asyncio.create_task(facts.beyond((1, 1), 30))
    await asyncio.sleep(0.1)
    ledger.ids = (2, 1)
    await asyncio.wait_for(reader, 3 * LOOK_SECONDS)
    looks = ledger.looks
    await asyncio.sleep(1.5 * LOOK_SECONDS)
    assert ledger.looks == looks
    await asyncio.wait_for(facts.beyond((1, 1), 30), LOOK_SECONDS)


async def test_so_many_wait_and_no_more_and_a_cancelled_one_makes_room() -> None:
    ledger = Newest()
    facts = NewFacts(ledger, ledger.next_commit)
    readers = [asyncio.create_task(facts.beyond((1, 1), 30)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyReaders):
        await facts.beyond((1, 1), 30)
    readers[0].cancel()
    await asyncio.wait([readers[0]])
    await facts.beyond((1, 1), 0.01)
    await facts.close()
    await asyncio.gather(*readers[1:])
    assert facts.waiting == 0


async def test_a_ledger_that_does_not_answer_is_said_to_every_reader() -> None:
    ledger = Newest()
    ledger.away = True
    facts = NewFacts(ledger, ledger.next_commit)
    readers = [facts.beyond((1, 1), 30) for _ in range(3)]
    found = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(each) for each in found] == [LedgerAway] * 3
    await facts.close()
