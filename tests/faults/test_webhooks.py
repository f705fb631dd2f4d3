"""Webhooks: no event without its fact, no fact without its event, and each arrives, whatever receivers do."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from flashguard.ledger import Ledger
from tests.integration.test_amend import amend, cancel, lines, transfer
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.receiver import ENDLESS, Receiver, listening


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession) -> AsyncIterator[Stack]:
    settings = {
        "PRIVATE_ADDRESSES": "true", "TIMEOUT_SECONDS": "1", "RETRY_SECONDS": "0.2",
        "RETRY_SECONDS_MOST": "1", "CONCURRENCY": "4",
    }  # fmt: skip
    async with started(
        http, **{f"FLASHGUARD_WEBHOOK_{name}": value for name, value in settings.items()}
    ) as it:
        it.start("deliverer")
        yield it


@pytest.fixture(scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with listening() as it:
        yield it


async def subscribe(stack: Stack, receiver: Receiver, path: str = "/hook", **more: object) -> str:
    """An endpoint of the receiver, which learns its secret; its id."""
    body = {"url": receiver.url(path), **more}
    endpoint = (await stack.service.call("POST", "/v1/webhooks", body, admin=True)).ok(201)
    receiver.secrets[path] = endpoint["secret"]
    return str(endpoint["id"])


@pytest.fixture
async def hook(stack: Stack, receiver: Receiver) -> AsyncIterator[str]:
    """One endpoint for every type of event, once all is whole again that the test before broke."""
    await stack.ready()
    id_ = await subscribe(stack, receiver)
    yield id_
    receiver.always.clear()
    await stack.service.call("DELETE", f"/v1/webhooks/{id_}", admin=True)


async def arrived(receiver: Receiver, subject: str, *types: str) -> None:
    """Waits until these are the types of all accepted messages about a subject, in this order."""

    async def all_of_them() -> bool:
        return [each.type for each in receiver.about(subject)] == list(types)

    try:
        await eventually(all_of_them, f"{types} about {subject}")
    except AssertionError as error:
        raise AssertionError([each.type for each in receiver.about(subject, accepted=False)]) from error


async def test_every_fact_is_told_in_order_and_signed_as_the_specification_says(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    service = stack.service
    sale = await service.create_sale(stock=3, hold_seconds=60)
    held = (await service.hold(sale, "ann", 2)).ok(201)
    await stack.recorded(sale)
    order = (await service.verb(held["id"], "confirm")).ok()
    let_go = (await service.hold(sale, "bob")).ok(201)
    await service.verb(let_go["id"], "release")
    bought = (await service.buy(sale, "cat")).ok(201)
    await service.admin("POST", f"/v1/sales/{sale}/close")

    await arrived(receiver, held["id"], "reservation.held", "order.confirmed")
    await arrived(receiver, let_go["id"], "reservation.held", "reservation.released")
    await arrived(receiver, bought["id"], "order.confirmed")
    await arrived(receiver, f"sale {sale}", "sale.opened", "sale.sold_out", "sale.closed")
    confirmed = receiver.about(order["id"])[-1]
    told = {name: order[name] for name in order if name != "receipt"}
    assert confirmed.data == told | {"items": priced(order["items"])}
    assert confirmed.body["timestamp"] == order["confirmed_at"]


async def test_a_hold_that_ends_before_it_is_recorded_has_both_its_events(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    sale = await stack.service.create_sale(stock=2)
    await stack.end("recorder")
    held = (await stack.service.hold(sale, "ann")).ok(201)
    release = asyncio.create_task(stack.retried(lambda: stack.service.verb(held["id"], "release")))
    await eventually(lambda: is_free(stack, sale, 2), "memory has let the hold go")
    stack.start("recorder")
    (await release).ok()
    await arrived(receiver, held["id"], "reservation.held", "reservation.released")
    assert receiver.about(held["id"])[0].data["status"] == "held"


async def test_what_is_amended_in_one_group_is_told_in_order_with_the_basket_of_its_time(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    service = stack.service
    sale = await service.create_sale(stock=9)
    await stack.end("recorder")
    held = (await service.hold(sale, "guest", 2)).ok(201)
    for units in (3, 4):
        (await amend(service, held["id"], {"unit": units})).ok()
    (await transfer(service, held["id"], "ann")).ok()
    confirm = asyncio.create_task(stack.retried(lambda: service.verb(held["id"], "confirm")))
    await eventually(lambda: is_sold(stack, sale, 4), "memory has confirmed the hold")
    stack.start("recorder")
    order = (await confirm).ok()
    assert (order["customer"], order["items"]) == ("ann", lines({"unit": 4}))
    await cancel(service, order["id"], {"unit": 1}, reason="too small")
    await amend(service, order["id"], {"unit": 5}, reason="more")
    await cancel(service, order["id"], {"unit": 5}, restock=False)
    types = [
        "reservation.held", *["reservation.amended"] * 3, "order.confirmed", *["order.amended"] * 2,
        "order.cancelled",
    ]  # fmt: skip
    await arrived(receiver, held["id"], *types)
    told = [each.data for each in receiver.about(held["id"])]
    assert [data["items"][0]["quantity"] for data in told] == [2, 3, 4, 4, 4, 3, 5, 5]
    assert [data["customer"] for data in told] == ["guest"] * 3 + ["ann"] * 5
    assert [data.get("cancelled_items") for data in told[4:]] == [None, *[priced(lines({"unit": 1}))] * 3]
    assert [(data["status"], data.get("reason")) for data in told[5:]] == [
        ("confirmed", "too small"), ("confirmed", "more"), ("cancelled", "refund"),
    ]  # fmt: skip
    assert len({each.id for each in receiver.about(held["id"])}) == len(types)
    await service.audit(sale)


def priced(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines as messages have them, each with its price."""
    return [line | {"price_minor": 1999} for line in lines]


