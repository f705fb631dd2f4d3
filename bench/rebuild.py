"""Measures how long a rebuild of a partition's memory from the ledger takes after it was emptied.

    .venv/bin/python bench/rebuild.py --orders 1000000 --holds 100000 --json bench/results/rebuild.json

The sale is written into the ledger by SQL; then Valkey is emptied, and the recorder notices and rebuilds.
It reports the recorder's own figure, from detection to serving again, and the time since the loss.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import asyncpg
import psutil
from redis.asyncio import Redis

from flashguard.embedded import EmbeddedServers
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.model import SaleId, partition_of
from flashguard.recorder import Recorder
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel

PARTITIONS = 1
PATIENCE_SECONDS = 1_800.0
SALE = SaleId("large")
FILL = """
INSERT INTO flashguard.sales (id, name, partition, status, hold_seconds, max_hold_seconds, limit_per_customer)
VALUES ('large', 'Large', 0, 'open', 86400, 86400, 10);
INSERT INTO flashguard.items (sale_id, sku, ordinal, name, price_minor, currency, stock, held, sold)
VALUES ('large', 'unit', 1, 'Unit', 100, 'EUR', 10000000, {holds}, {orders});
INSERT INTO flashguard.reservations (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                     expires_at, confirmed_at, ended_at)
SELECT 'large', substr(md5(n::text), 1, 24), 'customer-' || n,
       CASE WHEN sold THEN 'confirmed' ELSE 'held' END, '["unit", 1]', n, now(),
       CASE WHEN sold THEN 0 ELSE 86400000 END,
       CASE WHEN NOT sold THEN now() + interval '1 day' END, CASE WHEN sold THEN now() END,
       CASE WHEN sold THEN now() END
FROM (SELECT n, n <= {orders} AS sold FROM generate_series(1, {orders} + {holds}) AS n) AS rows;
VACUUM ANALYZE flashguard.reservations;
"""


async def fill(url: str, orders: int, holds: int) -> None:
    connection = await asyncpg.connect(url)
    for statement in FILL.format(orders=orders, holds=holds).split(";")[:-1]:
        await connection.execute(statement)
    await connection.close()


async def measure(folder: Path, orders: int, holds: int) -> dict[str, object]:
    async with EmbeddedServers(folder) as servers:
        settings = Settings(redis_url=servers.redis_url, database_url=servers.database_url, embedded=True)
        ledger = await Ledger.connect(servers.database_url, prepared=True)
        await ledger.migrate(PARTITIONS)
        client = connect_kernel(servers.redis_url, settings)
        memory = Redis.from_url(servers.redis_url)
        partition = partition_of(SALE, PARTITIONS)
        await fill(servers.database_url, orders, holds)
        recorder = asyncio.create_task(Recorder(Kernel(client), ledger, settings, PARTITIONS).run())
        await _epoch(memory, partition, 0)
        spent = cpu_seconds(servers)
        begun, epoch = time.monotonic(), int(await memory.hget(keys.partition(partition), "epoch") or 0)
        await memory.flushall()
        await _epoch(memory, partition, epoch)
        total = time.monotonic() - begun
        spent = {name: round(after - spent[name], 2) for name, after in cpu_seconds(servers).items()}
        names = keys.sale(partition, SALE)
        loaded, live = await memory.hlen(names.reservations), await memory.zcard(names.deadlines)
        assert (loaded, live) == (orders + holds + 1, holds + 1), (loaded, live)
        for _ in range(100):
            if (told := await ledger.positions.recoveries())["count"]:
                break
            await asyncio.sleep(0.1)
        recorder.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await recorder
        await memory.aclose()
        await client.aclose()
        await ledger.close()
    return {
        "environment": f"{platform.machine()}, {os.cpu_count()} cores",
        "orders": orders,
        "live_holds": holds,
        "seconds_from_noticing": round(told["newest_seconds"], 2),
        "seconds_from_the_loss": round(total, 2),
        "cpu_seconds": spent,
        "load_average_of_the_machine": round(os.getloadavg()[0], 1),
    }


def cpu_seconds(servers: EmbeddedServers) -> dict[str, float]:
    """Return the CPU that each part has used: on a busy machine the wall clock says little."""

    def used(process: psutil.Process) -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    postgres = psutil.Process(servers.postgres.pid)
    return {
        "valkey": used(psutil.Process(servers.valkey.pid)),
        "postgres": sum(used(each) for each in (postgres, *postgres.children())),
        "recorder": used(psutil.Process()),
    }


async def _epoch(memory: Redis, partition: int, after: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        epoch, fence = await memory.hmget(keys.partition(partition), "epoch", "fence")
        if int(epoch or 0) > after and fence is None:
            return
        if time.monotonic() > deadline:
            raise SystemExit("the rebuild does not end")
        await asyncio.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--holds", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fg-rebuild-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        result = asyncio.run(measure(Path(place) / "data", given.orders, given.holds))
    text = json.dumps(result, indent=2)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
