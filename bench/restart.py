"""Measures how long a restarted API process takes until it answers its first hold."""

import asyncio
import time

import aiohttp

from bench.house import BASKET, READY_SECONDS, free_port
from bench.loads import Bench
from bench.rows import Row

POLL_SECONDS = 0.005


async def restart(bench: Bench) -> list[Row]:
    """Start an API process again and again, on servers that run, and hold a unit as soon as it answers."""
    sale = await bench.service.sale()
    rows = []
    for round_ in range(bench.times):
        row = Row(scenario="restart", target="flashguard", round=round_)
        row.more = {"ms": round(await first_answer_ms(bench, sale, f"restart-{round_}"), 1)}
        rows.append(row)
        bench.progress.say(f"restart: first answer after {row.more['ms']} ms")
    return rows


async def first_answer_ms(bench: Bench, sale: str, customer: str) -> float:
    """Return the milliseconds from the start of a process to its first hold."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1/sales/{sale}/reservations"
    headers = {"Authorization": bench.service.authorization, "Content-Type": "application/json"}
    started = time.perf_counter()
    async with (
        bench.house.child("flashguard", "api", "--port", str(port)),
        aiohttp.ClientSession(headers=headers) as http,
        asyncio.timeout(READY_SECONDS),
    ):
        while True:
            try:
                async with http.post(url, data=BASKET % (customer, "unit")) as answer:
                    if answer.status == 201:
                        return (time.perf_counter() - started) * 1000
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(POLL_SECONDS)
