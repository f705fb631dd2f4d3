"""Scenarios over time: half load, a burst of buyers, a sale from first to last unit."""

import asyncio
import itertools
import os
import time
from dataclasses import replace

from bench import wrk
from bench.children import Generators
from bench.cpu import Meter
from bench.generated import generated
from bench.loads import Bench, sale_target
from bench.measure import US, closed_loop, counted_loop, warm
from bench.rows import Row, middle
from flashguard.simulator.buyers import BuyTarget as Press
from flashguard.simulator.buyers import press_together
from flashguard.simulator.tally import Tally, percentile

PACED_CONNECTIONS = 256
BURST_UNITS = 100
BURST_SECONDS = 60.0
SELL_OUT_SHARE = 0.4
"""Share of the load's time until the last unit is sold, from the capacity measured just before."""


async def half_load(bench: Bench) -> list[Row]:
    """Measure the latency of durable buys at half of the capacity measured just before."""
    target, committed = await sale_target(bench.service, "orders")
    await warm([target])
    rows: list[Row] = []
    for round_ in range(bench.times):
        capacity = await closed_loop(
            "half-load", replace(target, name="capacity"),
            connections=bench.connections[0], seconds=bench.seconds, round_=round_, committed=committed,
        )  # fmt: skip
        bench.progress.did(capacity)
        arguments = target.variables | {
            "url": target.url, "rate": capacity.per_second / 2, "seconds": bench.seconds,
            "connections": PACED_CONNECTIONS,
        }  # fmt: skip
        async with Generators("bench.paced", [arguments], os.environ) as children:
            row = await generated("half-load", target.name, children, target.parts, good="201")
        row.round, row.connections = round_, PACED_CONNECTIONS
        row.more = {"offered_per_second": round(capacity.per_second / 2, 1)}
        rows += [capacity, row]
        bench.progress.did(row)
    return rows


async def burst(bench: Bench) -> list[Row]:
    """Let many buyers, each with its own connection, press Buy once at the same moment on 100 units."""
    rows = []
    for round_ in range(bench.times):
        row = await one_burst(bench, bench.connections[0])
        row.round = round_
        rows.append(row)
        bench.progress.did(row)
    return rows


async def one_burst(bench: Bench, buyers: int) -> Row:
    sale = await bench.service.sale(stock=BURST_UNITS)
    target = bench.service.press(sale, "orders")
    body = target.variables["BODY"]
    press = Press(
        target.url, target.variables["PATH"], lambda number: (body % (f"b{number}", "unit")).encode(),
        (("Authorization", bench.service.authorization),),
    )  # fmt: skip
    bench.progress.say(f"burst: connecting {buyers:,} buyers")
    meter, tally = Meter(target.parts), Tally()
    waves: list[int] = []

    def released(size: int) -> None:
        if not waves:
            meter.start()
        waves.append(size)

    seconds = await press_together(
        press, buyers, tally, seconds=BURST_SECONDS, stop=asyncio.Event(), released=released
    )
    meter.client_done()
    await meter.settle()
    ordered = sorted(tally.latencies_ms)
    missing = abs(tally.locks - BURST_UNITS) + abs(await bench.service.committed(sale) - BURST_UNITS)
    return Row(
        scenario="burst", target="flashguard", connections=buyers, seconds=round(seconds, 3),
        per_second=round(buyers / seconds, 1), errors=tally.errors + missing,
        answers={"201": tally.locks, "409 sold-out": tally.sold_out},
        p50_ms=percentile(ordered, 0.5), p99_ms=percentile(ordered, 0.99),
        cpu_us={part: round(spent / buyers * US, 2) for part, spent in meter.stop().items()}
        | {"client": round(meter.client_seconds / buyers * US, 2)},
        others_cores=round(meter.others_cores, 2),
        more={"retries": tally.retries, "waves": len(waves)},
    )  # fmt: skip


async def sell_out(bench: Bench) -> list[Row]:
    """Measure one hot item from its first unit to long after its last: sales and rejections per second."""
    target, committed = await sale_target(bench.service, "orders")
    connections = bench.connections[0]
    await warm([target])
    capacity = await closed_loop(
        "sell-out", replace(target, name="before"), connections=connections, seconds=1, committed=committed
    )
    stock = max(1, int(capacity.per_second * bench.seconds * SELL_OUT_SHARE))
    sale = await bench.service.sale(stock=stock)
    target = replace(
        bench.service.press(sale, "orders", BY_SECOND="1"), name="flashguard", good=("201", "409 sold-out")
    )
    following = asyncio.create_task(_sold_by_second(bench, sale))
    try:
        row, count = await counted_loop("sell-out", target, connections=connections, seconds=bench.seconds)
    finally:
        following.cancel()
    sold = await bench.service.committed(sale)
    row.committed = sold
    row.errors += abs(sold - stock) + abs(row.answers.get("201", 0) - stock)
    sales, rejections = by_second(count)
    row.more = {
        "stock": stock,
        "sales_per_second": middle(sales) or capacity.per_second,
        "rejections_per_second": middle(rejections) or 0.0,
        "durable_confirmations_per_second": middle(_rates(await following)) or 0.0,
    }
    row.per_second = row.more["sales_per_second"]
    bench.progress.did(row)
    return [row]


_Reading = tuple[float, int]


def by_second(count: wrk.Count) -> tuple[list[int], list[int]]:
    """Return the sales of every whole second with only sales, and the rejections of every one after them."""
    seconds: dict[str, dict[str, int]] = {}
    for name, answers in count.by_second.items():
        second, _, word = name.partition(" ")
        seconds.setdefault(second, {})[word] = answers
    whole = [seconds[second] for second in sorted(seconds)[1:-1]]  # the first and the last are cut off
    return (
        [said["201"] for said in whole if "201" in said and "409 sold-out" not in said],
        [said["409 sold-out"] for said in whole if "409 sold-out" in said and "201" not in said],
    )


async def _sold_by_second(bench: Bench, sale: str) -> list[_Reading]:
    """Read the units sold in PostgreSQL twice per second, until cancelled."""
    readings: list[_Reading] = []
    connection = await bench.house.database()
    try:
        while True:
            sold = await connection.fetchval(
                "SELECT sum(sold) FROM flashguard.items WHERE sale_id = $1", sale
            )
            readings.append((time.monotonic(), int(sold)))
            await asyncio.sleep(0.5)
    except asyncio.CancelledError:
        return readings
    finally:
        await connection.close()


def _rates(readings: list[_Reading]) -> list[float]:
    """Return units per second, between readings while they grew."""
    return [
        (sold - before) / (at - earlier)
        for (earlier, before), (at, sold) in itertools.pairwise(readings)
        if before and sold > before
    ][:-1]
