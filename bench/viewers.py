"""Measures a number of simultaneous viewers of one sale on one API process, while it sells.

    python bench/viewers.py --url http://127.0.0.1:8000 --admin-key … --viewers 2000 --orders-per-second 200

Every viewer is a TCP connection. Delivery delay is the time from the `at` that the server wrote into an
event when it encoded it, to its arrival at a viewer's socket; both clocks are this machine's. CPU and memory
are those of the process that listens on the port, from /proc.
"""

import argparse
import asyncio
import contextlib
import json
import platform
import re
import resource
import sys
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil
import uvloop

AT = re.compile(rb'"at":"([^"]+)"')
CONNECTS_AT_ONCE = 100


class Viewer(asyncio.Protocol):
    """Reads a stream and records the delay of each stock event."""

    def __init__(self, request: bytes, delays_ms: list[float]) -> None:
        self._request = request
        self._delays_ms = delays_ms
        self.events = 0
        self.snapshots = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if b"event: sale" in data:
            self.snapshots += 1
        for event in data.split(b"\n\n"):
            if b"event: stock" in event and (found := AT.search(event)):
                self.events += 1
                self._delays_ms.append((now - datetime.fromisoformat(found[1].decode()).timestamp()) * 1000)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    headers = {"Authorization": f"Bearer {options.admin_key}"}
    sale = f"viewers-{uuid.uuid4().hex[:12]}"
    item = {"sku": "drop", "name": "Drop", "price_minor": 100, "currency": "EUR", "stock": 1_000_000}
    address = urlsplit(options.url)
    process = listening_on(address.port or 80)
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=64)) as http:
        await call(http, f"{options.url}/v1/sales", {"id": sale, "name": "Viewers", "items": [item]})
        await call(http, f"{options.url}/v1/sales/{sale}/open", None)
        memory_before = process.memory_info().rss
        delays_ms: list[float] = []
        request = f"GET /v1/sales/{sale}/events HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
        viewers = [Viewer(request, delays_ms) for _ in range(options.viewers)]
        loop = asyncio.get_running_loop()
        for at in range(0, len(viewers), CONNECTS_AT_ONCE):
            await asyncio.gather(
                *(
                    loop.create_connection(lambda viewer=viewer: viewer, address.hostname, address.port)
                    for viewer in viewers[at : at + CONNECTS_AT_ONCE]
                )
            )
        await asyncio.sleep(2)
        idle = await spent(process, 5)
        memory_open = process.memory_info().rss
        delays_ms.clear()
        selling = asyncio.create_task(sell(http, f"{options.url}/v1/sales/{sale}/orders", options))
        busy = await spent(process, options.seconds)
        orders, latencies_ms = await stop_selling(selling)
        memory_after = process.memory_info().rss
        lost = sum(viewer.lost for viewer in viewers)
        for viewer in viewers:
            viewer.transport.close()
        await call(http, f"{options.url}/v1/sales/{sale}/close", None)
    delays_ms.sort()
    latencies_ms.sort()
    events = sum(viewer.events for viewer in viewers)
    return {
        "viewers": options.viewers,
        "seconds": options.seconds,
        "orders_per_second": round(orders / options.seconds, 1),
        "order_latency_ms_p50": share(latencies_ms, 0.5),
        "order_latency_ms_p99": share(latencies_ms, 0.99),
        "deliveries_per_second": round(events / options.seconds, 1),
        "events_per_viewer_per_second": round(events / options.seconds / options.viewers, 2),
        "delivery_delay_ms_p50": share(delays_ms, 0.5),
        "delivery_delay_ms_p99": share(delays_ms, 0.99),
        "api_cpu_cores_selling": round(busy, 3),
        "api_cpu_cores_idle": round(idle, 3),
        "api_memory_mib_before": round(memory_before / 2**20, 1),
        "api_memory_mib_open": round(memory_open / 2**20, 1),
        "api_memory_mib_after": round(memory_after / 2**20, 1),
        "api_memory_kib_per_viewer": round((memory_after - memory_before) / 1024 / options.viewers, 1),
        "fresh_snapshots": sum(viewer.snapshots for viewer in viewers) - options.viewers,
        "lost": lost,
        "machine": f"{psutil.cpu_count()} cores shared with the load, {platform.platform()}, "
        f"Python {platform.python_version()}",
    }


async def sell(http: aiohttp.ClientSession, url: str, options: argparse.Namespace) -> tuple[int, list[float]]:
    """Buy at a constant rate until cancelled, however long an answer takes; return orders and latencies."""
    latencies_ms: list[float] = []
    pending: set[asyncio.Task[None]] = set()
    started, number = time.monotonic(), 0

    async def buy(customer: str) -> None:
        at = time.perf_counter()
        await call(http, url, {"customer": customer, "items": [{"sku": "drop", "quantity": 1}]})
        latencies_ms.append((time.perf_counter() - at) * 1000)

    with contextlib.suppress(asyncio.CancelledError):
        while True:
            while number < (time.monotonic() - started) * options.orders_per_second and len(pending) < 500:
                number += 1
                task = asyncio.create_task(buy(f"c{number}"))
                pending.add(task)
                task.add_done_callback(pending.discard)
            await asyncio.sleep(0.005)
    await asyncio.gather(*pending)
    return len(latencies_ms), latencies_ms


async def stop_selling(selling: "asyncio.Task[tuple[int, list[float]]]") -> tuple[int, list[float]]:
    selling.cancel()
    sold = await selling
    await asyncio.sleep(1)  # for the last events to arrive
    return sold


async def call(http: aiohttp.ClientSession, url: str, body: object) -> None:
    async with http.post(url, json=body) as answer:
        if answer.status >= 300:
            raise RuntimeError(f"{url}: {answer.status} {await answer.text()}")


async def spent(process: psutil.Process, seconds: float) -> float:
    """Return the process's share of a core over this time."""
    before, started = process.cpu_times(), time.monotonic()
    await asyncio.sleep(seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return used / (time.monotonic() - started)


def share(ordered: list[float], part: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 1) if ordered else 0.0


def listening_on(port: int) -> psutil.Process:
    """Return the process that listens on this port."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == "LISTEN" and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise SystemExit(f"no process listens on port {port}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--admin-key", required=True)
    parser.add_argument("--viewers", type=int, default=2_000)
    parser.add_argument("--orders-per-second", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = uvloop.run(measure(options))
    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    if options.json:
        options.json.write_text(text)


if __name__ == "__main__":
    main()
