"""Who waits keeps the place: when the servers are killed, and when memory comes back without the room."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import Answer

PEOPLE = [f"c{n}" for n in range(12)]
LATER = "2040-01-01T00:00:00Z"
ROOM = {"admit_per_second": 1000.0, "max_active": 3, "session_seconds": 600}


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


async def waiting(stack: Stack, mode: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """An open sale whose first three are in, and where the others stand."""
    await stack.ready()
    room = ROOM | {"mode": mode}
    sale = await stack.service.create_sale(starts_at=LATER, stock=100, waiting_room=room)
    tickets = {name: (await take(stack, sale, name)).ok(201)["ticket"] for name in PEOPLE}
    await stack.service.admin("PATCH", f"/v1/sales/{sale}", {"starts_at": None})
    await stack.recorded(sale)
    places = {name: (await take(stack, sale, name)).ok() for name in PEOPLE}
    return sale, {name: place | {"ticket": tickets[name]} for name, place in places.items()}


async def take(stack: Stack, sale: str, customer: str, ticket: str | None = None) -> Answer:
    body = {"customer": customer, "ticket": ticket}
    return await stack.retried(lambda: stack.service.call("POST", f"/v1/sales/{sale}/tickets", body))


async def look(stack: Stack, sale: str, ticket: str) -> Answer:
    return await stack.retried(lambda: stack.service.call("GET", f"/v1/sales/{sale}/tickets/{ticket}"))


async def buy(stack: Stack, sale: str, customer: str, admission: str, noun: str = "orders") -> Answer:
    body = {"customer": customer, "items": [{"sku": "unit", "quantity": 1}], "admission": admission}
    return await stack.retried(lambda: stack.service.call("POST", f"/v1/sales/{sale}/{noun}", body))


def in_order(places: dict[str, dict[str, Any]]) -> list[str]:
    waiting = {name: place["position"] for name, place in places.items() if place["status"] == "waiting"}
    assert sorted(waiting.values()) == list(range(1, len(waiting) + 1))
    return sorted(waiting, key=lambda name: waiting[name])


@pytest.mark.parametrize("mode", ["fifo", "lottery"])
async def test_places_and_admissions_outlive_the_death_of_memory_and_service(stack, mode):
    sale, places = await waiting(stack, mode)
    admitted = [name for name in PEOPLE if places[name]["status"] == "admitted"]
    assert len(admitted) == 3
    await stack.servers.valkey.kill()
    await stack.end("api")
    await stack.servers.valkey.restart()
    stack.start("api")
    await stack.ready()
    after = {name: (await look(stack, sale, place["id"])).ok() for name, place in places.items()}
    assert in_order(after) == in_order(places)
    assert [name for name in PEOPLE if after[name]["status"] == "admitted"] == admitted
    for name, admission in ((admitted[0], places[admitted[0]]), (admitted[1], after[admitted[1]])):
        (await buy(stack, sale, name, admission["admission"])).ok(201)


@pytest.mark.parametrize("mode", ["fifo", "lottery"])
async def test_when_memory_lost_the_room_a_signed_ticket_has_its_place_again_and_nobody_is_let_in_meanwhile(
    stack, mode
):
    sale, places = await waiting(stack, mode)
    before, epoch = in_order(places), await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, epoch)
    (await look(stack, sale, places[before[0]]["id"])).problem(404, "unknown-ticket")
    stranger = (await take(stack, sale, "stranger")).ok(201)
    assert stranger["position"] == 1, "nobody else is there yet"
    for name in reversed(before):
        back = (await take(stack, sale, name, places[name]["ticket"])).ok(201)
        assert (back["id"], back["status"]) == (places[name]["id"], "waiting")
    after = {name: (await look(stack, sale, places[name]["id"])).ok() for name in before}
    assert in_order(after) == before
    assert (await look(stack, sale, stranger["id"])).ok()["position"] == len(before) + 1

    if mode == "lottery":
        return  # whether they come back to a lottery's places or not: then they are let in alike
    await eventually(lambda: admitted(stack, sale, places[before[0]]["id"]), "the first is let in")
    standing = [(await look(stack, sale, places[name]["id"])).ok()["status"] for name in before]
    assert standing == ["admitted"] * 3 + ["waiting"] * (len(before) - 3)


async def admitted(stack: Stack, sale: str, ticket: str) -> bool:
    await asyncio.sleep(0.2)
    return bool((await look(stack, sale, ticket)).ok()["status"] == "admitted")


async def test_a_ticket_brings_its_place_back_once(stack):
    sale, places = await waiting(stack, "fifo")
    before, epoch = in_order(places), await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, epoch)
    for name in before[:3]:
        await take(stack, sale, name, places[name]["ticket"])
    leaver = places[before[0]]
    (await stack.service.call("POST", f"/v1/sales/{sale}/tickets/{leaver['id']}/leave")).ok()
    again = (await take(stack, sale, before[0], leaver["ticket"])).ok(201)
    assert again["position"] == 3
    forged = places[before[4]]["ticket"]
    assert (await take(stack, sale, before[3], forged)).ok(201)["position"] == 4, "another's ticket is none"


async def flushed(stack: Stack, sale: str) -> None:
    await stack.memory.flushall()


async def deadlines_gone(stack: Stack, sale: str) -> None:
    """The partition is built again, and its rooms are as they were."""
    [key] = await stack.memory.keys(f"fg:*deadlines:{sale}")
    await stack.memory.delete(key)


@pytest.mark.parametrize("loss", [flushed, deadlines_gone])
async def test_a_used_ticket_stays_used_after_a_rebuild(stack, loss):
    sale, places = await waiting(stack, "fifo")
    before, epoch = in_order(places), await stack.epoch(sale)
    inside = [name for name in PEOPLE if places[name]["status"] == "admitted"]
    (await buy(stack, sale, inside[0], places[inside[0]]["admission"])).ok(201)
    held = (await buy(stack, sale, inside[1], places[inside[1]]["admission"], "reservations")).ok(201)
    (await stack.service.verb(held["id"], "release")).ok()
    left = places[before[-1]]
    (await stack.service.call("POST", f"/v1/sales/{sale}/tickets/{left['id']}/leave")).ok()
    await stack.recorded(sale)
    await loss(stack, sale)
    await stack.rebuilt(sale, epoch)
    (await take(stack, sale, "stranger")).ok(201)
    used = [*inside[:2], *([before[-1]] if loss is deadlines_gone else [])]
    for name in used:  # a memory that forgot the whole room can't know who left
        back = (await take(stack, sale, name, places[name]["ticket"])).ok(201)
        assert back["position"] == back["waiting"], "behind everybody"


async def test_a_customer_who_bought_before_and_waits_again_has_the_new_place_back(stack):
    sale, places = await waiting(stack, "fifo")
    before, epoch = in_order(places), await stack.epoch(sale)
    again = next(name for name in PEOPLE if places[name]["status"] == "admitted")
    (await buy(stack, sale, again, places[again]["admission"])).ok(201)
    await eventually(lambda: signed_off(stack, sale, places[again]["id"]), "the place is given on")
    place = (await take(stack, sale, again)).ok(201)
    await stack.recorded(sale)
    await flushed(stack, sale)
    await stack.rebuilt(sale, epoch)
    (await take(stack, sale, "stranger")).ok(201)
    assert (await take(stack, sale, again, place["ticket"])).ok(201)["position"] == 1
    last = before[-1]
    assert (await take(stack, sale, last, places[last]["ticket"])).ok(201)["position"] == 1


async def test_an_admission_that_outlived_the_loss_uses_up_its_ticket(stack):
    sale, places = await waiting(stack, "fifo")
    before, epoch = in_order(places), await stack.epoch(sale)
    inside = next(name for name in PEOPLE if places[name]["status"] == "admitted")
    await flushed(stack, sale)
    await stack.rebuilt(sale, epoch)
    for name in before[:3]:
        (await take(stack, sale, name, places[name]["ticket"])).ok(201)
    held = (await buy(stack, sale, inside, places[inside]["admission"], "reservations")).ok(201)
    (await stack.service.verb(held["id"], "release")).ok()
    await eventually(lambda: used_in_memory(stack, sale), "the room knows that the admission was used")
    back = (await take(stack, sale, inside, places[inside]["ticket"])).ok(201)
    assert back["position"] == back["waiting"] == 4, "behind everybody"


async def used_in_memory(stack: Stack, sale: str) -> bool:
    await asyncio.sleep(0.05)
    [key] = await stack.memory.keys(f"fg:*room:{sale}")
    return int(await stack.memory.hget(key, "taken") or 0) > 0


async def signed_off(stack: Stack, sale: str, ticket: str) -> bool:
    await asyncio.sleep(0.05)
    return (await look(stack, sale, ticket)).status == 404


async def test_two_tickets_of_one_customer_bring_the_place_back_once(stack):
    sale, places = await waiting(stack, "fifo")
    before, epoch = in_order(places), await stack.epoch(sale)
    await deadlines_gone(stack, sale)
    await stack.rebuilt(sale, epoch)
    first, *others = before
    second = (await take(stack, sale, first)).ok(200)["ticket"]
    epoch = await stack.epoch(sale)
    await flushed(stack, sale)
    await stack.rebuilt(sale, epoch)
    for name in (first, *others[:2]):
        await take(stack, sale, name, places[name]["ticket"])
    await stack.service.call("POST", f"/v1/sales/{sale}/tickets/{places[first]['id']}/leave")
    for ticket in (second, places[first]["ticket"]):
        assert (await take(stack, sale, first, ticket)).body["position"] == 3


async def test_a_lottery_whose_seed_was_told_is_not_reopened_by_a_lost_memory(stack):
    sale, places = await waiting(stack, "lottery")
    path = f"/v1/sales/{sale}/lottery"
    drawn = (await stack.service.call("GET", path)).ok()
    assert drawn["seed"]
    await stack.recorded(sale)
    await stack.service.admin("POST", f"/v1/sales/{sale}/pause")
    epoch = await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, epoch)
    late = [(await take(stack, sale, name)).ok(201) for name in ("late", "later")]
    assert [place["position"] for place in late] == [1, 2]
    again = (await stack.retried(lambda: stack.service.call("GET", path))).ok()
    assert (again["seed"], again["data"]) == (drawn["seed"], [])
    assert places


async def test_doors_that_were_opened_to_all_stay_open_when_memory_is_lost(stack):
    sale, places = await waiting(stack, "fifo")
    epoch = await stack.epoch(sale)
    await stack.service.admin("PATCH", f"/v1/sales/{sale}", {"waiting_room": {"open_to_all": True}})
    await stack.memory.flushall()
    await stack.rebuilt(sale, epoch)
    for place in places.values():
        assert (await look(stack, sale, place["id"])).ok()["status"] == "admitted"
    body = {"customer": "stranger", "items": [{"sku": "unit", "quantity": 1}]}
    (await stack.retried(lambda: stack.service.call("POST", f"/v1/sales/{sale}/orders", body))).ok(201)
