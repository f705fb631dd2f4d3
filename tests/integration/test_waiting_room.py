"""The waiting room over HTTP: one ticket each, let in at a pace, and nobody buys past it."""

import asyncio
import base64
import json
import random
import time
from typing import Any

import altcha
import jwt
import pytest
from redis.asyncio import Redis

from flashguard.cli.room import differences
from flashguard.model.lottery import commitment, order
from tests.support.forked import run_flashguard
from tests.support.service import Answer, Service, clean_env, unique
from tests.support.streams import stream

ROOM = {"mode": "fifo", "admit_per_second": 1000.0, "max_active": 1000, "session_seconds": 60}
WAIT_SECONDS = 30.0
LATER = "2040-01-01T00:00:00Z"


async def sale_with_room(service: Service, *, opened: bool = True, stock: int = 10, **room: Any) -> str:
    """A sale that is open, or one that is scheduled: `begin` opens it."""
    starts_at = None if opened else LATER
    return await service.create_sale(stock=stock, starts_at=starts_at, waiting_room=ROOM | room)


async def begin(service: Service, sale: str) -> None:
    await service.admin("PATCH", f"/v1/sales/{sale}", {"starts_at": None})


async def take(service: Service, sale: str, customer: str, **more: Any) -> Answer:
    return await service.call("POST", f"/v1/sales/{sale}/tickets", {"customer": customer, **more})


async def look(service: Service, sale: str, ticket: str) -> dict[str, Any]:
    return (await service.call("GET", f"/v1/sales/{sale}/tickets/{ticket}")).ok()


async def admitted(service: Service, sale: str, ticket: str) -> dict[str, Any]:
    """The place, once its turn has come."""
    async with asyncio.timeout(WAIT_SECONDS):
        while (place := await look(service, sale, ticket))["status"] != "admitted":
            await asyncio.sleep(0.05)
    return place


async def take_unit(service: Service, what: str, sale: str, customer: str, admission: object) -> Answer:
    body = {"customer": customer, "items": [{"sku": "unit", "quantity": 1}]}
    return await service.call("POST", f"/v1/sales/{sale}/{what}", body | {"admission": admission})


async def lottery(service: Service, sale: str) -> dict[str, Any]:
    """The room with all of its lottery."""
    path, tickets, cursor = f"/v1/sales/{sale}/lottery", [], "0"
    while cursor is not None:
        answer = (await service.call("GET", f"{path}?limit=7&cursor={cursor}", admin=True)).ok()
        tickets += answer["data"]
        cursor = answer["next_cursor"]
    return answer | {"data": tickets}


@pytest.mark.parametrize("what", ["reservations", "orders"])
async def test_nobody_takes_units_past_the_room_and_who_was_admitted_does(service, what):
    sale = await sale_with_room(service)
    stranger = await take_unit(service, what, sale, "ada", None)
    stranger.problem(403, "queue-required")
    ticket = (await take(service, sale, "ada")).ok(201)
    place = await admitted(service, sale, ticket["id"])
    (await take_unit(service, what, sale, "bob", place["admission"])).problem(403, "queue-required")
    (await take_unit(service, what, sale, "ada", place["admission"] + "x")).problem(403, "queue-required")
    elsewhere = await sale_with_room(service)
    (await take_unit(service, what, elsewhere, "ada", place["admission"])).problem(403, "queue-required")
    (await take_unit(service, what, sale, "ada", place["admission"])).ok(201)
    assert (await service.item(sale))["available"] == 9
    await service.audit(sale)


async def test_an_admission_ends_with_its_session(service):
    sale = await sale_with_room(service, session_seconds=1)
    ticket = (await take(service, sale, "ada")).ok(201)
    place = await admitted(service, sale, ticket["id"])
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            answer = await take_unit(service, "reservations", sale, "ada", place["admission"])
            if answer.status != 201:
                break
            await asyncio.sleep(0.1)
    answer.problem(403, "queue-required")
    (await service.call("GET", f"/v1/sales/{sale}/tickets/{ticket['id']}")).problem(404, "unknown-ticket")


