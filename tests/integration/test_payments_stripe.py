"""Payments by Stripe: its official client against a stand-in that speaks the documented API."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import stripe

from tests.integration.test_amend import cancel
from tests.integration.test_payments import PRICE, Till
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import clean_env
from tests.support.stripe_stand_in import KEY, SECRET, StripeStandIn, standing_in_for_stripe

THANKS = {"success_url": "https://shop.example/thanks", "cancel_url": "https://shop.example/basket"}


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[StripeStandIn]:
    async with standing_in_for_stripe() as it:
        yield it


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession, provider: StripeStandIn) -> AsyncIterator[Stack]:
    async with started(http, **provider.settings()) as it:
        it.start("deliverer")
        yield it


class StripeTill(Till):
    provider: StripeStandIn  # type: ignore[assignment]

    async def session(self, hold: str, urls: dict[str, str] = THANKS) -> tuple[dict[str, Any], str]:
        """The payment of a hold, and the session's id at Stripe."""
        body = {"provider": "stripe", **urls}
        begun = (await self.service.call("POST", f"/v1/reservations/{hold}/payment", body)).ok()
        sessions = self.provider.sessions if urls else self.provider.intents
        (id_,) = [
            key for key, each in sessions.items()
            if (each["metadata"] or {}).get("flashguard_payment") == begun["id"]
        ]  # fmt: skip
        return begun, id_

    async def settled(self, session: str, kept: int) -> None:
        async def so() -> bool:
            return self.provider.kept(session) == kept

        await eventually(so, f"{kept} of {session} is kept", 30)


@pytest.fixture
async def till(stack: Stack, provider: StripeStandIn, http: aiohttp.ClientSession) -> StripeTill:
    await stack.ready()
    provider.plan.clear()
    return StripeTill(stack, provider, http)  # type: ignore[arg-type]


@pytest.mark.parametrize("urls", [THANKS, {}], ids=["a page of Stripe's", "a form of the shop's"])
async def test_a_hold_paid_at_stripe_is_an_order_and_its_cancel_a_refund(
    till: StripeTill, urls: dict[str, str]
) -> None:
    hold = await till.hold(await till.service.create_sale(), 2)
    begun, session = await till.session(hold, urls)
    assert (await till.session(hold, urls)) == (begun, session)
    assert (begun["url"] is None, begun["client_secret"] is None) == (not urls, bool(urls))
    assert await till.send(till.provider.pay(session))
    await till.until(hold, "order")
    assert await till.status(hold) == "confirmed"
    (await cancel(till.service, hold, {"unit": 1})).ok()
    await till.settled(session, PRICE)
    (await cancel(till.service, hold)).ok()
    await till.settled(session, 0)
    await till.until(hold, "order", "done", "done")


@pytest.mark.parametrize("urls", [THANKS, {}], ids=["session", "intent"])
async def test_what_is_not_paid_ends_with_its_hold_and_a_lost_event_is_found(
    till: StripeTill, urls: dict[str, str]
) -> None:
    sale = await till.service.create_sale(hold_seconds=2)
    ended, paid = await till.hold(sale), await till.hold(sale, customer="bob")
    (_, open_), (_, lost) = await till.session(ended, urls), await till.session(paid, urls)
    till.provider.pay(lost)
    await till.until(ended, "ended")
    found = (till.provider.sessions if urls else till.provider.intents)[open_]
    assert found["status"] == ("expired" if urls else "canceled")
    await till.until(paid, "order")


@pytest.mark.parametrize("later", ["processing", "requires_action"])
@pytest.mark.parametrize("is_told", [True, False])
async def test_money_that_comes_days_later_is_waited_for(till: StripeTill, later: str, is_told: bool) -> None:
    hold = await till.hold(await till.service.create_sale(hold_seconds=1))
    _, session = await till.session(hold)
    assert not await till.send(till.provider.pay(session, later=later))
    await till.end(hold)

    async def asked() -> bool:
        return f"GET payment_intents/{till.provider.intent_of(session)['id']}" in till.provider.calls

    await eventually(asked, "the money is asked for at the hold's end", 30)
    assert (await till.payments(hold))[0]["status"] == "open"
    event = till.provider.money_came(session)
    if is_told:
        assert await till.send(event)
    await till.until(hold, "order")


