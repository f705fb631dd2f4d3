"""What was amended stays amended, once: memory is lost, the ledger falls back or refuses, all is killed."""

import asyncio
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from tests.faults.test_kill_everything import audit, create
from tests.faults.test_ledger_fell_back import everything_recorded, recover, set_back, trimmed
from tests.faults.test_recover import SHORT, waits_for_an_operator
from tests.integration.test_amend import amend, cancel, lines, transfer
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import Answer
from tests.support.up import READY, Up, alive, wait_until


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


async def items(stack: Stack, id_: str) -> list[dict[str, Any]]:
    seen = (await stack.retried(lambda: stack.service.call("GET", f"/v1/reservations/{id_}"))).ok()
    return seen["items"]  # type: ignore[no-any-return]


async def test_memory_is_built_again_with_what_was_amended(stack: Stack) -> None:
    service = stack.service
    sale = await service.create_sale(stock=20, limit=9)
    held = (await service.hold(sale, "guest", 2)).ok(201)
    order = (await service.buy(sale, "bob", 5)).ok(201)
    (await amend(service, held["id"], {"unit": 3}, key="h")).ok()
    (await transfer(service, held["id"], "ann", key="t")).ok()
    one = (await cancel(service, order["id"], {"unit": 2}, key="c", restock=False)).ok()
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, before)
    seen = (await stack.retried(lambda: service.call("GET", f"/v1/reservations/{held['id']}"))).ok()
    assert (seen["customer"], seen["items"], seen["expires_at"]) == (
        "ann", lines({"unit": 3}), held["expires_at"],
    )  # fmt: skip
    again = await stack.retried(lambda: cancel(service, order["id"], {"unit": 2}, key="c", restock=False))
    assert again.replayed
    assert again.ok() == one
    assert (await amend(service, held["id"], {"unit": 3}, key="h")).replayed
    (await service.hold(sale, "ann", 7)).problem(409, "limit-reached")
    (await cancel(service, order["id"], {"unit": 1})).ok()
    (await amend(service, held["id"], {"unit": 4})).ok()
    assert (await stack.confirm(held["id"]))["items"] == lines({"unit": 4})
    item = await service.item(sale)
    assert (item["stock"], item["held"], item["sold"]) == (18, 0, 6)
    await service.audit(sale)


async def test_an_amend_that_the_ledger_refuses_did_not_happen_nor_what_follows_it(stack: Stack) -> None:
    service = stack.service
    await stack.ready()
    sale = await service.create_sale(stock=5)
    held = (await service.hold(sale, "ann", 1)).ok(201)
    order = (await service.buy(sale, "bob", 1)).ok(201)
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.end("recorder")
    (await amend(service, held["id"], {"unit": 2})).ok()
    more = asyncio.create_task(amend(service, order["id"], {"unit": 2}, key="more"))
    confirm = asyncio.create_task(service.verb(held["id"], "confirm"))

    async def both_decided() -> bool:
        item = await service.item(sale)
        return (item["held"], item["sold"]) == (0, 4)

    await eventually(both_decided, "memory has amended both, and confirmed the hold")
    connection = await asyncpg.connect(stack.servers.database_url)
    await connection.execute("UPDATE flashguard.items SET stock = 2 WHERE sale_id = $1", sale)
    stack.start("recorder")
    answers = [await more, await confirm]
    assert all(answer.status >= 400 for answer in answers), answers
    await stack.rebuilt(sale, before)
    assert (await items(stack, held["id"]), await items(stack, order["id"])) == (lines({"unit": 1}),) * 2
    refused = await connection.fetch(
        "SELECT kind FROM flashguard.refused_transitions WHERE sale_id = $1 ORDER BY kind", sale
    )
    await connection.close()
    assert [row["kind"] for row in refused] == ["amend", "amend", "confirm"]
    assert (await stack.confirm(held["id"]))["items"] == lines({"unit": 1})
    problem = await stack.retried(lambda: amend(service, order["id"], {"unit": 2}, key="more"))
    problem.problem(409, "sold-out")
    await service.audit(sale)


