"""One waiting room for several sales: one ticket, one order, one pace, one number of buyers who are in."""

import asyncio
from typing import Any

import pytest

from tests.integration.test_room_spread import count_admitted
from tests.integration.test_waiting_room import (
    LATER,
    PROOF,
    ROOM,
    admitted,
    begin,
    look,
    lottery,
    solved,
    take,
    take_unit,
)
from tests.support.eventually import eventually
from tests.support.service import Answer, Service, unique
from tests.support.streams import stream

UNITS = [{"sku": "unit", "name": "Unit", "price_minor": 100, "currency": "EUR", "stock": 10}]


async def host_of(service: Service, *, stock: int = 10, spread: int = 1, **room: Any) -> str:
    """A scheduled sale whose room others may share; `begin` opens it."""
    return await service.create_sale(
        stock=stock, spread=spread, starts_at=LATER, waiting_room=ROOM | {"shared": True} | room
    )


async def guest_of(service: Service, host: str, *, stock: int = 10, **more: Any) -> str:
    """An open sale that shares the room."""
    return await service.create_sale(stock=stock, room=host, **more)


async def outlook(service: Service, sale: str, ticket: str) -> object:
    return (await look(service, sale, ticket)).get("outlook")


@pytest.mark.parametrize(("of_host", "of_guest"), [(1, 1), (1, 3), (3, 1), (3, 2)])
async def test_one_order_and_one_number_of_buyers_over_all_sales(service, of_host, of_guest):
    host = await host_of(service, spread=of_host, max_active=4)
    guest = await guest_of(service, host, spread=of_guest)
    other = await guest_of(service, host)
    sales = (host, guest, other)
    tickets = [(await take(service, sales[n % 3], f"c{n}")).ok(201) for n in range(12)]
    assert {ticket["room"] for ticket in tickets} == {host}
    assert [ticket["sale_id"] for ticket in tickets[:3]] == [host, guest, other]
    await begin(service, host)
    await count_admitted(service, host, 4)

    async def seen() -> list[dict[str, Any]]:
        return [await look(service, sales[(n + 1) % 3], each["id"]) for n, each in enumerate(tickets)]

    async def all_know() -> bool:
        return [place["position"] for place in (await seen())[4:]] == list(range(1, 9))

    await eventually(all_know, "all shards know that four have gone")
    places = await seen()
    assert [place["status"] for place in places] == ["admitted"] * 4 + ["waiting"] * 8
    for n, sale in enumerate(sales):
        (await take_unit(service, "orders", sale, "stranger", None)).problem(403, "queue-required")
        (await take_unit(service, "orders", sale, f"c{n}", places[n]["admission"])).ok(201)
    for n in (4, 5, 6):
        await admitted(service, guest, tickets[n]["id"])
    assert (await lottery(service, guest))["active"] == 4
    assert (await look(service, other, tickets[7]["id"]))["status"] == "waiting"
    for sale in sales:
        assert (await service.item(sale))["available"] == 9
        await service.audit(sale)


async def test_a_buyer_has_one_place_at_all_sales_and_one_admission_counts_for_all(service):
    host = await host_of(service)
    guest = await guest_of(service, host)
    at_host, at_guest = (
        (await take(service, host, "ada")).ok(201),
        (await take(service, guest, "ada")).ok(200),
    )
    assert at_host["id"] == at_guest["id"]
    assert (await lottery(service, guest))["waiting"] == 1
    await begin(service, host)
    place = await admitted(service, guest, at_host["id"])
    (await take_unit(service, "reservations", guest, "ada", place["admission"])).ok(201)
    (await take_unit(service, "reservations", host, "ada", place["admission"])).ok(201)
    (await take_unit(service, "reservations", guest, "bob", place["admission"])).problem(
        403, "queue-required"
    )
    batch = {"requests": [
        {"customer": name, "items": [{"sku": "unit", "quantity": 1}], "admission": place["admission"]}
        for name in ("ada", "bob")
    ]}  # fmt: skip
    for each in batch["requests"]:
        each["key"] = unique()
    done = (await service.call("POST", f"/v1/sales/{guest}/orders:batch", batch, admin=True)).ok()
    assert [each["status"] for each in done["outcomes"]] == [201, 403]