async def test_money_that_never_comes_ends_the_payment(till: StripeTill) -> None:
    hold = await till.hold(await till.service.create_sale())
    _, session = await till.session(hold)
    assert not await till.send(till.provider.pay(session, later="processing"))
    assert await till.send(till.provider.money_never_came(session))
    await till.until(hold, "ended")
    assert await till.status(hold) == "held"


@pytest.mark.parametrize(
    ("minor", "currency", "status", "kept"),
    [(PRICE - 1, None, "refused", 0), (PRICE + 500, None, "order", PRICE), (PRICE, "usd", "refused", 0)],
    ids=["too little", "too much", "another currency"],
)
async def test_what_is_paid_is_compared_with_what_was_asked(
    till: StripeTill, minor: int, currency: str | None, status: str, kept: int
) -> None:
    hold = await till.hold(await till.service.create_sale())
    _, session = await till.session(hold)
    assert await till.send(till.provider.pay(session, minor=minor, currency=currency))
    await till.until(hold, status, "done")
    assert till.provider.kept(session) == kept
    assert await till.status(hold) == ("confirmed" if status == "order" else "held")


@pytest.mark.parametrize(
    ("currency", "at_stripe"), [("JPY", 2000), ("ISK", 200_000), ("UGX", 200_000), ("KWD", 2000)]
)
@pytest.mark.parametrize("urls", [THANKS, {}], ids=["session", "intent"])
async def test_an_amount_is_in_the_units_that_stripe_counts_a_currency_in(
    till: StripeTill, urls: dict[str, str], currency: str, at_stripe: int
) -> None:
    item = {"sku": "unit", "name": "Unit", "price_minor": 2000, "currency": currency, "stock": 9}
    hold = await till.hold(await till.service.create_sale(items=[item]), 3)
    begun, session = await till.session(hold, urls)
    assert (begun["amount_minor"], begun["currency"]) == (6000, currency)
    assert await till.send(till.provider.pay(session))
    assert till.provider.kept(session) == 3 * at_stripe
    paid = await till.until(hold, "order")
    assert paid["paid_minor"] == 6000
    (await cancel(till.service, hold, {"unit": 1})).ok()
    paid = await till.until(hold, "order", "done")
    assert paid["refunds"][0]["amount_minor"] == 2000
    assert till.provider.kept(session) == 2 * at_stripe


async def test_an_event_that_is_lost_is_found_in_the_units_of_its_currency(till: StripeTill) -> None:
    item = {"sku": "unit", "name": "Unit", "price_minor": 2000, "currency": "ISK", "stock": 9}
    hold = await till.hold(await till.service.create_sale(items=[item], hold_seconds=1))
    _, session = await till.session(hold)
    till.provider.pay(session)
    assert (await till.until(hold, "order"))["paid_minor"] == 2000


@pytest.mark.parametrize("urls", [THANKS, {}], ids=["session", "intent"])
async def test_a_price_that_stripe_could_not_give_back_in_part_is_refused(
    till: StripeTill, urls: dict[str, str]
) -> None:
    item = {"sku": "unit", "name": "Unit", "price_minor": 1005, "currency": "KWD", "stock": 9}
    hold = await till.hold(await till.service.create_sale(items=[item]), 2)
    body = {"provider": "stripe", **urls}
    answer = await till.service.call("POST", f"/v1/reservations/{hold}/payment", body)
    assert "third decimal" in answer.problem(422, "invalid-request")["detail"]


