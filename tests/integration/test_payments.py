"""Payments: a paid hold is an order, or its money goes back, whatever the provider does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg
import pytest

from tests.integration.test_amend import amend, cancel
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.stand_in import StandIn, standing_in

PRICE = 1999


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[StandIn]:
    async with standing_in() as it:
        yield it


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession, provider: StandIn) -> AsyncIterator[Stack]:
    async with started(http, **provider.settings()) as it:
        it.start("deliverer")
        yield it


class Till:
    """What a test does with payments."""

    def __init__(self, stack: Stack, provider: StandIn, http: aiohttp.ClientSession) -> None:
        self.stack, self.provider, self._http = stack, provider, http
        self.service = stack.service

    async def hold(self, sale: str, quantity: int = 1, customer: str = "ann") -> str:
        return str((await self.service.hold(sale, customer, quantity)).ok(201)["id"])

    async def begin(self, hold: str) -> dict[str, Any]:
        body = {"provider": "signed", "success_url": "https://shop.example/thanks"}
        return (await self.service.call("POST", f"/v1/reservations/{hold}/payment", body)).ok()

    async def held_and_begun(self, sale: str, quantity: int = 1) -> tuple[str, str]:
        hold = await self.hold(sale, quantity)
        return hold, str((await self.begin(hold))["id"])

    async def send(self, event: dict[str, Any]) -> bool:
        status, body = await self.provider.send(self._http, self.service.url, event)
        assert status == 200, body
        return bool(body["taken"])

    async def payments(self, hold: str) -> list[dict[str, Any]]:
        path = f"/v1/reservations/{hold}/payments"
        return (await self.service.call("GET", path, admin=True)).ok()["data"]  # type: ignore[no-any-return]

    async def status(self, hold: str) -> str:
        return str((await self.service.call("GET", f"/v1/reservations/{hold}")).ok()["status"])

    async def until(self, hold: str, status: str, *refunds: str) -> dict[str, Any]:
        """Wait until the newest payment has this status, and its refunds theirs."""

        async def so() -> bool:
            newest = (await self.payments(hold))[-1]
            return (newest["status"], *(each["status"] for each in newest["refunds"])) == (status, *refunds)

        await eventually(so, f"the payment is {status}, its refunds {refunds}", 30)
        return (await self.payments(hold))[-1]

    async def end(self, hold: str) -> None:
        """The hold's time is over."""

        async def over() -> bool:
            return await self.status(hold) == "expired"

        await eventually(over, "the hold has expired", 30)


@pytest.fixture
async def till(stack: Stack, provider: StandIn, http: aiohttp.ClientSession) -> Till:
    await stack.ready()
    provider.plan.clear()
    return Till(stack, provider, http)


async def test_a_paid_hold_is_an_order_and_the_payment_is_the_same_when_asked_twice(till: Till) -> None:
    sale = await till.service.create_sale()
    hold = await till.hold(sale, 2)
    first, second = await asyncio.gather(till.begin(hold), till.begin(hold))
    assert first == second
    assert (first["status"], first["amount_minor"], first["currency"]) == ("open", 2 * PRICE, "EUR")
    assert first["url"].startswith(till.provider.url)
    assert await till.send(till.provider.pay(first["id"]))
    paid = await till.until(hold, "order")
    assert await till.status(hold) == "confirmed"
    assert (paid["paid_minor"], paid["url"], paid["refunds"]) == (2 * PRICE, None, [])
    assert till.provider.kept(first["id"]) == 2 * PRICE
    page = (await till.service.call("GET", f"/v1/payments?sale={sale}&status=order", admin=True)).ok()
    assert page == {"data": [paid], "next_cursor": None}
    await till.service.audit(sale)


async def test_an_event_counts_once_and_in_any_order(till: Till) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    paid = till.provider.pay(payment)
    assert await till.send(till.provider.event("payment.ended", payment))
    for _ in range(3):
        assert await till.send(paid)
    assert await till.send(till.provider.event("payment.ended", payment))
    await till.until(hold, "order")
    assert till.provider.refunds.keys().isdisjoint({f"{payment}-1"})


async def test_that_a_session_ended_is_asked_of_its_provider(till: Till) -> None:
    """Money that was taken is never kept without an order because an event says that nothing was paid."""
    sale = await till.service.create_sale()
    hold, payment = await till.held_and_begun(sale)
    till.provider.pay(payment)  # its event is lost
    assert await till.send(till.provider.event("payment.ended", payment))
    await till.until(hold, "order")
    assert till.provider.kept(payment) == PRICE
    left, ended = await till.held_and_begun(sale)
    assert await till.send(till.provider.event("payment.ended", ended))
    await till.until(left, "ended")
    assert till.provider.sessions[ended]["status"] == "ended"
    again = await till.begin(left)
    assert again["id"] != ended
    assert await till.send(till.provider.pay(again["id"]))
    assert await till.status(left) == "confirmed"


