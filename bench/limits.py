"""Measures what rate limits cost a hold: CPU of the API and of Valkey per request, off and on, in turns.

    .venv/bin/python -m bench.limits
    .venv/bin/python -m bench.limits --other before=/path/to/another/checkout

`--other` compares with the API of another checkout instead, run by the same interpreter.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import aiohttp
import psutil

from bench import wrk
from bench.cpu import tree_seconds
from flashguard.embedded import EmbeddedServers
from flashguard.ledger import Ledger

KEY = "fg_admin_of-this-measurement-0123456789"
LIMITS = {
    "FLASHGUARD_RATE_PER_CUSTOMER": "1000000/1",
    "FLASHGUARD_RATE_PER_ADDRESS": "1000000/1",
    "FLASHGUARD_RATE_PER_KEY": "1000000/1",
}
VARIANTS = {
    "off": {},
    "per customer": {"FLASHGUARD_RATE_PER_CUSTOMER": "1000000/1"},
    "per address, key and customer": LIMITS,
}
FIRST_PORT = 18_300
READY_SECONDS = 60.0


async def measure(others: dict[str, str], seconds: int, turns: int, connections: int) -> dict[str, object]:
    place = Path(tempfile.mkdtemp(prefix="fg-limits-", dir="/tmp"))
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
        }
        children = [start("recorder", env)]
        apis: dict[str, tuple[str, int]] = {}
        variants = {name: {"PYTHONPATH": f"{path}/src"} for name, path in others.items()}
        variants |= {"off": {}} if others else VARIANTS
        try:
            for number, (name, more) in enumerate(variants.items()):
                port = FIRST_PORT + number
                child = start("api", env | more | {"FLASHGUARD_PORT": str(port)})
                children.append(child)
                apis[name] = (f"http://127.0.0.1:{port}", child.pid)
            for url, _ in apis.values():
                await ready(http, url)
            sale = await open_sale(http, apis["off"][0])
            memory = next(
                process.pid
                for process in psutil.Process().children(recursive=True)
                if "valkey" in process.name()
            )
            rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in apis}
            for turn in range(turns + 1):
                for name, (url, pid) in apis.items():
                    row = await press(url, sale, pid, memory, seconds, connections)
                    if turn:  # the first turn warms up
                        rows[name].append(row)
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait(30)
    first = next(iter(rows))
    base = [api for api, _, _ in rows[first]]
    return {
        name: {
            "api_us_per_request": round(statistics.median(api for api, _, _ in row), 1),
            "valkey_us_per_request": round(statistics.median(memory for _, memory, _ in row), 1),
            "p50_ms": round(statistics.median(p50 for _, _, p50 in row), 2),
            f"api_times_{first}": round(
                statistics.median(api / mine for (api, _, _), mine in zip(row, base, strict=True)), 2
            ),
        }
        for name, row in rows.items()
    }


def start(command: str, env: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "flashguard", command], env=env)


async def ready(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                async with http.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


async def open_sale(http: aiohttp.ClientSession, url: str) -> str:
    name = f"limits-{uuid.uuid4().hex[:8]}"
    item = {"sku": "unit", "name": "Unit", "price_minor": 1, "currency": "EUR", "stock": 100_000_000}
    headers = {"Authorization": f"Bearer {KEY}"}
    body = {"id": name, "name": name, "items": [item]}
    async with http.post(f"{url}/v1/sales", json=body, headers=headers) as answer:
        answer.raise_for_status()
    async with http.post(f"{url}/v1/sales/{name}/open", headers=headers) as answer:
        answer.raise_for_status()
    return name


async def press(
    url: str, sale: str, pid: int, memory: int, seconds: int, connections: int
) -> tuple[float, float, float]:
    variables = {
        "PATH": f"/v1/sales/{sale}/reservations",
        "BODY": '{"customer":"%s","items":[{"sku":"%s","quantity":1}]}',
        "RUN": uuid.uuid4().hex[:8],
        "AUTH": f"Bearer {KEY}",
    }
    before = tree_seconds(pid), tree_seconds(memory)
    count = await wrk.run(url, "press", variables, connections=connections, seconds=seconds)
    after = tree_seconds(pid), tree_seconds(memory)
    good = sum(number for answer, number in count.answers.items() if answer.endswith("201"))
    assert good == sum(count.answers.values()), count.answers
    api, valkey = ((late - early) / good * 1e6 for early, late in zip(before, after, strict=True))
    return api, valkey, count.p50_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--other", action="append", default=[], metavar="NAME=PATH")
    given = parser.parse_args()
    others = dict(other.split("=", 1) for other in given.other)
    rows = asyncio.run(measure(others, given.seconds, given.turns, given.connections))
    print(json.dumps({"cores": os.cpu_count(), "connections": given.connections, "holds": rows}, indent=2))


if __name__ == "__main__":
    main()