async def test_a_buyer_who_pays_while_the_hold_ends_gets_an_order_or_the_money_back(till: StripeTill) -> None:
    """The shop's form confirms a PaymentIntent, and the settler cancels it, in the same moment."""
    chance, sale = random.Random("race"), await till.service.create_sale(stock=6, hold_seconds=1)
    holds = {await till.hold(sale, customer=f"c{number}"): "" for number in range(6)}
    for hold in holds:
        _, holds[hold] = await till.session(hold, {})

    async def pay(session: str, after_seconds: float) -> bool:
        """Whether the buyer was faster than the settler; half of the events are lost."""
        await asyncio.sleep(after_seconds)
        if till.provider.intents[session]["status"] != "requires_payment_method":
            return False
        event = till.provider.pay(session)
        if chance.random() < 0.5:
            await till.send(event)
        return True

    till.provider.plan |= {f"POST payment_intents/{each}/cancel": ["slow"] for each in holds.values()}
    moments = [0.0, 6.0, *(chance.uniform(1.5, 4.5) for _ in range(4))]  # the settler's is two after the end
    paid = dict(zip(holds, await asyncio.gather(*map(pay, holds.values(), moments)), strict=True))
    for hold, session in holds.items():
        await till.until(hold, "order" if paid[hold] else "ended")
        assert till.provider.kept(session) == (PRICE if paid[hold] else 0)
        assert await till.status(hold) == ("confirmed" if paid[hold] else "expired")
        assert till.provider.intents[session]["status"] == ("succeeded" if paid[hold] else "canceled")
    assert set(paid.values()) == {True, False}  # the test has met both
    await till.service.audit(sale)


async def test_a_lost_answer_makes_no_second_session(till: StripeTill) -> None:
    hold = await till.hold(await till.service.create_sale())
    till.provider.plan["POST checkout/sessions"] = ["lose", "away", "cut", "slow"]
    body = {"provider": "stripe", **THANKS}
    for _ in range(3):
        answer = await till.service.call("POST", f"/v1/reservations/{hold}/payment", body)
        answer.problem(503, "provider-away")
    begun, session = await till.session(hold)  # there is one
    assert begun["url"].endswith(session)


async def test_a_key_that_stripe_refuses_is_told_without_the_key(till: StripeTill) -> None:
    hold = await till.hold(await till.service.create_sale())
    till.provider.plan["POST checkout/sessions"] = ["key"]
    body = {"provider": "stripe", **THANKS}
    answer = await till.service.call("POST", f"/v1/reservations/{hold}/payment", body)
    problem = answer.problem(503, "provider-away")
    assert "FLASHGUARD_STRIPE_KEY" in problem["detail"]
    assert KEY not in str(problem)
    assert (await till.session(hold))[0]["status"] == "open"


@pytest.mark.parametrize("how", ["lose", "forget", "cut"])
async def test_a_refund_is_made_once_however_its_answers_are_lost(till: StripeTill, how: str) -> None:
    hold = await till.hold(await till.service.create_sale(), 3)
    _, session = await till.session(hold)
    assert await till.send(till.provider.pay(session))
    await till.until(hold, "order")
    till.provider.plan["POST refunds"] = [how]
    till.provider.plan["GET refunds"] = ["away", "slow"]
    (await cancel(till.service, hold, {"unit": 1})).ok()
    await till.until(hold, "order", "done")
    of = [
        each
        for each in till.provider.refunds.values()
        if each["payment_intent"] == till.provider.intent_of(session)["id"]
    ]
    assert len(of) == 1
    assert till.provider.kept(session) == 2 * PRICE


async def test_a_late_payment_without_units_goes_back(till: StripeTill) -> None:
    sale = await till.service.create_sale(stock=1, hold_seconds=1)
    hold = await till.hold(sale)
    _, session = await till.session(hold)
    event = till.provider.pay(session)
    await till.end(hold)
    (await till.service.buy(sale, "bob")).ok(201)
    assert await till.send(event)
    await till.until(hold, "refused", "done")
    assert till.provider.kept(session) == 0