async def test_a_buyer_with_a_token_for_one_of_the_sales_has_the_same_place_there(service):
    host = await host_of(service)
    guest = await guest_of(service, host)
    of = {}
    for sale in (host, guest):
        token = await service.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ada"})
        of[sale] = {"Authorization": f"Bearer {token['token']}"}

    async def call(method: str, sale: str, rest: str, body: object = None, *, token: str) -> Answer:
        return await service.call(method, f"/v1/sales/{sale}/{rest}", body, headers=of[token])

    ticket = (await call("POST", guest, "tickets", {"customer": "ada"}, token=guest)).ok(201)["id"]
    theirs = (await take(service, host, "bob")).ok(201)["id"]
    for sale in (host, guest):
        (await call("GET", sale, f"tickets/{ticket}", token=sale)).ok()
        (await call("GET", sale, f"tickets/{theirs}", token=sale)).problem(404, "unknown-ticket")
    (await call("GET", host, f"tickets/{ticket}", token=guest)).problem(403, "forbidden")
    await begin(service, host)
    place = await admitted(service, host, ticket)
    basket = {"customer": "ada", "items": [{"sku": "unit", "quantity": 1}], "admission": place["admission"]}
    (await call("POST", guest, "orders", basket, token=guest)).ok(201)


async def test_an_admission_of_another_room_never_counts(service):
    host, apart = await host_of(service), await host_of(service)
    guest = await guest_of(service, host)
    alone = await service.create_sale(waiting_room=ROOM)
    without = await service.create_sale()
    for sale in (host, apart):
        await begin(service, sale)
    of = {}
    for sale in (guest, apart, alone):
        of[sale] = (await admitted(service, sale, (await take(service, sale, "ada")).ok(201)["id"]))[
            "admission"
        ]
    for sale in (guest, host):
        for wrong in (of[apart], of[alone]):
            (await take_unit(service, "orders", sale, "ada", wrong)).problem(403, "queue-required")
    for sale in (apart, alone):
        (await take_unit(service, "orders", sale, "ada", of[guest])).problem(403, "queue-required")
    (await take_unit(service, "orders", without, "ada", of[guest])).ok(201)
    await asyncio.sleep(0.3)
    assert (await lottery(service, host))["active"] == 1, (
        "a sale that is not in the room frees no place in it"
    )


async def test_while_any_sale_has_units_buyers_are_let_in(service):
    host = await host_of(service, stock=1)
    guest = await guest_of(service, host, stock=2, spread=2)
    tickets = [(await take(service, guest, f"c{n}")).ok(201)["id"] for n in range(5)]
    await begin(service, host)
    await count_admitted(service, host, 3)
    first = await admitted(service, host, tickets[0])
    (await take_unit(service, "orders", host, "c0", first["admission"])).ok(201)  # the host is sold out
    for n in (1, 2):
        place = await admitted(service, guest, tickets[n])
        (await take_unit(service, "orders", guest, f"c{n}", place["admission"])).ok(201)

    async def hears_of_it() -> bool:
        return await outlook(service, host, tickets[3]) == "sold-out"

    await eventually(hears_of_it, "all is sold out")
    assert (await lottery(service, host))["admitted"] == 3, "no one is let in to nothing"
    await service.admin("POST", f"/v1/sales/{guest}/items/unit/restock", {"delta": 1, "reason": "found"})
    place = await admitted(service, guest, tickets[3])
    (await take_unit(service, "orders", host, "c3", place["admission"])).problem(409, "sold-out")
    (await take_unit(service, "orders", guest, "c3", place["admission"])).ok(201)
    assert (await look(service, host, tickets[4]))["status"] == "waiting"


async def test_units_of_a_sale_that_is_not_open_let_no_one_in(service):
    host = await host_of(service, stock=1)
    guest = await guest_of(service, host, stock=5)
    await service.admin("POST", f"/v1/sales/{guest}/pause")
    tickets = [(await take(service, host, f"c{n}")).ok(201)["id"] for n in range(3)]
    await begin(service, host)
    await count_admitted(service, host, 1)
    await asyncio.sleep(1)
    assert (await lottery(service, host))["admitted"] == 1
    await service.admin("POST", f"/v1/sales/{guest}/open")
    await admitted(service, host, tickets[2])


