"""Measures how a hold's cost grows with existing data, and the memory of a hold and an order."""

import asyncio
from dataclasses import replace

from bench.children import Generators
from bench.generated import generated
from bench.house import Target
from bench.loads import Bench
from bench.measure import closed_loop, warm
from bench.rows import Row

MANY_ITEMS = 10_000
MANY_SALES = 1_000
SALES_AT_ONCE = 20
SEED_IN_FLIGHT = 1_024
SEED_MOST_SECONDS = 240
CONNECTIONS = 64


async def growth(bench: Bench) -> list[Row]:
    """Measure CPU per hold with more and more live holds, items and open sales."""
    rows: list[Row] = []
    for sizes in (live_holds, items, open_sales):
        rows += await sizes(bench)
    return rows


async def live_holds(bench: Bench) -> list[Row]:
    """Measure one sale with 0 live holds, and with the number in the step's connections."""
    sale = await bench.service.sale()
    target = bench.service.press(sale, "reservations")
    await warm([target])
    there, rows = 0, await measured(bench, "0 live holds", target)
    for size in bench.connections:
        rows.append(await seeded(bench, sale, size - there))
        there = size
        rows += await measured(bench, f"{size:,} live holds", target)
    return rows


async def items(bench: Bench) -> list[Row]:
    """Measure a sale of 1 item and one of 10,000: holds of one item, and of all in turn."""
    service = bench.service
    one = service.press(await service.sale(skus=1), "reservations", SKUS="1")
    sale = await service.sale(skus=MANY_ITEMS)
    hot = service.press(sale, "reservations", SKUS="1")
    spread = service.press(sale, "reservations", SKUS=str(MANY_ITEMS))
    await warm([one, hot])
    rows = await measured(bench, "1 item", one)
    rows += await measured(bench, f"{MANY_ITEMS:,} items", hot)
    return rows + await measured(bench, f"{MANY_ITEMS:,} items in turn", spread)


async def open_sales(bench: Bench) -> list[Row]:
    """Measure with one and with 1,000 more open sales: holds of one sale, and of all in turn."""
    service = bench.service
    hot = service.press(await service.sale(), "reservations")
    await warm([hot])
    rows = await measured(bench, "1 open sale", hot)
    name = await service.sale()
    await open_many(bench, name, MANY_SALES)
    rows += await measured(bench, f"{MANY_SALES:,} open sales", hot)
    spread = service.press(f"{name}-%d", "reservations", SALES=str(MANY_SALES))
    return rows + await measured(bench, f"{MANY_SALES:,} open sales in turn", spread)


async def open_many(bench: Bench, name: str, count: int) -> list[str]:
    """Open sales with one item each: the name, a hyphen and a number; return their ids."""
    bench.progress.say(f"opening {count:,} sales")
    ids = [f"{name}-{number}" for number in range(count)]
    for first in range(0, count, SALES_AT_ONCE):
        await asyncio.gather(*(bench.service.sale(id_=id_) for id_ in ids[first : first + SALES_AT_ONCE]))
    return ids


async def measured(bench: Bench, name: str, target: Target) -> list[Row]:
    rows = []
    for round_ in range(bench.times):
        row = await closed_loop(
            "growth",
            replace(target, name=name),
            connections=CONNECTIONS,
            seconds=bench.seconds,
            round_=round_,
        )
        rows.append(row)
        bench.progress.did(row)
    return rows


async def seeded(bench: Bench, sale: str, calls: int, verb: str = "reserve") -> Row:
    """Return the bytes of memory per hold or order, from this number made by the library."""
    bench.progress.say(f"making {calls:,} {'holds' if verb == 'reserve' else 'orders'}")
    before = await bench.house.bytes_kept()
    given = {
        "sale": sale, "verb": verb, "in_flight": SEED_IN_FLIGHT, "seconds": SEED_MOST_SECONDS, "calls": calls,
    }  # fmt: skip
    async with Generators("bench.library", [given], bench.house.env) as children:
        row = await generated("seed", verb, children, bench.servers)
    row.connections = SEED_IN_FLIGHT
    row.more["bytes_each"] = round((await bench.house.bytes_kept() - before) / calls, 1)
    bench.progress.did(row)
    return row


async def bytes_kept(bench: Bench) -> list[Row]:
    """Measure the memory of a live hold and of an order; the step's connections are their number."""
    rows = []
    for verb in ("reserve", "buy"):
        row = await seeded(bench, await bench.service.sale(), bench.connections[0], verb)
        row.scenario, row.target = "bytes", "hold" if verb == "reserve" else "order"
        rows.append(row)
    return rows