async def is_sold(stack: Stack, sale: str, units: int) -> bool:
    return bool((await stack.service.item(sale))["sold"] == units)


async def is_free(stack: Stack, sale: str, units: int) -> bool:
    return bool((await stack.service.item(sale))["available"] == units)


async def test_a_hold_whose_time_ends_is_told_as_expired(stack: Stack, receiver: Receiver, hook: str) -> None:
    sale = await stack.service.create_sale(hold_seconds=1)
    held = (await stack.service.hold(sale, "ann")).ok(201)
    await arrived(receiver, held["id"], "reservation.held", "reservation.expired")
    assert receiver.about(held["id"])[1].data["expires_at"] == held["expires_at"]


@pytest.mark.parametrize("lie", ["500", "hang", "redirect", "break off", "refuse"])
async def test_what_a_receiver_does_not_accept_comes_again_in_order(
    stack: Stack, receiver: Receiver, hook: str, lie: str
) -> None:
    sale = await stack.service.create_sale()
    await arrived(receiver, f"sale {sale}", "sale.opened")
    receiver.always["/hook"] = lie
    held = (await stack.service.hold(sale, "ann")).ok(201)
    await stack.confirm(held["id"])

    async def tried_thrice_since() -> bool:
        log = {each["type"]: each for each in await deliveries(stack, hook)}
        tries = [
            each for each in receiver.about(held["id"], accepted=False) if each.type == "reservation.held"
        ]
        tried = len(tries) >= 3 and log["reservation.held"]["attempts"] >= before + 3
        return "order.confirmed" in log and tried

    before = (await attempts(stack, hook)).get("reservation.held", 0)
    await eventually(tried_thrice_since, "the first is tried, the next is due")
    assert (await attempts(stack, hook))["order.confirmed"] == 0
    del receiver.always["/hook"]
    await arrived(receiver, held["id"], "reservation.held", "order.confirmed")
    first, *again = [
        each for each in receiver.about(held["id"], accepted=False) if each.type == "reservation.held"
    ]
    assert len(again) >= 3
    assert {(each.id, each.raw) for each in again} == {(first.id, first.raw)}
    assert "/elsewhere" not in receiver.paths


async def attempts(stack: Stack, id_: str) -> dict[str, int]:
    return {each["type"]: each["attempts"] for each in await deliveries(stack, id_)}


async def deliveries(stack: Stack, id_: str) -> list[dict[str, Any]]:
    answer = await stack.service.call("GET", f"/v1/webhooks/{id_}/deliveries?limit=500", admin=True)
    return answer.ok()["data"]  # type: ignore[no-any-return]