async def test_the_pace_is_one_for_all_sales(service):
    host = await host_of(service, stock=100, admit_per_second=2.0)
    guests = [await guest_of(service, host, stock=100) for _ in range(2)]
    for n in range(12):
        (await take(service, guests[n % 2], f"c{n}")).ok(201)
    await begin(service, host)
    loop = asyncio.get_running_loop()
    began, seen = loop.time(), 0
    while loop.time() - began < 3:
        seen = (await lottery(service, host))["admitted"]
        assert seen <= 2 + 2 * (loop.time() - began + 1.0)
        await asyncio.sleep(0.1)
    assert seen >= 5


async def test_a_proof_is_solved_for_the_room_and_counts_at_one_of_its_sales(service):
    host = await host_of(service, **PROOF)
    guest = await guest_of(service, host)
    (await take(service, guest, "ada")).problem(403, "proof-required")
    proof = await solved(service, guest, "ada")
    (await take(service, host, "ada", proof=proof)).ok(201)
    (await take(service, guest, "ada")).ok(200)
    (await take(service, guest, "bob", proof=proof)).problem(403, "proof-required")


async def test_a_ticket_is_followed_left_and_drawn_at_any_of_the_sales(service):
    host = await host_of(service, mode="lottery", max_active=1)
    guest = await guest_of(service, host)
    tickets = [(await take(service, guest, f"c{n}")).ok(201)["id"] for n in range(4)]
    promised = (await service.call("GET", f"/v1/sales/{guest}")).ok()
    assert promised["room"] == host
    assert promised["waiting_room"] == (await service.call("GET", f"/v1/sales/{host}")).ok()["waiting_room"]
    async with stream(service, f"/v1/sales/{guest}/tickets/{tickets[0]}/events") as events:
        assert (await events.next()).data["sale_id"] == guest
        for other in tickets[1:]:
            (await service.call("POST", f"/v1/sales/{guest}/tickets/{other}/leave")).ok()
        await begin(service, host)
        last = (await events.rest())[-1].data
        assert (last["status"], last["room"]) == ("admitted", host)
    drawn = [await lottery(service, sale) for sale in (host, guest)]
    assert drawn[0] == drawn[1]
    assert drawn[0]["commitment"] == promised["waiting_room"]["commitment"]


async def test_open_doors_of_the_room_are_open_at_all_its_sales_and_those_of_one_at_one(service):
    host = await host_of(service, max_active=1)
    first, second = await guest_of(service, host), await guest_of(service, host, spread=2)
    await begin(service, host)
    ticket = (await take(service, first, "ada")).ok(201)["id"]
    await admitted(service, first, ticket)
    waits = (await take(service, second, "bob")).ok(201)["id"]
    doors = {"waiting_room": {"open_to_all": True}}
    await service.admin("PATCH", f"/v1/sales/{first}", doors)
    (await take_unit(service, "orders", first, "cleo", None)).ok(201)
    (await take_unit(service, "orders", second, "cleo", None)).problem(403, "queue-required")
    (await take_unit(service, "orders", host, "cleo", None)).problem(403, "queue-required")
    async with stream(service, f"/v1/sales/{second}/tickets/{waits}/events") as events:
        assert (await events.next()).data["status"] == "waiting"
        await service.admin("PATCH", f"/v1/sales/{host}", doors)
        assert (await events.rest())[-1].data["status"] == "admitted"
    for n in range(4):
        (await take_unit(service, "orders", second, f"d{n}", None)).ok(201)
    (await take_unit(service, "orders", host, "cleo", None)).ok(201)
    for sale in (host, first, second):
        assert (await service.call("GET", f"/v1/sales/{sale}")).ok()["waiting_room"]["open_to_all"]
        await service.audit(sale)