async def test_an_amend_that_the_ledger_refuses_twice_is_not_made_a_third_time(stack: Stack) -> None:
    service = stack.service
    await stack.ready()
    sale = await service.create_sale(stock=5)
    order = (await service.buy(sale, "bob", 1)).ok(201)
    connection = await asyncpg.connect(stack.servers.database_url)
    for _ in range(2):
        await stack.recorded(sale)
        before = await stack.epoch(sale)
        await stack.end("recorder")
        asked = asyncio.create_task(amend(service, order["id"], {"unit": 2}, key="k"))

        async def decided() -> bool:
            return bool((await service.item(sale))["sold"] == 2)

        await eventually(decided, "memory has amended the order")
        await connection.execute("UPDATE flashguard.items SET stock = 1 WHERE sale_id = $1", sale)
        stack.start("recorder")
        assert (await asked).status >= 400
        await stack.rebuilt(sale, before)
        await stack.retried(lambda: restocked(stack, sale, 4))
    await connection.close()
    answer = await stack.retried(lambda: amend(service, order["id"], {"unit": 2}, key="k"))
    answer.problem(409, "ledger-refused")
    (await stack.retried(lambda: amend(service, order["id"], {"unit": 2}, key="another"))).ok()
    await service.audit(sale)


async def restocked(stack: Stack, sale: str, units: int) -> Answer:
    path, body = f"/v1/sales/{sale}/items/unit/restock", {"delta": units, "reason": "found"}
    return await stack.service.call("POST", path, body, admin=True)


async def test_a_ledger_that_fell_back_within_the_journals_tail_replays_amends(http) -> None:
    async with started(http) as stack:
        service = stack.service
        sale = await service.create_sale(stock=9)
        held = (await service.hold(sale, "ann", 1)).ok(201)
        order = (await service.buy(sale, "bob", 3)).ok(201)
        await stack.recorded(sale)
        async with set_back(stack):
            (await stack.retried(lambda: amend(service, held["id"], {"unit": 2}))).ok()
            (await cancel(service, order["id"], {"unit": 1}, key="c")).ok()
            (await amend(service, order["id"], {"unit": 3})).ok()
            await stack.recorded(sale)
        await stack.ready()
        await stack.recorded(sale)
        assert (await items(stack, held["id"]), await items(stack, order["id"])) == (
            lines({"unit": 2}), lines({"unit": 3}),
        )  # fmt: skip
        assert (await cancel(service, order["id"], {"unit": 1}, key="c")).replayed
        await service.audit(sale)


@pytest.mark.parametrize("take", ["memory", "ledger"])
async def test_an_operator_chooses_whose_amends_stand(http, take: str) -> None:
    async with started(http, **SHORT) as stack:
        service = stack.service
        sale = await service.create_sale(stock=9, hold_seconds=300)
        held = (await service.hold(sale, "guest", 3)).ok(201)
        order = (await service.buy(sale, "bob", 3)).ok(201)
        await everything_recorded(stack)
        async with set_back(stack):
            (await amend(service, held["id"], {"unit": 1})).ok()
            (await transfer(service, held["id"], "ann")).ok()
            (await cancel(service, order["id"], {"unit": 2}, key="c")).ok()
            (await service.buy(sale, "eve", 2)).ok(201)
            for delta in (1, -1, 1, -1):
                body = {"delta": delta, "reason": "so that the tail is short"}
                await service.admin("POST", f"/v1/sales/{sale}/items/unit/restock", body)
            await everything_recorded(stack)
            await eventually(lambda: trimmed(stack, sale), "the journal's tail is short")
        await waits_for_an_operator(stack, sale)
        assert recover(stack, "--take", take)[0] == 0
        await stack.ready()
        seen = (await service.call("GET", f"/v1/reservations/{held['id']}")).ok()
        bought = (await service.call("GET", f"/v1/reservations/{order['id']}")).ok()
        item = await service.item(sale)
        if take == "memory":  # eve's order is lost: her units left the stock
            assert (seen["customer"], seen["items"]) == ("ann", lines({"unit": 1}))
            assert (bought["items"], bought["cancelled_items"]) == (lines({"unit": 1}), lines({"unit": 2}))
            assert (item["stock"], item["held"], item["sold"]) == (7, 1, 1)
            assert (await cancel(service, order["id"], {"unit": 2}, key="c")).replayed
        else:
            assert (seen["customer"], seen["items"]) == ("guest", lines({"unit": 3}))
            assert bought == order
            assert (item["stock"], item["held"], item["sold"]) == (9, 3, 3)
            assert not (await cancel(service, order["id"], {"unit": 2}, key="c")).replayed
        (await amend(service, held["id"], {"unit": 4})).ok()
        (await amend(service, order["id"], {"unit": 2})).ok()
        assert (await stack.confirm(held["id"]))["items"] == lines({"unit": 4})
        await service.audit(sale)


