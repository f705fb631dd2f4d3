"""What the ledger refuses stays refused, also when the recorder dies before it can build memory again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from flashguard.doctor.finding import Finding, State
from flashguard.doctor.ledger import examine_ledger
from flashguard.engine.commits import LEDGER_CHECK_SECONDS
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.recorder.partition import PartitionRecorder
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import unique


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


class Killed(Exception):
    """The recorder is killed here."""


async def record_and_die(stack: Stack, sale: str) -> None:
    """A recorder that is killed when the group is committed, and nobody was told."""

    async def dies(*_: Any) -> None:
        raise Killed

    settings = Settings()
    client = connect_kernel(stack.servers.redis_url, settings)
    ledger = await Ledger.connect(stack.servers.database_url)
    try:
        recorder = PartitionRecorder(stack.partition(sale), Kernel(client), ledger, settings)
        recorder._announce = dies  # type: ignore[assignment, method-assign]
        await recorder._settle()
        with pytest.raises(Killed):
            await recorder._follow()
    finally:
        await ledger.close()
        await client.aclose()


async def test_an_order_that_was_refused_is_never_confirmed_by_a_recorder_that_starts_anew(stack: Stack):
    service = stack.service
    await stack.ready()
    sale = await service.create_sale(stock=5)
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.end("recorder")
    buys = [asyncio.create_task(service.buy(sale, f"c{n}", 2, key=f"k{n}")) for n in range(2)]

    async def both_taken() -> bool:
        return (await service.item(sale))["available"] == 1

    await eventually(both_taken, "memory has sold four units")
    connection = await asyncpg.connect(stack.servers.database_url)
    await connection.execute(
        "UPDATE flashguard.items SET stock = 3 WHERE sale_id = $1", sale
    )  # behind its back
    await connection.close()
    await record_and_die(stack, sale)
    stack.start("recorder")
    answers = [await each for each in buys]
    await stack.rebuilt(sale, before)
    again = [await stack.retried(lambda n=n: service.buy(sale, f"c{n}", 2, key=f"k{n}")) for n in range(2)]
    assert {each.body["id"] for each in (*answers, *again) if each.status == 201} == {
        each.body["id"] for each in again if each.status == 201
    }
    assert sorted(each.status for each in again) == [201, 409]
    await service.audit(sale)


async def test_what_a_ledger_that_fell_back_lacks_is_not_taken_for_refused(stack: Stack) -> None:
    """The announcement is lost as well. Memory has noted the order as recorded; the journal's tail brings it
    back. A seed of the simulation found that it was answered `ledger-refused` in between."""
    await stack.ready()
    sale = await stack.service.create_sale(stock=5)
    await stack.recorded(sale)
    await stack.end("recorder")
    buying = asyncio.create_task(stack.service.buy(sale, "ann", key=unique("k")))

    async def is_taken() -> bool:
        return (await stack.service.item(sale))["available"] == 4

    await eventually(is_taken, "memory has sold a unit")
    partition = keys.partition(stack.partition(sale))
    await stack.memory.hset(partition, "recorded", await stack.memory.hget(partition, "seq"))
    answered, _ = await asyncio.wait([buying], timeout=2.5 * LEDGER_CHECK_SECONDS)
    stack.start("recorder")
    assert (await buying).status == 201
    assert not answered
    await stack.recorded(sale)
    await stack.service.audit(sale)


# What the ledger refuses again and again: parked the second time, beside neighbours that sell on.

TRIGGER = """
CREATE FUNCTION flashguard.refuse_for_a_test() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'refused for a test' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER refuse_for_a_test BEFORE {what} ON flashguard.{table} FOR EACH ROW WHEN ({when})
EXECUTE FUNCTION flashguard.refuse_for_a_test();
"""
NO_TRIGGER = "DROP FUNCTION flashguard.refuse_for_a_test() CASCADE"


@asynccontextmanager
async def refusing(stack: Stack, **how: str) -> AsyncIterator[asyncpg.Connection]:
    """The ledger refuses these writes meanwhile, as a constraint or an operator's trigger would."""
    connection = await asyncpg.connect(stack.servers.database_url)
    try:
        await connection.execute(TRIGGER.format(**({"code": "P0001"} | how)))
        yield connection
    finally:
        await connection.execute("DROP FUNCTION IF EXISTS flashguard.refuse_for_a_test() CASCADE")
        await connection.close()


async def neighbours(stack: Stack, **more: Any) -> tuple[str, str]:
    """A sale to break and one beside it, on one partition."""
    first = await stack.service.create_sale(**more)
    while True:
        name = unique()
        if stack.partition(name) == stack.partition(first):
            return first, await stack.service.create_sale(stock=1000, id=name)


async def parked(stack: Stack, connection: asyncpg.Connection, sale: str) -> asyncpg.Record:
    """The sale's parked transition, once there is one."""
    found: list[asyncpg.Record] = []

    async def there() -> bool:
        found[:] = await connection.fetch(
            "SELECT * FROM flashguard.refused_transitions WHERE sale_id = $1 AND times > 1", sale
        )
        return bool(found)

    await eventually(there, "the transition is parked")
    return found[0]


async def sells_on(stack: Stack, broken: str, neighbour: str) -> None:
    """The partition is rebuilt no more, and sells at once."""
    await asyncio.sleep(1)  # the rebuild that the last refusal asked for
    epoch = await stack.epoch(broken)
    for n in range(40):
        (await stack.service.buy(neighbour, f"n{n}")).ok(201)
        await asyncio.sleep(0.05)
    assert await stack.epoch(broken) == epoch
    await stack.service.audit(neighbour)


