"""Measures what one hot item costs when its sale is spread over 1, 2 and 4 partitions, in turns of one run.

    .venv/bin/python -m bench.spread_sale [FILE]

It reports CPU per request of the API, Valkey, PostgreSQL and the recorder, and the time in Valkey's only
thread for scripts, by Valkey's own count: of all shards, and of the busiest shard alone, which is the work of
one server of a cluster. The loads are buys, and a crowd that comes too late.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
from redis.asyncio import Redis

from bench import wrk
from bench.cpu import SETTLE_SECONDS, tree_seconds
from bench.limits import KEY, ready, start
from bench.report import commit, machine
from flashguard.embedded import EmbeddedServers
from flashguard.ledger import Ledger

SPREADS = (1, 2, 4)
PORT = 18_340
PLENTY = 100_000_000
SECONDS = 2
TURNS = 2
CONNECTIONS = 128


class Bench:
    """Servers, a recorder and one API process, and the CPU that each has used."""

    def __init__(self, servers: EmbeddedServers, http: aiohttp.ClientSession, pids: dict[str, int]) -> None:
        self._http = http
        self._pids = pids
        self._database_url = servers.database_url
        self._memory = Redis.from_url(servers.redis_url)
        self._url = f"http://127.0.0.1:{PORT}"

    async def open_sale(self, spread: int, stock: int) -> str:
        name = f"spread-{spread}-{uuid.uuid4().hex[:8]}"
        item = {"sku": "unit", "name": "Unit", "price_minor": 1, "currency": "EUR", "stock": stock}
        headers = {"Authorization": f"Bearer {KEY}"}
        body = {"id": name, "name": name, "items": [item], "spread": spread}
        for path, what in (("sales", body), (f"sales/{name}/open", None)):
            async with self._http.post(f"{self._url}/v1/{path}", json=what, headers=headers) as answer:
                answer.raise_for_status()
        return name

    async def press(self, sale: str, expected: str) -> dict[str, float]:
        """Run one turn; return the cost of a request, and the number of answers."""
        variables = {
            "PATH": f"/v1/sales/{sale}/orders",
            "BODY": '{"customer":"%s","items":[{"sku":"%s","quantity":1}]}',
            "RUN": uuid.uuid4().hex[:8],
            "AUTH": f"Bearer {KEY}",
        }
        before, scripts = self._cpu(), await self._script_us()
        count = await wrk.run(self._url, "press", variables, connections=CONNECTIONS, seconds=SECONDS)
        await asyncio.sleep(2 * SETTLE_SECONDS)  # the recorder's last group
        after = self._cpu()
        answers = sum(count.answers.values())
        assert all(expected in answer.split() for answer in count.answers), count.answers
        row = {f"{name}_us": (after[name] - before[name]) / answers * 1e6 for name in after}
        return row | {
            "scripts_us": (await self._script_us() - scripts) / answers,
            "requests_per_second": answers / count.seconds,
            "p50_ms": count.p50_ms,
            "p99_ms": count.p99_ms,
        }

    async def busiest_share(self, sale: str) -> float:
        """Return the share of a sale's orders that its busiest shard has."""
        connection = await asyncpg.connect(self._database_url)
        sql = "SELECT count(*) AS orders FROM flashguard.reservations WHERE sale_id ^@ $1 GROUP BY sale_id"
        try:
            orders = [row["orders"] for row in await connection.fetch(sql, sale)]
        finally:
            await connection.close()
        return max(orders) / sum(orders)

    def _cpu(self) -> dict[str, float]:
        return {name: tree_seconds(pid) for name, pid in self._pids.items()}

    async def _script_us(self) -> float:
        stats = await self._memory.info("commandstats")
        return float(sum(stats.get(f"cmdstat_{name}", {}).get("usec", 0) for name in ("evalsha", "eval")))

    async def close(self) -> None:
        await self._memory.aclose()


async def measure() -> dict[str, Any]:
    place = Path(tempfile.mkdtemp(prefix="fg-spread-", dir="/tmp"))
    place.chmod(0o755)
    async with EmbeddedServers(place / "data") as servers, aiohttp.ClientSession() as http:
        ledger = await Ledger.connect(servers.database_url)
        await ledger.migrate(16)
        await ledger.close()
        env = {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")} | {
            "FLASHGUARD_REDIS_URL": servers.redis_url,
            "FLASHGUARD_DATABASE_URL": servers.database_url,
            "FLASHGUARD_ADMIN_KEY": KEY,
            "FLASHGUARD_EMBEDDED": "true",
            "FLASHGUARD_LOG_LEVEL": "warning",
            "FLASHGUARD_PORT": str(PORT),
        }
        children = {name: start(name, env) for name in ("recorder", "api")}
        pids = {name: child.pid for name, child in children.items()}
        pids |= {"valkey": servers.valkey.pid, "postgres": servers.postgres.pid}
        bench = Bench(servers, http, pids)
        try:
            await ready(http, f"http://127.0.0.1:{PORT}")
            return {"buy": await rows(bench, PLENTY, "201"), "sold out": await rows(bench, 0, "409")}
        finally:
            await bench.close()
            for child in children.values():
                child.terminate()
            for child in children.values():
                child.wait(30)


async def rows(bench: Bench, stock: int, expected: str) -> dict[str, dict[str, float]]:
    sales = {spread: await bench.open_sale(spread, stock) for spread in SPREADS}
    seen: dict[int, list[dict[str, float]]] = {spread: [] for spread in SPREADS}
    for turn in range(TURNS + 1):
        for spread, sale in sales.items():
            row = await bench.press(sale, expected)
            if turn:  # the first turn warms up
                seen[spread].append(row)
    found: dict[str, dict[str, float]] = {}
    for spread, turns in seen.items():
        row = {name: round(statistics.median(each[name] for each in turns), 2) for name in turns[0]}
        if stock:
            share = await bench.busiest_share(sales[spread])
            row["busiest_part_share"] = round(share, 3)
            row["busiest_part_scripts_us"] = round(row["scripts_us"] * share, 2)
        found[str(spread)] = row
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.spread_sale", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("file", nargs="?", type=Path, help="where to write what was measured")
    file = parser.parse_args().file
    head = {"commit": commit(), "machine": machine(), "connections": CONNECTIONS}
    report = msgspec.json.format(msgspec.json.encode(head | asyncio.run(measure())))
    print(report.decode())
    if file:
        file.write_bytes(report + b"\n")


if __name__ == "__main__":
    main()
