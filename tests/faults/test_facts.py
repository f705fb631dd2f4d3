"""The feed of facts: no fact is missed and none is invented, whatever is killed, deleted or restored."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

import aiohttp
import asyncpg
import pytest

from flashguard.ledger.sql import query as sql_query
from tests.faults.test_webhooks import is_free, recorded_facts
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession) -> AsyncIterator[Stack]:
    async with started(http) as it:
        yield it


@pytest.fixture
async def ledger(stack: Stack) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    await stack.ready()
    connection = await asyncpg.connect(stack.servers.database_url)
    yield connection
    await connection.close()


async def page_after(stack: Stack, **query: object) -> dict[str, Any]:
    path = f"/v1/facts?{urlencode(query)}"
    return (await stack.retried(lambda: stack.service.call("GET", path, admin=True))).ok()


async def now(stack: Stack) -> str:
    return str((await page_after(stack, after="now"))["next_cursor"])


Named = tuple[str, str]


def names(facts: Sequence[dict[str, Any]]) -> list[Named]:
    return [(each["data"].get("id") or each["data"]["sale_id"], each["type"]) for each in facts]


class Reader:
    """Follows the feed from a cursor, with small pages, as a program would that keeps its cursor."""

    def __init__(self, stack: Stack, cursor: str) -> None:
        self.stack = stack
        self.cursor = cursor
        self.facts: list[dict[str, Any]] = []

    async def follow(self) -> None:
        while True:
            page = await page_after(self.stack, after=self.cursor, limit=7, wait=2)
            self.facts += page["data"]
            self.cursor = page["next_cursor"]


async def test_nothing_is_written_before_the_first_read_and_everything_after_it(
    stack: Stack, ledger: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    sale = await stack.service.create_sale()
    await stack.service.buy(sale, "ann")
    assert await ledger.fetchval("SELECT count(*) FROM flashguard.facts") == 0
    async with ledger.transaction():  # a recorder's transaction, begun before the first read
        await ledger.execute("UPDATE flashguard.partitions SET recorded_at = now() WHERE partition = 3")
        path = "/v1/facts"
        first = asyncio.create_task(stack.service.call("GET", path, admin=True))
        await asyncio.sleep(0.5)
        assert not first.done(), "the feed begins in the middle of a group"
    page = (await first).ok()
    assert page["data"] == []
    order = (await stack.service.buy(sale, "bob")).ok(201)
    again = await page_after(stack, after=page["next_cursor"])
    assert names(again["data"]) == [(order["id"], "order.confirmed")]
    assert again["since"] == page["since"]
    whole = await page_after(stack)
    assert names(whole["data"]) == names(again["data"])


async def test_a_fact_that_commits_late_is_read_after_younger_ones_of_other_partitions(
    stack: Stack, ledger: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The order of ids is not the order of commits."""
    after = await now(stack)
    other = await asyncpg.connect(stack.servers.database_url)
    lock = "UPDATE flashguard.partitions SET recorded_at = now() WHERE partition = $1"
    write = "SELECT flashguard.write_fact($1, 'sale.opened', $2, '', now(), p_detail => 'open')"
    late = ledger.transaction()
    await late.start()
    await ledger.execute(lock, 1)
    await ledger.execute(write, 1, "late")
    async with other.transaction():
        await other.execute(lock, 2)
        await other.execute(write, 2, "early")
    await other.close()
    page = await page_after(stack, after=after)
    assert names(page["data"]) == [("early", "sale.opened")]
    waiting = asyncio.create_task(page_after(stack, after=page["next_cursor"], wait=20))
    await asyncio.sleep(0.2)
    await late.commit()
    assert names((await waiting)["data"]) == [("late", "sale.opened")]