async def test_a_sale_without_a_room_needs_no_admission_and_gives_no_tickets(service):
    sale = await service.create_sale()
    (await service.buy(sale, "ada")).ok(201)
    (await take_unit(service, "orders", sale, "bob", "whatever")).ok(201)
    (await take(service, sale, "ada")).problem(422, "invalid-request")
    (await take(service, unique(), "ada")).problem(404, "unknown-sale")
    (await service.call("GET", f"/v1/sales/{sale}/lottery")).problem(422, "invalid-request")


async def test_one_customer_has_one_ticket_and_a_reload_keeps_the_place(service):
    sale = await sale_with_room(service, opened=False)
    first = (await take(service, sale, "ada")).ok(201)
    others = [(await take(service, sale, f"c{n}")).ok(201) for n in range(5)]
    again = (await take(service, sale, "ada")).ok(200)
    assert (again["id"], again["position"]) == (first["id"], 1)
    assert again["waiting"] == 6
    assert [other["position"] for other in others] == [2, 3, 4, 5, 6]
    assert len({other["id"] for other in others} | {first["id"]}) == 6


async def test_who_leaves_gives_the_place_and_stands_at_the_end_afterwards(service):
    sale = await sale_with_room(service, opened=False)
    ada, bob = [(await take(service, sale, name)).ok(201) for name in ("ada", "bob")]
    for _ in range(2):
        left = (await service.call("POST", f"/v1/sales/{sale}/tickets/{ada['id']}/leave")).ok()
        assert left == {"id": ada["id"], "status": "left"}
    assert (await look(service, sale, bob["id"]))["position"] == 1
    (await service.call("GET", f"/v1/sales/{sale}/tickets/{ada['id']}")).problem(404, "unknown-ticket")
    back = (await take(service, sale, "ada", ticket=ada["ticket"])).ok(201)
    assert back["position"] == 2, "a ticket that was given up does not bring the place back"


async def test_the_lottery_is_the_one_that_the_sale_committed_to_and_anyone_can_draw_it_again(service):
    sale = await sale_with_room(service, opened=False, mode="lottery", max_active=1, stock=1000)
    draft = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    promised = draft["waiting_room"]["commitment"]
    early = [(await take(service, sale, f"c{n}")).ok(201) for n in range(40)]
    assert {place["position"] for place in early} == {None}
    claims = [jwt.decode(place["ticket"], options={"verify_signature": False}) for place in early]
    assert {said["place"] for said in claims} == {0}, "nobody can read their number beforehand"
    before = await lottery(service, sale)
    assert (before["seed"], before["drawn_at"], before["data"]) == (None, None, [])
    await begin(service, sale)
    late = (await take(service, sale, "late")).ok(201)

    drawn = await lottery(service, sale)
    assert drawn["commitment"] == promised == commitment(drawn["seed"])
    assert drawn["data"] == order(drawn["seed"], [place["id"] for place in early])
    assert drawn["data"] != [place["id"] for place in early]
    assert late["id"] not in drawn["data"]
    first, *rest = drawn["data"]
    assert (await look(service, sale, first))["status"] == "admitted"
    positions = [(await look(service, sale, id_))["position"] for id_ in (*rest, late["id"])]
    assert positions == list(range(1, 41))

    said = await verified(service, sale, "--commitment", promised, "--ticket", rest[3])
    assert (said["ok"], said["place"], said["tickets"]) == (True, 5, 40)
    for wrong in (("--commitment", "0" * 64), ("--ticket", late["id"])):
        assert not (await verified(service, sale, *wrong))["ok"]


async def verified(service: Service, sale: str, *options: str) -> dict[str, Any]:
    """What `flashguard room verify` says; its exit code says the same."""
    words = [
        "room",
        "verify",
        sale,
        "--url",
        service.url,
        "--admin-key",
        service.admin_key,
        "--json",
        *options,
    ]
    ran = await asyncio.to_thread(run_flashguard, *words, env=clean_env())
    said: dict[str, Any] = json.loads(ran.stdout)
    assert ran.returncode == (0 if said["ok"] else 1)
    return said


