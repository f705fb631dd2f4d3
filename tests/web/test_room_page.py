"""The waiting room as a buyer sees it: a ticket, a place that a reload keeps, and the turn to buy."""

import re
from datetime import UTC, datetime, timedelta

from playwright.async_api import expect

from tests.integration.test_waiting_room import admitted, take, take_unit
from tests.support.browser import Visit, Visitor
from tests.web.test_accessible import is_clean

ROOM = {"mode": "fifo", "admit_per_second": 1000.0, "max_active": 1, "session_seconds": 600}

LATER = "2040-01-01T00:00:00Z"


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds")


async def at(visit: Visit, sale: str) -> Visitor:
    buyer = await visit(f"/sale/?id={sale}")
    await buyer.sees("Waiting room")
    return buyer


async def test_a_buyer_takes_a_ticket_waits_is_let_in_and_buys(visit, service):
    sale = await service.create_sale(stock=3, starts_at=LATER, waiting_room=ROOM | {"mode": "lottery"})
    buyer = await at(visit, sale)
    await buyer.button("Get a ticket").click()
    await buyer.sees("You are in the draw.")
    await buyer.sees(re.compile(r"Opens\s*Jan 1, 2040"))
    await is_clean(buyer)
    await service.admin("PATCH", f"/v1/sales/{sale}", {"starts_at": in_an_hour()})
    await buyer.sees(re.compile(r"Opens in\s*59:"))
    await service.admin("PATCH", f"/v1/sales/{sale}", {"starts_at": None})
    await service.admin("POST", f"/v1/sales/{sale}/open")
    await buyer.sees("It is your turn")
    await buyer.sees(re.compile(r"Your turn lasts\s*(10:00|9:)"))
    await is_clean(buyer)
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    await buyer.button("Confirm").click()
    await buyer.sees("yours")
    assert (await service.item(sale))["sold"] == 1


async def test_who_waits_can_not_buy_keeps_the_place_over_a_reload_and_is_let_in_when_another_leaves(
    visit, service
):
    sale = await service.create_sale(stock=9, waiting_room=ROOM)
    first, second = await at(visit, sale), await at(visit, sale)
    await first.button("Get a ticket").click()
    await first.sees("It is your turn")
    await expect(second.button("Wait for your turn")).to_be_disabled()
    await second.button("Get a ticket").click()
    await second.sees("You are in the queue.")
    await is_clean(second)
    place = second.page.get_by_text("Your place").locator("xpath=following-sibling::dd")
    await expect(place).to_have_text("1")
    await second.page.reload()
    await second.sees("You are in the queue.")
    await expect(place).to_have_text("1")
    await first.button("Leave").click()
    await first.sees("You left the queue.")
    await second.sees("It is your turn")
    await expect(second.button("Buy")).to_be_enabled()


async def test_everybody_in_the_room_hears_of_sold_out(visit, service):
    sale = await service.create_sale(stock=1, waiting_room=ROOM)
    first, second = await at(visit, sale), await at(visit, sale)
    await first.button("Get a ticket").click()
    await first.sees("It is your turn")
    await second.button("Get a ticket").click()
    await second.sees("Units may run out before your turn.")
    await first.button("Buy").click()
    await first.button("Confirm").click()
    await first.sees("yours")
    await second.sees("Sold out. You can stay")
    await service.admin("POST", f"/v1/sales/{sale}/items/unit/restock", {"delta": 1, "reason": "one more"})
    await second.sees("It is your turn")


async def test_a_browser_solves_the_challenge_that_a_room_asks_for(visit, service):
    sale = await service.create_sale(stock=3, waiting_room=ROOM | {"proof_of_work": True, "proof_tries": 16})
    buyer = await at(visit, sale)
    buyer.expect_complaints("status of 403 .*/tickets")
    await buyer.button("Get a ticket").click()
    await buyer.sees("It is your turn")


async def test_a_turn_that_is_over_is_said_and_a_new_ticket_can_be_taken(visit, service):
    sale = await service.create_sale(stock=3, waiting_room=ROOM | {"session_seconds": 10})
    buyer = await at(visit, sale)
    buyer.expect_complaints("status of 404 .*/tickets/")
    await buyer.button("Get a ticket").click()
    await buyer.sees("It is your turn")
    await buyer.sees("Your turn is over.")
    await expect(buyer.button("Wait for your turn")).to_be_disabled()
    await buyer.button("Get a ticket").click()
    await buyer.sees("It is your turn")


