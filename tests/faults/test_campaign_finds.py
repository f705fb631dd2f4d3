"""What the fault campaign found, each once more on its own."""

import signal
import time
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.real_stack import Stack, started
from tests.support.service import Answer, Service, unique


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http, FLASHGUARD_RECORD_TIMEOUT_SECONDS="0.5") as running:
        yield running


async def test_a_restock_that_memory_alone_knows_is_not_called_done(stack: Stack) -> None:
    sale, key = await stack.service.create_sale(stock=1), unique()
    await stack.recorded(sale)

    async def restock():  # type: ignore[no-untyped-def]
        path, body = f"/v1/sales/{sale}/items/unit/restock", {"delta": 2, "reason": "more came"}
        return await stack.service.call("POST", path, body, key=key, admin=True)

    recorder = stack.children["recorder"]
    recorder.send_signal(signal.SIGSTOP)
    (await restock()).problem(503, "overloaded")
    (await restock()).problem(409, "request-in-flight")
    recorder.send_signal(signal.SIGCONT)
    item = (await stack.retried(restock)).ok()
    assert item["stock"] == 3
    await stack.recorded(sale)
    await stack.service.audit(sale)


@pytest.mark.parametrize("keys", [("one", "one"), (None, None)], ids=["by its key", "without a key"])
async def test_an_opening_that_memory_alone_knows_is_not_called_done(
    stack: Stack, keys: tuple[str, str]
) -> None:
    sale = await stack.service.create_sale(opened=False)
    await stack.recorded(sale)
    recorder = stack.children["recorder"]
    recorder.send_signal(signal.SIGSTOP)
    answers = [await change_sale(stack, sale, "open", key) for key in keys]
    recorder.send_signal(signal.SIGCONT)
    assert [answer.status for answer in answers] == [503, 409 if keys[1] else 503]
    answer = await stack.retried(lambda: change_sale(stack, sale, "open", keys[0]))
    assert (answer.ok()["status"], answer.replayed) == ("open", keys[0] is not None)


async def test_the_key_of_an_opening_outlives_memory(stack: Stack) -> None:
    sale = await stack.service.create_sale(opened=False)
    (await change_sale(stack, sale, "open", "morning")).ok()
    (await change_sale(stack, sale, "pause", "noon")).ok()
    before = await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, before)
    again = await stack.retried(lambda: change_sale(stack, sale, "open", "morning"))
    assert (again.ok()["status"], again.replayed) == ("open", True)
    (await change_sale(stack, sale, "close", "noon")).problem(422, "idempotency-mismatch")
    (await stack.service.hold(sale, "ann")).problem(409, "sale-not-open")


async def change_sale(stack: Stack, sale: str, verb: str, key: str | None) -> Answer:
    return await stack.service.call("POST", f"/v1/sales/{sale}/{verb}", key=key, admin=True)


async def test_a_memory_that_fell_back_does_not_release_an_order(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=1)
    held = (await stack.service.hold(sale, "ann")).ok(201)
    await stack.recorded(sale)
    older = await stack.copy(sale)
    assert (await stack.service.verb(held["id"], "confirm")).ok()["status"] == "confirmed"
    await stack.recorded(sale)
    recorder = stack.children["recorder"]
    recorder.send_signal(signal.SIGSTOP)
    await stack.put_back(older)
    (await stack.service.verb(held["id"], "release")).problem(503, "overloaded")
    recorder.send_signal(signal.SIGCONT)
    answer = await stack.retried(lambda: stack.service.verb(held["id"], "release"))
    answer.problem(409, "reservation-confirmed")
    await stack.recorded(sale)
    await stack.service.audit(sale)


async def test_a_memory_that_fell_back_calls_no_order_expired(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=1, hold_seconds=6)
    held = (await stack.service.hold(sale, "ann")).ok(201)
    path = f"/v1/reservations/{held['id']}"
    await stack.recorded(sale)
    older, before = await stack.copy(sale), await stack.epoch(sale)
    assert (await stack.service.verb(held["id"], "confirm")).ok()["status"] == "confirmed"
    await stack.recorded(sale)
    recorder = stack.children["recorder"]
    recorder.send_signal(signal.SIGSTOP)
    await stack.put_back(older)

    async def is_over() -> bool:
        return time.time() > datetime.fromisoformat(held["expires_at"]).timestamp() + 0.05

    await eventually(is_over, "the hold would be over")
    assert (await stack.service.call("GET", path)).ok()["status"] == "confirmed"
    for verb in ("release", "extend"):
        (await stack.service.verb(held["id"], verb)).problem(409, "reservation-confirmed")
    amend = {"items": [{"sku": "unit", "quantity": 2}]}
    (await stack.service.call("POST", f"{path}/amend", amend)).problem(503, "recovering")
    recorder.send_signal(signal.SIGCONT)
    await stack.rebuilt(sale, before)
    (await stack.service.verb(held["id"], "release")).problem(409, "reservation-confirmed")
    await stack.recorded(sale)
    await stack.service.audit(sale)


async def test_a_place_that_memory_alone_knows_to_be_given_up_is_not_called_left(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=1, waiting_list=5)
    (await stack.service.buy(sale, "ann")).ok(201)
    body = {"customer": "bob", "items": [{"sku": "unit", "quantity": 1}]}
    entry = (await stack.service.call("POST", f"/v1/sales/{sale}/waiting-list", body)).ok(201)
    await stack.recorded(sale)

    async def leave() -> Answer:
        return await stack.service.call("DELETE", f"/v1/waiting-list/{entry['id']}")

    recorder = stack.children["recorder"]
    recorder.send_signal(signal.SIGSTOP)
    (await leave()).problem(503, "overloaded")
    (await leave()).problem(409, "request-in-flight")
    recorder.send_signal(signal.SIGCONT)
    assert (await stack.retried(leave)).ok()["status"] == "left"


async def test_an_api_that_starts_while_postgresql_is_away_waits_for_it(stack: Stack, http) -> None:  # type: ignore[no-untyped-def]
    port = free_port()
    late = Service(f"http://127.0.0.1:{port}", stack.servers, http)
    await stack.servers.postgres.kill()
    stack.start("api-late", "api", FLASHGUARD_PORT=str(port), FLASHGUARD_WORKERS="2")
    with pytest.raises(AssertionError):
        await eventually(late.ready, "it can't be ready", 3.0)
    assert stack.children["api-late"].poll() is None
    await stack.servers.postgres.start()
    await eventually(late.ready, "the late api is ready", 60.0)