def test_the_check_finds_every_way_to_cheat_at_a_drawing():
    seed = "ab" * 32
    tickets = order(seed, [f"ticket-{n}" for n in range(9)])
    fair = {"seed": seed, "commitment": commitment(seed), "tickets": 9, "data": tickets}
    assert differences(fair, None, tickets[4]) == []
    first, second, *rest = tickets
    assert differences(fair | {"data": [second, first, *rest]}, None, None)
    assert differences(fair | {"data": [first, first, second, *rest], "tickets": 10}, None, None)
    assert differences(fair | {"data": [second, *rest]}, None, None)
    assert differences(fair | {"seed": "cd" * 32}, None, None)
    assert differences(fair, "0" * 64, None)
    assert differences(fair | {"seed": None}, None, None)


async def test_the_pace_can_be_changed_while_people_wait(service):
    sale = await sale_with_room(service, max_active=1, stock=100)
    tickets = [(await take(service, sale, f"c{n}")).ok(201)["id"] for n in range(4)]
    await admitted(service, sale, tickets[0])
    assert (await look(service, sale, tickets[3]))["status"] == "waiting"
    patch = {"waiting_room": {"max_active": 10}}
    room = (await service.admin("PATCH", f"/v1/sales/{sale}", patch))["waiting_room"]
    assert (room["max_active"], room["admit_per_second"], room["mode"]) == (10, 1000.0, "fifo")
    await admitted(service, sale, tickets[3])
    no_room = await service.create_sale()
    (await service.call("PATCH", f"/v1/sales/{no_room}", patch, admin=True)).problem(409, "sale-not-draft")
    gone = {"waiting_room": None}
    (await service.call("PATCH", f"/v1/sales/{sale}", gone, admin=True)).problem(409, "sale-not-draft")


async def test_buyers_are_admitted_while_none_of_them_polls(service):
    sale = await sale_with_room(service, opened=False, admit_per_second=20.0, stock=100)
    tickets = [(await take(service, sale, f"c{n}")).ok(201)["id"] for n in range(30)]
    await begin(service, sale)
    began = time.monotonic()
    async with asyncio.timeout(WAIT_SECONDS):
        while (now := await room_in_memory(service, sale))["admitted"] < 30:
            await asyncio.sleep(0.05)
    seconds = time.monotonic() - began
    assert now["waiting"] == 0
    assert seconds >= 0.3, "20 at the opening, the others at 20 per second"
    assert {(await look(service, sale, id_))["status"] for id_ in tickets} == {"admitted"}


async def room_in_memory(service: Service, sale: str) -> dict[str, int]:
    """What memory has of a room. Read without a script: every script about a room also admits."""
    redis = Redis.from_url(service.redis_url)
    try:
        [room] = [name async for name in redis.scan_iter(f"fg:*:room:{sale}", count=10_000)]
        waiting = room.replace(b":room:", b":room-waiting:")
        admitted = await redis.hget(room, "admitted")
        return {"admitted": int(admitted or 0), "waiting": await redis.zcard(waiting)}
    finally:
        await redis.aclose()


async def test_a_scheduled_sale_gets_a_room_and_an_open_one_does_not(service):
    sale = await service.create_sale(starts_at=LATER)
    (await take(service, sale, "ada")).problem(422, "invalid-request")
    room = {"mode": "fifo", "admit_per_second": 1000.0}
    view = (await service.admin("PATCH", f"/v1/sales/{sale}", {"waiting_room": room}))["waiting_room"]
    assert (view["mode"], view["open_to_all"], len(view["commitment"])) == ("fifo", False, 64)
    ticket = (await take(service, sale, "ada")).ok(201)
    assert ticket["position"] == 1
    await begin(service, sale)
    (await take_unit(service, "orders", sale, "ada", None)).problem(403, "queue-required")
    place = await admitted(service, sale, ticket["id"])
    (await take_unit(service, "orders", sale, "ada", place["admission"])).ok(201)
    await service.audit(sale)


