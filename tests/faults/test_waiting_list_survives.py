"""The waiting list keeps its order when Valkey is killed, and when memory forgets everything."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import unique

WAITING = 12


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


async def see(stack: Stack, entry: dict[str, Any]) -> dict[str, Any]:
    answer = await stack.retried(lambda: stack.service.call("GET", f"/v1/waiting-list/{entry['id']}"))
    return answer.ok()


async def restock(stack: Stack, sale: str, units: int) -> None:
    body, key = {"delta": units, "reason": "came back"}, unique()
    answer = await stack.retried(
        lambda: stack.service.call("POST", f"/v1/sales/{sale}/items/unit/restock", body, admin=True, key=key)
    )
    answer.ok()


async def join(stack: Stack, sale: str, number: int) -> dict[str, Any]:
    body = {"customer": f"w{number}", "items": [{"sku": "unit", "quantity": 1 + number % 3 // 2}]}
    key = f"join-{number}"
    answer = await stack.retried(
        lambda: stack.service.call("POST", f"/v1/sales/{sale}/waiting-list", body, key=key)
    )
    return answer.ok(201)


async def killed(stack: Stack, sale: str) -> None:
    await stack.servers.valkey.kill()
    await stack.servers.valkey.restart()


async def flushed(stack: Stack, sale: str) -> None:
    await stack.memory.flushall()


@pytest.mark.parametrize("fault", [killed, flushed])
@pytest.mark.parametrize("spread", [1, 3])
async def test_the_waiting_list_keeps_its_order_and_open_sale_stays_behind_it(
    stack: Stack, fault: Any, spread: int
) -> None:
    await stack.ready()
    sale = await stack.service.create_sale(
        stock=2, spread=spread, waiting_list=50, waiting_list_hold_seconds=3_600
    )
    for number in range(2):
        (await stack.service.buy(sale, f"b{number}", key=f"b{number}")).ok(201)
    entries = [await join(stack, sale, number) for number in range(WAITING)]
    left = entries.pop(3)
    await stack.retried(lambda: stack.service.call("DELETE", f"/v1/waiting-list/{left['id']}"))
    await restock(stack, sale, 3)
    done, got = asyncio.Event(), []

    async def offered(some: list[dict[str, Any]]) -> bool:
        return all([(await see(stack, entry))["status"] == "offered" for entry in some])

    async def press() -> None:
        while not done.is_set():
            answer = await stack.retried(lambda: stack.service.hold(sale, unique("open")))
            if answer.status == 201:
                got.append(answer.body)

    crowd = [asyncio.create_task(press()) for _ in range(4)]
    await fault(stack, sale)
    again = await join(stack, sale, 3)  # the same key: what it did before, also after the loss
    assert (again["id"], again["status"]) == (left["id"], "left")
    await eventually(lambda: offered(entries[:2]), "the first two were offered what came back")
    places = [entry["place"] for entry in [await see(stack, entry) for entry in entries] if entry["place"]]
    assert places == list(range(1, len(places) + 1))
    units = sum(entry["items"][0]["quantity"] for entry in entries)
    for _ in range(units - 3):
        await restock(stack, sale, 1)
    await eventually(lambda: offered(entries), "everybody who waited was offered units")
    assert got == [], "somebody of the open sale was served before who waited"
    offers = [(await see(stack, entry))["reservation"] for entry in entries]
    begun = [datetime.fromisoformat(offer["created_at"]) for offer in offers]
    assert spread > 1 or begun == sorted(begun)  # the shards of a round offer at the same time
    done.set()
    await asyncio.gather(*crowd)
    await stack.recorded(sale)
    report = await stack.service.audit(sale)
    assert report["items"][0]["held"] == units
