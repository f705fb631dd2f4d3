"""The points at which a process may die between a provider and the ledger, each by itself: the table of
docs/explanation/payments.md."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg
import pytest
from pydantic import SecretStr

from flashguard.guard import FlashGuard
from flashguard.ledger.sql import query
from flashguard.payments import Payments
from flashguard.payments.settler import CONFIRM_SECONDS
from flashguard.settings import Settings
from tests.integration.test_amend import amend, cancel
from tests.integration.test_payments import PRICE, Till
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.stand_in import SECRET, StandIn, standing_in

OTHER = "signedservice"
"""A second provider at the same stand-in, named after its class."""


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[StandIn]:
    async with standing_in() as it:
        yield it


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession, provider: StandIn) -> AsyncIterator[Stack]:
    two = '["signed", "flashguard.payments.signed:SignedService"]'
    async with started(http, **(provider.settings() | {"FLASHGUARD_PAYMENT_PROVIDERS": two})) as it:
        it.start("deliverer")
        yield it


@pytest.fixture
async def till(stack: Stack, provider: StandIn, http: aiohttp.ClientSession) -> Till:
    await stack.ready()
    provider.plan.clear()
    return Till(stack, provider, http)


@pytest.fixture
async def ledger(stack: Stack) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(stack.servers.database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def frozen(stack: Stack, provider: StandIn) -> AsyncIterator[Payments]:
    """The payments of a process that freezes and goes on where a test wants it."""
    settings = Settings(
        redis_url=stack.servers.redis_url, database_url=stack.servers.database_url,
        payment_providers=("signed",), payment_signed_url=provider.url,
        payment_signed_secret=SecretStr(SECRET),
    )  # fmt: skip
    async with await FlashGuard.connect(settings) as guard:
        payments = Payments(guard, settings)
        yield payments
        await payments.close()


async def written(till: Till, ledger: Any, payment: str, claimed_seconds: float | None = None) -> Any:
    """The buyer pays, and a process dies once it has written the event; or claimed it for so many seconds."""
    event = till.provider.pay(payment)
    data = event["body"]["data"]
    given = ("paid", payment, data["session"], data["amount_minor"], data["currency"], 0)
    async with ledger.transaction():
        await ledger.fetchval(query("take_payment_event"), "signed", event["id"], *given)
        if claimed_seconds is not None:
            return await ledger.fetchrow(query("claim_payments"), 1, claimed_seconds, payment)
    return event


async def late(till: Till) -> tuple[str, str, str]:
    """A hold that has expired and whose unit Bob has bought, its payment, and Bob's order."""
    sale = await till.service.create_sale(stock=1, hold_seconds=1)
    hold, payment = await till.held_and_begun(sale)
    till.provider.sessions[payment]["status"] = "busy"  # the buyer is paying
    await till.end(hold)
    order = (await till.service.buy(sale, "bob")).ok(201)["id"]
    till.provider.sessions[payment]["status"] = "open"
    return hold, payment, str(order)


async def test_1_a_session_that_was_never_asked_for_is_asked_for_by_the_next_call_or_ended(
    till: Till,
) -> None:
    hold = await till.hold(await till.service.create_sale())
    ended = await till.hold(await till.service.create_sale(hold_seconds=1))
    till.provider.plan["sessions"] = ["away", "away"]
    for each in (hold, ended):
        path = f"/v1/reservations/{each}/payment"
        (await till.service.call("POST", path, {"provider": "signed"})).problem(503, "provider-away")
    (payment,) = [each["id"] for each in await till.payments(hold)]
    assert payment not in till.provider.sessions
    assert (await till.begin(hold))["id"] == payment
    await till.until(ended, "ended")
    (unpaid,) = [each["id"] for each in await till.payments(ended)]
    assert till.provider.sessions[unpaid]["status"] == "ended"


async def test_4_an_event_that_was_written_is_settled_and_counts_once(till: Till, ledger: Any) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    event = await written(till, ledger, payment)
    await till.until(hold, "order")
    assert await till.send(event)
    assert (await till.until(hold, "order"))["refunds"] == []
    events = "SELECT array_agg(id) FROM flashguard.payment_events WHERE payment = $1"
    assert await ledger.fetchval(events, payment) == [event["id"]]