async def test_a_room_is_opened_to_all_for_good_and_whoever_waits_is_told(service):
    sale = await sale_with_room(service, max_active=1, stock=100)
    tickets = [(await take(service, sale, f"c{n}")).ok(201)["id"] for n in range(4)]
    await admitted(service, sale, tickets[0])
    path = f"/v1/sales/{sale}"
    async with stream(service, f"{path}/tickets/{tickets[3]}/events") as events:
        assert (await events.next()).data["status"] == "waiting"
        view = await service.admin("PATCH", path, {"waiting_room": {"open_to_all": True}})
        assert view["waiting_room"]["open_to_all"] is True
        *before, told = await events.rest()  # its place may change first
        assert all(each.data["status"] == "waiting" for each in before)
        assert (told.name, told.data["status"]) == ("place", "admitted")
    assert {(await look(service, sale, id_))["status"] for id_ in tickets} == {"admitted"}
    assert (await take(service, sale, "late")).ok()["status"] == "admitted"
    for customer, admission in (("c1", None), ("stranger", None), ("c3", told.data["admission"])):
        (await take_unit(service, "orders", sale, customer, admission)).ok(201)
    for closing in ({"open_to_all": False}, {"open_to_all": False, "admit_per_second": 5}):
        (await service.call("PATCH", path, {"waiting_room": closing}, admin=True)).problem(
            422, "invalid-request"
        )
    await service.admin("PATCH", path, {"waiting_room": {"max_active": 7}})
    (await take_unit(service, "orders", sale, "another", None)).ok(201)
    no_room = await service.create_sale()
    opening = {"waiting_room": {"open_to_all": True}}
    (await service.call("PATCH", f"/v1/sales/{no_room}", opening, admin=True)).problem(422, "invalid-request")


async def test_a_ticket_hears_of_its_turn_by_an_event(service):
    sale = await sale_with_room(service, opened=False, admit_per_second=4.0, stock=100)
    tickets = [(await take(service, sale, f"c{n}")).ok(201)["id"] for n in range(12)]
    path = f"/v1/sales/{sale}/tickets/{tickets[11]}/events"
    async with stream(service, path) as events, stream(service, path) as twice:
        first = await events.next()
        assert first.name == "place"
        seen = await look(service, sale, tickets[11])
        assert first.data | {"expected_wait_seconds": seen["expected_wait_seconds"]} == seen
        began = time.monotonic()
        await begin(service, sale)
        *_, last = await events.rest()
        assert (last.name, last.data["status"]) == ("place", "admitted")
        assert last.at - began >= 1.5, "4 at the opening, then 4 per second; nobody polls"
        assert (await twice.rest())[-1].data["status"] == "admitted"
    (await take_unit(service, "orders", sale, "c11", last.data["admission"])).ok(201)


async def test_a_stream_of_a_ticket_ends_with_a_problem_and_a_wrong_one_does_not_begin(service):
    sale = await sale_with_room(service, opened=False)
    ticket = (await take(service, sale, "ada")).ok(201)["id"]
    path = f"/v1/sales/{sale}/tickets"
    (await service.call("GET", f"{path}/{'A' * 16}/events")).problem(404, "unknown-ticket")
    (await service.call("GET", f"{path}/x/events")).problem(404, "unknown-ticket")
    async with stream(service, f"{path}/{ticket}/events") as events:
        await events.next()
        await service.call("POST", f"{path}/{ticket}/leave")
        *_, told = await events.rest()
        assert (told.name, told.data["code"]) == ("problem", "unknown-ticket")


async def test_one_customer_has_one_ticket_however_the_id_is_spelt(service):
    sale = await sale_with_room(service)
    ticket = (await take(service, sale, " Ada ")).ok(201)
    assert (await take(service, sale, "ada")).ok(200)["id"] == ticket["id"]
    place = await admitted(service, sale, ticket["id"])
    (await take_unit(service, "orders", sale, "ADA", place["admission"])).ok(201)
    (await take(service, sale, "a\u200bda")).problem(422, "invalid-request")


