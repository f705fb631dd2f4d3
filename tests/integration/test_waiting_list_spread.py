"""The waiting list of a spread sale over HTTP: one order over all shards, wherever a unit comes back."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

from flashguard.model import CustomerId
from flashguard.model.shards import home_shard
from tests.integration.test_pools import hold, item, pool
from tests.integration.test_pools import restock as restock_pool
from tests.integration.test_waiting_list import join, offered, restock, see
from tests.integration.test_waiting_list_rules import ROOM, admission, buy_with, take
from tests.support.service import Service, unique

SPREAD = 3
IDLE_SECONDS = 5.0
"""No unit idles longer while an entry for it waits: see docs/how-to/waiting-list.md."""


def people() -> Iterator[str]:
    """Customers whose home shards take turns."""
    names = (unique("w") for _ in count())
    for n in count():
        yield next(name for name in names if home_shard(CustomerId(name), SPREAD) == n % SPREAD)


def some(number: int) -> list[str]:
    names = people()
    return [next(names) for _ in range(number)]


async def sold_out_sale(service: Service, stock: int, **rules: Any) -> tuple[str, list[dict[str, Any]]]:
    """A spread sale with a list, and the holds of all its units."""
    rules = {"waiting_list": 1_000, "waiting_list_hold_seconds": 300} | rules
    sale = await service.create_sale(stock=stock, spread=SPREAD, **rules)
    holds = [(await service.hold(sale, who)).ok(201) for who in some(stock)]
    return sale, holds


async def give_back(service: Service, held: dict[str, Any]) -> None:
    (await service.verb(held["id"], "release")).ok()


async def test_over_shards_returned_units_go_to_entries_in_the_order_of_joining(service: Service):
    sale, holds = await sold_out_sale(service, 6)
    names = some(9)
    entries = [(await join(service, sale, who)).ok(201) for who in names]
    assert [each["place"] for each in entries] == list(range(1, 10))
    assert {each["sale_id"] for each in entries} == {sale}
    for at, held in enumerate(holds):
        await give_back(service, held)
        now = await offered(service, entries[at])
        assert now["reservation"]["customer"] == names[at]
        places = [(await see(service, each))["place"] for each in entries]
        assert places == [None] * (at + 1) + list(range(1, 9 - at))
    (await service.verb(entries[0]["id"], "confirm")).ok()
    (await service.verb(entries[1]["id"], "release")).ok()  # declined
    await offered(service, entries[6])
    left = (await service.call("DELETE", f"/v1/waiting-list/{entries[7]['id']}")).ok()
    assert (left["status"], (await see(service, entries[8]))["place"]) == ("left", 1)
    await restock(service, sale, 1)
    await offered(service, entries[8])
    await service.audit(sale)


async def test_over_shards_buyers_who_press_get_no_unit_that_is_for_the_list(service: Service):
    sale, holds = await sold_out_sale(service, 12)
    waiting = some(12)
    entries = [(await join(service, sale, who)).ok(201) for who in waiting]
    pressing = True

    async def press(who: str) -> list[int]:
        codes = []
        while pressing:
            codes.append((await service.hold(sale, who)).status)
        return codes

    buyers = [asyncio.create_task(press(who)) for who in some(6)]
    for held in holds:
        await give_back(service, held)
    await asyncio.gather(*(offered(service, each) for each in entries))
    pressing = False
    codes = [code for buyer in buyers for code in await buyer]
    assert codes
    assert set(codes) <= {409, 503}  # sold-out, or overloaded while units are moved
    await service.audit(sale)


async def test_over_shards_no_unit_idles_longer_than_the_bound_while_an_entry_waits(service: Service):
    sale, holds = await sold_out_sale(service, 30)
    entries = [(await join(service, sale, who)).ok(201) for who in some(30)]
    began = time.monotonic()
    idle: list[float] = []

    async def wait_for(entry: dict[str, Any]) -> None:
        await offered(service, entry)
        idle.append(time.monotonic() - began)

    waiting = [asyncio.create_task(wait_for(each)) for each in entries]
    await asyncio.gather(*(give_back(service, held) for held in holds))
    await asyncio.gather(*waiting)
    assert max(idle) < IDLE_SECONDS, sorted(idle)
    for at in range(0, 9, 3):  # one at a time: each on another shard than the entry that it is for
        late = (await join(service, sale, some(at + 2)[-1])).ok(201)
        began = time.monotonic()
        await give_back(service, entries[at])
        await wait_for(late)
        assert idle[-1] < IDLE_SECONDS, idle


async def test_over_shards_who_joins_while_other_shards_have_units_is_offered_one(service: Service):
    sale = await service.create_sale(stock=3, spread=SPREAD, waiting_list=5)
    names = some(6)
    (await service.hold(sale, names[0])).ok(201)  # the unit of their home shard
    entry = (await join(service, sale, names[3])).ok(201)
    await offered(service, entry)
    (await service.hold(sale, names[1])).ok(201)  # what is left is for everybody
    await service.audit(sale)


async def test_over_shards_units_are_kept_for_a_large_entry_until_it_is_offered_them(service: Service):
    sale, holds = await sold_out_sale(service, 3, waiting_list_hold_seconds=30)
    names = some(5)
    large = (await join(service, sale, names[0], 2)).ok(201)
    small = (await join(service, sale, names[1])).ok(201)
    await give_back(service, holds[0])
    await asyncio.sleep(1)
    assert [(await see(service, each))["status"] for each in (large, small)] == ["waiting", "waiting"]
    (await service.hold(sale, names[2])).problem(409, "sold-out")
    await give_back(service, holds[1])
    await offered(service, large)  # two units of two shards
    await give_back(service, holds[2])
    await offered(service, small)
    await service.audit(sale)


async def test_over_shards_what_no_entry_fits_is_for_the_open_sale(service: Service):
    sale, holds = await sold_out_sale(service, 2, waiting_list_hold_seconds=1)
    names = some(4)
    (await join(service, sale, names[0], 2)).ok(201)
    await give_back(service, holds[0])
    async with asyncio.timeout(30):
        while (await service.hold(sale, unique("late"))).status != 201:
            await asyncio.sleep(0.1)
    await service.audit(sale)


async def test_over_shards_the_rules_of_a_list_hold(service: Service):
    sale, holds = await sold_out_sale(service, 3, waiting_list=2, limit_per_customer=1)
    ann, bob, eve, _ = some(4)
    entry = (await join(service, sale, ann, key="ann-waits")).ok(201)
    again = (await join(service, sale, ann, key="ann-waits")).ok(201)
    assert (again["id"], again["place"]) == (entry["id"], 1)
    (await join(service, sale, ann)).problem(409, "already-waiting")
    (await join(service, sale, holds[1]["customer"])).problem(409, "limit-reached")
    (await join(service, sale, bob)).ok(201)
    (await join(service, sale, eve)).problem(409, "waiting-list-full")
    (await service.call("PATCH", f"/v1/sales/{sale}", {"waiting_list": None}, admin=True)).ok()
    (await join(service, sale, eve)).problem(409, "no-waiting-list")
    await give_back(service, holds[1])
    await offered(service, entry)
    (await service.call("POST", f"/v1/sales/{sale}/close", admin=True)).ok()
    assert (await see(service, {"id": f"{entry['id']}"}))["status"] == "offered"
    await service.audit(sale)


async def test_over_shards_entries_for_items_that_draw_from_pools_share_one_order(service: Service):
    items = [item(sku, ("seats", 1)) for sku in ("adult", "child")]
    pools = [pool("seats", 3)]
    sale = await service.create_sale(
        items=items, pools=pools, spread=SPREAD, waiting_list=9, waiting_list_hold_seconds=300
    )
    names = some(6)
    holds = [(await hold(service, sale, who, adult=1)).ok(201) for who in names[:3]]
    entries = [
        (await join(service, sale, who, sku=sku)).ok(201)
        for who, sku in zip(names[3:], ("child", "adult", "child"), strict=True)
    ]
    for held, entry in zip(holds, entries, strict=True):
        await give_back(service, held)
        await offered(service, entry)
    await service.audit(sale)


async def test_over_shards_an_entry_whose_pool_is_short_lets_those_for_other_items_pass(service: Service):
    items = [item("box", ("seats", 2)), item("child", ("seats", 1))]
    sale = await service.create_sale(
        items=items, pools=[pool("seats", 2)], spread=SPREAD, waiting_list=9, waiting_list_hold_seconds=300
    )
    ann, bob, cem, dee = some(4)
    holds = [(await hold(service, sale, who, child=1)).ok(201) for who in (ann, bob)]
    box, child = [
        (await join(service, sale, who, sku=sku)).ok(201) for who, sku in ((cem, "box"), (dee, "child"))
    ]
    await give_back(service, holds[0])
    await offered(service, child)
    assert (await see(service, box))["status"] == "waiting"
    await give_back(service, holds[1])
    await give_back(service, child)
    await offered(service, box)
    await service.audit(sale)


async def test_over_shards_units_that_no_entry_waits_for_are_for_the_open_sale(service: Service):
    """They are, also while entries wait for another item that draws from pools."""
    items = [item("adult", ("seats", 1)), item("vip", ("lounge", 1))]
    pools = [pool("seats", 1), pool("lounge", 1)]
    sale = await service.create_sale(
        items=items, pools=pools, spread=SPREAD, waiting_list=9, waiting_list_hold_seconds=300
    )
    ann, bob, cem, dee = some(4)
    (await hold(service, sale, ann, adult=1)).ok(201)
    first = (await hold(service, sale, ann, vip=1)).ok(201)
    vip, adult = [
        (await join(service, sale, who, sku=sku)).ok(201) for who, sku in ((bob, "vip"), (cem, "adult"))
    ]
    await give_back(service, first)
    await offered(service, vip)
    (await service.verb(vip["id"], "confirm")).ok()
    (await restock_pool(service, sale, "lounge", delta=1)).ok()
    async with asyncio.timeout(IDLE_SECONDS):
        while (await hold(service, sale, dee, vip=1)).status != 201:
            await asyncio.sleep(0.05)
    assert (await see(service, adult))["status"] == "waiting"
    await service.audit(sale)


async def test_over_shards_whom_the_room_did_not_admit_waits_until_the_room_is_empty(service: Service):
    sale, ann, bob = await service.create_sale(
        stock=1, spread=SPREAD, waiting_list=9, waiting_list_hold_seconds=300, waiting_room=ROOM
    ), *some(2)  # fmt: skip
    admitted = await admission(service, sale, ann)
    (await buy_with(service, sale, ann, admitted)).ok(201)
    entry = (await join(service, sale, some(3)[2])).ok(201)
    (await take(service, sale, bob)).ok(201)
    await restock(service, sale, 1)
    late = await admission(service, sale, bob)
    await asyncio.sleep(1.0)  # the recorder's beat has come several times
    assert (await see(service, entry))["status"] == "waiting"
    async with asyncio.timeout(IDLE_SECONDS):  # nothing is set aside for it
        while (await buy_with(service, sale, bob, late)).status != 201:
            await asyncio.sleep(0.05)
    await restock(service, sale, 1)
    await offered(service, entry)
    await service.audit(sale)