async def test_5_a_hold_that_was_confirmed_by_a_process_that_died_is_the_same_order(
    till: Till, ledger: Any
) -> None:
    sale = await till.service.create_sale()
    hold, payment = await till.held_and_begun(sale)
    await written(till, ledger, payment, 1.5)
    order = (await till.service.verb(hold, "confirm")).ok()
    assert (await till.payments(hold))[0]["status"] == "paid"
    await till.until(hold, "order")
    assert (await till.service.call("GET", f"/v1/reservations/{hold}")).ok() == order
    assert till.provider.kept(payment) == PRICE


async def test_6_a_confirm_that_was_refused_before_a_process_died_is_refused_again(
    till: Till, ledger: Any
) -> None:
    hold, payment, _ = await late(till)
    await written(till, ledger, payment, 1.5)
    assert (await till.payments(hold))[0]["status"] == "paid"
    await till.until(hold, "refused", "done")
    assert till.provider.kept(payment) == 0


async def test_7_a_decision_and_its_refund_are_one_transaction(till: Till, ledger: Any) -> None:
    hold, payment, _ = await late(till)
    assert await till.send(till.provider.pay(payment))
    (shown,) = await till.payments(hold)
    assert (shown["status"], shown["refunds"][0]["status"]) == ("refused", "pending")
    one = (
        "SELECT p.xmin = r.xmin FROM flashguard.payments p "
        "JOIN flashguard.payment_refunds r ON r.payment = p.id "
        "WHERE p.id = $1 AND r.asked_at IS NULL"
    )
    assert await ledger.fetchval(one, payment)
    await till.until(hold, "refused", "done")


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [("", "done", "payment.refunded"), ("failed", "failed", "payment.refund_failed")],
)
async def test_10_a_refund_and_its_fact_are_one_transaction(
    till: Till, ledger: Any, how: str, status: str, kind: str
) -> None:
    call = till.service.call
    begin = (await call("GET", "/v1/facts?after=now", admin=True)).ok()["next_cursor"]
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    till.provider.plan["refunds"] = [how]
    assert await till.send(till.provider.pay(payment, 5))
    await till.until(hold, "refused", status)
    one = (
        "SELECT f.xmin = r.xmin FROM flashguard.facts f JOIN flashguard.payment_refunds r "
        "ON f.details -> 'payment' ->> 'refund' = r.payment || '-' || r.number WHERE r.payment = $1"
    )
    assert await ledger.fetchval(one, payment)
    facts = (await call("GET", f"/v1/facts?after={begin}&limit=500", admin=True)).ok()["data"]
    (told,) = [each["data"] for each in facts if each["type"] == kind and each["data"]["id"] == hold]
    assert told == {
        "id": hold, "sale_id": hold.partition(".")[0], "customer": "ann", "payment_id": payment,
        "provider": "signed", "refund_id": f"{payment}-1", "amount_minor": 5, "currency": "EUR",
        "reason": "too-little",
    }  # fmt: skip


async def test_11_a_cancel_in_memory_is_refunded_in_the_transaction_that_records_it(
    till: Till, stack: Stack, ledger: Any
) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    assert await till.send(till.provider.pay(payment))
    await till.until(hold, "order")
    await stack.end("recorder")
    cancelling = asyncio.create_task(cancel(till.service, hold))
    await asyncio.sleep(0.5)
    assert (await till.payments(hold))[0]["refunds"] == []
    stack.start("recorder")
    await cancelling
    await till.until(hold, "order", "done")
    one = (
        "SELECT p.xmin = r.xmin FROM flashguard.payments p JOIN flashguard.reservations r "
        "ON r.sale_id = p.sale_id AND r.id = p.reservation WHERE p.id = $1"
    )
    assert await ledger.fetchval(one, payment)
    assert till.provider.kept(payment) == 0


async def test_an_order_that_was_amended_between_the_look_and_the_confirm_is_cancelled(
    till: Till, ledger: Any
) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    await written(till, ledger, payment, 1.5)
    (await amend(till.service, hold, {"unit": 2})).ok()
    (await till.service.verb(hold, "confirm")).ok()
    await till.until(hold, "refused", "done")
    assert await till.status(hold) == "cancelled"
    assert till.provider.kept(payment) == 0


async def test_an_order_of_a_process_that_was_frozen_is_cancelled_after_its_refund(
    till: Till, ledger: Any, frozen: Payments
) -> None:
    hold, payment, bobs = await late(till)
    claimed = await written(till, ledger, payment, 0.1)
    await till.until(hold, "refused", "done")
    (await cancel(till.service, bobs)).ok()
    await frozen.settler._payment(claimed, time.monotonic())
    assert await till.status(hold) == "cancelled"
    assert (await till.payments(hold))[-1]["status"] == "refused"
    assert till.provider.kept(payment) == 0