@pytest.mark.parametrize("memory", ["kept", "lost"])
async def test_what_was_answered_as_amended_survives_killing_every_process(folder: Path, memory: str) -> None:
    """Orders lose one unit after the other, by keys of their own, until everything is killed in between."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        up = Up(folder, "--port", "0", "--no-demo")
        await asyncio.to_thread(up.wait_for, READY)
        run = up.run()
        headers = {"Authorization": f"Bearer {(up.data_dir / 'admin.key').read_text().strip()}"}
        sale = await create(http, run.url, headers["Authorization"].split()[1])
        told: dict[str, int] = {}
        """Units cancelled of each order, as answered."""
        asked: dict[str, tuple[str, int]] = {}
        count = itertools.count()

        async def call(url: str, path: str, body: Any, key: str) -> Answer:
            sent = headers | {"Idempotency-Key": key}
            async with http.post(f"{url}{path}", json=body, headers=sent) as answer:
                return Answer(answer.status, answer.headers, json.loads(await answer.text()))

        async def return_one(url: str, order: str, key: str) -> None:
            body = {"restock": True, "items": lines({"unit": 1})}
            answer = await call(url, f"/v1/orders/{order}/cancel", body, key)
            if answer.status == 200:
                asked.pop(key)
                told[order] = told.get(order, 0) + 1

        async def press(order: str) -> None:
            while True:
                key = f"r-{next(count)}"
                asked[key] = (order, 0)
                try:
                    await return_one(run.url, order, key)
                except (aiohttp.ClientError, OSError):
                    return
                if sum(told.values()) >= 60:
                    up.process.kill()

        body = {"items": lines({"unit": 1000})}
        orders = [
            (await call(run.url, f"/v1/sales/{sale}/orders", body | {"customer": f"c{n}"}, f"b{n}")).ok(201)[
                "id"
            ]
            for n in range(6)
        ]
        await asyncio.gather(*(press(order) for order in orders))
        assert up.process.wait() == -9
        wait_until(lambda: not any(map(alive, run.pids.values())))
        if memory == "lost":
            shutil.rmtree(up.data_dir / "valkey")

        with Up(folder, "--port", "0", "--no-demo") as again:
            await asyncio.to_thread(again.wait_for, READY)
            url = again.run().url
            for key, (order, _) in list(asked.items()):  # those without an answer ask again, by the same key
                await return_one(url, order, key)
            assert not asked
            for order in orders:
                async with http.get(f"{url}/v1/reservations/{order}", headers=headers) as answer:
                    seen = await answer.json()
                assert seen["items"] == lines({"unit": 1000 - told[order]})
                assert seen["cancelled_items"] == lines({"unit": told[order]})
            await asyncio.to_thread(audit, again.data_dir)