async def test_what_is_not_signed_or_not_ours_changes_nothing(
    till: Till, http: aiohttp.ClientSession
) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    headers, text = till.provider.signed(till.provider.pay(payment))
    url = f"{till.service.url}/v1/payments/signed/webhook"
    for change in (
        {"webhook-signature": "v1,AAAA"}, {"webhook-id": "evt_other"}, {"webhook-timestamp": "1700000000"},
        {"webhook-timestamp": "-1"}, {"webhook-signature": ""}, {"webhook-signature": "v1,é"},
        {"webhook-timestamp": "9" * 5_000},
    ):  # fmt: skip
        async with http.post(url, data=text, headers=headers | change) as answer:
            assert answer.status == 401
    async with http.post(url, data=text.replace("EUR", "USD"), headers=headers) as answer:
        assert answer.status == 401
    async with http.post(url.replace("signed", "stripe"), data=text, headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "unknown-provider")
    event = till.provider.event("payment.paid", payment, payment_id="pay_of_another")
    assert not await till.send(event)
    assert not await till.send(till.provider.event("payment.something", payment))
    assert (await till.payments(hold))[0]["status"] == "open"


@pytest.mark.parametrize(
    ("minor", "currency", "why"), [(PRICE - 1, None, "too-little"), (PRICE, "USD", "wrong-currency")]
)
async def test_too_little_money_never_confirms_and_goes_back(
    till: Till, minor: int, currency: str | None, why: str
) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    assert await till.send(till.provider.pay(payment, minor, currency))
    refused = await till.until(hold, "refused", "done")
    assert (refused["why"], refused["refunds"][0]["amount_minor"]) == (why, minor)
    assert till.provider.kept(payment) == 0
    assert await till.status(hold) == "held"
    again = await till.begin(hold)
    assert again["id"] != payment
    assert await till.send(till.provider.pay(again["id"]))
    await till.until(hold, "order")


async def test_too_much_money_confirms_and_the_rest_goes_back(till: Till) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    assert await till.send(till.provider.pay(payment, PRICE + 500))
    await till.until(hold, "order", "done")
    assert till.provider.kept(payment) == PRICE


async def test_a_late_payment_is_an_order_while_units_are_left(till: Till) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale(hold_seconds=1))
    event = till.provider.pay(payment)
    await till.end(hold)
    assert await till.send(event)
    await till.until(hold, "order")
    assert await till.status(hold) == "confirmed"


async def test_a_late_payment_without_units_goes_back_and_is_told(till: Till) -> None:
    sale = await till.service.create_sale(stock=1, hold_seconds=1)
    hold, payment = await till.held_and_begun(sale)
    event = till.provider.pay(payment)
    await till.end(hold)
    (await till.service.buy(sale, "bob")).ok(201)
    assert await till.send(event)
    refused = await till.until(hold, "refused", "done")
    assert refused["why"] == "reservation-expired"
    assert till.provider.kept(payment) == 0


async def test_the_session_ends_with_its_hold_and_a_payment_without_an_event_is_found(till: Till) -> None:
    sale = await till.service.create_sale(hold_seconds=1)
    ended, payment = await till.held_and_begun(sale)
    paid, other = await till.held_and_begun(sale)
    till.provider.pay(other)  # its event is lost
    await till.until(ended, "ended")
    assert till.provider.sessions[payment]["status"] == "ended"
    await till.until(paid, "order")


async def test_a_lost_answer_leaves_no_session_open_and_no_second_one(till: Till) -> None:
    hold = await till.hold(await till.service.create_sale(hold_seconds=2))
    till.provider.plan["sessions"] = ["lose"]
    body = {"provider": "signed"}
    answer = await till.service.call("POST", f"/v1/reservations/{hold}/payment", body)
    assert answer.problem(503, "provider-away")["retry_after_seconds"]
    (payment,) = [each["id"] for each in await till.payments(hold)]
    assert till.provider.sessions[payment]["status"] == "open"
    await till.until(hold, "ended")
    assert till.provider.sessions[payment]["status"] == "ended"


async def test_an_event_may_come_before_the_answer_that_names_its_session(till: Till) -> None:
    sale = await till.service.create_sale(stock=1)
    hold = await till.hold(sale)
    till.provider.plan["sessions"] = ["lose"]
    await till.service.call("POST", f"/v1/reservations/{hold}/payment", {"provider": "signed"})
    (payment,) = [each["id"] for each in await till.payments(hold)]
    assert await till.send(till.provider.pay(payment, 1))
    await till.until(hold, "refused", "done")
    assert till.provider.kept(payment) == 0


async def test_a_refund_is_asked_until_it_is_done_and_made_once(till: Till) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    till.provider.plan["refunds"] = ["away", "lose", "pending", "slow"]
    assert await till.send(till.provider.pay(payment, 5))
    await till.until(hold, "refused", "done")
    assert till.provider.given_back(payment) == 5
    assert till.provider.plan["refunds"] == []


async def test_a_refund_that_the_provider_will_never_make_is_shown(till: Till) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    till.provider.plan["refunds"] = ["failed"]
    assert await till.send(till.provider.pay(payment, 5))
    await till.until(hold, "refused", "failed")