async def test_no_confirm_begins_half_a_lease_after_its_claim(
    till: Till, ledger: Any, frozen: Payments
) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    claimed = await written(till, ledger, payment, 30)
    await frozen.settler._payment(claimed, time.monotonic() - CONFIRM_SECONDS - 1)
    shown = (await till.payments(hold))[0]
    assert (shown["status"], await till.status(hold)) == ("paid", "held")
    await till.until(hold, "order")


async def test_a_hold_that_was_amended_since_its_payment_began_is_not_what_was_paid_for(till: Till) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    (await amend(till.service, hold, {"unit": 2})).ok()
    assert await till.send(till.provider.pay(payment))
    assert (await till.until(hold, "refused", "done"))["why"] == "amended"
    assert await till.status(hold) == "held"


async def test_of_two_payments_at_two_providers_the_first_to_confirm_is_the_order(
    till: Till, http: aiohttp.ClientSession
) -> None:
    hold, first = await till.held_and_begun(await till.service.create_sale())
    till.provider.pay(first)  # its event is lost
    body = {"provider": OTHER}
    second = (await till.service.call("POST", f"/v1/reservations/{hold}/payment", body)).ok()["id"]
    headers, text = till.provider.signed(till.provider.pay(second))
    url = f"{till.service.url}/v1/payments/{OTHER}/webhook"
    async with http.post(url, data=text, headers=headers) as answer:
        assert answer.status == 200

    async def over() -> bool:
        shown = {each["id"]: each for each in await till.payments(hold)}
        statuses = sorted((shown[first]["status"], shown[second]["status"]))
        return (
            statuses == ["order", "refused"]
            and till.provider.kept(first) + till.provider.kept(second) == PRICE
        )

    await eventually(over, "one is the order, the other goes back", 30)
    assert await till.status(hold) == "confirmed"


async def test_the_ledger_has_one_payment_per_order(till: Till, ledger: Any) -> None:
    hold, first = await till.held_and_begun(await till.service.create_sale())
    (await amend(till.service, hold, {"unit": 2})).ok()
    second = (await till.begin(hold))["id"]
    both = "UPDATE flashguard.payments SET state = 'order' WHERE id = ANY ($1::text[])"
    with pytest.raises(asyncpg.UniqueViolationError, match="one_payment_per_order"):
        await ledger.execute(both, [first, second])


async def test_a_hold_gets_its_time_again_once(till: Till) -> None:
    hold = await till.hold(await till.service.create_sale(hold_seconds=30))

    async def ends() -> str:
        return str((await till.service.call("GET", f"/v1/reservations/{hold}")).ok()["expires_at"])

    before = await ends()
    await asyncio.sleep(0.1)
    await till.begin(hold)
    extended = await ends()
    assert extended > before
    await asyncio.sleep(0.1)
    await till.begin(hold)
    assert await ends() == extended


async def test_metrics_tell_what_waits_and_why(till: Till, stack: Stack, ledger: Any) -> None:
    def refunds(status: str) -> str:
        return f'flashguard_payment_refunds{{provider="signed",status="{status}"}}'

    async def is_one(name: str) -> bool:
        text = (await till.service.call("GET", "/metrics", admin=True)).body
        return f"{name} 1.0" in text

    begun, orders = (
        f'flashguard_payments{{provider="signed",status="{each}"}}' for each in ("open", "order")
    )
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    opened, had = await stack.metric(begun), await stack.metric(orders)
    await written(till, ledger, payment, 2.0)
    assert await stack.metric("flashguard_payment_undecided_seconds") > 0
    assert await stack.metric(begun) < opened  # payments of other tests may end meanwhile
    await till.until(hold, "order")
    assert await stack.metric("flashguard_payment_undecided_seconds") == 0
    assert await stack.metric(orders) == had + 1
    hold, payment, _ = await late(till)
    till.provider.plan["refunds"] = ["pending", "pending", "pending"]
    done = await stack.metric(refunds("done"))
    assert await till.send(till.provider.pay(payment))
    assert await is_one(refunds("waiting"))  # five seconds, because an order may be there after all
    oldest = 'flashguard_payment_refund_oldest_seconds{provider="signed",status="waiting"}'
    assert 0 < await stack.metric(oldest) < 30
    await eventually(lambda: is_one(refunds("pending")), "the refund is at the provider", 30)
    await till.until(hold, "refused", "done")
    assert await stack.metric(refunds("done")) == done + 1
