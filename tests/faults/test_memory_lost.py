"""Every way memory can be wrong is noticed, fenced, mended from the ledger and told: no operator needed."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flashguard.kernel import keys
from flashguard.model import SaleId
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import unique


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


async def open_sale(stack: Stack, stock: int = 50, **more: object) -> str:
    await stack.ready()  # every partition, after what the test before did to them
    sale = await stack.service.create_sale(stock=stock, **more)  # type: ignore[arg-type]
    await stack.recorded(sale)
    return sale


async def press_on(stack: Stack, sale: str, done: asyncio.Event) -> list[str]:
    """Buyers who keep coming; the ids of the orders that they were told are theirs."""
    orders = []
    while not done.is_set():
        answer = await stack.retried(lambda: stack.service.buy(sale, unique("c"), key=unique("key")))
        if answer.status == 201:
            orders.append(answer.body["id"])
        await asyncio.sleep(0.005)
    return orders


def flush(stack: Stack, sale: str):  # type: ignore[no-untyped-def]
    return stack.memory.flushall()


async def leave_a_gap(stack: Stack, sale: str) -> None:
    """The newest entries are gone before anybody read them, and the next one comes at once."""
    journal, head = keys.journal(stack.partition(sale)), keys.partition(stack.partition(sale))
    async with stack.memory.pipeline(transaction=True) as both:
        both.hincrby(head, "seq", 2)
        both.hset(head, "token", "gone")
        await both.execute()
    assert await stack.memory.exists(journal)


async def break_an_entry(stack: Stack, sale: str) -> None:
    journal, head = keys.journal(stack.partition(sale)), keys.partition(stack.partition(sale))
    script = """
    local epoch, seq, token = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'token'))
    redis.call('XADD', KEYS[2], epoch .. '-' .. (seq + 1), 't', 'broken', 'p', token, 'd', 'nonsense')
    redis.call('HSET', KEYS[1], 'seq', seq + 1, 'token', 'broken')"""
    await stack.memory.eval(script, 2, head, journal)


async def fall_back(stack: Stack, sale: str) -> None:
    """As a stale replica that was promoted: it hands out the lost ids again, for other buyers."""
    number = stack.partition(sale)
    script = """
    local epoch, seq = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'seq'))
    local back = math.max(1, seq - 3)
    local entries = redis.call('XRANGE', KEYS[2], '-', epoch .. '-' .. back)
    redis.call('UNLINK', KEYS[2])
    for i = 1, #entries do redis.call('XADD', KEYS[2], entries[i][1], unpack(entries[i][2])) end
    redis.call('HSET', KEYS[1], 'seq', back, 'token', entries[#entries][2][2], 'recorded', back)"""
    await stack.memory.eval(script, 2, keys.partition(number), keys.journal(number))


async def lose_the_position(stack: Stack, sale: str) -> None:
    await stack.memory.hdel(keys.partition(stack.partition(sale)), "seq")


async def spoil_the_position(stack: Stack, sale: str) -> None:
    await stack.memory.hset(keys.partition(stack.partition(sale)), "epoch", "many")


async def put_something_else(stack: Stack, sale: str) -> None:
    key = keys.journal(stack.partition(sale))
    await stack.memory.unlink(key)
    await stack.memory.set(key, "something else")


def lose(which: str):  # type: ignore[no-untyped-def]
    async def one_key_less(stack: Stack, sale: str) -> None:
        names = keys.sale(stack.partition(sale), SaleId(sale))
        await stack.memory.unlink(getattr(names, which))

    return one_key_less


async def another_kind_of_key(stack: Stack, sale: str) -> None:
    name = keys.sale(stack.partition(sale), SaleId(sale)).reservations
    await stack.memory.unlink(name)
    await stack.memory.set(name, "something else")


WRONG = {
    "it is empty": flush,
    "the journal has a gap": leave_a_gap,
    "an entry can't be decoded": break_an_entry,
    "it fell back": fall_back,
    "its position is missing": lose_the_position,
    "its position can't be read": spoil_the_position,
    "the journal is something else": put_something_else,
    "a sale is gone": lose("sale"),
    "the reservations are gone": lose("reservations"),
    "the deadlines are gone": lose("deadlines"),
    "the limits are gone": lose("used"),
    "the customers' habits are gone": lose("history"),
    "the waiting list is gone": lose("queue"),
    "the reservations are something else": another_kind_of_key,
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("busy", [False, True], ids=["while nobody comes", "while buyers press on"])
async def test_memory_that_is_wrong_is_built_again(stack: Stack, wrong: str, busy: bool) -> None:
    sale = await open_sale(stack, stock=100_000, limit=3)
    kept = (await stack.service.hold(sale, "holder", 2, key="kept")).ok(201)
    order = (await stack.service.buy(sale, "buyer", key="order")).ok(201)
    await stack.recorded(sale)
    before, recoveries = await stack.epoch(sale), await stack.metric("flashguard_recoveries_total")
    done = asyncio.Event()
    crowd = [asyncio.create_task(press_on(stack, sale, done)) for _ in range(4 if busy else 0)]
    await asyncio.sleep(0.1 if busy else 0)
    await WRONG[wrong](stack, sale)
    await stack.rebuilt(sale, before)
    assert (await stack.retried(lambda: stack.service.buy(sale, "other"))).ok(201)
    done.set()
    told = [id_ for ids in await asyncio.gather(*crowd) for id_ in ids]

    again = await stack.retried(lambda: stack.service.buy(sale, "buyer", key="order"))
    assert again.replayed
    assert again.ok(201)["id"] == order["id"]
    (await stack.retried(lambda: stack.service.hold(sale, "holder", 2, key="more"))).problem(
        409, "limit-reached"
    )
    assert (await stack.retried(lambda: stack.service.verb(kept["id"], "confirm"))).ok()[
        "status"
    ] == "confirmed"
    await stack.ready()
    await stack.recorded(sale)
    report = await stack.service.audit(sale)
    assert report["items"][0]["oversold"] == 0
    for id_ in told:
        found = await stack.retried(lambda id_=id_: stack.service.call("GET", f"/v1/reservations/{id_}"))
        assert found.ok()["status"] == "confirmed"
    assert await stack.metric("flashguard_recoveries_total") > recoveries
    newest = (await stack.readiness())["components"]["recorder"]["last_recovery"]
    assert newest["why"]
    assert newest["seconds"] > 0


async def test_what_a_customer_did_with_holds_counts_after_memory_is_lost(stack: Stack) -> None:
    sale = await open_sale(stack, max_held_per_customer=3, cool_down_seconds=3_600, cool_down_after=2)
    for who, holds in (("careless", 1), ("bot", 2)):
        for _ in range(holds):
            held = (await stack.service.hold(sale, who, key=unique())).ok(201)
            (await stack.service.verb(held["id"], "release")).ok()
    (await stack.service.hold(sale, "holder", 2)).ok(201)
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, before)
    bot = await stack.retried(lambda: stack.service.hold(sale, "bot", key=unique()))
    assert 0 < bot.problem(429, "cooling-down")["retry_after_seconds"] <= 3_600
    (await stack.retried(lambda: stack.service.hold(sale, "careless"))).ok(201)
    more = await stack.retried(lambda: stack.service.hold(sale, "holder", 2, key="more"))
    more.problem(409, "hold-budget-reached")
    (await stack.retried(lambda: stack.service.hold(sale, "holder", 1, key="less"))).ok(201)


async def test_what_the_journal_still_has_is_recorded_before_memory_is_built_again(stack: Stack) -> None:
    sale = await open_sale(stack)
    before = await stack.epoch(sale)
    await stack.end("recorder")
    held = (await stack.service.hold(sale, "c", key="held")).ok(201)
    await break_an_entry(stack, sale)
    stack.start("recorder")
    await stack.rebuilt(sale, before)
    assert (await stack.retried(lambda: stack.service.verb(held["id"], "confirm"))).ok()[
        "status"
    ] == "confirmed"


async def test_a_rebuild_that_was_broken_off_loses_nothing_that_the_journal_has(stack: Stack) -> None:
    sale = await open_sale(stack)
    before = await stack.epoch(sale)
    await stack.end("recorder")
    held = (await stack.service.hold(sale, "c", key="held")).ok(201)
    await stack.memory.hset(keys.partition(stack.partition(sale)), "fence", "0")
    stack.start("recorder")
    await stack.rebuilt(sale, before)
    assert (await stack.confirm(held["id"]))["status"] == "confirmed"


async def test_two_recorders_mend_a_loss_together(stack: Stack) -> None:
    sale = await open_sale(stack, stock=100_000)
    before = await stack.epoch(sale)
    stack.start("recorder-2", "recorder")
    try:
        for _ in range(3):
            await stack.memory.flushall()
            await stack.rebuilt(sale, before)
            before = await stack.epoch(sale)
            answers = await asyncio.gather(
                *(
                    stack.retried(lambda n=n: stack.service.buy(sale, f"c{n}", key=unique("k")))
                    for n in range(50)
                )
            )
            assert {answer.status for answer in answers} == {201}
        await stack.recorded(sale)
        await stack.service.audit(sale)

        async def both() -> bool:
            return (await stack.readiness())["components"]["recorder"]["recorders"] == 2

        await eventually(both, "both recorders are counted")
    finally:
        await stack.end("recorder-2")


LOCATED = {
    "locations": [{"id": "north", "name": "North"}],
    "items": [
        {
            "sku": "unit",
            "name": "Unit",
            "price_minor": 1999,
            "currency": "EUR",
            "stock_by_location": {"north": 50},
        }
    ],
}


@pytest.mark.parametrize(
    ("verb", "rules", "problem"),
    [
        ("buy", {}, (422, "idempotency-mismatch")),
        ("buy", LOCATED, (422, "idempotency-mismatch")),
        ("hold", {"hold_durability": "ledger"}, (503, "overloaded")),
    ],
    ids=["an order", "an order at a location", "a hold that the ledger has to have"],
)
async def test_what_a_key_got_for_another_basket_is_never_acknowledged(
    stack: Stack, verb: str, rules: dict[str, Any], problem: tuple[int, str]
) -> None:
    """Memory forgot the key that the ledger has, and grants it again for two units."""
    take = stack.service.buy if verb == "buy" else stack.service.hold
    sale = await open_sale(stack, **rules)
    for number in range(4):
        (await take(sale, "ann", key=f"other-{number}")).ok(201)
    first = (await take(sale, "ann", 1, key="one")).ok(201)
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.end("recorder")
    await fall_back(stack, sale)
    name = keys.sale(stack.partition(sale), SaleId(sale)).reservations
    assert await stack.memory.hdel(name, first["id"].partition(".")[2]) == 1
    (await take(sale, "ann", 2, key="one")).problem(503, "recovering")
    again = await take(sale, "ann", 2, key="one")  # memory has granted it, and knows it by now
    again.problem(*problem)
    stack.start("recorder")
    await stack.rebuilt(sale, before)
    other = await stack.retried(lambda: take(sale, "ann", 2, key="one"))
    other.problem(422, "idempotency-mismatch")
    assert (await stack.retried(lambda: take(sale, "ann", 1, key="one"))).replayed
    await stack.recorded(sale)
    assert (await stack.service.audit(sale))["orders"] == (5 if verb == "buy" else 0)


@pytest.mark.parametrize(
    ("recorded", "then", "group"),
    [
        (False, "", 256),
        (False, "confirm", 256),
        (False, "amend", 256),
        (False, "confirm", 1),
        (True, "release", 256),
        (True, "amend", 1),
    ],
)
async def test_a_hold_that_memory_granted_twice_moves_its_units_once(
    stack: Stack, recorded: bool, then: str, group: int
) -> None:
    """Memory forgot the key, and granted it for two units. The ledger has the first hold, of one.

    Parameters:
        recorded: whether the ledger has the first hold by then.
        then: what a buyer does with the second.
        group: entries that the recorder writes in one transaction.
    """
    sale = await open_sale(stack)
    before, service = await stack.epoch(sale), stack.service
    if not recorded:
        await stack.end("recorder")
    first = (await service.hold(sale, "ann", 1, key="one")).ok(201)
    if recorded:
        await stack.recorded(sale)
        await stack.end("recorder")
    name = keys.sale(stack.partition(sale), SaleId(sale)).reservations
    assert await stack.memory.hdel(name, first["id"].partition(".")[2]) == 1
    assert (await service.hold(sale, "ann", 2, key="one")).ok(201)["id"] == first["id"]
    if then == "amend":
        body = {"items": [{"sku": "unit", "quantity": 4}]}
        (await service.call("POST", f"/v1/reservations/{first['id']}/amend", body)).ok()
    elif then:
        (await service.verb(first["id"], then)).problem(503, "overloaded")  # no recorder commits it
    stack.start("recorder", FLASHGUARD_GROUP_ENTRIES=str(group))
    await stack.rebuilt(sale, before)
    await stack.recorded(sale)
    await service.audit(sale)
    item = await service.item(sale)
    assert (item["held"], item["sold"], item["available"]) == (1, 0, 49)
    (await stack.retried(lambda: service.verb(first["id"], "confirm"))).ok()
    await service.audit(sale)


async def test_a_hold_that_memory_may_have_lost_is_not_called_unknown(stack: Stack) -> None:
    sale = await open_sale(stack)
    recorder = stack.children["recorder"]
    recorder.send_signal(signal.SIGSTOP)  # the ledger does not know of it either
    held = (await stack.service.hold(sale, "ann")).ok(201)
    await stack.memory.delete(keys.sale(stack.partition(sale), SaleId(sale)).reservations)
    path = f"/v1/reservations/{held['id']}"
    for verb in ("confirm", "release", "extend"):
        (await stack.service.verb(held["id"], verb)).problem(503, "recovering")
    (await stack.service.call("GET", path)).problem(503, "recovering")
    amend = {"items": [{"sku": "unit", "quantity": 2}]}
    (await stack.service.call("POST", f"{path}/amend", amend)).problem(503, "recovering")
    recorder.send_signal(signal.SIGCONT)
    answer = await stack.retried(lambda: stack.service.verb(held["id"], "confirm"))
    assert answer.ok()["status"] == "confirmed"
    await stack.recorded(sale)
    await stack.service.audit(sale)
