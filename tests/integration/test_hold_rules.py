"""Holds that bots can't farm: a budget of unconfirmed units, and a cool-down after letting holds go."""

import asyncio
from typing import Any

from tests.integration.test_amend import amend, transfer
from tests.integration.test_limits import buy, hold
from tests.support.service import Answer, Service, unique

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


def by_card(units: int = 99, *, hold_rules: bool = True) -> dict[str, Any]:
    return {"by": "card", "units": units, "skus": None, "hold_rules": hold_rules}


async def with_card(service: Service, sale: str, customer: str, card: str, units: int = 1) -> Answer:
    return await hold(service, sale, customer, {"unit": units}, {"card": card})


async def test_all_who_name_one_card_share_the_budget_of_held_units(service: Service):
    sale = await service.create_sale(stock=100, max_held_per_customer=3, limits=[by_card()])
    shown = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    assert shown["limits"] == [by_card()]
    answers = await asyncio.gather(*(with_card(service, sale, f"bot-{n}", "farm") for n in range(20)))
    held = [answer.body["id"] for answer in answers if answer.status == 201]
    assert len(held) == 3
    for answer in answers:
        if answer.status != 201:
            problem = answer.problem(409, "hold-budget-reached")
            assert (problem["limit"], problem["by"]) == (3, "card")
    (await with_card(service, sale, "ann", "hers", 3)).ok(201)
    assert "by" not in (await with_card(service, sale, "ann", "another")).problem(409, "hold-budget-reached")
    (await amend(service, held[0], {"unit": 2})).problem(409, "hold-budget-reached")
    (await transfer(service, held[0], "bob")).ok()
    (await buy(service, sale, "bot-20", {"unit": 1}, {"card": "farm"})).ok(201)
    (await service.verb(held[0], "confirm")).ok()
    (await service.verb(held[1], "release")).ok()
    (await with_card(service, sale, "bot-21", "farm", 2)).ok(201)
    (await with_card(service, sale, "bot-22", "farm")).problem(409, "hold-budget-reached")
    await service.audit(sale)


async def test_a_card_whose_holds_were_let_go_cools_down_for_all_customers(service: Service):
    rules = {"cool_down_seconds": COOL_DOWN, "cool_down_after": 2}
    sale = await service.create_sale(stock=100, limits=[by_card()], **rules)
    for customer in ("bot-1", "bot-2"):
        (await service.verb((await with_card(service, sale, customer, "farm")).ok(201)["id"], "release")).ok()
    refused = (await with_card(service, sale, "bot-3", "farm")).problem(429, "cooling-down")
    assert refused["by"] == "card"
    assert 0 < refused["retry_after_seconds"] <= COOL_DOWN
    (await with_card(service, sale, "bot-1", "another")).ok(201)  # one hold of two, by the customer
    (await buy(service, sale, "bot-3", {"unit": 1}, {"card": "farm"})).ok(201)


async def test_without_hold_rules_a_card_has_no_budget_and_they_begin_only_in_a_draft(service: Service):
    sale = await service.create_sale(
        stock=100, max_held_per_customer=1, limits=[by_card(hold_rules=False)], opened=False
    )
    for hold_rules in (True, False):
        changed = {"limits": [by_card(hold_rules=hold_rules)]}
        assert (await service.admin("PATCH", f"/v1/sales/{sale}", changed))["limits"] == changed["limits"]
    await service.admin("POST", f"/v1/sales/{sale}/open")
    for customer in ("a", "b", "c"):
        (await with_card(service, sale, customer, "farm")).ok(201)
    late = await service.call("PATCH", f"/v1/sales/{sale}", {"limits": [by_card()]}, admin=True)
    late.problem(409, "sale-not-draft")