async def test_a_buyers_token_is_for_their_own_ticket_alone(service):
    sale, other = await sale_with_room(service), await sale_with_room(service)
    wants = {"customer": "ada"}
    tokens = {
        name: (await service.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": name}))["token"]
        for name in ("ada", "bob")
    }

    async def call(who: str, method: str, path: str, body: object = None) -> Answer:
        headers = {"Authorization": f"Bearer {tokens[who]}"}
        return await service.call(method, f"/v1/sales/{path}", body, headers=headers)

    ticket = (await call("ada", "POST", f"{sale}/tickets", wants)).ok(201)
    path = f"{sale}/tickets/{ticket['id']}"
    (await call("ada", "GET", path)).ok()
    (await call("bob", "GET", path)).problem(404, "unknown-ticket")
    (await call("bob", "POST", f"{path}/leave")).problem(404, "unknown-ticket")
    (await call("bob", "POST", f"{sale}/tickets", wants)).problem(403, "forbidden")
    (await call("ada", "POST", f"{other}/tickets", wants)).problem(403, "forbidden")
    (await call("ada", "GET", f"{other}/lottery")).problem(403, "forbidden")


async def test_no_more_are_in_at_once_than_the_room_allows_and_who_bought_makes_room(service):
    sale = await sale_with_room(service, opened=False, max_active=2, stock=100)
    tickets = [(await take(service, sale, f"c{n}")).ok(201)["id"] for n in range(5)]
    await begin(service, sale)
    places = [await look(service, sale, id_) for id_ in tickets]
    assert [place["status"] for place in places] == ["admitted"] * 2 + ["waiting"] * 3
    assert [place["position"] for place in places[2:]] == [1, 2, 3]
    (await take_unit(service, "orders", sale, "c0", places[0]["admission"])).ok(201)
    await admitted(service, sale, tickets[2])
    assert (await look(service, sale, tickets[3]))["position"] == 1
    await service.call("POST", f"/v1/sales/{sale}/tickets/{tickets[1]}/leave")
    await admitted(service, sale, tickets[3])


async def test_the_room_admits_only_as_many_as_there_are_units_and_tells_the_rest_early(service):
    sale = await sale_with_room(service, opened=False, stock=3)
    tickets = [(await take(service, sale, f"c{n}")).ok(201)["id"] for n in range(5)]
    await begin(service, sale)
    places = [await look(service, sale, id_) for id_ in tickets]
    assert [place["status"] for place in places] == ["admitted"] * 3 + ["waiting"] * 2
    assert {place["outlook"] for place in places[3:]} == {"unlikely"}
    assert {place["expected_wait_seconds"] for place in places[3:]} == {None}
    for n in range(3):
        (await take_unit(service, "reservations", sale, f"c{n}", places[n]["admission"])).ok(201)
    async with asyncio.timeout(WAIT_SECONDS):
        while (place := await look(service, sale, tickets[3]))["outlook"] != "possible":
            await asyncio.sleep(0.05)
    assert place["position"] == 1


async def test_everybody_hears_of_sold_out_and_the_room_goes_on_when_units_come_back(service):
    sale = await sale_with_room(service, opened=False, stock=2)
    tickets = [(await take(service, sale, f"c{n}")).ok(201)["id"] for n in range(6)]
    await begin(service, sale)
    for n in range(2):
        place = await admitted(service, sale, tickets[n])
        (await take_unit(service, "orders", sale, f"c{n}", place["admission"])).ok(201)
    async with asyncio.timeout(WAIT_SECONDS):
        while {(await look(service, sale, id_))["outlook"] for id_ in tickets[2:]} != {"sold-out"}:
            await asyncio.sleep(0.05)
    await service.admin("POST", f"/v1/sales/{sale}/items/unit/restock", {"delta": 1, "reason": "found one"})
    await admitted(service, sale, tickets[2])
    assert (await look(service, sale, tickets[3]))["status"] == "waiting"


async def test_many_who_look_at_once_do_not_hurry_the_pace(service):
    rate = 5.0
    sale = await sale_with_room(service, opened=False, admit_per_second=rate, stock=10_000)
    tickets = [(await take(service, sale, f"c{n}")).ok(201)["id"] for n in range(60)]
    started = time.monotonic()
    await begin(service, sale)
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            asked = time.monotonic()
            places = await asyncio.gather(*(look(service, sale, id_) for id_ in tickets))
            count = sum(place["status"] == "admitted" for place in places)
            answered = time.monotonic()
            assert count <= rate + rate * (answered - started) + 1
            assert [place["status"] for place in places] == ["admitted"] * count + ["waiting"] * (60 - count)
            if count >= 20:
                break
    waiting = places[count]
    assert waiting["expected_wait_seconds"] == pytest.approx(1 / rate, abs=0.1)
    assert asked - started >= 2.0


PROOF = {"proof_of_work": True, "proof_tries": 4}
"""A proof as cheap as a test can have it."""


async def test_a_room_that_wants_proof_of_work_takes_each_solution_once(service):
    sale = await sale_with_room(service, opened=False, **PROOF)
    (await take(service, sale, "ada")).problem(403, "proof-required")
    proof = await solved(service, sale, "ada")
    easier, unsolved = json.loads(base64.b64decode(proof)), json.loads(base64.b64decode(proof))
    easier["challenge"]["parameters"]["keyPrefix"] = "0"
    unsolved["solution"]["derivedKey"] = unsolved["challenge"]["parameters"]["keyPrefix"] + "0" * 32
    forged = [base64.b64encode(json.dumps(each).encode()).decode() for each in (easier, unsolved)]
    of_bob, of_other = json.loads(base64.b64decode(proof)), await sale_with_room(service, **PROOF)
    names = (await challenge(service, sale, "bob"))["parameters"]["data"]
    of_bob["challenge"]["parameters"]["data"] = names
    forged.append(base64.b64encode(json.dumps(of_bob).encode()).decode())
    (await take(service, sale, "bob", proof=forged[-1])).problem(403, "proof-required")
    (await take(service, sale, "bob", proof=proof)).problem(403, "proof-required")
    others = [await solved(service, of_other, "ada"), await solved(service, sale, "bob")]
    for bad in (*forged, "x", "", "bnVsbA==", *others):
        (await take(service, sale, "ada", proof=bad)).problem(403, "proof-required")
    place = (await take(service, sale, "ada", proof=proof)).ok(201)
    assert (await take(service, sale, "ada", proof=proof)).ok(200)["id"] == place["id"]
    assert (await take(service, sale, "ada")).ok(200)["id"] == place["id"], "who has a ticket needs no more"
    (await service.call("POST", f"/v1/sales/{sale}/tickets/{place['id']}/leave")).ok()
    (await take(service, sale, "ada", proof=proof)).problem(403, "proof-required")


async def challenge(service: Service, sale: str, customer: str = "ada") -> dict[str, Any]:
    return (await service.call("GET", f"/v1/sales/{sale}/challenge?customer={customer}")).ok()


async def test_a_proof_is_as_hard_as_the_sale_says_and_harder_in_a_crowd(service):
    sale = await sale_with_room(service, opened=False, **PROOF)
    asked = (await challenge(service, sale))["parameters"]
    whose = asked["data"].pop("customer")
    assert (asked["algorithm"], asked["data"]) == ("SCRYPT", {"sale": sale, "tries": 4})
    assert whose != (await challenge(service, sale, "bob"))["parameters"]["data"]["customer"]
    change = {"waiting_room": {"proof_tries": 6, "proof_harder_at": 2}}
    room = (await service.admin("PATCH", f"/v1/sales/{sale}", change))["waiting_room"]
    assert (room["proof_tries"], room["proof_harder_at"]) == (6, 2)
    for waiting, tries in ((1, 6), (2, 6), (3, 9)):
        proof = await solved(service, sale, f"c{waiting}")
        (await take(service, sale, f"c{waiting}", proof=proof)).ok(201)
        assert (await challenge(service, sale))["parameters"]["data"]["tries"] == tries
    easy = {"waiting_room": {"proof_harder_at": None}}
    await service.admin("PATCH", f"/v1/sales/{sale}", easy)
    assert (await challenge(service, sale))["parameters"]["data"]["tries"] == 6


async def test_only_a_room_that_demands_proofs_makes_challenges(service):
    draft = await service.create_sale(opened=False, waiting_room=ROOM | PROOF)
    for sale in ("nothing-here", draft):
        (await service.call("GET", f"/v1/sales/{sale}/challenge?customer=ada")).problem(404, "unknown-sale")
    for sale in (await service.create_sale(), await sale_with_room(service)):
        (await service.call("GET", f"/v1/sales/{sale}/challenge?customer=ada")).problem(
            422, "invalid-request"
        )
    proven = await sale_with_room(service, **PROOF)
    for query in ("", "?customer=", "?customer=%07", f"?customer={'a' * 129}"):
        (await service.call("GET", f"/v1/sales/{proven}/challenge{query}")).problem(422, "invalid-request")


async def solved(service: Service, sale: str, customer: str) -> str:
    asked = altcha.Challenge.from_dict(await challenge(service, sale, customer))
    solution = await asyncio.to_thread(altcha.solve_challenge, asked)
    assert solution is not None
    return altcha.Payload(asked, solution).to_base64()


async def test_a_room_is_bounded(service):
    sale = await sale_with_room(service, opened=False, max_waiting=2)
    for name in ("ada", "bob"):
        (await take(service, sale, name)).ok(201)
    full = await take(service, sale, "eve")
    assert full.problem(503, "overloaded")["retry_after_seconds"] > 0
    (await take(service, sale, "ada")).ok(200)


@pytest.mark.parametrize("starts_at", [None, LATER, "2020-01-01T00:00:00Z"])
async def test_a_draft_takes_no_tickets_and_a_scheduled_sale_says_when_it_opens(service, starts_at):
    sale = await service.create_sale(opened=False, starts_at=starts_at, waiting_room=ROOM)
    (await take(service, sale, "ada")).problem(409, "sale-not-open")
    await service.admin("POST", f"/v1/sales/{sale}/open")
    place = (await take(service, sale, "ada")).ok(201)
    if starts_at == LATER:
        assert (place["status"], place["position"], place["opens_at"]) == ("waiting", 1, LATER)
        assert (await look(service, sale, place["id"]))["opens_at"] == LATER
    else:
        assert (await look(service, sale, place["id"]))["status"] == "admitted"
    await service.admin("POST", f"/v1/sales/{sale}/pause")
    (await take(service, sale, "bob")).ok(201)


async def test_in_a_closed_sale_nobody_waits(service):
    sale = await sale_with_room(service)
    ticket = (await take(service, sale, "ada")).ok(201)
    await service.admin("POST", f"/v1/sales/{sale}/close")
    (await service.call("GET", f"/v1/sales/{sale}/tickets/{ticket['id']}")).problem(409, "sale-not-open")
    (await take(service, sale, "bob")).problem(409, "sale-not-open")


def test_no_lottery_favours_who_came_early_or_whose_id_is_low():
    """Chi-square over many seeded lotteries of one crowd: who ends up where."""
    chance = random.Random(6)
    people, rounds = 20, 4_000
    tickets = [base64.urlsafe_b64encode(chance.randbytes(12)).decode() for _ in range(people)]
    seen = [[0] * people for _ in tickets]
    for _ in range(rounds):
        for place, ticket in enumerate(order(chance.randbytes(32).hex(), tickets)):
            seen[tickets.index(ticket)][place] += 1
    expected = rounds / people
    worst = 0.0
    for row in seen:
        worst = max(worst, sum((count - expected) ** 2 / expected for count in row))
    total = sum((count - expected) ** 2 / expected for row in seen for count in row)
    # 19 and 19 * 19 degrees of freedom: 99.99% points, about
    assert worst < 19 + 5 * (2 * 19) ** 0.5
    assert total < 361 + 4 * (2 * 361) ** 0.5
