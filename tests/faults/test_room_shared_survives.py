"""A waiting room that several sales share keeps its order when processes die or memory is lost, and locks no
buyer out when its own sale ends first."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.faults.test_room_spread_survives import PEOPLE, admitted_of
from tests.faults.test_waiting_room_kept import LATER, ROOM, buy, in_order, look, take
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


async def waiting(stack: Stack) -> tuple[str, str, dict[str, str], dict[str, str]]:
    """A sale and a spread one that shares its room. Three are in. The ids of the tickets, and the signed
    ones."""
    await stack.ready()
    room = ROOM | {"mode": "fifo", "shared": True}
    host = await stack.service.create_sale(starts_at=LATER, stock=60, waiting_room=room)
    guest = await stack.service.create_sale(stock=60, spread=2, room=host)
    signed, ids = {}, {}
    for n, name in enumerate(PEOPLE):
        ticket = (await take(stack, (host, guest)[n % 2], name)).ok(201)
        signed[name], ids[name] = ticket["ticket"], ticket["id"]
    await stack.service.admin("PATCH", f"/v1/sales/{host}", {"starts_at": None})

    async def three_are_in() -> bool:
        return await admitted_of(stack, guest, ids) == PEOPLE[:3]

    await eventually(three_are_in, "the first three are in")
    return host, guest, ids, signed


async def test_places_of_a_shared_room_outlive_the_death_of_memory_recorder_and_service(stack: Stack) -> None:
    host, guest, ids, _ = await waiting(stack)
    await stack.servers.valkey.kill()
    for part in ("api", "recorder"):
        await stack.end(part)
    await stack.servers.valkey.restart()
    for part in ("api", "recorder"):
        stack.start(part)
    await stack.ready()
    await asyncio.sleep(1)  # some beats, which must let no one else in
    places = {name: (await look(stack, guest, id_)).ok() for name, id_ in ids.items()}
    assert in_order(places) == PEOPLE[3:]
    (await buy(stack, guest, PEOPLE[1], places[PEOPLE[1]]["admission"])).ok(201)

    async def the_next_is_in() -> bool:
        return (await look(stack, host, ids[PEOPLE[3]])).ok()["status"] == "admitted"

    await eventually(the_next_is_in, "the next is let in")
    assert (await look(stack, host, ids[PEOPLE[4]])).ok()["status"] == "waiting"


async def test_when_memory_is_lost_the_sales_share_their_room_again_and_tickets_return(stack: Stack) -> None:
    host, guest, ids, signed = await waiting(stack)
    first = (await look(stack, guest, ids[PEOPLE[0]])).ok()["admission"]
    (await buy(stack, guest, PEOPLE[0], first)).ok(201)
    epoch = await stack.epoch(host)
    await stack.memory.flushall()
    await stack.rebuilt(host, epoch)
    (await buy(stack, guest, "stranger", None)).problem(403, "queue-required")
    for name in reversed(PEOPLE[3:]):
        back = (await take(stack, guest, name, signed[name])).ok(201)
        assert (back["id"], back["status"]) == (ids[name], "waiting")
    used = (await take(stack, host, PEOPLE[0], signed[PEOPLE[0]])).ok(201)
    assert used["position"] == len(PEOPLE[3:]) + 1, "who bought at a guest has used the ticket"

    async def three_are_in() -> bool:
        return len(await admitted_of(stack, host, ids)) >= 3

    await eventually(three_are_in, "three are let in")
    assert await admitted_of(stack, host, ids) == PEOPLE[3:6]
    place = (await look(stack, guest, ids[PEOPLE[4]])).ok()
    (await buy(stack, guest, PEOPLE[4], place["admission"])).ok(201)


async def test_when_the_room_ends_before_a_sale_that_shares_it_the_doors_of_that_sale_open(
    stack: Stack,
) -> None:
    """The API refuses such an end. Two changes at once could get past it: here the ledger hides the guest."""
    await stack.ready()
    room = ROOM | {"shared": True}
    host = await stack.service.create_sale(stock=5, waiting_room=room)
    guest = await stack.service.create_sale(stock=5, spread=2, room=host)
    (await buy(stack, guest, "ada", None)).problem(403, "queue-required")
    await stack.recorded(host)
    change = "UPDATE flashguard.sales SET rules = $2::text::jsonb WHERE public_id = $1"
    connection = await asyncpg.connect(stack.servers.database_url)
    try:
        rules = await connection.fetchval("SELECT rules::text FROM flashguard.sales WHERE id = $1", guest)
        await connection.execute(change, guest, '{"spread": 2}')
        await stack.service.admin("POST", f"/v1/sales/{host}/close")
        await connection.execute(change, guest, rules)
    finally:
        await connection.close()

    async def anyone_buys() -> bool:
        return (await buy(stack, guest, "ada", None)).status == 201

    await eventually(anyone_buys, "the doors are open")
