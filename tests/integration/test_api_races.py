"""Many buyers at the same instant, through HTTP, against the real service."""

import asyncio
import os
import re
from collections import Counter

import pytest
from redis.asyncio import Redis

from tests.support.eventually import eventually
from tests.support.stacks import ONE_PROCESS, ONE_SERVER

BUYERS = 1000
PAUSE_MS = 1000
LONG = pytest.mark.skipif(os.environ.get("FLASHGUARD_LONG") != "1", reason="set FLASHGUARD_LONG=1")


async def script_calls(service) -> int:
    metrics = await service.call("GET", "/metrics")
    found = re.search(r"^flashguard_script_calls_total (\S+)$", metrics.body, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


async def one_unit_for_a_thousand(service, verb: str) -> None:
    sale = await service.create_sale(stock=1)
    take = getattr(service, verb)
    answers = await asyncio.gather(*(take(sale, f"c{number}") for number in range(BUYERS)))
    winners = [answer for answer in answers if answer.status == 201]
    assert len(winners) == 1, Counter(answer.status for answer in answers)
    for answer in answers:
        if answer is not winners[0]:
            assert answer.problem(409, "sold-out")["available"] == 0
    item = await service.item(sale)
    taken = (0, 1, 0) if verb == "hold" else (0, 0, 1)
    assert (item["available"], item["held"], item["sold"]) == taken
    await service.audit(sale)


@pytest.mark.parametrize("round_", range(5))
async def test_of_a_thousand_buyers_one_gets_the_one_unit_and_all_are_answered(service, round_):
    await one_unit_for_a_thousand(service, "hold" if round_ % 2 else "buy")


@LONG
@pytest.mark.timeout(1800)
async def test_the_one_unit_goes_to_one_buyer_two_hundred_times(service):
    for _ in range(100):
        for verb in ("buy", "hold"):
            await one_unit_for_a_thousand(service, verb)


async def test_a_limit_holds_when_a_customer_asks_from_everywhere_at_once(service):
    sale = await service.create_sale(stock=1000, limit=3)
    answers = await asyncio.gather(*(service.buy(sale, f"c{number % 10}") for number in range(500)))
    orders = Counter(answer.body["customer"] for answer in answers if answer.status == 201)
    assert orders == {f"c{number}": 3 for number in range(10)}
    for answer in answers:
        if answer.status != 201:
            assert answer.problem(409, "limit-reached")["limit"] == 3
    assert (await service.item(sale))["sold"] == 30
    assert (await service.audit(sale))["orders"] == 30


async def test_baskets_never_sell_more_than_there_is(service):
    sale = await service.create_sale(stock=100)
    answers = await asyncio.gather(*(service.buy(sale, f"c{n}", 1 + n % 7) for n in range(300)))
    sold = sum(answer.body["items"][0]["quantity"] for answer in answers if answer.status == 201)
    assert {answer.status for answer in answers} == {201, 409}
    item = await service.item(sale)
    assert sold == item["sold"] == 100  # single units come along until the last one is gone
    await service.audit(sale)


@pytest.mark.parametrize("verb", ["hold", "buy"])
async def test_one_key_sent_many_times_at_once_has_one_effect(service, verb):
    sale = await service.create_sale(stock=100)
    take = getattr(service, verb)
    answers = await asyncio.gather(*(take(sale, "ann", 2, key="the-one-key") for _ in range(100)))
    done = [answer for answer in answers if answer.status == 201]
    for answer in answers:
        if answer.status != 201:
            answer.problem(409, "request-in-flight")
    assert len({answer.body["id"] for answer in done}) == 1
    assert sum(not answer.replayed for answer in done) == 1
    assert (await service.item(sale))["available"] == 98
    assert (await take(sale, "ann", 2, key="the-one-key")).replayed
    await service.audit(sale)


async def test_one_hold_confirmed_many_times_at_once_is_one_order(service):
    sale = await service.create_sale(stock=5)
    held = (await service.hold(sale, "ann")).ok(201)
    answers = await asyncio.gather(*(service.verb(held["id"], "confirm") for _ in range(50)))
    assert {answer.ok()["confirmed_at"] for answer in answers} == {answers[0].body["confirmed_at"]}
    assert (await service.item(sale))["sold"] == 1
    assert (await service.audit(sale))["orders"] == 1


async def test_confirm_and_release_at_once_one_of_them_wins(service):
    sale = await service.create_sale(stock=40)
    holds = [answer.ok(201)["id"] for answer in await asyncio.gather(
        *(service.hold(sale, f"c{number}") for number in range(40)))]  # fmt: skip
    pairs = await asyncio.gather(
        *(asyncio.gather(service.verb(id_, "confirm"), service.verb(id_, "release")) for id_ in holds)
    )
    sold = 0
    for confirm, release in pairs:
        if confirm.status == 200:
            sold += 1
            release.problem(409, "reservation-confirmed")
        else:
            release.ok()
            confirm.problem(409, "reservation-released")
    item = await service.item(sale)
    assert (item["available"], item["held"], item["sold"]) == (40 - sold, 0, sold)
    await service.audit(sale)


async def test_a_storm_of_holds_confirms_releases_and_ends_leaves_the_books_right(service):
    sale = await service.create_sale(stock=50, hold_seconds=1)
    confirmed: list[str] = []

    async def shopper(number: int) -> None:
        for round_ in range(3):
            held = await service.hold(sale, f"c{number}", 1 + number % 3)
            if held.status != 201:
                held.problem(409, "sold-out")
                continue
            match (number + round_) % 4:
                case 0:
                    answer = await service.verb(held.body["id"], "confirm")
                    if answer.status == 200:
                        confirmed.append(held.body["id"])
                    else:
                        answer.problem(409, "reservation-expired")
                case 1 | 2:
                    answer = await service.verb(held.body["id"], "release")
                    assert answer.status == 200 or answer.problem(409, "reservation-expired")
                case _:
                    pass  # walks away; the hold ends by itself

    await asyncio.gather(*(shopper(number) for number in range(200)))
    await service.audit(sale)

    async def nothing_is_held() -> bool:
        return (await service.item(sale))["held"] == 0

    await eventually(nothing_is_held, "the holds of those who walked away have ended")
    item = await service.item(sale)
    assert item["available"] + item["sold"] == 50
    orders = await service.admin("GET", f"/v1/sales/{sale}/orders?limit=500")
    assert sorted(order["id"] for order in orders["data"]) == sorted(confirmed)
    assert item["sold"] == sum(order["items"][0]["quantity"] for order in orders["data"])
    await service.audit(sale)


async def test_restock_during_a_rush_is_neither_lost_nor_doubled(service):
    sale = await service.create_sale(stock=10)
    path, body = f"/v1/sales/{sale}/items/unit/restock", {"delta": 5, "reason": "more"}
    _, *answers = await asyncio.gather(
        asyncio.gather(*(service.call("POST", path, body, admin=True) for _ in range(10))),
        *(service.buy(sale, f"c{number}") for number in range(200)),
    )
    item = await service.item(sale)
    assert item["stock"] == 60
    assert item["sold"] == sum(answer.status == 201 for answer in answers)
    await service.audit(sale)


@pytest.mark.needs(ONE_SERVER)
@pytest.mark.needs(ONE_PROCESS)
async def test_a_thousand_buyers_are_a_few_script_calls(service):
    sale = await service.create_sale(stock=BUYERS)
    before = await script_calls(service)
    async with Redis.from_url(service.redis_url) as redis:  # else a slow client would spread them by itself
        await redis.execute_command("CLIENT", "PAUSE", PAUSE_MS, "ALL")
    answers = await asyncio.gather(*(service.buy(sale, f"c{number}") for number in range(BUYERS)))
    calls = await script_calls(service) - before
    assert all(answer.status == 201 for answer in answers)
    assert calls < BUYERS / 4
    assert (await service.audit(sale))["orders"] == BUYERS