async def line_of(stack: Stack, id_: str, message: str, field: str) -> Any:
    return next(each[field] for each in await deliveries(stack, id_) if each["message_id"] == message)


async def test_an_answer_without_end_is_cut_off_and_its_status_counts(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    receiver.plan["/hook"], receiver.sent_bytes = ["huge"], 0
    sale = await stack.service.create_sale()

    async def delivered() -> bool:
        return [each["state"] for each in await deliveries(stack, hook)] == ["delivered"]

    await eventually(delivered, f"{sale} is told")
    assert receiver.sent_bytes < 16 * 1024 * 1024  # what fits into the sockets on the way


async def test_a_receiver_that_hangs_keeps_no_other_waiting(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    receiver.always["/hangs"] = "hang"
    hanging = await subscribe(stack, receiver, "/hangs")
    sale = await stack.service.create_sale(stock=50)
    held = [(await stack.service.hold(sale, f"c{n}")).ok(201) for n in range(20)]
    for each in held:
        await arrived(receiver, each["id"], "reservation.held")
    assert any(each["pending"] for each in await endpoints(stack) if each["id"] == hanging)
    await stack.service.call("DELETE", f"/v1/webhooks/{hanging}", admin=True)


async def test_a_receiver_without_end_costs_neither_memory_nor_the_others_time(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    """Each sends without end what is no answer; the good endpoint gets its messages in the usual time."""
    await arrived(receiver, f"sale {await stack.service.create_sale()}", "sale.opened")
    memory_before = memory_of(stack.children["deliverer"].pid)
    hostile = {}
    for lie in (*ENDLESS, "drip"):
        receiver.always[f"/{lie}".replace(" ", "-")] = lie
        hostile[lie] = await subscribe(stack, receiver, f"/{lie}".replace(" ", "-"))
    sale = await stack.service.create_sale(stock=60, hold_seconds=1800)
    delays = []
    for n in range(60):
        sent_at = time.monotonic()
        held = (await stack.service.hold(sale, f"c{n}")).ok(201)
        await arrived(receiver, held["id"], "reservation.held")
        delays.append(time.monotonic() - sent_at)
    logs = {lie: await deliveries(stack, id_) for lie, id_ in hostile.items()}
    grown = memory_of(stack.children["deliverer"].pid) - memory_before
    for id_ in hostile.values():
        await stack.service.call("DELETE", f"/v1/webhooks/{id_}", admin=True)
    assert grown < 60 * 1024 * 1024
    assert statistics.median(delays) < 1.5
    assert max(delays) < 5
    assert all(each["state"] == "pending" for lie, log in logs.items() if lie != "after" for each in log)
    assert {each["state"] for each in logs["after"]} <= {"delivered", "pending"}
    why = {each["error"] for each in logs["continue"] if each["error"]}
    assert why == {"the receiver sent more than 16 interim answers (1xx)"}


def memory_of(pid: int) -> int:
    """The most memory that a process has had so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def endpoints(stack: Stack) -> list[dict[str, Any]]:
    return (await stack.service.call("GET", "/v1/webhooks", admin=True)).ok()["data"]  # type: ignore[no-any-return]


async def test_a_kill_between_commit_and_delivery_loses_no_fact_and_invents_none(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    service = stack.service
    sale = await service.create_sale(stock=200, hold_seconds=60)

    async def buyer(number: int) -> None:
        held = (await stack.retried(lambda: service.hold(sale, f"c{number}", key=f"k{number}"))).ok(201)
        verb = ("confirm", "release", None)[number % 3]
        if verb is not None:
            (await stack.retried(lambda: service.verb(held["id"], verb))).ok()

    async def kill() -> None:
        for part in ("deliverer", "recorder", "deliverer", "recorder"):
            await asyncio.sleep(0.3)
            await stack.end(part)
            stack.start(part)

    await asyncio.gather(kill(), *(buyer(number) for number in range(60)))
    await stack.recorded(sale)
    facts = await recorded_facts(stack, sale)
    assert len(facts) == 100

    async def all_told() -> bool:
        return facts <= {(each.data.get("id"), each.type) for each in receiver.about(sale)}

    await eventually(all_told, "every fact is told", 60)
    told = [each for each in receiver.about(sale) if each.data.get("id")]
    assert {(each.data["id"], each.type) for each in told} == facts
    assert len({each.id for each in told}) == len(facts)  # a message that came twice is known by its id
    for id_ in {each.data["id"] for each in told}:
        first_times = list(dict.fromkeys(each.type for each in told if each.data["id"] == id_))
        assert first_times[0] == "reservation.held"


async def recorded_facts(stack: Stack, sale: str) -> set[tuple[str, str]]:
    """What the ledger says has happened to the reservations of a sale."""
    ledger = await Ledger.connect(stack.servers.database_url)
    async with ledger.connection() as connection:
        rows = await connection.fetch(
            "SELECT id, status FROM flashguard.reservations WHERE sale_id = $1", sale
        )
    await ledger.close()
    held = {(f"{sale}.{row['id']}", "reservation.held") for row in rows}
    ends = {
        "confirmed": "order.confirmed",
        "released": "reservation.released",
        "expired": "reservation.expired",
    }
    return held | {(f"{sale}.{row['id']}", ends[row["status"]]) for row in rows if row["status"] in ends}


async def test_every_event_of_an_order_has_its_reference(stack: Stack, receiver: Receiver, hook: str) -> None:
    service, attached = stack.service, {"reference": "cart 7", "metadata": {"channel": "app"}}
    sale = await service.create_sale(stock=5)
    body = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]} | attached
    held = (await service.call("POST", f"/v1/sales/{sale}/reservations", body)).ok(201)
    await service.verb(held["id"], "confirm")
    plain = (await service.buy(sale, "bob")).ok(201)
    await arrived(receiver, held["id"], "reservation.held", "order.confirmed")
    await arrived(receiver, plain["id"], "order.confirmed")
    for event in receiver.about(held["id"]):
        assert {name: event.data[name] for name in attached} == attached
    assert not attached.keys() & receiver.about(plain["id"])[0].data.keys()


async def test_a_cancelled_order_is_told_and_stays_so_when_memory_is_lost(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    service = stack.service
    sale = await service.create_sale(stock=5, limit=2)
    order = (await service.buy(sale, "ann", 2, key="ann")).ok(201)
    body = {"restock": False, "reason": "broken in two"}
    done = (await service.call("POST", f"/v1/orders/{order['id']}/cancel", body, admin=True)).ok()
    await arrived(receiver, order["id"], "order.confirmed", "order.cancelled")
    data = receiver.about(order["id"])[1].data
    assert data.pop("reason") == done.pop("cancel_reason") == "broken in two"
    assert data | {"receipt": None} == done | {"items": priced(done["items"])}

    before = await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, before)
    again = await stack.retried(
        lambda: service.call("POST", f"/v1/orders/{order['id']}/cancel", body, admin=True)
    )
    assert again.replayed
    first = await stack.retried(lambda: service.buy(sale, "ann", 2, key="ann"))
    assert first.replayed
    assert (first.ok(201)["id"], first.body["status"]) == (order["id"], "confirmed")
    (await stack.retried(lambda: service.buy(sale, "ann", 2))).ok(201)
    item = await service.item(sale)
    assert (item["stock"], item["available"], item["sold"]) == (3, 1, 2)
    await service.audit(sale)


async def test_what_the_ledger_refuses_is_told_as_refused_and_never_as_sold(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    service = stack.service
    sale = await service.create_sale(stock=5)
    await stack.recorded(sale)
    await stack.end("recorder")
    buys = [asyncio.create_task(service.buy(sale, f"c{n}", 2, key=f"k{n}")) for n in range(2)]
    await eventually(lambda: is_free(stack, sale, 1), "memory has sold four units")
    await execute(stack, "UPDATE flashguard.items SET stock = 3 WHERE sale_id = $1", sale)  # behind its back
    stack.start("recorder")
    answers = [await each for each in buys]
    again = [await stack.retried(lambda n=n: service.buy(sale, f"c{n}", 2, key=f"k{n}")) for n in range(2)]
    sold = {each.body["id"] for each in (*answers, *again) if each.status == 201}
    assert len(sold) == 1

    async def told() -> bool:
        return len([each for each in receiver.about(sale) if each.data.get("id")]) >= 2

    await eventually(told, "both fates are told")
    by_type = {each.type: each.data for each in receiver.about(sale) if each.data.get("id")}
    assert by_type.keys() == {"order.confirmed", "ledger.refused"}
    assert {by_type["order.confirmed"]["id"]} == sold
    refused = by_type["ledger.refused"]
    assert refused["id"] not in sold
    assert (refused["reason"], refused["items"]) == (
        "the ledger has 1 of unit left", [{"sku": "unit", "quantity": 2, "price_minor": 1999}],
    )  # fmt: skip


async def test_two_deliverers_share_the_work(stack: Stack, receiver: Receiver, hook: str) -> None:
    stack.start("deliverer-2", "deliverer")
    sale = await stack.service.create_sale(stock=100)
    bought = [(await stack.service.buy(sale, f"c{n}")).ok(201)["id"] for n in range(40)]
    for each in bought:
        await arrived(receiver, each, "order.confirmed")  # once, for nothing failed
    await stack.end("deliverer-2")


async def test_an_endpoint_that_fails_for_days_is_disabled_and_enabled_again_gets_what_waits(
    stack: Stack, receiver: Receiver
) -> None:
    receiver.always["/broken"] = "503"
    broken = await subscribe(stack, receiver, "/broken", events=["order.confirmed"])
    sale = await stack.service.create_sale()
    bought = (await stack.service.buy(sale, "ann")).ok(201)

    async def failing() -> bool:
        return any(each["failing_since"] for each in await endpoints(stack) if each["id"] == broken)

    async def disabled() -> bool:
        return any(not each["enabled"] for each in await endpoints(stack) if each["id"] == broken)

    await eventually(failing, "it fails")
    await execute(stack, "UPDATE flashguard.webhook_endpoints SET failing_since = now() - interval '6 days'")
    await eventually(disabled, "it is disabled")
    [why] = [each["disabled_why"] for each in await endpoints(stack) if each["id"] == broken]
    assert why == "nothing was delivered for 5 days; last: answered 503"
    del receiver.always["/broken"]
    await stack.service.call("PATCH", f"/v1/webhooks/{broken}", {"enabled": True}, admin=True)
    await arrived(receiver, bought["id"], "order.confirmed")
    await stack.service.call("DELETE", f"/v1/webhooks/{broken}", admin=True)


async def execute(stack: Stack, sql: str, *args: object) -> str:
    ledger = await Ledger.connect(stack.servers.database_url)
    async with ledger.connection() as connection:
        done = await connection.execute(sql, *args)
    await ledger.close()
    return done


async def test_a_receiver_that_is_gone_is_told_nothing_more(stack: Stack, receiver: Receiver) -> None:
    receiver.always["/gone"] = "410"
    gone = await subscribe(stack, receiver, "/gone")
    await stack.service.create_sale()

    async def disabled() -> bool:
        return [each["enabled"] for each in await endpoints(stack) if each["id"] == gone] == [False]

    await eventually(disabled, "it is disabled at once")
    await stack.service.call("DELETE", f"/v1/webhooks/{gone}", admin=True)


async def test_a_message_is_given_up_after_days_and_the_next_of_its_reservation_goes_out(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    sale = await stack.service.create_sale()
    await arrived(receiver, f"sale {sale}", "sale.opened")
    receiver.always["/hook"] = "500"
    held = (await stack.service.hold(sale, "ann")).ok(201)

    async def tried() -> bool:
        return bool(receiver.about(held["id"], accepted=False))

    await eventually(tried, "it is tried")
    await stack.confirm(held["id"])
    await execute(
        stack, "UPDATE flashguard.webhook_deliveries SET first_at = now() - interval '6 days'"
        " WHERE endpoint = $1 AND type = 'reservation.held'", hook,
    )  # fmt: skip

    async def given_up() -> bool:
        log = await deliveries(stack, hook)
        return [each["state"] for each in log if each["type"] == "reservation.held"] == ["failed"]

    await eventually(given_up, "it is given up")
    del receiver.always["/hook"]
    await arrived(receiver, held["id"], "order.confirmed")
    answer = await stack.service.call("POST", f"/v1/webhooks/{hook}/replay", {"state": "failed"}, admin=True)
    assert answer.ok() == {"replayed": 1}
    await arrived(receiver, held["id"], "order.confirmed", "reservation.held")


async def test_a_replay_is_the_same_message_once_more(stack: Stack, receiver: Receiver, hook: str) -> None:
    sale = await stack.service.create_sale()
    bought = (await stack.service.buy(sale, "ann")).ok(201)
    await arrived(receiver, bought["id"], "order.confirmed")
    [first] = receiver.about(bought["id"])

    async def noted() -> bool:
        return await line_of(stack, hook, first.id, "state") == "delivered"

    await eventually(noted, "the log says so")
    line = next(each for each in await deliveries(stack, hook) if each["message_id"] == first.id)
    assert (line["status"], line["error"], line["attempts"]) == (204, None, 1)
    body = {"deliveries": [line["id"]]}
    answer = await stack.service.call("POST", f"/v1/webhooks/{hook}/replay", body, admin=True)
    assert answer.ok() == {"replayed": 1}
    await arrived(receiver, bought["id"], "order.confirmed", "order.confirmed")
    again = receiver.about(bought["id"])[1]
    assert (again.id, again.raw) == (first.id, first.raw)


async def test_a_rotated_secret_leaves_the_old_one_valid_for_a_while(
    stack: Stack, receiver: Receiver, hook: str
) -> None:
    service, old = stack.service, receiver.secrets["/hook"]
    path = f"/v1/webhooks/{hook}/rotate-secret"
    rotated = (await service.call("POST", path, {"overlap_seconds": 3600}, admin=True, key="r")).ok()
    again = await service.call("POST", path, {"overlap_seconds": 3600}, admin=True, key="r")
    assert again.replayed
    assert again.body["secret"] == rotated["secret"] != old
    await eventually(lambda: signed(stack, receiver, rotated["secret"]), "the new secret signs")
    assert await signed(stack, receiver, old)

    receiver.secrets.pop("/hook")
    await service.call("POST", path, {"overlap_seconds": 0}, admin=True)

    async def old_is_over() -> bool:
        return not await signed(stack, receiver, rotated["secret"])

    await eventually(old_is_over, "without an overlap the old secret signs no more")


async def signed(stack: Stack, receiver: Receiver, secret: str) -> bool:
    """Whether the next message can be verified with this secret; it never can when it was changed."""
    sale = await stack.service.create_sale()
    await arrived(receiver, f"sale {sale}", "sale.opened")
    [message] = receiver.about(sale)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(message.raw + b" ", message.headers)
    try:
        Webhook(secret).verify(message.raw, message.headers)
    except WebhookVerificationError:
        return False
    return True


async def test_without_an_endpoint_nothing_is_written(stack: Stack) -> None:
    assert await endpoints(stack) == []
    sale = await stack.service.create_sale()
    await stack.service.buy(sale, "ann")
    assert await execute(
        stack, "DELETE FROM flashguard.webhook_deliveries WHERE sale_id = $1", sale
    ) == "DELETE 0"  # fmt: skip


async def test_the_log_reaches_back_for_some_days_and_what_was_for_a_deleted_endpoint_goes(
    stack: Stack, receiver: Receiver
) -> None:
    deleted, kept = [await subscribe(stack, receiver, path) for path in ("/deleted", "/kept")]
    sale = await stack.service.create_sale()
    await arrived(receiver, f"sale {sale}", "sale.opened", "sale.opened")

    async def settled() -> bool:  # a deliverer that ends before that sends again when the lease has run out
        pending = (
            "UPDATE flashguard.webhook_deliveries SET error = error WHERE endpoint = $1 AND state = 'pending'"
        )
        return await execute(stack, pending, kept) == "UPDATE 0"

    await eventually(settled, "the answer is written down")
    await execute(
        stack, "UPDATE flashguard.webhook_deliveries SET written_at = now() - interval '15 days'"
        " WHERE endpoint = $1", kept,
    )  # fmt: skip
    await stack.service.call("DELETE", f"/v1/webhooks/{deleted}", admin=True)
    await stack.end("deliverer")
    stack.start("deliverer")

    async def forgotten() -> bool:
        return await execute(stack, "UPDATE flashguard.webhook_deliveries SET error = error") == "UPDATE 0"

    await eventually(forgotten, "the log's old end is gone")
    await stack.service.call("DELETE", f"/v1/webhooks/{kept}", admin=True)
