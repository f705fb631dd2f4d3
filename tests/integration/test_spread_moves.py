"""Units in transit between two shards of a spread sale: meanwhile no buyer is refused as sold-out, and each
unit arrives once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from flashguard import FlashGuard, Line, Settings
from flashguard.engine.decision import Decision
from flashguard.engine.outcomes import newly_done
from flashguard.kernel.results import Restocked
from flashguard.kernel.verbs import Verb
from flashguard.model import Granted, Refused, SaleId, Sku
from flashguard.model.shards import LARGEST_STOCK, arrival, home_shard, plan, shard_id, transfer_keys
from flashguard.recorder.transfers import complete_transfers
from flashguard.spread.survey import nothing_hidden, survey_of
from tests.support.service import Service, unique

UNIT = Sku("unit")


@pytest.fixture(scope="module")
async def guard(service: Service) -> AsyncIterator[FlashGuard]:
    settings = Settings(redis_url=service.redis_url, database_url=service.database_url)
    async with await FlashGuard.connect(settings) as connected:
        yield connected


def customer_of(home: int, spread: int) -> str:
    while home_shard(name := unique("c"), spread) != home:  # type: ignore[arg-type]
        pass
    return name


class Hand:
    """Moves units as the rebalancer does, one step at a time."""

    def __init__(self, guard: FlashGuard, sale: str) -> None:
        self._guard = guard
        self._sale = SaleId(sale)

    async def leave(self, donor: int, receiver: int, units: int = 1) -> str:
        id_ = unique("t")
        there = shard_id(self._sale, receiver)
        request = (UNIT, -units, there, transfer_keys(id_)[0], 7, LARGEST_STOCK)
        await self._restock(shard_id(self._sale, donor), request)
        return id_

    async def arrive(self, donor: int, receiver: int, id_: str, units: int = 1) -> None:
        request = arrival(UNIT, units, shard_id(self._sale, donor), id_, 7)
        await self._restock(shard_id(self._sale, receiver), request)

    async def _restock(self, shard: SaleId, request: tuple[object, ...]) -> None:
        decision = await self._guard.decisions.ask(Verb.RESTOCK, shard, request, durable=newly_done)
        assert isinstance(decision.result, Restocked), decision.result

    async def read(self, number: int) -> Decision:
        return await self._guard.decisions.ask(Verb.SURVEY, shard_id(self._sale, number), (UNIT,))


async def test_a_survey_of_shard_after_shard_can_be_deceived_and_two_surveys_can_not(guard, service) -> None:
    """One unit is always available, yet each shard is seen empty, and as many arrivals as departures are
    seen."""
    sale = await service.create_sale(stock=2, spread=3)
    hand = Hand(guard, sale)
    first = await guard.reserve(sale, customer_of(0, 3), [Line(UNIT, 1)])
    assert isinstance(first, Granted)  # shard 0 has no unit left, shard 1 has one, shard 2 none
    seen = [await hand.read(0)]
    await guard.release(first.reservation.id)
    await hand.arrive(0, 2, await hand.leave(0, 2))
    bought = await guard.buy(sale, customer_of(2, 3), [Line(UNIT, 1)])
    assert isinstance(bought, Granted)
    await hand.arrive(1, 0, await hand.leave(1, 0))  # the other unit arrives at a shard that was read already
    seen += [await hand.read(1), await hand.read(2)]
    deceived = survey_of(seen)
    assert (deceived.total, deceived.in_transit) == (0, False)
    again = survey_of([await hand.read(number) for number in range(3)])
    assert not nothing_hidden(deceived, again)
    assert again.total == 1
    assert isinstance(await guard.buy(sale, customer_of(1, 3), [Line(UNIT, 1)]), Granted)
    settled = [survey_of([await hand.read(number) for number in range(3)]) for _ in range(2)]
    assert nothing_hidden(*settled)
    assert settled[1].total == 0


async def test_no_buyer_is_told_sold_out_while_the_last_unit_is_on_its_way(guard, service) -> None:
    sale = await service.create_sale(stock=1, spread=2)
    hand = Hand(guard, sale)
    id_ = await hand.leave(0, 1)
    buying = asyncio.create_task(guard.buy(sale, customer_of(0, 2), [Line(UNIT, 1)]))
    done, _ = await asyncio.wait([buying], timeout=0.2)
    assert not done or isinstance(buying.result(), Granted)  # it waits, or a recorder completed the transfer
    await hand.arrive(0, 1, id_)
    assert isinstance(await buying, Granted)
    assert isinstance(await guard.buy(sale, customer_of(1, 2), [Line(UNIT, 1)]), Refused)
    await service.audit(sale)


async def test_a_transfer_whose_process_died_is_completed_once(guard, service) -> None:
    sale = await service.create_sale(stock=10, spread=2)
    hand = Hand(guard, sale)
    id_ = await hand.leave(0, 1, 3)
    report = await service.audit(sale)
    assert report["items"][0]["stock"] == 10
    await asyncio.gather(
        hand.arrive(0, 1, id_, 3),
        *(
            complete_transfers(guard.kernel, guard.ledger, sale=SaleId(sale), in_hand_seconds=0)
            for _ in range(5)
        ),
    )
    item = await service.item(sale)
    assert (item["stock"], item["available"]) == (10, 10)
    deadline = asyncio.get_running_loop().time() + 30
    while (await service.audit(sale))["items"][0]["in_transit"]:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    assert [part["items"][0]["stock"] for part in (await service.audit(sale))["parts"]] == [2, 8]


async def test_a_sold_out_crowd_shares_its_surveys(guard, service) -> None:
    sale = await service.create_sale(stock=1, spread=4)
    assert isinstance(await guard.buy(sale, customer_of(0, 4), [Line(UNIT, 1)]), Granted)
    before = guard.kernel.calls
    outcomes = await asyncio.gather(
        *(guard.buy(sale, unique("c"), [Line(UNIT, 1)], key=unique("k")) for _ in range(400))
    )
    assert {outcome.code for outcome in outcomes} == {"sold-out"}
    assert guard.kernel.calls - before < 60  # and not eight calls for each buyer


def test_units_come_from_where_most_are_half_of_them_or_the_shortage() -> None:
    assert plan([0, 100, 40], [1, 0, 0]) == [(1, 0, 50)]
    assert plan([0, 3, 4], [6, 0, 0]) == [(2, 0, 4), (1, 0, 2)]
    assert plan([5, 0, 1], [5, 1, 0]) == [(2, 1, 1)]
    assert plan([2, 2], [1, 1]) == []