async def test_a_pending_refund_is_asked_by_its_id_until_it_is_done(till: StripeTill) -> None:
    hold = await till.hold(await till.service.create_sale())
    _, session = await till.session(hold)
    assert await till.send(till.provider.pay(session))
    await till.until(hold, "order")
    till.provider.plan["POST refunds"] = ["pending"]
    (await cancel(till.service, hold)).ok()
    await till.until(hold, "order", "done")
    assert till.provider.kept(session) == 0


async def test_money_that_was_given_back_by_hand_is_not_given_back_again(till: StripeTill) -> None:
    hold = await till.hold(await till.service.create_sale())
    _, session = await till.session(hold)
    assert await till.send(till.provider.pay(session))
    await till.until(hold, "order")
    till.provider._create_refund(
        {"payment_intent": till.provider.intent_of(session)["id"], "amount": str(PRICE), "metadata": {}}
    )
    (await cancel(till.service, hold)).ok()
    await till.until(hold, "order", "done")
    assert till.provider.kept(session) == 0


@pytest.mark.parametrize("kind", ["refund.failed", "charge.refund.updated"])
async def test_a_refund_that_fails_after_it_was_done_is_failed_and_is_retried(
    till: StripeTill, kind: str
) -> None:
    hold = await till.hold(await till.service.create_sale())
    begun, session = await till.session(hold)
    assert await till.send(till.provider.pay(session))
    await till.until(hold, "order")
    (await cancel(till.service, hold)).ok()
    await till.until(hold, "order", "done")
    refund = next(
        each for each in till.provider.refunds.values()
        if (each["metadata"] or {}).get("flashguard_refund") == f"{begun['id']}-1"
    )  # fmt: skip
    refund |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
    assert await till.send(till.provider.event(kind, refund))
    failed = await till.until(hold, "order", "failed")
    assert failed["refunds"][0]["error"] == "lost_or_stolen_card"
    (await till.service.call("POST", f"/v1/payments/{begun['id']}/refund", admin=True)).ok()
    await till.until(hold, "order", "failed", "done")


async def test_events_of_others_and_forged_ones_change_nothing(
    till: StripeTill, http: aiohttp.ClientSession
) -> None:
    hold = await till.hold(await till.service.create_sale())
    _, session = await till.session(hold)
    other = till.provider._intent(PRICE, "eur", {})
    assert not await till.send(till.provider.event("payment_intent.succeeded", other))
    assert not await till.send(till.provider.event("customer.created", {"id": "cus_1"}))
    url = f"{till.service.url}/v1/payments/stripe/webhook"
    event = till.provider.pay(session)
    text = json.dumps(event)
    old = stripe.WebhookSignature.generate_signature_header(text, SECRET, int(time.time()) - 3600)
    of_another = stripe.WebhookSignature.generate_signature_header(text, "whsec_of-another")
    changed = stripe.WebhookSignature.generate_signature_header(text.replace("paid", "Paid"), SECRET)
    forged = ("", "t=1,v1=00", "t=x", f"t={'9' * 30},v1=00", "v1=00", "t=1,v1=é")
    for signature in (*forged, old, of_another, changed):
        async with http.post(url, data=text, headers={"Stripe-Signature": signature}) as answer:
            assert answer.status == 401, signature
            assert SECRET not in await answer.text()
    assert (await till.payments(hold))[0]["status"] == "open"
    assert await till.send(event)
    await till.until(hold, "order")


@pytest.mark.parametrize("command", ["api", "deliverer"])
def test_a_service_without_the_extra_says_what_to_install(
    stack: Stack, provider: StripeStandIn, command: str
) -> None:
    servers = {
        "FLASHGUARD_REDIS_URL": stack.servers.redis_url,
        "FLASHGUARD_DATABASE_URL": stack.servers.database_url,
    }
    env = clean_env(**servers, **provider.settings())
    program = "import sys; sys.modules['stripe'] = None; from flashguard.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, command], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "`stripe`: install FlashGuard with its extra `stripe`" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
