"""Measures what each `hold_durability` costs: latencies of holds inside a program, on the embedded servers.

    .venv/bin/python bench/durability.py --json bench/results/durability.json

`replicated` has one real replica on this machine, over TCP.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import socket
import statistics
import tempfile
import time
import uuid
from pathlib import Path

from redis.asyncio import Redis

from flashguard import FlashGuard, Granted, Item, Line, NewSale, Settings
from flashguard.embedded import EmbeddedServers
from flashguard.embedded.valkey import find_valkey
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.model import Durability, MinorUnits, Sku
from flashguard.recorder import Recorder
from flashguard.valkey.connect import connect_kernel

UNIT = Sku("unit")
Results = dict[str, dict[str, dict[str, float]]]


async def measure(folder: Path, seconds: float) -> Results:
    async with EmbeddedServers(folder / "data") as servers:
        ledger = await Ledger.connect(servers.database_url, prepared=True)
        await ledger.migrate(1)
        settings = Settings(redis_url=servers.redis_url, database_url=servers.database_url, embedded=True)
        client = connect_kernel(servers.redis_url, settings)
        recorder = asyncio.create_task(Recorder(Kernel(client), ledger, settings, 1).run())
        replica = await start_replica(servers.redis_url, folder)
        try:
            async with await FlashGuard.connect(settings) as guard:
                return {
                    str(durability): {
                        f"{buyers} at a time": await hold(guard, durability, buyers, seconds)
                        for buyers in (1, 64)
                    }
                    for durability in Durability
                }
        finally:
            replica.terminate()
            await replica.wait()
            recorder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await recorder
            await client.aclose()
            await ledger.close()


async def start_replica(primary_url: str, folder: Path) -> asyncio.subprocess.Process:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    primary = Redis.from_url(primary_url)
    await primary.config_set("bind", "127.0.0.1")
    await primary.config_set("port", str(port))
    words = ["--port", "0", "--unixsocket", str(folder / "replica.sock"), "--save", "", "--dir", str(folder)]
    words += ["--replicaof", "127.0.0.1", str(port)]
    quiet = asyncio.subprocess.DEVNULL
    replica = await asyncio.create_subprocess_exec(str(find_valkey()), *words, stdout=quiet, stderr=quiet)
    while (await primary.info("replication")).get("slave0", {}).get("state") != "online":
        await asyncio.sleep(0.1)
    await primary.aclose()
    return replica


async def hold(guard: FlashGuard, durability: Durability, buyers: int, seconds: float) -> dict[str, float]:
    item = Item(sku=UNIT, name="Unit", price_minor=MinorUnits(1), currency="EUR", stock=100_000_000)
    name = f"{durability}-{uuid.uuid4().hex[:8]}"
    created = await guard.shop.create_sale(
        NewSale(name=name, items=(item,), id=name, hold_durability=durability)
    )
    assert isinstance(created, tuple), created
    await guard.shop.change(created[0].id, "open")
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def buyer(number: int) -> None:
        while (begun := time.perf_counter()) < end:
            outcome = await guard.reserve(name, f"c{number}", [Line(UNIT, 1)])
            if not isinstance(outcome, Granted):
                raise SystemExit(f"{durability}: {outcome}")
            took.append((time.perf_counter() - begun) * 1000)

    await asyncio.gather(*(buyer(number) for number in range(buyers)))
    cuts = statistics.quantiles(took, n=100)
    return {
        "holds_per_second": round(len(took) / seconds),
        "p50_ms": round(cuts[49], 2),
        "p99_ms": round(cuts[98], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fg-durability-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        holds = asyncio.run(measure(Path(place), given.seconds))
    result = {"environment": f"{platform.machine()}, {os.cpu_count()} cores", "holds": holds}
    text = json.dumps(result, indent=2)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
