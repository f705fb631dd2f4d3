"""Measures long waiting lists on the embedded servers: how long another sale's buyers wait meanwhile.

    .venv/bin/python bench/waiting_list.py --json bench/results/waiting_list.json

Everything runs through the library (`guard.waiting`, `guard.reserve`), without HTTP, on one partition: the
other sale shares the script engine, the journal and the recorder with the list.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvloop

from flashguard import FlashGuard, Line, NewSale, Settings
from flashguard.embedded import EmbeddedServers
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.model import Granted, Item, MinorUnits, Refused, SaleId, Sku
from flashguard.model.rules import Rules
from flashguard.recorder import Recorder
from flashguard.valkey.connect import connect_kernel

AT_ONCE = 512
PROBES = 4
"""Buyers of the other sale, one request after the other each."""
IDLE_SECONDS = 10.0
PATIENCE_SECONDS = 300.0


async def make(guard: FlashGuard, name: str, items: dict[str, int], waiting: int | None = None) -> SaleId:
    sale = SaleId(name)
    found = tuple(
        Item(sku=Sku(sku), name=sku, price_minor=MinorUnits(100), currency="EUR", stock=stock)
        for sku, stock in items.items()
    )
    rules = Rules(waiting_list=waiting, waiting_list_hold_seconds=None if waiting is None else 3_600)
    await guard.shop.create_sale(NewSale(name=name, items=found, id=sale, rules=rules))
    await guard.shop.change(sale, "open")
    return sale


async def sell(guard: FlashGuard, sale: SaleId, sku: str, units: int, customer: str) -> str:
    outcome = await guard.buy(sale, customer, [Line(Sku(sku), units)])
    assert isinstance(outcome, Granted), outcome
    return str(outcome.reservation.id)


async def join_all(guard: FlashGuard, sale: SaleId, wanted: list[tuple[str, int]]) -> float:
    """Let all buyers join, each with (sku, quantity); return the seconds."""
    todo = iter(enumerate(wanted))

    async def one() -> None:
        for n, (sku, quantity) in todo:
            answer = await guard.waiting.join(sale, f"w{n}", sku, quantity)
            assert not isinstance(answer, Refused), answer

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return time.perf_counter() - started


class Probe:
    """Hold in another sale; record how long each hold takes."""

    def __init__(self) -> None:
        self.ms: list[float] = []

    def figures(self) -> dict[str, float]:
        times = sorted(self.ms)
        at = {
            name: times[min(len(times) - 1, int(len(times) * q))] for name, q in (("p50", 0.5), ("p99", 0.99))
        }
        return {"holds": len(times), "p50_ms": round(at["p50"], 1), "p99_ms": round(at["p99"], 1),
                "longest_ms": round(times[-1], 1)}  # fmt: skip


@contextlib.asynccontextmanager
async def probing(guard: FlashGuard, sale: SaleId) -> AsyncIterator[Probe]:
    probe, done = Probe(), asyncio.Event()

    async def press(number: int) -> None:
        while not done.is_set():
            started = time.perf_counter()
            outcome = await guard.reserve(sale, f"p{number}", [Line(Sku("unit"), 1)])
            assert isinstance(outcome, Granted), outcome
            probe.ms.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(0.005)

    tasks = [asyncio.create_task(press(number)) for number in range(PROBES)]
    yield probe
    done.set()
    await asyncio.gather(*tasks)


async def held(guard: FlashGuard, sale: SaleId) -> int:
    counters = await guard.kernel.counters(0, sale)
    return sum(item[1] for item in counters.values())


async def memory_seconds(guard: FlashGuard) -> float:
    cpu = await guard.kernel.info("cpu")
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


async def longest_script_ms(guard: FlashGuard) -> float:
    """Return the longest call that the server recorded since the last question."""
    noted = await guard.kernel.client.execute_command("SLOWLOG", "GET", 10_000)
    await guard.kernel.client.execute_command("SLOWLOG", "RESET")
    return max((entry[2] / 1000 for entry in noted if entry[3][0].upper() == b"EVALSHA"), default=0.0)


async def restocked(guard: FlashGuard, other: SaleId, waiting: int) -> dict[str, Any]:
    """Measure a number of buyers who wait for one unit each, when all units come at once."""
    sale = await make(guard, f"list-{waiting}", {"unit": 1}, waiting)
    await sell(guard, sale, "unit", 1, "first")
    joined = await join_all(guard, sale, [("unit", 1)] * waiting)
    await longest_script_ms(guard)
    async with probing(guard, other) as probe:
        started = time.perf_counter()
        await guard.shop.restock(sale, "unit", waiting, reason="bench", key=None)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await held(guard, sale) < waiting:
                await asyncio.sleep(0.1)
        seconds = time.perf_counter() - started
    return {
        "waiting": waiting,
        "joins_per_second": round(waiting / joined),
        "served_in_seconds": round(seconds, 1),
        "longest_script_ms": await longest_script_ms(guard),
        "other_sale": probe.figures(),
    }


async def wants_more(guard: FlashGuard, other: SaleId, waiting: int) -> dict[str, Any]:
    """Measure a number of buyers who want more than is left, while orders are cancelled one by one."""
    sale = await make(guard, "wants-more", {"unit": 100}, waiting)
    orders = [await sell(guard, sale, "unit", 1, f"b{n}") for n in range(100)]
    await join_all(guard, sale, [("unit", 101 + n % 7) for n in range(waiting)])
    await longest_script_ms(guard)
    refunds: list[float] = []
    async with probing(guard, other) as probe:
        for order in orders:
            started = time.perf_counter()
            cancelled = await guard.orders.cancel(order, restock=True, reason="bench")
            assert not isinstance(cancelled, Refused), cancelled
            refunds.append((time.perf_counter() - started) * 1000)
    return {"waiting": waiting, "refund_p99_ms": round(sorted(refunds)[98], 1),
            "longest_script_ms": await longest_script_ms(guard), "other_sale": probe.figures()}  # fmt: skip


async def idle(guard: FlashGuard, other: SaleId, items: int) -> dict[str, Any]:
    """Measure a number of items with one waiting buyer each, while nothing happens."""
    skus = [f"i{n}" for n in range(items)]
    sale = await make(guard, "many-items", dict.fromkeys(skus, 0), items)
    before = await memory_seconds(guard)
    await asyncio.sleep(IDLE_SECONDS)
    empty = await memory_seconds(guard) - before
    await join_all(guard, sale, [(sku, 1) for sku in skus])
    before = await memory_seconds(guard)
    await asyncio.sleep(IDLE_SECONDS)
    waits = await memory_seconds(guard) - before
    await longest_script_ms(guard)
    async with probing(guard, other) as probe:
        await asyncio.sleep(IDLE_SECONDS)
    return {"items": items, "valkey_cpu_percent_nobody_waits": round(100 * empty / IDLE_SECONDS, 1),
            "valkey_cpu_percent": round(100 * waits / IDLE_SECONDS, 1),
            "longest_script_ms": await longest_script_ms(guard), "other_sale": probe.figures()}  # fmt: skip


async def run(folder: Path, scale: float) -> dict[str, Any]:
    async with EmbeddedServers(folder / "data") as servers:
        ledger = await Ledger.connect(servers.database_url, prepared=True)
        await ledger.migrate(1)
        settings = Settings(redis_url=servers.redis_url, database_url=servers.database_url, embedded=True)
        client = connect_kernel(servers.redis_url, settings)
        await client.execute_command("CONFIG", "SET", "slowlog-log-slower-than", 1_000)
        await client.execute_command("CONFIG", "SET", "slowlog-max-len", 10_000)
        recorder = asyncio.create_task(Recorder(Kernel(client), ledger, settings, 1).run())
        try:
            async with await FlashGuard.connect(settings) as guard:
                while not (await guard.kernel.head(0)).get("epoch"):
                    await asyncio.sleep(0.1)
                other = await make(guard, "other", {"unit": 1_000_000})
                async with probing(guard, other) as probe:
                    await asyncio.sleep(IDLE_SECONDS)
                return {
                    "nothing_else": probe.figures(),
                    "restocked_40000": await restocked(guard, other, int(40_000 * scale)),
                    "wants_more_40000": await wants_more(guard, other, int(40_000 * scale)),
                    "idle_10000": await idle(guard, other, int(10_000 * scale)),
                    "restocked_100000": await restocked(guard, other, int(100_000 * scale)),
                }
        finally:
            recorder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await recorder
            await client.aclose()
            await ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of those who wait")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fg-list-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        found = uvloop.run(run(Path(place), given.scale))
    result = {"environment": f"{platform.machine()}, {os.cpu_count()} cores", "list": found}
    text = json.dumps(result, indent=2)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