async def test_a_room_that_others_share_is_not_closed_under_them(service):
    host = await host_of(service)
    guests = sorted([await guest_of(service, host) for _ in range(6)])
    draft = await host_of(service)
    await service.admin("POST", f"/v1/sales/{host}/pause")
    refused = await service.call("POST", f"/v1/sales/{host}/close", admin=True)
    refused.problem(409, "room-in-use")
    assert refused.body["detail"].endswith(f"{', '.join(guests[:5])} and 1 more.")
    path = f"/v1/sales/{host}"
    (await service.call("PATCH", path, {"ends_at": "2041-01-01T00:00:00Z"}, admin=True)).problem(
        422, "invalid-request"
    )
    (await service.call("PATCH", path, {"waiting_room": {"shared": False}}, admin=True)).problem(
        422, "invalid-request"
    )
    for guest in guests:
        await service.admin("POST", f"/v1/sales/{guest}/close")
    await service.admin("POST", f"/v1/sales/{host}/close")
    (await service.call("POST", "/v1/sales", new(room=host), admin=True)).problem(422, "invalid-request")
    await service.admin("POST", f"/v1/sales/{draft}/close")


async def test_a_draft_whose_room_others_share_is_neither_deleted_nor_without_the_room(service):
    host = await service.create_sale(opened=False, waiting_room=ROOM | {"shared": True})
    guest = await service.create_sale(opened=False, room=host)
    (await service.call("DELETE", f"/v1/sales/{host}", admin=True)).problem(409, "room-in-use")
    (await service.call("PATCH", f"/v1/sales/{host}", {"waiting_room": None}, admin=True)).problem(
        409, "room-in-use"
    )
    (await take(service, guest, "ada")).problem(409, "sale-not-open")
    left = await service.admin("PATCH", f"/v1/sales/{guest}", {"room": None})
    assert (left["room"], left["waiting_room"]) == (None, None)
    assert (await service.call("DELETE", f"/v1/sales/{host}", admin=True)).status == 204


def new(**more: Any) -> dict[str, Any]:
    return {"id": unique(), "name": "A sale of a test", "items": UNITS} | more


async def test_a_sale_shares_only_a_room_that_is_there_and_is_shared(service):
    host = await host_of(service, stock=1)
    guest = await guest_of(service, host)
    unshared = await service.create_sale(waiting_room=ROOM)
    opened = await host_of(service)
    await service.admin("PATCH", f"/v1/sales/{opened}", {"waiting_room": {"open_to_all": True}})
    for wrong in (unique(), unshared, guest, opened, await service.create_sale()):
        answer = await service.call("POST", "/v1/sales", new(room=wrong), admin=True)
        answer.problem(422, "invalid-request")
    both = new(room=host, waiting_room=ROOM)
    (await service.call("POST", "/v1/sales", both, admin=True)).problem(422, "invalid-request")
    (await service.call("PATCH", f"/v1/sales/{unshared}", {"room": host}, admin=True)).problem(
        422, "invalid-request"
    )
    (
        await service.call("PATCH", f"/v1/sales/{guest}", {"waiting_room": {"max_active": 9}}, admin=True)
    ).problem(422, "invalid-request")
    (await service.call("PATCH", f"/v1/sales/{guest}", {"room": None}, admin=True)).problem(
        409, "sale-not-draft"
    )


async def test_a_sale_does_not_outlive_the_room_that_it_shares(service):
    host = await service.create_sale(
        starts_at=LATER, ends_at="2041-01-01T00:00:00Z", waiting_room=ROOM | {"shared": True}
    )
    for late in (None, "2041-01-02T00:00:00Z"):
        answer = await service.call("POST", "/v1/sales", new(room=host, ends_at=late), admin=True)
        answer.problem(422, "invalid-request")
    guest = await guest_of(service, host, ends_at="2041-01-01T00:00:00Z")
    for sale, ends_at in ((guest, None), (guest, "2041-02-01T00:00:00Z"), (host, "2040-12-31T00:00:00Z")):
        answer = await service.call("PATCH", f"/v1/sales/{sale}", {"ends_at": ends_at}, admin=True)
        answer.problem(422, "invalid-request")
    await service.admin("PATCH", f"/v1/sales/{guest}", {"ends_at": "2040-12-01T00:00:00Z"})
    await service.admin("PATCH", f"/v1/sales/{host}", {"ends_at": "2040-12-31T00:00:00Z"})