async def test_a_buyer_hears_of_the_turn_by_the_stream_by_polls_without_it_and_of_open_doors(visit, service):
    sale = await service.create_sale(stock=9, waiting_room=ROOM)
    first, streamed, polled = [await at(visit, sale) for _ in range(3)]
    polled.expect_complaints("status of 503|answered 503|ERR_FAILED")
    await polled.page.route("**/tickets/*/events*", lambda route: route.fulfill(status=503))
    polls: list[str] = []
    streamed.page.on("request", lambda request: polls.append(request.url))
    await first.button("Get a ticket").click()
    await first.sees("It is your turn")
    for waiting in (streamed, polled):
        await waiting.button("Get a ticket").click()
        await waiting.sees("You are in the queue.")
    await first.button("Leave").click()
    await streamed.sees("It is your turn")
    assert any(url.endswith("/events") and "/tickets/" in url for url in polls)
    assert not any(re.search(r"/tickets/[^/]+$", url) for url in polls), "the stream is enough"
    await streamed.button("Leave").click()
    await polled.sees("It is your turn")
    late = await at(visit, sale)
    await expect(late.button("Wait for your turn")).to_be_disabled()
    await service.admin("PATCH", f"/v1/sales/{sale}", {"waiting_room": {"open_to_all": True}})
    await late.sees("The doors are open to all")
    await is_clean(late)
    await late.button("Buy").click()
    await late.sees("held for you")


async def test_a_page_speaks_of_a_lottery_and_of_other_sales_only_where_there_are_any(visit, service):
    host = await service.create_sale(waiting_room=ROOM | {"mode": "lottery", "shared": True})
    guest = await service.create_sale(room=host)
    alone = await service.create_sale(waiting_room=ROOM)
    for sale in (host, guest):
        buyer = await at(visit, sale)
        await buyer.sees("one ticket and one turn count for all of them")
        await buyer.sees("the seed of the lottery was fixed in advance")
    buyer = await at(visit, alone)
    main = buyer.page.get_by_role("main")
    await expect(buyer.button("Get a ticket")).to_be_enabled()
    await expect(main).not_to_contain_text("lottery")
    await expect(main).not_to_contain_text("Other sales")


async def test_who_waits_in_a_shared_room_is_not_told_that_it_is_over_when_one_sale_is_sold_out(
    visit, service
):
    host = await service.create_sale(stock=5, waiting_room=ROOM | {"shared": True, "admit_per_second": 0.01})
    guest = await service.create_sale(stock=1, room=host)
    ticket = (await take(service, guest, "another")).ok(201)
    place = await admitted(service, guest, ticket["id"])
    buyer = await at(visit, guest)
    await buyer.button("Get a ticket").click()
    await buyer.sees("You are in the queue.")
    (await take_unit(service, "orders", guest, "another", place["admission"])).ok(201)
    await buyer.sees("0 of 1 available")
    await expect(buyer.page.get_by_role("main")).not_to_contain_text("You can stay")
    await buyer.sees("You are in the queue.")


async def test_over_shards_a_place_that_is_an_estimate_is_said_to_be_one(visit, service):
    sale = await service.create_sale(stock=400, spread=2, waiting_room=ROOM)
    first = await at(visit, sale)
    await first.button("Get a ticket").click()
    await first.sees("It is your turn")
    buyer = await at(visit, sale)
    answer = {"position": 1234, "about": True, "waiting": 2000, "status": "waiting"}

    async def estimated(route):
        place = await (await route.fetch()).json()
        await route.fulfill(json=place | answer)

    await buyer.page.route("**/tickets", estimated)
    await buyer.page.route("**/tickets/*/events*", lambda route: route.abort("blockedbyclient"))
    await buyer.page.route("**/tickets/*", estimated)
    buyer.expect_complaints("BLOCKED_BY_CLIENT")
    await buyer.button("Get a ticket").click()
    await buyer.sees(re.compile(r"Your place\s*about 1,234"))
