"""Measures the memory of one API process with many idle connections and open sales."""

import asyncio
import secrets
import socket
from urllib.parse import urlsplit

import psutil

from bench.growth import open_many
from bench.house import BASKET, Service
from bench.loads import Bench
from bench.rows import Row

SALES_PER_CONNECTION = 0.1
AT_ONCE = 100
ANSWER_BYTES = 65_536
ANSWER_SECONDS = 30.0


async def idle(bench: Bench) -> list[Row]:
    """Measure a new API process: each connection holds one unit, of all sales in turn, and stays open."""
    connections = bench.connections[0]
    name = f"idle-{secrets.token_hex(4)}"
    sales = await open_many(bench, name, round(connections * SALES_PER_CONNECTION))
    async with bench.house.api(bench.recorder_pid) as service:
        process = psutil.Process(service.parts["api"])
        fresh = process.memory_info().rss
        open_ones, wrong = await asyncio.to_thread(_press, service, sales, connections)
        try:
            row = Row(
                scenario="idle", target="flashguard", connections=connections, errors=wrong,
                answers={"201": connections - wrong},
                more={
                    "mb": round(process.memory_info().rss / 1e6, 1), "fresh_mb": round(fresh / 1e6, 1),
                    "sales": len(sales),
                },
            )  # fmt: skip
        finally:
            for connection in open_ones:
                connection.close()
    bench.progress.say(f"idle: {row.more['mb']} MB, {row.more['fresh_mb']} MB before")
    return [row]


def _press(service: Service, sales: list[str], connections: int) -> tuple[list[socket.socket], int]:
    """Return the open connections, each of which had one answer, and how many of these were wrong."""
    address = urlsplit(service.url)
    found: list[socket.socket] = []
    wrong = 0
    for first in range(0, connections, AT_ONCE):
        for number in range(first, min(first + AT_ONCE, connections)):
            body = BASKET % (f"idle-{number}", "unit")
            connection = socket.create_connection((address.hostname, address.port), ANSWER_SECONDS)
            found.append(connection)
            connection.sendall(
                f"POST /v1/sales/{sales[number % len(sales)]}/reservations HTTP/1.1\r\n"
                f"Host: {address.netloc}\r\n"
                f"Authorization: {service.authorization}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
        wrong += sum(b" 201 " not in connection.recv(ANSWER_BYTES) for connection in found[first:])
    return found, wrong