async def test_of_two_payments_for_one_hold_one_is_kept(till: Till) -> None:
    sale = await till.service.create_sale()
    hold, first = await till.held_and_begun(sale)
    paid = till.provider.pay(first)
    (await amend(till.service, hold, {"unit": 2})).ok()
    second = (await till.begin(hold))["id"]
    assert second != first
    assert await till.send(till.provider.pay(second))
    assert await till.send(paid)
    await till.until(hold, "order")

    async def back() -> bool:
        return till.provider.kept(first) == 0

    await eventually(back, "the payment of the old basket is given back")
    assert till.provider.kept(second) == 2 * PRICE
    payments = {each["id"]: each for each in await till.payments(hold)}
    assert payments[first]["status"] == "refused"


async def test_the_cancel_of_an_order_refunds_what_was_paid_in_part_too(till: Till) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale(), 3)
    assert await till.send(till.provider.pay(payment))
    await till.until(hold, "order")
    (await cancel(till.service, hold, {"unit": 1})).ok()
    await till.until(hold, "order", "done")
    assert till.provider.kept(payment) == 2 * PRICE
    (await amend(till.service, hold, {"unit": 1}, admin=True)).ok()
    await till.until(hold, "order", "done", "done")
    assert till.provider.kept(payment) == PRICE
    (await cancel(till.service, hold)).ok()
    refunds = (await till.until(hold, "order", "done", "done", "done"))["refunds"]
    assert till.provider.kept(payment) == 0
    assert [each["amount_minor"] for each in refunds] == [PRICE] * 3


async def test_a_hold_is_paid_and_refunded_at_the_price_of_its_hold(till: Till) -> None:
    sale = await till.service.create_sale(spread=1)
    hold = await till.hold(sale, 3)
    path = f"/v1/sales/{sale}/items/unit"
    (await till.service.call("PATCH", path, {"price_minor": PRICE + 500}, admin=True)).ok()
    begun = await till.begin(hold)
    assert begun["amount_minor"] == 3 * PRICE
    assert await till.send(till.provider.pay(begun["id"]))
    await till.until(hold, "order")
    assert till.provider.kept(begun["id"]) == 3 * PRICE
    (await cancel(till.service, hold, {"unit": 1})).ok()
    await till.until(hold, "order", "done")
    assert till.provider.kept(begun["id"]) == 2 * PRICE
    later = await till.begin(await till.hold(sale))
    assert later["amount_minor"] == PRICE + 500


@pytest.mark.parametrize("attempts", [0, 1])
async def test_a_refund_waits_and_takes_an_order_that_is_there_after_all(
    till: Till, stack: Stack, attempts: int
) -> None:
    """A confirm that another process had begun may be decided after the refund was written down, also where a
    process that had claimed the refund was killed."""
    sale = await till.service.create_sale(stock=1, hold_seconds=1)
    hold, payment = await till.held_and_begun(sale)
    receipt = (await till.service.call("GET", f"/v1/reservations/{hold}")).ok()["receipt"]
    event = till.provider.pay(payment)
    await till.end(hold)
    order = (await till.service.buy(sale, "bob")).ok(201)
    assert await till.send(event)
    assert (await till.payments(hold))[0]["status"] == "refused"
    ledger = await asyncpg.connect(stack.servers.database_url)
    claimed = "UPDATE flashguard.payment_refunds SET attempts = $2 WHERE payment = $1 AND asked_at IS NULL"
    assert await ledger.execute(claimed, payment, attempts) == "UPDATE 1"
    await ledger.close()
    (await cancel(till.service, order["id"])).ok()
    confirm = {"receipt": receipt}
    (await till.service.call("POST", f"/v1/reservations/{hold}/confirm", confirm)).ok()
    await till.until(hold, "order")
    assert till.provider.kept(payment) == PRICE


async def test_only_what_can_be_paid_has_a_payment(till: Till) -> None:
    sale = await till.service.create_sale()
    hold = await till.hold(sale)
    path = f"/v1/reservations/{hold}/payment"
    call = till.service.call
    (await call("POST", path, {"provider": "paypal"})).problem(404, "unknown-provider")
    (await call("POST", path, {"provider": "signed", "success_url": "javascript:x"})).problem(
        422, "invalid-request"
    )
    (await call("POST", f"/v1/reservations/{sale}.{'0' * 24}/payment", {"provider": "signed"})).problem(
        404, "unknown-reservation"
    )
    till.provider.plan["sessions"] = ["refuse"]
    (await call("POST", path, {"provider": "signed"})).problem(422, "invalid-request")
    (await till.service.verb(hold, "release")).ok()
    (await call("POST", path, {"provider": "signed"})).problem(409, "reservation-released")


async def test_the_ledger_refuses_to_give_back_more_than_was_paid(till: Till, stack: Stack) -> None:
    _, payment = await till.held_and_begun(await till.service.create_sale())
    assert await till.send(till.provider.pay(payment))
    ledger = await asyncpg.connect(stack.servers.database_url)
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="never_refunded_more"):
            await ledger.execute("SELECT flashguard.ask_refund($1, $2, 'a mistake', 0)", payment, PRICE + 1)
    finally:
        await ledger.close()