async def test_groups_of_several_partitions_that_share_a_transaction_write_facts_of_each(
    stack: Stack, ledger: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    service = stack.service
    after = await now(stack)
    sales = [await service.create_sale() for _ in range(8)]
    await asyncio.gather(*(service.buy(sale, "ann") for sale in sales))
    new = [
        {
            "sale": sale, "id": f"{n:024x}", "customer": "bob", "status": "confirmed", "lines": ["unit", 1],
            "fingerprint": n, "created_ms": 1_800_000_000_000, "hold_ms": 0, "ended_ms": 1_800_000_000_000,
        }
        for n, sale in enumerate(sales)
    ]  # fmt: skip
    await ledger.execute("SELECT flashguard.write_events($1::text::jsonb, '[]', '[]')", json.dumps(new))
    page = await page_after(stack, after=after, limit=500)
    assert sorted(type_ for _, type_ in names(page["data"])) == ["order.confirmed"] * 16 + ["sale.opened"] * 8
    rows = await ledger.fetch("SELECT DISTINCT sale_id, partition FROM flashguard.facts")
    written = {(row["sale_id"], row["partition"]) for row in rows}
    assert {(sale, stack.partition(sale)) for sale in sales} == {each for each in written if each[0] in sales}


async def test_a_hold_that_ends_before_it_is_recorded_has_both_its_facts_in_order(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=2)
    await stack.recorded(sale)
    after = await now(stack)
    await stack.end("recorder")
    held = (await stack.service.hold(sale, "ann")).ok(201)["id"]
    release = asyncio.create_task(stack.retried(lambda: stack.service.verb(held, "release")))
    await eventually(lambda: is_free(stack, sale, 2), "memory has let the hold go")
    stack.start("recorder")
    (await release).ok()
    page = await page_after(stack, after=after, wait=5)
    assert names(page["data"]) == [(held, "reservation.held"), (held, "reservation.released")]


async def test_no_fact_is_missed_when_recorders_are_killed_and_the_api_restarts(stack: Stack) -> None:
    service = stack.service
    stack.start("recorder-2", "recorder")
    sales = [await service.create_sale(stock=200, hold_seconds=60) for _ in range(3)]
    reader = Reader(stack, await now(stack))
    following = asyncio.create_task(reader.follow())

    async def buyer(number: int) -> None:
        sale = sales[number % 3]
        held = (await stack.retried(lambda: service.hold(sale, f"c{number}", key=f"k{number}"))).ok(201)
        verb = ("confirm", "release", None)[number // 3 % 3]
        if verb is not None:
            (await stack.retried(lambda: service.verb(held["id"], verb))).ok()

    async def kill() -> None:
        for part in ("recorder", "recorder-2", "recorder"):
            await asyncio.sleep(0.3)
            await stack.end(part)
            stack.start(part, "recorder")
        await stack.end("api")
        stack.start("api")

    await asyncio.gather(kill(), *(buyer(number) for number in range(90)))
    expected = set[Named]()
    for sale in sales:
        await stack.recorded(sale)
        expected |= await recorded_facts(stack, sale)

    async def all_read() -> bool:
        return expected <= set(names(reader.facts))

    try:
        await eventually(all_read, "every fact is read", 60)
    finally:
        following.cancel()
    found = names(reader.facts)
    assert sorted(found) == sorted(expected), "each once, and no other"
    held = [id_ for id_, type_ in found if type_ == "reservation.held"]
    for id_, type_ in found:
        if type_ != "reservation.held":
            assert found.index((id_, "reservation.held")) < found.index((id_, type_))
    assert len(held) == 90
    await stack.end("recorder-2")


async def test_an_archived_orders_cancel_waits_for_the_recorder_of_its_partition(
    stack: Stack, ledger: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    sale = await stack.service.create_sale()
    order = (await stack.service.buy(sale, "ann")).ok(201)
    await stack.service.admin("POST", f"/v1/sales/{sale}/close")
    await stack.recorded(sale)
    other = await asyncpg.connect(stack.servers.database_url)
    cancel = "SELECT flashguard.cancel_archived($1, $2, true, 'late', 0)"
    async with ledger.transaction():
        await ledger.execute(
            "UPDATE flashguard.partitions SET recorded_at = now() WHERE partition = $1", stack.partition(sale)
        )
        cancelling = asyncio.create_task(other.fetchval(cancel, sale, order["id"].partition(".")[2]))
        await asyncio.sleep(0.3)
        assert not cancelling.done()
    assert await cancelling
    await other.close()


async def test_a_row_that_cant_be_read_is_left_out_and_stops_no_other(
    stack: Stack, ledger: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    sale = await stack.service.create_sale()
    after = await now(stack)
    orders = [(await stack.service.buy(sale, f"c{n}")).ok(201)["id"] for n in range(4)]
    bad = "UPDATE flashguard.facts SET {} WHERE reservation = $1"
    await ledger.execute(bad.format("at = 'infinity'"), orders[0].partition(".")[2])
    await ledger.execute(bad.format("lines = '7'"), orders[1].partition(".")[2])
    await ledger.execute(bad.format("type = 'order.eaten'"), orders[2].partition(".")[2])
    first = await page_after(stack, after=after, limit=1)
    assert first["data"] == []
    assert first["next_cursor"] != after
    page = await page_after(stack, after=first["next_cursor"], wait=5)
    assert names(page["data"]) == [(orders[3], "order.confirmed")]
    rows = await ledger.fetch(sql_query("unreadable_facts"), 10)
    assert len(rows) == 1
    await ledger.execute("DELETE FROM flashguard.facts")


async def refused(stack: Stack, cursor: str) -> str:
    answer = await stack.service.call("GET", f"/v1/facts?after={cursor}&wait=1", admin=True)
    return str(answer.problem(410, "cursor-expired")["detail"])


async def test_a_reader_who_comes_too_late_is_told_and_one_who_read_all_goes_on(
    stack: Stack, ledger: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    sale = await stack.service.create_sale()
    before = await now(stack)
    (await stack.service.buy(sale, "ann")).ok(201)
    page = await page_after(stack, after=before)
    assert len(page["data"]) == 1
    await ledger.execute("UPDATE flashguard.facts SET written_at = now() - interval '15 days'")
    stack.start("deliverer")

    async def forgotten() -> bool:
        return await ledger.fetchval("SELECT count(*) FROM flashguard.facts") == 0

    await eventually(forgotten, "old facts are deleted")
    assert "too old" in await refused(stack, before)
    assert (await page_after(stack, after=page["next_cursor"]))["data"] == []
    order = (await stack.service.buy(sale, "bob")).ok(201)["id"]
    for after in ({"after": page["next_cursor"]}, {}):
        assert names((await page_after(stack, **after))["data"]) == [(order, "order.confirmed")]
    await stack.end("deliverer")


async def test_a_feed_that_nobody_reads_ends_and_the_next_one_is_another(
    stack: Stack, ledger: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    sale = await stack.service.create_sale()
    (await stack.service.buy(sale, "ann")).ok(201)
    cursor = (await page_after(stack))["next_cursor"]
    await ledger.execute("UPDATE flashguard.facts_feed SET read_at = now() - interval '15 days'")
    stack.start("deliverer")

    async def ended() -> bool:
        return await ledger.fetchval("SELECT count(*) FROM flashguard.facts_feed") == 0

    await eventually(ended, "the feed has no readers")
    await stack.end("deliverer")
    (await stack.service.buy(sale, "bob")).ok(201)
    assert "was not read" in await refused(stack, cursor)
    begun = await page_after(stack)
    assert begun["data"] == []
    assert "was not read" in await refused(stack, cursor)
    order = (await stack.service.buy(sale, "cat")).ok(201)["id"]
    assert names((await page_after(stack, after=begun["next_cursor"]))["data"]) == [
        (order, "order.confirmed")
    ]


async def test_a_reader_of_a_history_that_was_lost_is_told(
    stack: Stack, ledger: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The ledger was restored from a backup: it gives the same ids again, to other facts."""
    sale = await stack.service.create_sale()
    (await stack.service.buy(sale, "ann")).ok(201)
    cursor = (await page_after(stack, limit=500))["next_cursor"]
    newest = await ledger.fetchrow("SELECT partition, id FROM flashguard.facts ORDER BY id DESC LIMIT 1")
    assert newest is not None
    lose = "DELETE FROM flashguard.facts WHERE partition = $1 AND id = $2"
    await ledger.execute(lose, newest["partition"], newest["id"])
    assert "backup" in await refused(stack, cursor)
    await ledger.execute("SELECT setval('flashguard.facts_id_seq', $1, false)", newest["id"])
    (await stack.service.buy(sale, "bob")).ok(201)
    assert "backup" in await refused(stack, cursor)


async def test_a_reader_that_waits_does_not_keep_a_process_from_stopping(stack: Stack) -> None:
    after = await now(stack)
    waiting = asyncio.create_task(stack.service.call("GET", f"/v1/facts?after={after}&wait=30", admin=True))
    await asyncio.sleep(0.5)
    child = stack.children.pop("api")
    child.terminate()
    assert (await asyncio.wait_for(waiting, 5)).ok()["data"] == []
    await asyncio.to_thread(child.wait, 10)
    stack.start("api")
    await stack.ready()
