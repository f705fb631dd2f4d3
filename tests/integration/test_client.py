"""The Python client, both ways of it, against the real service over a line that fails."""

import asyncio
import inspect
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from flashguard.client import (
    AmendedOrder,
    AsyncClient,
    BatchItem,
    CancelledOrder,
    Client,
    ClientError,
    Code,
    Granted,
    Item,
    Line,
    NoAnswer,
    ProblemError,
    Refused,
    Retry,
)
from tests.support.faulty import FaultyLine
from tests.support.service import ADMIN_KEY, clean_env, unique

QUICK = Retry(first_wait_seconds=0.01, longest_wait_seconds=0.05, most_seconds=20.0)


class Awaited:
    """The client that waits, each call in a thread, so that one test serves both."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if inspect.isgeneratorfunction(method):
            return lambda *args, **more: _pages(lambda: list(method(*args, **more)))
        return lambda *args, **more: asyncio.to_thread(method, *args, **more)


async def _pages(all_of_them: Callable[[], list[Any]]) -> AsyncIterator[Any]:
    for each in await asyncio.to_thread(all_of_them):
        yield each


@pytest.fixture
async def line(service) -> AsyncIterator[FaultyLine]:
    async with FaultyLine(service.url).open() as opened:
        yield opened


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, line: FaultyLine) -> AsyncIterator[Any]:
    if request.param == "async":
        async with AsyncClient(line.url, ADMIN_KEY, retry=QUICK) as awaited:
            yield awaited
    else:
        with Client(line.url, ADMIN_KEY, retry=QUICK) as waiting:
            yield Awaited(waiting)


async def test_a_buyers_way_from_hold_to_order(service, client):
    sale = await service.create_sale(stock=3)
    held = await client.reserve(sale, "ada", {"unit": 2})
    assert isinstance(held, Granted)
    assert (held.reservation.status, held.reservation.items) == ("held", (Line("unit", 2),))
    assert held.reservation.receipt
    assert isinstance(await client.extend(held.reservation.id), Granted)
    confirmed = await client.confirm(held.reservation.id)
    assert isinstance(confirmed, Granted)
    assert await client.reservation(held.reservation.id) == confirmed.reservation
    other = await client.reserve(sale, "bob", [Line("unit", 1)])
    released = await client.release(other.reservation.id)
    assert released.reservation.status == "released"
    assert [order.id async for order in client.orders(sale)] == [held.reservation.id]
    item = (await client.sale(sale)).items[0]
    assert (item.available, item.held, item.sold) == (1, 0, 2)


async def test_the_feed_of_facts_is_read_to_its_end_page_by_page(service, client):
    begin = [page async for page in client.facts("now")]
    assert {page.data for page in begin} == {()}
    sale = await service.create_sale(stock=3)
    (await service.buy(sale, "ada")).ok(201)
    pages = [page async for page in client.facts(begin[-1].next_cursor)]
    facts = [fact for page in pages for fact in page.data if fact.data["sale_id"] == sale]
    assert [fact.type for fact in facts] == ["sale.opened", "order.confirmed"]
    assert pages[-1].data == ()
    with pytest.raises(ProblemError) as wrong:
        assert [page async for page in client.facts("no cursor")] == []
    assert wrong.value.code == Code.INVALID_REQUEST


async def test_a_reader_that_waits_goes_on_for_ever_and_longer_than_an_attempt_takes(service):
    async with AsyncClient(service.url, ADMIN_KEY, retry=QUICK, timeout_seconds=2.0) as client:
        following = client.facts("now", wait=30)
        assert (await anext(following)).data == ()
        began = time.monotonic()
        waiting = asyncio.ensure_future(anext(following))
        sale = await service.create_sale()
        seen = [fact.data["sale_id"] for fact in (await waiting).data]
        while sale not in seen:
            assert time.monotonic() - began < 20
            seen += [fact.data["sale_id"] for fact in (await anext(following)).data]


async def test_what_is_held_or_bought_is_changed_once_whatever_becomes_of_the_line(service, client, line):
    sale = await service.create_sale(stock=9)
    held = (await client.reserve(sale, "guest", {"unit": 1})).reservation
    line.next_requests_meet("cut-after", "502")
    assert (await client.amend(held.id, {"unit": 3})).reservation.items == (Line("unit", 3),)
    line.next_requests_meet("cut-after")
    assert (await client.transfer(held.id, "ada")).reservation.customer == "ada"
    order = (await client.confirm(held.id)).reservation
    line.next_requests_meet("cut-after", "cut-after")
    part = (await client.cancel(order.id, restock=True, items={"unit": 1})).reservation
    assert isinstance(part, AmendedOrder)
    assert (part.items, part.cancelled_items) == ((Line("unit", 2),), (Line("unit", 1),))
    assert await client.reservation(order.id) == part
    line.next_requests_meet()
    more = (await client.amend(order.id, [Line("unit", 4)], restock=False, reason="friends")).reservation
    assert more.items == (Line("unit", 4),)
    short = await client.amend(order.id, {"unit": 10})
    assert (short.code, short.sku, short.available) == (Code.SOLD_OUT, "unit", 5)
    gone = (await client.cancel(order.id, restock=False, reason="lost")).reservation
    assert isinstance(gone, CancelledOrder)
    assert (gone.cancel_reason, gone.restocked, gone.cancelled_items) == ("lost", False, (Line("unit", 1),))
    assert (await service.item(sale))["stock"] == 5


async def test_many_requests_in_one_call_have_their_own_outcomes(service, client):
    sale = await service.create_sale(stock=3)
    wanted = [
        BatchItem("ada", {"unit": 2}, "k"),
        BatchItem("bob", [Line("unit", 2)]),
        BatchItem("cid", {"unit": 0}),
    ]
    held, short, wrong = await client.reserve_many(sale, wanted)
    assert isinstance(held, Granted)
    assert (held.reservation.customer, held.reservation.status, held.replayed) == ("ada", "held", False)
    assert (short.code, short.sku, short.available) == (Code.SOLD_OUT, "unit", 1)
    assert wrong.code is Code.INVALID_REQUEST
    [again] = await client.reserve_many(sale, wanted[:1])
    assert again == Granted(held.reservation, True)
    [bought] = await client.buy_many(sale, [BatchItem("eve", {"unit": 1})])
    assert bought.reservation.status == "confirmed"
    with pytest.raises(ProblemError, match="invalid-request"):
        await client.buy_many(sale, [])


@pytest.mark.parametrize("fault", ["503-now", "cut-before", "cut-after"])
async def test_a_batch_takes_effect_once_whatever_becomes_of_the_line(service, client, line, fault):
    sale = await service.create_sale(stock=5)
    line.next_requests_meet(fault, fault)
    outcomes = await client.buy_many(sale, [BatchItem(f"c{number}", {"unit": 1}) for number in range(4)])
    assert [each.reservation.customer for each in outcomes] == [f"c{number}" for number in range(4)]
    assert (await service.item(sale))["sold"] == 4


async def test_what_a_buyer_can_cause_is_a_value(service, client):
    sale = await service.create_sale(stock=1, limit=2)
    refused = await client.buy(sale, "ada", {"unit": 2})
    assert isinstance(refused, Refused)
    assert (refused.code, refused.sku, refused.available) == (Code.SOLD_OUT, "unit", 1)
    bought = await client.buy(sale, "ada", {"unit": 1})
    assert isinstance(bought, Granted)
    assert (await client.release(bought.reservation.id)).code is Code.RESERVATION_CONFIRMED
    assert (await client.buy("no-such-sale", "ada", {"unit": 1})).code is Code.UNKNOWN_SALE


async def test_what_the_caller_must_change_is_raised(service, client, line):
    sale = await service.create_sale(stock=1)
    with pytest.raises(ProblemError) as wrong:
        await client.buy(sale, "ada", {"unit": 0})
    assert (wrong.value.status, wrong.value.code) == (422, "invalid-request")
    assert wrong.value.request_id
    assert len(line.seen) == 1  # not tried again
    async with AsyncClient(line.url, "fg_live_wrong") as stranger:
        with pytest.raises(ProblemError, match="unauthenticated"):
            await stranger.open_sale(sale)


@pytest.mark.parametrize("fault", ["503-now", "502", "429-now", "409-now", "cut-before", "cut-after"])
async def test_a_buy_takes_effect_once_whatever_becomes_of_the_line(service, client, line, fault):
    sale = await service.create_sale(stock=5)
    line.next_requests_meet(fault, fault)
    outcome = await client.buy(sale, "ada", {"unit": 1})
    assert isinstance(outcome, Granted), outcome
    assert outcome.replayed == (fault == "cut-after")
    keys = {key for _, _, key in line.seen}
    assert len(line.seen) == 3
    assert len(keys) == 1
    assert None not in keys
    item = await service.item(sale)
    assert (item["available"], item["sold"]) == (4, 1)
    await service.audit(sale)


@pytest.mark.parametrize("verb", ["confirm", "release", "extend"])
async def test_a_verb_on_a_hold_is_sent_again_when_the_line_was_cut(service, client, line, verb):
    sale = await service.create_sale(stock=5)
    held = await client.reserve(sale, "ada", {"unit": 1})
    line.next_requests_meet("cut-after", "503-now")
    outcome = await getattr(client, verb)(held.reservation.id)
    assert isinstance(outcome, Granted)
    assert len(line.seen) == 3
    await service.audit(sale)


async def test_every_new_request_has_a_key_of_its_own_and_a_given_one_is_kept(service, client, line):
    sale = await service.create_sale(stock=5)
    for _ in range(2):
        await client.buy(sale, "ada", {"unit": 1})
    first = await client.buy(sale, "ada", {"unit": 1}, key="mine")
    again = await client.buy(sale, "ada", {"unit": 1}, key="mine")
    keys = [key for _, _, key in line.seen]
    assert len(set(keys)) == 3
    assert keys[2:] == ["mine", "mine"]
    assert (again.replayed, again.reservation.id) == (True, first.reservation.id)


async def test_it_waits_as_long_as_it_is_told(service, client, line):
    sale = await service.create_sale(stock=1)
    line.next_requests_meet("503-later")
    started = time.monotonic()
    with pytest.raises(NoAnswer) as gave_up:
        await client.buy(sale, "ada", {"unit": 1})
    assert time.monotonic() - started < QUICK.most_seconds  # an hour is past its bound: it says so at once
    assert len(line.seen) == 1
    assert gave_up.value.key == line.seen[0][2]  # the caller may ask again with it
    line.next_requests_meet("429-later")
    with pytest.raises(ProblemError, match="rate-limited"):
        await client.buy(sale, "ada", {"unit": 1})


async def test_tries_have_a_bound(service, line):
    sale = await service.create_sale(stock=1)
    line.next_requests_meet(*["cut-before"] * 50)
    patience = Retry(most_tries=4, first_wait_seconds=0.01, longest_wait_seconds=0.02)
    async with AsyncClient(line.url, ADMIN_KEY, retry=patience) as client:
        with pytest.raises(NoAnswer):
            await client.buy(sale, "ada", {"unit": 1})
    assert len(line.seen) == 4


async def test_a_bearer_that_is_not_taken_any_more_is_asked_for_anew_once(service, line):
    sale = await service.create_sale(stock=2)
    given = iter(["fg_live_old", ADMIN_KEY, "never"])

    async def bearer() -> str:
        return next(given)

    async with AsyncClient(line.url, bearer, retry=QUICK) as client:
        assert isinstance(await client.buy(sale, "ada", {"unit": 1}), Granted)
    asked = iter(["fg_live_old", "fg_live_older"])
    with (
        Client(line.url, lambda: next(asked), retry=QUICK) as stranger,
        pytest.raises(ProblemError, match="unauthenticated"),
    ):
        await asyncio.to_thread(stranger.buy, sale, "ada", {"unit": 1})


async def test_a_buyers_token_buys_for_its_customer_alone(service, client, line):
    sale = await service.create_sale(stock=2)
    given = await client.buyer_token(sale, "ada", seconds=60)
    assert (given.customer, given.sale_id) == ("ada", sale)
    async with AsyncClient(line.url, given.token, retry=QUICK) as browser:
        assert isinstance(await browser.buy(sale, "ada", {"unit": 1}), Granted)
        with pytest.raises(ProblemError, match="forbidden"):
            await browser.buy(sale, "bob", {"unit": 1})


async def test_a_ticket_that_demands_a_proof_is_taken_whatever_becomes_of_the_line(service, client, line):
    room = {"mode": "fifo", "proof_of_work": True, "proof_tries": 4}
    sale = await service.create_sale(stock=5, waiting_room=room)
    line.next_requests_meet("", "503-now", "cut-after")
    taken = await client.ticket(sale, "ada")
    assert (await client.ticket(sale, "ada", ticket=taken.ticket)).id == taken.id
    place = await client.place(sale, taken.id)
    assert place.status == "admitted"
    assert isinstance(await client.buy(sale, "ada", {"unit": 1}, admission=place.admission), Granted)


async def test_a_hold_whose_id_was_lost_is_found_and_an_order_is_read(service, client):
    sale = await service.create_sale(stock=2)
    first, second = [(await client.reserve(sale, "ada", {"unit": 1})).reservation for _ in range(2)]
    assert (await client.reserve(sale, "ada", {"unit": 1})).code is Code.SOLD_OUT
    assert [hold.id for hold in await client.held(sale, "ada")] == [second.id, first.id]
    assert await client.held(sale, "bob") == []
    with pytest.raises(ProblemError, match="reservation-held"):
        await client.order(first.id)
    await client.confirm(first.id)
    order = await client.order(first.id)
    assert (order.id, order.status) == (first.id, "confirmed")
    assert {one.id async for one in client.reservations(sale)} == {first.id, second.id}


async def test_an_order_is_found_by_its_reference(service, client):
    sale = await service.create_sale(stock=9)
    attached = {"reference": "cart 7", "metadata": {"channel": "app"}}
    bought = await client.buy(sale, "ada", {"unit": 1}, **attached)
    assert (bought.reservation.reference, bought.reservation.metadata) == ("cart 7", {"channel": "app"})
    plain = await client.buy(sale, "bob", {"unit": 1})
    assert not plain.reservation.reference
    [held] = await client.reserve_many(sale, [BatchItem("eve", {"unit": 1}, **attached)])
    assert [order.id async for order in client.orders(sale, reference="cart 7")] == [bought.reservation.id]
    found = {one.id async for one in client.reservations(sale, reference="cart 7")}
    assert found == {bought.reservation.id, held.reservation.id}


async def test_a_shop_runs_its_sale_with_it(client):
    name = unique()
    item = Item(sku="unit", name="Unit", price_minor=100, currency="EUR", stock=1)
    made = await client.create_sale("A sale", [item], id_=name, hold_seconds=30)
    assert (made.id, made.status, made.hold_seconds) == (name, "draft", 30)
    more = [item, Item(sku="cap", name="Cap", price_minor=5, currency="USD", stock=2)]
    edited = await client.change_sale(name, items=more, name="Two", limit_per_customer=3)
    assert ([one.sku for one in edited.items], edited.name) == (["unit", "cap"], "Two")
    await client.delete_sale(name)
    await client.delete_sale(name)  # as after an answer that was lost
    await client.create_sale("A sale", [item], id_=name, hold_seconds=30)
    assert (await client.open_sale(name)).status == "open"
    with pytest.raises(ProblemError, match="sale-not-draft"):
        await client.delete_sale(name)
    assert (await client.restock(name, "unit", 4, "found more"))["stock"] == 5
    assert (await client.restock(name, "unit", None, "counted", stock=9))["available"] == 9
    assert (await client.pause_sale(name)).status == "paused"
    assert (await client.close_sale(name)).status == "closed"


def test_both_clients_have_the_same_calls_with_the_same_parameters():
    def calls(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert calls(Client) == calls(AsyncClient)


async def test_every_change_carries_a_key_that_stays_the_same(service, client, line):
    sale = await service.create_sale(stock=5)
    held = [(await service.hold(sale, name)).ok(201)["id"] for name in ("ada", "bob")]
    for change in (
        lambda: client.confirm(held[0]), lambda: client.release(held[1]),
        lambda: client.buyer_token(sale, "ada"), lambda: client.pause_sale(sale),
    ):  # fmt: skip
        line.next_requests_meet("cut-before", "502")
        await change()
        assert len(line.seen) == 3
        keys = {key for _, _, key in line.seen}
        assert len(keys) == 1
        assert None not in keys
    line.next_requests_meet()
    await client.buyer_token(sale, "ada", key="mine")
    assert line.seen[0][2] == "mine"


async def test_a_half_copied_key_or_address_and_an_empty_id_are_errors_at_once(client, line):
    for wrong in ("fg_live_…AbCd", "two words", "line\n"):
        with Client(line.url, wrong) as waiting, pytest.raises(ClientError, match="Copy the whole key"):
            waiting.sale("any")
    with pytest.raises(ClientError, match=r"as in http://127\.0\.0\.1:8000"):
        Client("127.0.0.1:8000", "x")
    for part in ("", ".", ".."):
        with pytest.raises(ClientError, match="can't be an id"):
            await client.sale(part)
    line.next_requests_meet()
    with pytest.raises(ProblemError):
        await client.restock("no-such-sale", "a/b?c#d", 1, "x")
    assert len(line.seen) == 1


def test_without_its_library_it_says_what_to_install():
    code = "import sys; sys.modules['httpx2'] = None\nimport flashguard.client"
    done = subprocess.run([sys.executable, "-c", code], env=clean_env(), capture_output=True, text=True)
    assert "The client requires httpx2; install FlashGuard with its extra `client`" in done.stderr
