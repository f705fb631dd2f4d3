"""The waiting room of a spread sale keeps its order when servers and processes die, or memory is lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.test_waiting_room_kept import LATER, ROOM, buy, in_order, look, take
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started

PEOPLE = [f"c{n}" for n in range(12)]


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


async def admitted_of(stack: Stack, sale: str, tickets: dict[str, str]) -> list[str]:
    places = {name: await look(stack, sale, id_) for name, id_ in tickets.items()}
    return [
        name for name in PEOPLE if places[name].status == 200 and places[name].body["status"] == "admitted"
    ]


async def waiting(stack: Stack) -> tuple[str, dict[str, str], dict[str, str]]:
    """An open sale over three shards whose first three are in: their tickets' ids, and the signed ones."""
    await stack.ready()
    room = ROOM | {"mode": "fifo"}
    sale = await stack.service.create_sale(starts_at=LATER, stock=60, spread=3, waiting_room=room)
    signed, ids = {}, {}
    for name in PEOPLE:
        ticket = (await take(stack, sale, name)).ok(201)
        signed[name], ids[name] = ticket["ticket"], ticket["id"]
    await stack.service.admin("PATCH", f"/v1/sales/{sale}", {"starts_at": None})

    async def three_are_in() -> bool:
        return await admitted_of(stack, sale, ids) == PEOPLE[:3]

    await eventually(three_are_in, "the first three are in")
    return sale, ids, signed


async def test_places_over_shards_outlive_the_death_of_memory_recorder_and_service(stack: Stack) -> None:
    sale, ids, _ = await waiting(stack)
    await stack.servers.valkey.kill()
    for part in ("api", "recorder"):
        await stack.end(part)
    await stack.servers.valkey.restart()
    for part in ("api", "recorder"):
        stack.start(part)
    await stack.ready()
    await asyncio.sleep(1)  # some beats, which must let nobody else in
    places = {name: (await look(stack, sale, id_)).ok() for name, id_ in ids.items()}
    assert in_order(places) == PEOPLE[3:]
    (await buy(stack, sale, PEOPLE[1], places[PEOPLE[1]]["admission"])).ok(201)

    async def the_next_is_in() -> bool:
        return (await look(stack, sale, ids[PEOPLE[3]])).ok()["status"] == "admitted"

    await eventually(the_next_is_in, "the next is let in")
    assert (await look(stack, sale, ids[PEOPLE[4]])).ok()["status"] == "waiting"


async def test_when_memory_lost_all_shards_signed_tickets_have_their_order_again(stack: Stack) -> None:
    sale, ids, signed = await waiting(stack)
    epoch = await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, epoch)
    for name in reversed(PEOPLE[3:]):
        back = (await take(stack, sale, name, signed[name])).ok(201)
        assert (back["id"], back["status"]) == (ids[name], "waiting")

    async def three_are_in() -> bool:
        return len(await admitted_of(stack, sale, ids)) >= 3

    await eventually(three_are_in, "three are let in")
    assert await admitted_of(stack, sale, ids) == PEOPLE[3:6]
