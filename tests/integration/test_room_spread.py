"""The waiting room of a spread sale over HTTP: one order over all shards, one pace, one lottery."""

import asyncio
from typing import Any

import pytest

from flashguard.model.lottery import order
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
    verified,
)
from tests.support.eventually import eventually
from tests.support.service import Service
from tests.support.streams import stream

SPREAD = 3
WAIT_SECONDS = 30.0


async def spread_room(service: Service, *, stock: int = 30, **room: Any) -> str:
    return await service.create_sale(stock=stock, spread=SPREAD, starts_at=LATER, waiting_room=ROOM | room)


async def tickets_of(service: Service, sale: str, people: int) -> list[str]:
    """The tickets of that many customers, in the order in which they came; they are on all shards."""
    tickets = [(await take(service, sale, f"c{n}")).ok(201)["id"] for n in range(people)]
    assert {ticket.partition("~")[2] for ticket in tickets} == {"", "1", "2"}
    return tickets


async def count_admitted(service: Service, sale: str, count: int) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while (now := (await lottery(service, sale))["admitted"]) < count:
            await asyncio.sleep(0.05)
    assert now == count


async def test_over_shards_buyers_are_admitted_in_one_order_and_never_more_than_may_be_in(service):
    sale = await spread_room(service, max_active=4)
    tickets = await tickets_of(service, sale, 12)
    (await take_unit(service, "orders", sale, "c0", None)).problem(409, "sale-not-open")
    await begin(service, sale)
    (await take_unit(service, "orders", sale, "stranger", None)).problem(403, "queue-required")
    await count_admitted(service, sale, 4)
    places = [await look(service, sale, id_) for id_ in tickets]
    assert [place["status"] for place in places] == ["admitted"] * 4 + ["waiting"] * 8

    async def all_know() -> bool:
        places = [await look(service, sale, id_) for id_ in tickets[4:]]
        exact = [(place["position"], place["about"]) for place in places] == [(n, False) for n in range(1, 9)]
        return exact and {place["waiting"] for place in places} == {8}

    await eventually(all_know, "all shards know that four have gone")
    (await take_unit(service, "orders", sale, "c0", places[0]["admission"])).ok(201)
    await admitted(service, sale, tickets[4])
    assert (await look(service, sale, tickets[5]))["status"] == "waiting"
    await service.audit(sale)


async def test_the_lottery_of_a_spread_sale_is_one_that_anyone_can_repeat(service):
    sale = await spread_room(service, mode="lottery", max_active=3)
    tickets = await tickets_of(service, sale, 20)
    before = await lottery(service, sale)
    assert (before["seed"], before["data"], before["waiting"]) == (None, [], 20)
    await begin(service, sale)
    await count_admitted(service, sale, 3)
    drawn = await lottery(service, sale)
    assert drawn["data"] == order(drawn["seed"], tickets)
    assert drawn["tickets"] == 20
    places = {id_: await look(service, sale, id_) for id_ in tickets}
    assert [places[id_]["status"] for id_ in drawn["data"]] == ["admitted"] * 3 + ["waiting"] * 17
    assert (await verified(service, sale, "--ticket", tickets[7]))["ok"]


async def test_the_room_of_a_spread_sale_is_changed_and_opened_to_all_on_every_shard(service):
    sale = await service.create_sale(stock=30, spread=SPREAD, starts_at=LATER)
    path = f"/v1/sales/{sale}"
    await service.admin("PATCH", path, {"waiting_room": {"mode": "fifo", "max_active": 1}})
    tickets = await tickets_of(service, sale, 9)
    await begin(service, sale)
    await count_admitted(service, sale, 1)
    await service.admin("PATCH", path, {"waiting_room": {"max_active": 5}})
    await count_admitted(service, sale, 5)
    async with stream(service, f"{path}/tickets/{tickets[8]}/events") as events:
        assert (await events.next()).data["status"] == "waiting"
        await service.admin("PATCH", path, {"waiting_room": {"open_to_all": True}})
        assert (await events.rest())[-1].data["status"] == "admitted"
    assert {(await look(service, sale, id_))["status"] for id_ in tickets} == {"admitted"}
    for n in range(6):
        (await take_unit(service, "orders", sale, f"stranger{n}", None)).ok(201)
    await service.audit(sale)


async def test_over_shards_a_solution_counts_once_and_for_its_customer_alone(service):
    sale = await spread_room(service, **PROOF)
    customers = [f"c{n}" for n in range(8)]
    proof = await solved(service, sale, "c0")
    refused = [await take(service, sale, customer, proof=proof) for customer in customers[1:]]
    for answer in refused:
        answer.problem(403, "proof-required")
    at_once = await asyncio.gather(*(take(service, sale, "c0", proof=proof) for _ in range(8)))
    assert sorted(answer.status for answer in at_once) == [200] * 7 + [201]
    assert len({answer.body["id"] for answer in at_once}) == 1
    assert (await lottery(service, sale))["waiting"] == 1
    (await service.call("POST", f"/v1/sales/{sale}/tickets/{at_once[0].body['id']}/leave")).ok()
    for customer in customers:
        (await take(service, sale, customer, proof=proof)).problem(403, "proof-required")
    for customer in customers[1:]:
        (await take(service, sale, customer, proof=await solved(service, sale, customer))).ok(201)


@pytest.mark.parametrize("suffix", ["~3", "~255", "~0", "~x", "~1~1"])
async def test_a_ticket_of_a_shard_that_the_sale_does_not_have_is_unknown(service, suffix):
    sale = await spread_room(service)
    ticket = (await take(service, sale, "ada")).ok(201)["id"]
    path = f"/v1/sales/{sale}/tickets/{ticket.partition('~')[0]}{suffix}"
    (await service.call("GET", path)).problem(404, "unknown-ticket")
    (await service.call("POST", f"{path}/leave")).problem(404, "unknown-ticket")
