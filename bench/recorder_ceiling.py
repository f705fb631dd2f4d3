"""Measures how fast a recorder writes a full journal of one partition into the ledger, and its CPU per order.

    .venv/bin/python -m bench.recorder_ceiling [--orders 200000] [--per-entry 64] [--json FILE]

While no recorder runs, the journal is filled with direct orders, `per-entry` in each script call. Then a
recorder starts. Rate and CPU count from the first group in the ledger to the last one.
"""

import argparse
import asyncio
import secrets
import shutil
import tempfile
import time
from pathlib import Path

import msgspec

from bench.cpu import tree_seconds
from bench.house import PARTITIONS, House
from bench.loads import Bench
from bench.report import commit, machine
from bench.rows import Row
from flashguard.errors import FlashGuardError
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.model import SaleId, partition_of
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel

POLL_SECONDS = 0.02
MOST_SECONDS = 60.0
US = 1_000_000
PER_ENTRY = 64


async def fill(kernel: Kernel, sale: SaleId, orders: int, per_entry: int) -> None:
    """Decide orders that nothing records."""
    partition = partition_of(sale, PARTITIONS)
    for first in range(0, orders, per_entry):
        requests = [
            (0, secrets.token_hex(12), number, f"customer-{number}", ["unit", 1], True)
            for number in range(first, min(first + per_entry, orders))
        ]
        reply = await kernel.run(Verb.RESERVE, partition, [sale], requests)
        assert not reply.status, reply.status


async def measure(house: House, orders: int, per_entry: int) -> dict[str, float]:
    """Fill the journal, record it, and return what that took."""
    async with house.recorder() as recorder, house.api(recorder) as service:
        sale = SaleId(await service.sale())
        await service.call("GET", f"/v1/sales/{sale}")
    partition = partition_of(sale, PARTITIONS)
    client = connect_kernel(house.servers.redis_url, Settings())
    ledger = await Ledger.connect(house.servers.database_url, prepared=True)
    try:
        kernel = Kernel(client, max_backlog=orders)
        begun = await ledger.positions.get(partition)
        await fill(kernel, sale, orders, per_entry)
        last = int((await kernel.head(partition))["seq"])
        async with house.recorder() as pid, asyncio.timeout(MOST_SECONDS):
            parts = {"recorder": pid} | house.server_parts
            while (first := await ledger.positions.get(partition)).seq == begun.seq:
                await asyncio.sleep(POLL_SECONDS)
            started, before = time.perf_counter(), {name: tree_seconds(each) for name, each in parts.items()}
            while (await ledger.positions.get(partition)).seq < last:
                await asyncio.sleep(POLL_SECONDS)
            seconds = time.perf_counter() - started
            spent = {name: tree_seconds(each) - before[name] for name, each in parts.items()}
    finally:
        await ledger.close()
        await client.aclose()
    done = (last - first.seq) * per_entry
    if not done:
        raise FlashGuardError("The recorder wrote all in one group: fill the journal with more orders.")
    return {
        "orders": orders,
        "orders_per_entry": per_entry,
        "orders_per_second": round(done / seconds),
        **{f"{name}_us": round(each / done * US, 2) for name, each in spent.items()},
    }


async def ceiling(bench: Bench) -> list[Row]:
    """Measure a recorder on servers of its own, since another one records on the benchmark's."""
    rows = []
    for round_, found in enumerate(await run(bench.connections[0], [PER_ENTRY] * bench.times)):
        row = Row(
            scenario="ceiling", target="recorder", round=round_, per_second=found["orders_per_second"],
            cpu_us={part: found[f"{part}_us"] for part in ("recorder", "valkey", "postgres")},
        )  # fmt: skip
        rows.append(row)
        bench.progress.did(row)
    return rows


async def run(orders: int, per_entry: list[int]) -> list[dict[str, float]]:
    folder = Path(tempfile.mkdtemp(prefix="fg-ceiling-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
    try:
        async with House(folder) as house:
            return [await measure(house, orders, each) for each in per_entry]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.recorder_ceiling", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--orders", type=int, default=200_000)
    parser.add_argument(
        "--per-entry", type=int, nargs="+", default=[PER_ENTRY], help="orders of one script call"
    )
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    given = parser.parse_args()
    rows = asyncio.run(run(given.orders, given.per_entry))
    print(*rows, sep="\n")
    if given.json:
        report = {"commit": commit(), "machine": machine(), "rows": rows}
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


if __name__ == "__main__":
    main()
