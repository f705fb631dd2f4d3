"""Holds that bots can't farm: a budget of unconfirmed units, and a cool-down after letting holds go."""

import asyncio

from tests.support.service import Service, unique

COOL_DOWN = 3_600


async def test_a_customer_can_not_hold_more_than_the_budget_however_many_press_at_once(service: Service):
    sale = await service.create_sale(stock=100, max_held_per_customer=3)
    answers = await asyncio.gather(*(service.hold(sale, "bot") for _ in range(20)))
    held = [answer for answer in answers if answer.status == 201]
    assert len(held) == 3
    for answer in answers:
        if answer.status != 201:
            assert answer.problem(409, "hold-budget-reached")["limit"] == 3
    (await service.hold(sale, "somebody else", 3)).ok(201)
    (await service.hold(sale, "greedy", 4)).problem(409, "hold-budget-reached")
    assert (await service.item(sale))["held"] == 6


async def test_what_is_confirmed_or_given_back_does_not_count_for_the_budget(service: Service):
    sale = await service.create_sale(stock=100, max_held_per_customer=2)
    first = (await service.hold(sale, "c", 2)).ok(201)
    (await service.hold(sale, "c")).problem(409, "hold-budget-reached")
    (await service.verb(first["id"], "confirm")).ok()
    second = (await service.hold(sale, "c", 2)).ok(201)
    (await service.verb(second["id"], "release")).ok()
    (await service.hold(sale, "c", 2)).ok(201)
    (await service.buy(sale, "c", 5)).ok(201)  # who pays at once takes nothing from others


async def test_who_lets_holds_go_can_not_hold_for_a_while_but_can_buy(service: Service):
    sale = await service.create_sale(stock=100, cool_down_seconds=COOL_DOWN, cool_down_after=2)
    for left in (1, 0):
        held = (await service.hold(sale, "bot")).ok(201)
        (await service.verb(held["id"], "release")).ok()
        if left:
            (await service.verb((await service.hold(sale, "bot")).ok(201)["id"], "confirm")).ok()
    refused = await service.hold(sale, "bot", key="later")
    body = refused.problem(429, "cooling-down")
    assert 0 < body["retry_after_seconds"] <= COOL_DOWN
    assert int(refused.headers["Retry-After"]) == body["retry_after_seconds"]
    (await service.buy(sale, "bot")).ok(201)
    (await service.hold(sale, "honest")).ok(201)
    await service.admin("PATCH", f"/v1/sales/{sale}", {"cool_down_seconds": None})
    (await service.hold(sale, "bot", key="later")).ok(201)  # a refusal is not remembered
    await service.audit(sale)


async def test_a_hold_that_ran_out_counts_the_moment_it_ends(service: Service):
    sale = await service.create_sale(
        stock=100, hold_seconds=1, cool_down_seconds=COOL_DOWN, cool_down_after=1
    )
    (await service.hold(sale, "bot")).ok(201)
    async with asyncio.timeout(20):
        while (answer := await service.hold(sale, "bot")).status == 201:
            await asyncio.sleep(0.05)  # until the first one ends, it holds as much as it likes
    answer.problem(429, "cooling-down")


async def test_a_sale_under_attack_gets_its_rules_while_it_runs(service: Service):
    sale = await service.create_sale(stock=100)
    held = [(await service.hold(sale, "bot", 2)).ok(201)["id"] for _ in range(3)]
    shown = await service.admin(
        "PATCH", f"/v1/sales/{sale}", {"max_held_per_customer": 4, "cool_down_seconds": COOL_DOWN}
    )
    assert (shown["max_held_per_customer"], shown["cool_down_seconds"]) == (4, COOL_DOWN)
    assert shown["cool_down_after"] is None
    (await service.hold(sale, "bot")).problem(409, "hold-budget-reached")  # it counts what was held before
    for id_ in held:
        (await service.verb(id_, "release")).ok()
    (await service.hold(sale, "bot")).problem(429, "cooling-down")
    gone = await service.admin(
        "PATCH", f"/v1/sales/{sale}", {"max_held_per_customer": None, "cool_down_seconds": None}
    )
    assert gone["max_held_per_customer"] is None
    (await service.hold(sale, "bot", 5)).ok(201)


async def test_a_rule_that_can_not_be_is_refused(service: Service):
    for rule in ({"max_held_per_customer": 0}, {"cool_down_seconds": -1}, {"cool_down_after": 1.5}):
        body = {"name": "x", "id": unique(), "items": [
            {"sku": "unit", "name": "u", "price_minor": 1, "currency": "EUR", "stock": 1}
        ]}  # fmt: skip
        answer = await service.call("POST", "/v1/sales", body | rule, admin=True)
        answer.problem(422, "invalid-request")