async def test_a_scheduled_sale_comes_into_a_room_and_a_draft_into_another(service):
    first, second = await host_of(service), await host_of(service)
    draft = await service.create_sale(opened=False, room=first)
    await service.admin("PATCH", f"/v1/sales/{draft}", {"room": second})
    await service.admin("POST", f"/v1/sales/{draft}/open")
    scheduled = await service.create_sale(starts_at=LATER, spread=2)
    await service.admin("PATCH", f"/v1/sales/{scheduled}", {"room": second})
    await begin(service, scheduled)
    await begin(service, second)
    for sale in (draft, scheduled):
        (await take_unit(service, "orders", sale, "ada", None)).problem(403, "queue-required")
    place = await admitted(service, draft, (await take(service, scheduled, "ada")).ok(201)["id"])
    for sale in (draft, scheduled):
        (await take_unit(service, "orders", sale, "ada", place["admission"])).ok(201)


async def test_an_import_brings_a_room_and_the_sales_that_share_it(service):
    host, one, two = (new() for _ in range(3))
    host["waiting_room"] = ROOM | {"shared": True}
    one["room"] = two["room"] = host["id"]
    wrong = new(room=two["id"])
    answer = await service.call("POST", "/v1/imports", {"sales": [two, host, wrong]}, admin=True)
    answer.problem(422, "invalid-request")
    await service.admin("POST", "/v1/imports", {"sales": [two, host, one]})
    for sale in (host, one, two):
        await service.admin("POST", f"/v1/sales/{sale['id']}/open")
    place = await admitted(service, one["id"], (await take(service, two["id"], "ada")).ok(201)["id"])
    (await take_unit(service, "orders", one["id"], "ada", place["admission"])).ok(201)


async def test_a_waiting_list_serves_first_whom_the_shared_room_admits(service):
    host = await host_of(service, max_active=1)
    guest = await guest_of(service, host, stock=1, waiting_list=10)
    await begin(service, host)
    ticket = (await take(service, guest, "ada")).ok(201)["id"]
    place = await admitted(service, guest, ticket)
    inside = (await take(service, guest, "bob")).ok(201)["id"]  # from now on the room is never empty
    hold = (await take_unit(service, "reservations", guest, "ada", place["admission"])).ok(201)
    await admitted(service, guest, inside)
    body = {"customer": "cleo", "items": [{"sku": "unit", "quantity": 1}]}
    open_list = f"/v1/sales/{await guest_of(service, host, waiting_list=10)}/waiting-list"
    at_once = body | {"customer": "ada", "admission": place["admission"]}
    (await service.call("POST", open_list, at_once | {"customer": "dan"})).problem(403, "queue-required")
    assert (await service.call("POST", open_list, at_once)).ok(201)["status"] == "offered"
    entry = (await service.call("POST", f"/v1/sales/{guest}/waiting-list", body)).ok(201)
    await asyncio.sleep(1.2)  # a room that was empty before ada came counts as empty for a second
    await service.verb(hold["id"], "release")
    await asyncio.sleep(1)
    read = f"/v1/waiting-list/{entry['id']}"
    assert (await service.call("GET", read)).ok()["status"] == "waiting", "someone is in the room"
    (await service.call("POST", f"/v1/sales/{guest}/tickets/{inside}/leave")).ok()

    async def offered() -> bool:
        return bool((await service.call("GET", read)).ok()["status"] == "offered")

    await eventually(offered, "the room is empty, and the list is served")


async def test_a_draft_that_gives_up_its_room_for_a_shared_one_is_found_in_that_one(service):
    host = await host_of(service)
    sale = await service.create_sale(opened=False, waiting_room=ROOM)
    (await take(service, sale, "ada")).problem(409, "sale-not-open")  # whose room it is, is known now
    path = f"/v1/sales/{sale}"
    (await service.call("PATCH", path, {"room": host}, admin=True)).problem(422, "invalid-request")
    await service.admin("PATCH", path, {"waiting_room": None})
    await service.admin("PATCH", path, {"room": host})
    await service.admin("POST", f"{path}/open")

    async def in_the_room() -> bool:
        answer = await take(service, sale, "ada")
        assert answer.status in (200, 201, 503)
        return answer.status != 503 and answer.body["room"] == host

    await eventually(in_the_room, "its tickets are the host's")
    assert (await lottery(service, host))["waiting"] == 1
