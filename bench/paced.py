"""A client with a constant rate: each request is due at a moment, and its latency counts from then on.

So a service that falls behind can't slow its own measurement. `bench.rush` runs it as a child.
"""

import asyncio
import secrets
import time
from collections import Counter, deque
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop

from bench.children import given, tell, turns

TICK_SECONDS = 0.001
LAST_ANSWER_SECONDS = 10.0


class Connection(asyncio.Protocol):
    """One connection with at most one request in flight."""

    def __init__(self, load: "Load") -> None:
        self.load = load

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.load.answered(self, self.parser.get_status_code(), self.due)

    def connection_lost(self, _: Exception | None) -> None:
        self.load.answers["broken"] += 1


class Load:
    """Sends requests at a constant rate; without a free connection a request waits, and its clock runs."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.address = urlsplit(given["url"])
        self.rate, self.seconds = float(given["rate"]), float(given["seconds"])
        self.connections = int(given["connections"])
        self.body = given["BODY"]
        self.head = (
            f"POST {given['PATH']} HTTP/1.1\r\nHost: {self.address.netloc}\r\n"
            f"Content-Type: application/json\r\nAuthorization: {given['AUTH']}\r\n"
            "Idempotency-Key: order-attempt-"
        )
        self.free: deque[Connection] = deque()
        self.clear()

    def clear(self) -> None:
        self.run = secrets.token_hex(3)
        self.due: deque[tuple[bytes, float]] = deque()
        self.answers: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        self.sent = 0

    def request(self) -> bytes:
        self.sent += 1
        name = f"{self.run}-{self.sent:08d}"
        body = self.body % (name, "unit")
        return f"{self.head}{name}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    def answered(self, connection: Connection, status: int, due: float) -> None:
        self.latencies_ms.append(round((time.perf_counter() - due) * 1000, 3))
        self.answers[str(status)] += 1
        connection.parser = httptools.HttpResponseParser(connection)
        if self.due:
            connection.send(*self.due.popleft())
        else:
            self.free.append(connection)

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self.connections):
            _, connection = await loop.create_connection(
                lambda: Connection(self), self.address.hostname, self.address.port
            )
            self.free.append(connection)

    async def press(self) -> float:
        """Send the requests; return the seconds from the first request to the last answer."""
        started = time.perf_counter()
        while (now := time.perf_counter()) < started + self.seconds:
            while (moment := started + self.sent / self.rate) <= now:
                request = self.request()
                if self.free:
                    self.free.popleft().send(request, moment)
                else:
                    self.due.append((request, moment))
            await asyncio.sleep(TICK_SECONDS)
        deadline = time.perf_counter() + LAST_ANSWER_SECONDS
        while len(self.latencies_ms) < self.sent and time.perf_counter() < deadline:
            await asyncio.sleep(TICK_SECONDS)
        self.answers["unanswered"] += self.sent - len(self.latencies_ms)
        return time.perf_counter() - started


async def main() -> None:
    load = Load(given())
    await load.connect()
    async for _ in turns():
        load.clear()
        seconds = await load.press()
        tell({"seconds": seconds, "answers": load.answers, "latencies_ms": load.latencies_ms})


if __name__ == "__main__":
    uvloop.run(main())