async def test_an_offer_that_the_ledger_refuses_twice_is_parked_and_the_next_in_line_is_served(stack: Stack):
    service = stack.service
    sale, neighbour = await neighbours(stack, stock=1, waiting_list=9, waiting_list_hold_seconds=300)
    held = (await service.hold(sale, "first")).ok(201)
    body = {"items": [{"sku": "unit", "quantity": 1}]}
    path = f"/v1/sales/{sale}/waiting-list"
    entries = [
        (await service.call("POST", path, {"customer": name} | body)).ok(201) for name in ("ann", "bob")
    ]
    short = entries[0]["id"].rpartition(".")[2]
    async with refusing(stack, what="INSERT", table="reservations", when=f"NEW.id = '{short}'") as ledger:
        await stack.retried(lambda: service.verb(held["id"], "release"))
        one = await parked(stack, ledger, sale)
        assert (one["kind"], one["id"], one["reason"]) == ("hold", short, "refused for a test")

        async def state(entry: dict[str, Any]) -> Any:
            answer = await service.call("GET", f"/v1/waiting-list/{entry['id']}")
            return answer.body.get("status")

        async def both() -> bool:
            return [await state(entry) for entry in entries] == ["ended", "offered"]

        await eventually(both, "the first entry ends, the next one is offered its unit")
        await sells_on(stack, sale, neighbour)
        ready = (await stack.readiness())["components"]["recorder"]
        assert ready["status"] == "degraded"
        assert ready["parked_transitions"] >= 1
        assert short in ready["detail"]
        assert await stack.metric("flashguard_transitions_parked") >= 1
        found = await doctor(stack)
        assert found.state is State.FAILED
        assert short in found.found
    await service.audit(sale)


async def doctor(stack: Stack) -> Finding:
    """What `flashguard doctor` says of the ledger's refusals."""
    ledger = await Ledger.connect(stack.servers.database_url)
    try:
        findings = await examine_ledger(ledger, prepared=True, connections=4)
    finally:
        await ledger.close()
    return next(finding for finding in findings if finding.name == "ledger: refusals")


async def test_an_expiry_that_the_ledger_refuses_is_parked_until_an_operator_lets_it_go(stack: Stack):
    service = stack.service
    sale, neighbour = await neighbours(stack, stock=2, hold_seconds=1)
    held = (await service.hold(sale, "ann")).ok(201)
    short = held["id"].rpartition(".")[2]
    when = f"NEW.id = '{short}' AND NEW.status = 'expired'"
    async with refusing(stack, what="UPDATE", table="reservations", when=when) as ledger:
        one = await parked(stack, ledger, sale)
        assert (one["kind"], one["id"]) == ("expire", short)
        await sells_on(stack, sale, neighbour)
        (await stack.retried(lambda: service.verb(held["id"], "confirm"))).problem(409, "reservation-expired")
        assert (await service.item(sale))["held"] == 1  # nobody else can have it meanwhile
        await ledger.execute(NO_TRIGGER)
        await ledger.execute("DELETE FROM flashguard.refused_transitions WHERE sale_id = $1", sale)
        number = stack.partition(sale)
        await ledger.execute("UPDATE flashguard.partitions SET doubted = true WHERE partition = $1", number)

        async def back() -> bool:
            return (await service.item(sale))["held"] == 0

        await eventually(back, "the unit came back")
    await service.audit(sale)


async def test_a_buy_that_the_ledger_refuses_twice_rebuilds_memory_no_third_time(stack: Stack):
    service = stack.service
    sale, neighbour = await neighbours(stack, stock=5)
    async with refusing(stack, what="INSERT", table="reservations", when="NEW.customer = 'ann'") as ledger:
        for _ in range(2):
            before = await stack.epoch(sale)
            answer = await stack.retried(lambda: service.buy(sale, "ann", key="again"))
            answer.problem(409, "ledger-refused")
            await stack.rebuilt(sale, before)
        await parked(stack, ledger, sale)
        await sells_on(stack, sale, neighbour)
        epoch = await stack.epoch(sale)
        for _ in range(5):
            (await service.buy(sale, "ann", key="again")).problem(409, "ledger-refused")
        assert await stack.epoch(sale) == epoch
        (await service.buy(sale, "bob", key="bobs")).ok(201)
    await service.audit(sale)


async def test_a_sale_whose_row_the_ledger_does_not_change_stops_no_neighbour(stack: Stack):
    service = stack.service
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    sale, neighbour = await neighbours(stack, stock=5, starts_at=soon)
    async with refusing(
        stack, what="UPDATE", table="sales", when=f"NEW.id = '{sale}'", code="23514"
    ) as ledger:
        one = await parked(stack, ledger, sale)
        assert (one["kind"], one["id"]) == ("sale", "clock")
        await sells_on(stack, sale, neighbour)
        (await service.buy(sale, "ann")).problem(503, "recovering")
        assert (await service.call("GET", f"/v1/sales/{sale}")).status == 200


async def test_what_the_ledger_refuses_of_a_group_takes_nothing_else_with_it(stack: Stack):
    """A hundred orders in a few groups, five of which a constraint does not take."""
    service = stack.service
    sale = await service.create_sale(stock=200)
    when = "NEW.customer LIKE 'bad-%'"
    async with refusing(stack, what="INSERT", table="reservations", when=when, code="23514"):
        names = [f"bad-{n}" if n % 20 == 7 else f"c{n}" for n in range(100)]
        told = await asyncio.gather(
            *(stack.retried(lambda name=name: service.buy(sale, name, key=name)) for name in names)
        )
        assert {answer.status for answer, name in zip(told, names, strict=True) if name[0] == "b"} == {409}
        assert {answer.status for answer, name in zip(told, names, strict=True) if name[0] == "c"} == {201}
    await service.audit(sale)
